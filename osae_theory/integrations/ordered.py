"""The exact nested-dropout loss in the form in which other libraries' training steps need it."""

from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float, Int
from torch import Tensor

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss
from osae_theory.sae.gradients import sparse_pays
from osae_theory.sae.kernels import compiled_by, nested_dropout_loss_fused, select_sparse


@dataclass(frozen=True, eq=False)
class Ordered:
    """What one batch gives.

    Attributes
    ----------
    loss : scalar tensor
        E_l of the squared error of prefix l, summed over dimensions and averaged over samples,
        as these libraries average theirs; differentiable.
    codes : tensor of shape (n, K)
        Active latents' values and zeros; without a gradient.
    top_values : tensor of shape (n, m)
        The active latents' values, 0 where a sample has fewer; without a gradient.
    reconstruction : tensor of shape (n, d)
        That of all latents together, without the decoder's bias and without a gradient.
    """

    loss: Float[Tensor, ""]
    codes: Float[Tensor, "n K"]
    top_values: Float[Tensor, "n m"]
    reconstruction: Float[Tensor, "n d"]


def ordered_loss(
    x: Float[Tensor, "n d"],
    scores: Float[Tensor, "n K"],
    atoms: Float[Tensor, "K d"],
    survival: Float[Tensor, " K"],
    m: int,
    scale: Float[Tensor, " K"] | None = None,
) -> Ordered:
    """Return the exact nested-dropout loss of a batch, of its m largest positive scores.

    Differentiable in x, scores, atoms and scale; computed in the most precise of the dtypes of
    x, scores and atoms, half precision in float32.
    Where that is cheaper, the cost hangs on the number of active latents and not on the number
    of prefixes.

    Parameters
    ----------
    x : tensor of shape (n, d)
        What is to be reconstructed, the decoder's bias taken off.
    scores : tensor of shape (n, K)
        What the latents are ranked by, and their values where positive.
    atoms : tensor of shape (K, d)
        The decoder's rows, of any norm.
    survival : tensor of shape (K,)
        Survival weights w_j = P(l >= j) of the prefix law.
    m : int
        Active latents a sample, 1..K.
    scale : tensor of shape (K,), optional
        A latent's part of the reconstruction is its value times this times its atom.

    Raises
    ------
    InputError
        If there is no sample, x is not of two dimensions, m is not in 1..K or a score is NaN.

    References
    ----------
    Wang et al. (2025), section 2.2; claims I1 and I2 (docs/theory.md).
    """
    if x.ndim != 2 or not len(x):
        raise InputError(f"a batch of shape {tuple(x.shape)}: expected (n, d) with n at least 1")
    with torch.autocast(x.device.type, enabled=False):
        dtype = reduce(torch.promote_types, (x.dtype, scores.dtype, atoms.dtype), torch.float32)
        x, scores, atoms, survival = (
            t.to(dtype).contiguous() for t in (x, scores, atoms, survival)
        )
        indices, values = _active(scores, m)
        places = indices.clamp(min=0)
        parts = values
        if scale is not None:
            parts = values * scale.to(dtype)[places]
        (n, d), K = x.shape, len(atoms)
        codes = values.new_zeros(n, K).scatter_add_(-1, places, values.detach())
        compiler = compiled_by("auto", x, atoms)
        plain = bool((survival == 1).all())
        if compiler is not None and sparse_pays(n, m, d, K, compiler, x.dtype, plain):
            total = nested_dropout_loss_fused(x, indices, parts, atoms, survival)
            with torch.no_grad():
                whole = torch.nn.functional.embedding_bag(
                    places, atoms, per_sample_weights=parts, mode="sum"
                )
        else:
            dense = parts.new_zeros(n, K).scatter_add(-1, places, parts)
            total = nested_dropout_loss(x, dense, atoms, survival)
            whole = (dense @ atoms).detach()
        return Ordered(total / n, codes, values.detach(), whole)


def _active(
    scores: Float[Tensor, "n K"], m: int
) -> tuple[Int[Tensor, "n m"], Float[Tensor, "n m"]]:
    """Return the active latents, -1 where a sample has fewer, and their values, 0 there."""
    indices = select_sparse(scores.detach()[None], m).indices[0].long()
    values = scores.gather(-1, indices.clamp(min=0))
    return indices, values.where(indices >= 0, torch.zeros_like(values))
