"""The exact nested-dropout loss of sparse codes as a differentiable function."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from osae_theory.doors import at_the_door
from osae_theory.objectives import ascending
from osae_theory.sae.kernels.sparse import SparseCodes, prefix_gradients


@at_the_door
def nested_dropout_loss_fused(
    x: Float[Tensor, "*run n d"],
    indices: Int[Tensor, "*run n s"],
    values: Float[Tensor, "*run n s"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
    *,
    backend: str = "auto",
) -> Float[Tensor, "*run"]:
    """Return L_ND of sparse codes, all K prefixes at the cost of the plain loss: O(n s d).

    Differentiable once, with hand-written gradients, in x, values and atoms.

    Parameters
    ----------
    x, atoms, survival : tensors
        Data, atoms and survival weights w_j = P(l >= j); rows. w = 1 gives the plain loss.
    indices, values : tensors of shape (..., n, s)
        Active latents of each sample, in any order, and their values; -1 in a slot without
        one. Latents in ascending order, as `select_sparse` gives them, need no sorting.
    backend : {"auto", "numba", "triton", "torch"}
        "numba" is compiled and needs a CPU, "triton" is compiled and needs a GPU; "torch" works
        on any device; "auto" takes the first that can be had.

    Raises
    ------
    InputError
        If the backend is unknown or cannot take these tensors, their shapes do not fit, or an
        index is none of -1, 0, ..., K - 1.

    References
    ----------
    Wang et al. (2025), section 2.2; claim I2 (docs/theory.md).
    """
    indices, values = ascending(indices, values, atoms.shape[-2])
    return _Fused.apply(x, indices, values, atoms, survival, backend)  # pyright: ignore[reportReturnType]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        indices: Tensor,
        values: Tensor,
        atoms: Tensor,
        survival: Tensor,
        backend: str,
    ) -> Tensor:
        runs = x.shape[:-2]
        rows, places, codes, dictionary = (
            t.reshape(-1, *t.shape[-2:]) for t in (x, indices, values, atoms)
        )
        weights = survival.expand(*runs, survival.shape[-1]).reshape(len(rows), -1)
        found = prefix_gradients(
            rows,
            SparseCodes(places.to(torch.int32), codes),
            dictionary,
            weights,
            with_x=ctx.needs_input_grad[0],
            backend=backend,
        )
        ctx.shapes = x.shape, values.shape, atoms.shape
        ctx.save_for_backward(found.x, found.values, found.atoms)
        return found.loss.to(x.dtype).reshape(runs)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        scale = grad_outputs[0][..., None, None]
        d_x, d_values, d_atoms = (
            None if slope is None else scale * slope.view(shape)
            for slope, shape in zip(ctx.saved_tensors, ctx.shapes, strict=True)
        )
        return d_x, None, d_values, d_atoms, None, None
