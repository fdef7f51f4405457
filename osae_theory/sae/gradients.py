"""The gradients of one training step, for codes that are sparse enough and for codes that are not.

Both ways compute the same loss: the sparse one touches active latents only, O(n s d); the
dense one is a few matrix products, and wins while k warm-up keeps most latents active.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from osae_theory.objectives import DenseGradients, nested_dropout_gradients
from osae_theory.sae.auxiliary import DeadLatents
from osae_theory.sae.code_penalty import add_dense_slopes, add_sparse_slopes
from osae_theory.sae.fit import SampleWeights
from osae_theory.sae.kernels import (
    EncoderGradients,
    PrefixGradients,
    SparseCodes,
    compiled_by,
    encoder_gradients,
    prefix_gradients,
    select_sparse,
)
from osae_theory.sae.kernels.costs import dense_seconds, walk_seconds
from osae_theory.sae.model import TopMSAE
from osae_theory.sae.selection import select_top_m

# Nanoseconds for one entry of n x s x d in the sparse kernels, and for one multiplication
# in a matrix product; measured on one core. Only speed depends on them.
_SPARSE_COST, _PRODUCT_COST = 0.5, 0.017
# Entries of the encoder's output held at once.
_ENTRIES = 2**24


@dataclass(frozen=True, eq=False)
class ModelGradients:
    """Where a step's gradients go, summed over the batch.

    Attributes
    ----------
    encoder : tensor of shape (S, K, d)
        By latent: the transpose of the model's encoder.
    encoder_bias : tensor of shape (S, K)
        Encoder biases.
    atoms : tensor of shape (S, K, d)
        Atoms.
    decoder_bias : tensor of shape (S, d) or None
        Decoder biases, where the model has them.
    """

    encoder: Float[Tensor, "S K d"]
    encoder_bias: Float[Tensor, "S K"]
    atoms: Float[Tensor, "S K d"]
    decoder_bias: Float[Tensor, "S d"] | None

    @classmethod
    def like(cls, model: TopMSAE) -> "ModelGradients":
        """Return uninitialised gradients for a model."""
        bias = model.decoder_bias
        return cls(
            torch.empty_like(model.atoms),
            torch.empty_like(model.encoder_bias),
            torch.empty_like(model.atoms),
            None if bias is None else torch.empty_like(bias),
        )


@dataclass(frozen=True, eq=False)
class StepLoss:
    """What one step saw.

    Attributes
    ----------
    loss : tensor of shape (S,)
        Each run's loss, summed over the batch.
    least_active : tensor of shape (S,)
        The least positive code of each run, infinite where there is none; None unless
        latents are selected by batch.
    energies : tensor of float64, shape (S, K)
        Each latent's energy, the sum of its squared codes; None unless asked for.
    """

    loss: Float[Tensor, " S"]
    least_active: Float[Tensor, " S"] | None
    energies: Float[Tensor, "S K"] | None


class Workspace:
    """Memory that one step after another uses again."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def empty(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, like: Tensor) -> Tensor:
        """Return an uninitialised tensor in the memory kept under `name`."""
        size = math.prod(shape)
        kept = self._kept.get((name, dtype))
        if kept is None or kept.numel() < size:
            kept = torch.empty(size, dtype=dtype, device=like.device)
            self._kept[name, dtype] = kept
        return kept[:size].view(shape)

    def codes(self, name: str, shape: tuple[int, int, int], like: Tensor) -> SparseCodes:
        """Return uninitialised codes in the memory kept under `name`."""
        return SparseCodes(
            self.empty(name, shape, torch.int32, like), self.empty(name, shape, like.dtype, like)
        )


