"""The walk over active atoms as Triton kernels: loss, gradients and encoder gradient on a GPU.

Nothing is added atomically, so equal inputs give equal bits on one device. A step of the walk
back writes its share of an atom's gradient, -2 z_t Q_t, as a row at the place that a stable sort
by latent gives it; a program for each latent then adds up the rows that stand together. Rows are
held for as many columns at a time as fit into `MOST_ROW_BYTES`: columns do not meet in the walk,
but in the inner products, whose parts are added afterwards in a fixed order.

Imported only where Triton is to compute. The oracles are in `osae_theory.sae.kernels.reference`.
"""

# A kernel is called with a grid in brackets, and its constants are types to no type checker.
# pyright: reportIndexIssue=false, reportOptionalSubscript=false

from dataclasses import dataclass
from typing import no_type_check

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor

# Bytes of rows held at once, unless a single sample's take more.
MOST_ROW_BYTES = 2**29
# Columns of one program of the walk. One warp has them all: its sums need no barrier.
_COLUMNS = 256
# Rows and columns that a program adds up side by side.
_TILE = 64, 64
_SUMS = {torch.float64: tl.float64}
# Said, because Triton's default is to change in its version 3.10, and with it the bits.
_FUSED = {"enable_fp_fusion": True}


@no_type_check
@triton.jit
def _walk(
    x, counts, indices, values, steps, rests, atoms, places, losses, slopes, rows, d_x,
    n, s, d, K, first, width,
    SUM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Walk one sample's active atoms to the full residual and back, on one block of columns."""
    sample = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    lane = part * BLOCK + tl.arange(0, BLOCK)
    column = first + lane
    here = column < d
    run_atoms = atoms + (sample // n) * K * d
    count = tl.load(counts + sample)
    residual = tl.load(x + sample * d + column, mask=here, other=0.0).to(SUM)
    for t in range(count):
        atom = tl.load(indices + sample * s + t).to(tl.int64)
        code = tl.load(values + sample * s + t).to(SUM)
        row = tl.load(run_atoms + atom * d + column, mask=here, other=0.0).to(SUM)
        residual -= code * row
    gathered = tl.zeros((BLOCK,), SUM)
    loss = tl.zeros((BLOCK,), SUM)
    parts = (part.to(tl.int64) * tl.num_programs(0) + sample) * s
    for back in range(count):
        t = count - 1 - back
        atom = tl.load(indices + sample * s + t).to(tl.int64)
        code = tl.load(values + sample * s + t).to(SUM)
        step = tl.load(steps + sample * s + t)
        place = tl.load(places + sample * s + t)
        row = tl.load(run_atoms + atom * d + column, mask=here, other=0.0).to(SUM)
        gathered += step * residual
        loss += step * residual * residual
        tl.store(slopes + parts + t, -2 * tl.sum(gathered * row, axis=0))
        tl.store(rows + place * width + lane, -2 * code * gathered, mask=here)
        residual += code * row
    rest = tl.load(rests + sample)
    loss += rest * residual * residual
    tl.store(losses + part.to(tl.int64) * tl.num_programs(0) + sample, tl.sum(loss, axis=0))
    tl.store(d_x + sample * d + column, 2 * (gathered + rest * residual), mask=here)


@no_type_check
@triton.jit
def _add_rows(
    rows, starts, ends, sums, d, first, width,
    SUM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Add one latent's rows to its sum, `ROWS` of them side by side, always in one order."""
    latent = tl.program_id(0).to(tl.int64)
    lane = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = (lane < width) & (first + lane < d)
    start = tl.load(starts + latent)
    end = tl.load(ends + latent)
    total = tl.zeros((ROWS, COLUMNS), SUM)
    for begin in range(start, end, ROWS):
        row = begin + tl.arange(0, ROWS)
        inside = (row < end)[:, None] & here[None, :]
        total += tl.load(rows + row[:, None] * width + lane[None, :], mask=inside, other=0.0)
    into = sums + latent * d + first + lane
    before = tl.load(into, mask=here, other=0.0)
    tl.store(into, before + tl.sum(total, axis=0), mask=here)


@no_type_check
@triton.jit
def _add_inputs(
    x, samples, weights, starts, ends, d_encoder, d_bias, d,
    SUM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write one latent's sum of weighted inputs, and of weights, in the order of the samples."""
    latent = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = column < d
    start = tl.load(starts + latent)
    end = tl.load(ends + latent)
    total = tl.zeros((ROWS, COLUMNS), SUM)
    bias = tl.zeros((ROWS,), SUM)
    for begin in range(start, end, ROWS):
        row = begin + tl.arange(0, ROWS)
        sample = tl.load(samples + row, mask=row < end, other=0)
        weight = tl.load(weights + row, mask=row < end, other=0.0).to(SUM)
        inside = (row < end)[:, None] & here[None, :]
        inputs = tl.load(x + sample[:, None] * d + column[None, :], mask=inside, other=0.0)
        total += weight[:, None] * inputs.to(SUM)
        bias += weight
    tl.store(d_encoder + latent * d + column, tl.sum(total, axis=0), mask=here)
    tl.store(d_bias + latent, tl.sum(bias, axis=0), mask=tl.program_id(1) == 0)


@dataclass(frozen=True, eq=False)
class _ByLatent:
    """Slots in the order of their latents, and within a latent of samples and slots.

    Attributes
    ----------
    order : tensor of int64, shape (S n s,)
        Numbers of the slots; within a run those without a latent are last.
    starts, ends : tensors of int64, shape (S K,)
        Where each latent's slots begin and end in that order.
    """

    order: Int[Tensor, " slots"]
    starts: Int[Tensor, " latents"]
    ends: Int[Tensor, " latents"]

    @classmethod
    def of(cls, indices: Int[Tensor, "S n s"], K: int) -> "_ByLatent":
        S = len(indices)
        runs = torch.arange(S, device=indices.device)[:, None] * (K + 1)
        keys = indices.long().remainder(K + 1).view(S, -1) + runs  # -1 becomes K
        ordered, order = keys.flatten().sort(stable=True)
        latents = (torch.arange(K, device=indices.device) + runs).flatten()
        return cls(
            order,
            torch.searchsorted(ordered, latents),
            torch.searchsorted(ordered, latents, right=True),
        )

    def places(self) -> Int[Tensor, " slots"]:
        """Return where each slot stands in the order."""
        places = torch.empty_like(self.order)
        places[self.order] = torch.arange(len(places), device=places.device)
        return places


@torch.no_grad()
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
    """Write the loss of identity I2 and its gradients, as `reference.prefix_gradients` does.

    Sums are float32, or float64 for data in float64. With c columns in a block, b blocks at once
    and a = 4 bytes (8 in float64), the memory taken beside the arguments is at most
    a n s b c for rows, where b c is cut so that it stays within `MOST_ROW_BYTES`; a (n s + n)
    ceil(d / c) for parts of inner products and of losses; about 60 n s for the order; the
    gradient with respect to x; and 4 K d where the atoms are bfloat16; each times the S runs.

    Parameters
    ----------
    x, values, atoms : tensors
        Data, values of the codes and atoms; all bfloat16, float32 or float64.
    indices : tensor of shape (S, n, s)
        Active latents, ascending; -1 in the slots that are left over, all at the end.
    survival : tensor of shape (S, K)
        Survival weights.
    loss, d_values, d_atoms, d_x : tensors
        Overwritten.

    References
    ----------
    claim I2 (docs/theory.md).
    """
    S, n, s = indices.shape
    K, d = atoms.shape[1:]
    number = _number(x)
    sums = d_atoms.zero_()
    if d_atoms.dtype != number or not d_atoms.is_contiguous():
        sums = torch.zeros(S, K, d, dtype=number, device=x.device)
    loss.zero_()
    rows_a_sample = max(S * s * _width(d) * number.itemsize, 1)
    size = max(MOST_ROW_BYTES // rows_a_sample, 1)
    weights = survival.expand(S, -1).to(number)
    for start in range(0, n, size):
        part = slice(start, start + size)
        part_loss, slopes, into_x = _walk_samples(
            x[:, part].contiguous(),
            indices[:, part].contiguous(),
            values[:, part].contiguous(),
            atoms.contiguous(),
            weights,
            sums,
        )
        loss += part_loss
        d_values[:, part] = slopes
        if d_x is not None:
            d_x[:, part] = into_x
    if sums is not d_atoms:
        d_atoms.copy_(sums)


def _walk_samples(
    x: Float[Tensor, "S n d"],
    indices: Int[Tensor, "S n s"],
    values: Float[Tensor, "S n s"],
    atoms: Float[Tensor, "S K d"],
    weights: Float[Tensor, "S K"],
    sums: Float[Tensor, "S K d"],
) -> tuple[Float[Tensor, " S"], Float[Tensor, "S n s"], Float[Tensor, "S n d"]]:
    """Return losses and gradients of values and x; add the gradients of the atoms to `sums`."""
    S, n, s = indices.shape
    K, d = atoms.shape[1:]
    number = weights.dtype
    block = _width(d)
    n_blocks = triton.cdiv(d, block)
    at_once = MOST_ROW_BYTES // max(S * n * s * block * number.itemsize, 1)
    at_once = min(max(at_once, 1), n_blocks)
    counts = (indices >= 0).sum(dim=-1, dtype=torch.int32)
    steps, rests = _steps(indices, weights)
    by_latent = _ByLatent.of(indices, K)
    places = by_latent.places()
    losses = weights.new_empty(n_blocks, S, n)
    slopes = weights.new_zeros(n_blocks, S, n, s)
    rows = weights.new_empty(S * n * s, at_once * block)
    d_x = torch.empty_like(x)
    with torch.cuda.device_of(x):
        for begin in range(0, n_blocks, at_once):
            now = min(at_once, n_blocks - begin)
            first, width = begin * block, at_once * block
            _walk[S * n, now](
                x, counts, indices, values, steps, rests, atoms, places,
                losses[begin:], slopes[begin:], rows, d_x, n, s, d, K, first, width,
                SUM=_SUMS.get(number, tl.float32), BLOCK=block,
                num_warps=1, **_FUSED,  # pyright: ignore[reportCallIssue]
            )  # fmt: skip
            _add_rows[S * K, triton.cdiv(now * block, _TILE[1])](
                rows, by_latent.starts, by_latent.ends, sums, d, first, width,
                SUM=_SUMS.get(number, tl.float32), ROWS=_TILE[0], COLUMNS=_TILE[1],
                **_FUSED,
            )  # fmt: skip
    return losses.double().sum(dim=(0, 2)), slopes.sum(dim=0), d_x


@torch.no_grad()
def encoder_gradients(
    x: Float[Tensor, "S n d"],
    indices: Int[Tensor, "S n s"],
    d_values: Float[Tensor, "S n s"],
    d_encoder: Float[Tensor, "S K d"],
    d_bias: Float[Tensor, "S K"],
) -> None:
    """Write the encoder's gradients by active latents alone, as `reference` by dense products.

    Takes about 60 n s bytes beside the arguments, and as much as an output that is not contiguous.

    Parameters
    ----------
    x, indices, d_values : tensors
        Inputs, active latents, and the loss's gradient with respect to their values.
    d_encoder, d_bias : tensors of shape (S, K, d) and (S, K)
        Overwritten.
    """
    (S, K, d), s = d_encoder.shape, indices.shape[-1]
    by_latent = _ByLatent.of(indices, K)
    samples = by_latent.order // max(s, 1)
    weights = d_values.reshape(-1)[by_latent.order]
    encoder, bias = (_contiguous(t) for t in (d_encoder, d_bias))
    with torch.cuda.device_of(x):
        _add_inputs[S * K, triton.cdiv(d, _TILE[1])](
            x.contiguous(), samples, weights, by_latent.starts, by_latent.ends,
            encoder, bias, d,
            SUM=_SUMS.get(_number(x), tl.float32), ROWS=_TILE[0], COLUMNS=_TILE[1],
            **_FUSED,
        )  # fmt: skip
    for into, found in ((d_encoder, encoder), (d_bias, bias)):
        if found is not into:
            into.copy_(found)


def _steps(
    indices: Int[Tensor, "S n s"], weights: Float[Tensor, "S K"]
) -> tuple[Float[Tensor, "S n s"], Float[Tensor, "S n"]]:
    """Return the probabilities that a prefix ends after each active latent, or before all."""
    S, n, s = indices.shape
    picked = weights.gather(-1, indices.long().clamp(min=0).view(S, n * s)).view(S, n, s)
    picked = picked.masked_fill(indices < 0, 0)
    edge = weights.new_ones(S, n, 1), weights.new_zeros(S, n, 1)
    steps = torch.cat([edge[0], picked], dim=-1) - torch.cat([picked, edge[1]], dim=-1)
    return steps[..., 1:].contiguous(), steps[..., 0].contiguous()


def _contiguous(out: Tensor) -> Tensor:
    """Return where a kernel that knows no strides writes an output: there, if it can."""
    if out.is_contiguous():
        return out
    return torch.empty_like(out, memory_format=torch.contiguous_format)


def _number(x: Tensor) -> torch.dtype:
    """Return the type of the sums over these data."""
    return torch.promote_types(x.dtype, torch.float32)


def _width(d: int) -> int:
    """Return the columns of a block: a power of two, as all of Triton's ranges."""
    return min(max(triton.next_power_of_2(d), 16), _COLUMNS)
