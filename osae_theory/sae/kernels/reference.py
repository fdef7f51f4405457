"""The kernels in plain torch: the fallback on any device, and the oracle of the compiled ones.

Each function overwrites its last arguments, as the compiled kernels do.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from osae_theory.objectives import nested_dropout_loss_sparse
from osae_theory.sae.selection import select_top_m

# Entries of the largest intermediate array: samples are taken in chunks of that size.
_ENTRIES = 2**26


def select(
    scores: Float[Tensor, "S n K"],
    m: int,
    activation: str,
    indices: Int[Tensor, "S n m"],
    values: Float[Tensor, "S n m"],
) -> None:
    """Write Top_m of each row as indices, ascending and padded with -1, and values."""
    K = scores.shape[-1]
    codes = select_top_m(scores, m, activation)
    places = torch.arange(K, device=scores.device).where(codes != 0, K)
    first = places.topk(m, dim=-1, largest=False, sorted=True).values
    empty = first == K
    indices.copy_(first.masked_fill(empty, -1))
    values.copy_(codes.gather(-1, first.clamp(max=K - 1)).masked_fill(empty, 0))


def prefix_gradients(
    x: Float[Tensor, "S n d"],
    indices: Int[Tensor, "S n s"],
    values: Float[Tensor, "S n s"],
    atoms: Float[Tensor, "S K d"],
    survival: Float[Tensor, "S K"],
    loss: Float[Tensor, " S"],
    d_values: Float[Tensor, "S n s"],
    d_atoms: Float[Tensor, "S K d"],
    d_x: Float[Tensor, "S n d"] | None,
) -> None:
    """Write the loss of identity I2 and its gradients, by automatic differentiation."""
    S, n, s = indices.shape
    loss.zero_()
    d_atoms.zero_()
    if n == 0:
        return
    weights = survival.expand(S, -1).to(x.dtype)
    size = max(_ENTRIES // (S * (s + 1) * x.shape[-1]), 1)
    for start in range(0, n, size):
        part = slice(start, start + size)
        empty = indices[:, part] < 0
        padded = indices[:, part].long().masked_fill(empty, atoms.shape[1] - 1)
        with torch.enable_grad():
            data, codes, dictionary = (
                t.detach().requires_grad_() for t in (x[:, part], values[:, part], atoms)
            )
            term = nested_dropout_loss_sparse(
                data, padded, codes.masked_fill(empty, 0), dictionary, weights
            )
            slopes = torch.autograd.grad(term.sum(), (data, codes, dictionary))
        loss += term.detach()
        d_values[:, part] = slopes[1].masked_fill(empty, 0)
        d_atoms += slopes[2]
        if d_x is not None:
            d_x[:, part] = slopes[0]


def encoder_gradients(
    x: Float[Tensor, "S n d"],
    indices: Int[Tensor, "S n s"],
    d_values: Float[Tensor, "S n s"],
    d_encoder: Float[Tensor, "S K d"],
    d_bias: Float[Tensor, "S K"],
) -> None:
    """Write the encoder's gradients through a dense array of the latents' gradients."""
    K = d_bias.shape[-1]
    slots = d_values.new_zeros(*indices.shape[:2], K + 1)
    slots.scatter_(-1, indices.long().remainder(K + 1), d_values)
    slopes = slots[..., :K]
    torch.matmul(slopes.mT, x, out=d_encoder)
    torch.sum(slopes, dim=1, out=d_bias)


def adam_rows(
    parameter: Float[Tensor, "S rows width"],
    gradient: Float[Tensor, "S rows width"],
    mean: Float[Tensor, "S rows width"],
    square: Float[Tensor, "S rows width"],
    frozen: int,
    on_sphere: bool,
    scale: float,
    sizes: Float[Tensor, " S"],
    correction: float,
    betas: tuple[float, float],
    epsilon: float,
) -> Float[Tensor, " S"]:
    """Do one Adam step in place; return each run's largest squared norm of a row after it.

    `gradient` is not changed. `sizes` are lr / (1 - beta1^t) and `correction` is
    sqrt(1 - beta2^t), after Kingma and Ba (2015), algorithm 1.
    """
    slope = gradient * scale
    if on_sphere:
        slope -= (slope * parameter).sum(dim=-1, keepdim=True) * parameter
    mean.mul_(betas[0]).add_(slope, alpha=1 - betas[0])
    square.mul_(betas[1]).addcmul_(slope, slope, value=1 - betas[1])
    live = slice(frozen, None)
    step = mean[:, live] / (square[:, live].sqrt() / correction + epsilon)
    moved = parameter[:, live]
    moved -= sizes[:, None, None] * step
    if on_sphere:
        moved /= torch.linalg.vector_norm(moved, dim=-1, keepdim=True)
    return parameter.square().sum(dim=-1).amax(dim=-1)