def sparse_pays(
    n: int,
    s: int,
    d: int,
    K: int,
    compiler: str = "numba",
    dtype: torch.dtype = torch.float32,
    plain: bool = False,
) -> bool:
    """Say whether s active latents of K are few enough for the sparse kernels.

    Parameters
    ----------
    n, s, d, K : int
        Samples, active latents of each, dimension, latents.
    compiler : {"numba", "triton"}
        Whose kernels they are. Numba's costs were measured on one core; Triton's are those of
        `osae_theory.sae.kernels.costs`.
    dtype
        Of the data.
    plain : bool
        Whether all survival weights are 1: the dense way then has no products of K K entries.
        Counted for Triton alone: numba's kernels, on an AMD EPYC, still win there at a third more
        active latents than their costs say with these products.
    """
    if compiler == "triton":
        return walk_seconds(n, s, d, K, dtype) < dense_seconds(n, d, K, dtype, plain)
    dense = 4 * n * K * d + 2 * n * K * K + 2 * d * K * K
    return _SPARSE_COST * n * s * d < _PRODUCT_COST * dense


@torch.no_grad()
def fill_gradients(
    model: TopMSAE,
    batch: Float[Tensor, "S n d"],
    survival: Float[Tensor, "S K"],
    active: int,
    dead: DeadLatents | None,
    backend: str,
    out: ModelGradients,
    workspace: Workspace,
    samples: SampleWeights | None = None,
    with_energies: bool = False,
    penalty: Float[Tensor, " K"] | None = None,
) -> StepLoss:
    """Overwrite `out` with the gradients of one step, summed over the batch.

    Parameters
    ----------
    model : TopMSAE
        The runs.
    batch : tensor of shape (S, n, d)
        Each run's samples.
    survival : tensor of shape (S, K)
        Each run's survival weights at this step.
    active : int
        Number of active latents at this step.
    dead : DeadLatents or None
        Adds the auxiliary loss to the gradients, not to the loss returned.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        See `osae_theory.sae.kernels.use_compiled`. Portable arithmetic needs "numba" or
        "plain" (`osae_theory.sae.kernels.backend_for`).
    out : ModelGradients
        Where the gradients go.
    workspace : Workspace
        Memory kept from step to step.
    samples : SampleWeights, optional
        Weights of the samples' full residuals, and of the nested-dropout loss beside them; by
        default that loss alone.
    with_energies : bool
        Whether to say how much energy each latent has.
    penalty : tensor of shape (K,), optional
        Adds sum_j penalty_j |z_j| of each sample to the gradients, not to the loss returned.
    """
    n, d = batch.shape[1:]
    walks = model.arithmetic == "portable"
    compiler = None if walks else compiled_by(backend, batch)
    if compiler is not None:
        plain = bool((survival == 1).all())
        walks = sparse_pays(n, active, d, model.n_atoms, compiler, batch.dtype, plain)
    if walks:
        return fill_sparse(
            model, batch, survival, active, dead, backend, out, workspace, samples,
            with_energies, penalty,
        )  # fmt: skip
    return _fill_dense(
        model, batch, survival, active, dead, backend, out, samples, with_energies, penalty
    )


