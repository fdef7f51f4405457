"""One loss with its gradients, computed in every way there is: what each way costs.

Every contender takes a batch, runs the encoder, selects, computes the loss and leaves the
gradients of encoder, encoder bias and atoms; there is no optimiser in it. The yardstick is
`plain dense`: a top-m SAE as the field's libraries write it, by automatic differentiation.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.speed.shapes import Shape
from osae_theory.objectives import (
    nested_dropout_loss,
    nested_dropout_loss_gram,
    prefix_loss,
)
from osae_theory.prefixes import PrefixLaw, equal_group_ends
from osae_theory.sae import TopMSAE
from osae_theory.sae.gradients import ModelGradients, Workspace, fill_gradients, fill_sparse
from osae_theory.seeds import Axis, generator, torch_generator

Way = Callable[[Float[Tensor, "n d"]], None]
_CPU = torch.device("cpu")
# Entries of the largest array that a loop over prefixes keeps for its backward pass.
_MOST_ENTRIES = 2**29
# Pairs of latents up to which the Gram forms, with their K x K arrays, are tried.
MOST_PAIRS = 2**25


def ways(shape: Shape, seed: int = 0) -> dict[str, Way]:
    """Return every way of computing loss and gradients that this shape allows, by name."""
    model = initialised(shape, seed)
    laws = {
        "plain": PrefixLaw.full(shape.K),
        "exact": PrefixLaw.uniform(shape.K),
        **{
            f"{n} prefixes": PrefixLaw.groups(shape.K, equal_group_ends(shape.K, n))
            for n in (5, 50)
        },
    }
    found = {
        "plain dense": by_autograd(model, shape, plain_loss),
        "plain sparse": _embedding_bag(model, shape),
    }
    found |= {f"{name}, fused": fused(model, shape, law) for name, law in laws.items()}
    dense = {"exact, residual Gram": nested_dropout_loss, "exact, Gram": nested_dropout_loss_gram}
    for name, loss in dense.items() if shape.K**2 <= MOST_PAIRS else ():
        found[name] = by_autograd(model, shape, with_law(loss, laws["exact"]))
    for n in (5, 50, shape.K):
        if n * shape.batch * shape.d <= _MOST_ENTRIES:
            ends = equal_group_ends(shape.K, n)
            found[f"loop over {n} prefixes"] = by_autograd(model, shape, _loop(ends))
    return found


def initialised(shape: Shape, seed: int = 0, device: torch.device = _CPU) -> TopMSAE:
    """Return one SAE at its initialisation."""
    generators = [generator(seed, Axis.INITIALISATION)]
    return TopMSAE.initialised(shape.d, shape.K, generators).to(device)


def fused(model: TopMSAE, shape: Shape, law: PrefixLaw, backend: str = "auto") -> Way:
    """Return the way that training takes: compiled, over active latents only where that pays."""
    return _filling(fill_gradients, model, shape, law, backend)


def by_kernels(model: TopMSAE, shape: Shape, law: PrefixLaw, backend: str) -> Way:
    """Return the way over active latents only, by a backend's kernels: see `fill_sparse`."""
    return _filling(fill_sparse, model, shape, law, backend)


def _filling(
    fill: Callable[..., object], model: TopMSAE, shape: Shape, law: PrefixLaw, backend: str
) -> Way:
    survival = _survival(law, model.atoms.device)[None]
    out, workspace = ModelGradients.like(model), Workspace()

    def way(batch: Float[Tensor, "n d"]) -> None:
        fill(model, batch[None], survival, shape.m, None, backend, out, workspace)

    return way