@torch.no_grad()
def fill_sparse(
    model: TopMSAE,
    batch: Float[Tensor, "S n d"],
    survival: Float[Tensor, "S K"],
    active: int,
    dead: DeadLatents | None,
    backend: str,
    out: ModelGradients,
    workspace: Workspace,
    samples: SampleWeights | None = None,
    with_energies: bool = False,
    penalty: Float[Tensor, " K"] | None = None,
) -> StepLoss:
    """Do as `fill_gradients` over active latents only, whether that pays or not.

    The gradient of the encoder is a product of whole matrices all the same where
    `osae_theory.sae.kernels.costs.encoder_walk_pays` says so.
    """
    centred = model.centred(batch)
    S, n, _ = centred.shape
    K, dtype = model.n_atoms, centred.dtype
    by_batch = model.activation == "batch"
    codes = workspace.codes("codes", (S, n, 0 if by_batch else active), centred)
    revived = None if dead is None else workspace.codes("revived", (S, n, dead.n_revived), centred)
    rows = n if by_batch else min(max(_ENTRIES // (S * K), 1), n)
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        scores = workspace.empty("scores", (S, part.stop - start, K), dtype, centred)
        latents = model.preactivations(centred[:, part], out=scores)
        if by_batch:
            codes = select_sparse(latents, active, "batch", backend=backend)
        else:
            _select_into(codes, part, latents, model.activation, backend)
        if dead is not None and revived is not None:
            _select_into(revived, part, dead.candidates(latents), "relu", backend)
    bias = out.decoder_bias
    d_x = None if bias is None else torch.empty_like(centred)
    found = prefix_gradients(
        centred, codes, model.atoms, survival, backend=backend,
        out=PrefixGradients(
            centred.new_empty(S, dtype=torch.float64),
            workspace.empty("slopes", tuple(codes.values.shape), dtype, centred),
            out.atoms,
            d_x,
        ),
    )  # fmt: skip
    if samples is not None:
        _add_full_sparse(centred, codes, model.atoms, samples, backend, found)
    if penalty is not None:
        add_sparse_slopes(found.values, codes, penalty)
    encoder_gradients(
        centred, codes.indices, found.values, K, backend=backend,
        out=EncoderGradients(out.encoder, out.encoder_bias),
    )  # fmt: skip
    if dead is not None and revived is not None:
        residual = centred - model.combine(codes.dense(K))
        _add_auxiliary(model, centred, residual, revived, dead, backend, out)
        dead.count(_fired(codes, K))
    if bias is not None and d_x is not None:
        _fill_decoder_bias(model, d_x, out)
    least = _least(codes.values) if by_batch else None
    energies = _energies(codes, K) if with_energies else None
    return StepLoss(found.loss.to(centred.dtype), least, energies)


def _fill_dense(
    model: TopMSAE,
    batch: Float[Tensor, "S n d"],
    survival: Float[Tensor, "S K"],
    active: int,
    dead: DeadLatents | None,
    backend: str,
    out: ModelGradients,
    samples: SampleWeights | None,
    with_energies: bool,
    penalty: Float[Tensor, " K"] | None,
) -> StepLoss:
    centred = model.centred(batch)
    latents = model.preactivations(centred)
    codes = select_top_m(latents, active, model.activation)
    bias = out.decoder_bias
    weights = survival.to(model.atoms.dtype)
    found = nested_dropout_gradients(centred, codes, model.atoms, weights, bias is not None)
    if samples is not None:
        found = _with_full_dense(centred, codes, model.atoms, samples, found)
    slopes = found.codes.mul_(codes != 0)
    if penalty is not None:
        add_dense_slopes(slopes, codes, penalty)
    out.encoder.copy_(slopes.mT @ centred)
    out.encoder_bias.copy_(slopes.sum(dim=1))
    out.atoms.copy_(found.atoms)
    if dead is not None:
        revived = select_sparse(dead.candidates(latents), dead.n_revived, backend=backend)
        residual = centred - codes @ model.atoms
        _add_auxiliary(model, centred, residual, revived, dead, backend, out)
        dead.count((codes != 0).any(dim=1))
    if found.x is not None:
        _fill_decoder_bias(model, found.x, out)
    least = _least(codes) if model.activation == "batch" else None
    energies = codes.double().square().sum(dim=1) if with_energies else None
    return StepLoss(found.loss, least, energies)


def _add_full_sparse(
    centred: Float[Tensor, "S n d"],
    codes: SparseCodes,
    atoms: Float[Tensor, "S K d"],
    samples: SampleWeights,
    backend: str,
    found: PrefixGradients,
) -> None:
    """Weigh the nested-dropout loss and its gradients; add those of the samples' residuals."""
    roots, whole = samples.full.sqrt()[..., None], torch.ones_like(atoms[..., 0])
    # The weighted loss is the plain loss of samples and codes that are so much longer.
    full = prefix_gradients(
        centred * roots, SparseCodes(codes.indices, codes.values * roots), atoms, whole,
        with_x=found.x is not None, backend=backend,
    )  # fmt: skip
    share = samples.share
    found.loss.mul_(share).add_(full.loss)
    found.values.mul_(share[:, None, None]).add_(full.values * roots)
    found.atoms.mul_(share[:, None, None]).add_(full.atoms)
    if found.x is not None and full.x is not None:
        found.x.mul_(share[:, None, None]).add_(full.x * roots)


def _with_full_dense(
    centred: Float[Tensor, "S n d"],
    codes: Float[Tensor, "S n K"],
    atoms: Float[Tensor, "S K d"],
    samples: SampleWeights,
    found: DenseGradients,
) -> DenseGradients:
    """Do for dense codes as `_add_full_sparse`."""
    roots, whole = samples.full.sqrt()[..., None], torch.ones_like(atoms[..., 0])
    share = samples.share[:, None, None]
    full = nested_dropout_gradients(
        centred * roots, codes * roots, atoms, whole, found.x is not None
    )
    x = None
    if found.x is not None and full.x is not None:
        x = share * found.x + full.x * roots
    return DenseGradients(
        samples.share * found.loss + full.loss,
        share * found.codes + full.codes * roots,
        share * found.atoms + full.atoms,
        x,
    )


def _energies(codes: SparseCodes, K: int) -> Float[Tensor, "S K"]:
    """Return each latent's sum of squared codes, added in the order of the samples."""
    S = codes.indices.shape[0]
    places = codes.indices.long().remainder(K + 1).view(S, -1)
    squares = codes.values.double().square().view(S, -1)
    if squares.is_cpu:
        sums = [
            np.bincount(row.numpy(), weights.numpy(), K + 1)[:K]
            for row, weights in zip(places, squares, strict=True)
        ]
        return torch.from_numpy(np.stack(sums))
    return squares.new_zeros(S, K + 1).scatter_add_(1, places, squares)[:, :K]


def _select_into(
    codes: SparseCodes, part: slice, latents: Tensor, activation: str, backend: str
) -> None:
    """Write the codes of the samples in `part`, without a copy where they are all."""
    m = codes.indices.shape[-1]
    whole = codes if latents.shape[1] == codes.indices.shape[1] else None
    selected = select_sparse(latents, m, activation, backend=backend, out=whole)
    if whole is None:
        codes.indices[:, part] = selected.indices
        codes.values[:, part] = selected.values


def _least(values: Float[Tensor, "S n s"]) -> Float[Tensor, " S"]:
    """Return the least positive entry of each run."""
    if values.shape[-1] == 0:
        return values.new_full(values.shape[:1], torch.inf)
    return torch.where(values > 0, values, torch.inf).amin(dim=(-2, -1))


def _fired(codes: SparseCodes, K: int) -> Bool[Tensor, "S K"]:
    S = codes.indices.shape[0]
    fired = torch.zeros(S, K + 1, dtype=torch.bool, device=codes.indices.device)
    places = codes.indices.flatten(start_dim=1).long().remainder(K + 1)
    return fired.scatter_(1, places, True)[:, :K]


def _add_auxiliary(
    model: TopMSAE,
    centred: Float[Tensor, "S n d"],
    residual: Float[Tensor, "S n d"],
    revived: SparseCodes,
    dead: DeadLatents,
    backend: str,
    out: ModelGradients,
) -> None:
    """Add the gradients of the auxiliary loss: the plain loss of dead latents on the residual."""
    if not bool((revived.indices >= 0).any()):
        return
    K = model.n_atoms
    whole = torch.ones_like(model.encoder_bias)
    found = prefix_gradients(residual, revived, model.atoms, whole, backend=backend)
    through = encoder_gradients(centred, revived.indices, found.values, K, backend=backend)
    coefficient = dead.config.coefficient
    # Multiplied first, then added: `alpha` would be a fused operation on some machines.
    out.atoms.add_(found.atoms * coefficient)
    out.encoder.add_(through.encoder * coefficient)
    out.encoder_bias.add_(through.bias * coefficient)


def _fill_decoder_bias(model: TopMSAE, d_x: Float[Tensor, "S n d"], out: ModelGradients) -> None:
    """Fill the gradient of what is subtracted before the loss and the encoder alike."""
    assert out.decoder_bias is not None
    if model.arithmetic == "fast":
        through_encoder = out.encoder_bias[:, None, :] @ model.encoder.mT
        out.decoder_bias.copy_(-d_x.sum(dim=1) - through_encoder[:, 0])
        return
    # Sums over rows, which numpy adds in their order.
    direct = d_x.numpy().sum(axis=1, dtype=np.float64)
    weighted = out.encoder_bias.double()[:, :, None] * model.encoder.mT
    through = weighted.numpy().sum(axis=1, dtype=np.float64)
    out.decoder_bias.copy_(torch.from_numpy(-direct - through))