def by_autograd(
    model: TopMSAE, shape: Shape, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Way:
    """Return a way through dense codes, selected by torch.topk, and automatic gradients."""
    leaves = _leaves(model)

    def way(batch: Float[Tensor, "n d"]) -> None:
        encoder, bias, atoms = leaves
        values, places = _selected(batch, encoder, bias, shape.m)
        codes = batch.new_zeros(len(batch), shape.K).scatter(-1, places, values)
        _backward(loss(batch, codes, atoms), leaves)

    return way


def _leaves(model: TopMSAE) -> tuple[Tensor, Tensor, Tensor]:
    parameters = (model.encoder[0], model.encoder_bias[0], model.atoms[0])
    encoder, bias, atoms = (p.detach().clone().contiguous().requires_grad_() for p in parameters)
    return encoder, bias, atoms


def _selected(batch: Tensor, encoder: Tensor, bias: Tensor, m: int) -> tuple[Tensor, Tensor]:
    found = torch.addmm(bias, batch, encoder).topk(m, dim=-1, sorted=False)
    return found.values.relu(), found.indices


def _backward(loss: Tensor, leaves: tuple[Tensor, Tensor, Tensor]) -> None:
    for leaf in leaves:
        leaf.grad = None
    loss.backward()


def plain_loss(batch: Tensor, codes: Tensor, atoms: Tensor) -> Tensor:
    """Return the full residual's squared error, summed over the batch."""
    return (batch - codes @ atoms).square().sum()


def with_law(
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    law: PrefixLaw,
    device: torch.device = _CPU,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return a loss of all prefixes with the survival weights of a law."""
    survival = _survival(law, device)
    return lambda batch, codes, atoms: loss(batch, codes, atoms, survival)


def _survival(law: PrefixLaw, device: torch.device) -> Tensor:
    return torch.tensor(law.survival, dtype=torch.float32, device=device)


def _loop(ends: tuple[int, ...]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return a Matryoshka loss term by term, each prefix from the one before."""

    def loss(batch: Tensor, codes: Tensor, atoms: Tensor) -> Tensor:
        residual, terms, begin = batch, [], 0
        for end in ends:
            residual = residual - codes[:, begin:end] @ atoms[begin:end]
            terms.append(residual.square().sum())
            begin = end
        return torch.stack(terms).mean()

    return loss


def _embedding_bag(model: TopMSAE, shape: Shape) -> Way:
    """Return the plain loss with a decoder that reads active atoms only."""
    leaves = _leaves(model)

    def way(batch: Float[Tensor, "n d"]) -> None:
        encoder, bias, atoms = leaves
        values, places = _selected(batch, encoder, bias, shape.m)
        decoded = nn.functional.embedding_bag(places, atoms, per_sample_weights=values, mode="sum")
        _backward((batch - decoded).square().sum(), leaves)

    return way


def agreement(shape: Shape, seed: int = 0) -> Mapping[str, float]:
    """Return relative differences of the fused losses to the definition, in float64 sums."""
    model = initialised(shape, seed)
    batch = torch.randn(min(shape.batch, 64), shape.d, generator=torch_generator(seed, Axis.VALUES))
    codes = model.encode(batch[None], shape.m).double()
    found = {}
    for n in (1, 5, 50):
        ends = equal_group_ends(shape.K, n)
        law = PrefixLaw.groups(shape.K, ends)
        terms = [
            float(prefix_loss(batch[None].double(), codes, model.atoms.double(), end).detach())
            for end in ends
        ]
        expected = sum(terms) / n
        survival = torch.tensor(law.survival, dtype=torch.float32)[None]
        out = ModelGradients.like(model)
        loss = fill_gradients(
            model, batch[None], survival, shape.m, None, "auto", out, Workspace()
        ).loss
        found[f"{n} prefixes"] = abs(float(loss) / expected - 1)
    return found


def encoder_product(shape: Shape, model: TopMSAE | None = None) -> Way:
    """Return the encoder's matrix product alone: the floor of every way."""
    encoder, bias, _ = _leaves(initialised(shape) if model is None else model)
    weights, offset = encoder.detach(), bias.detach()
    out = weights.new_empty(shape.batch, shape.K)

    def way(batch: Float[Tensor, "n d"]) -> None:
        torch.addmm(offset, batch, weights, out=out)

    return way
