"""Matrix products with defined bits: compiled where numba works, in numpy elsewhere."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from osae_theory.errors import InputError
from osae_theory.portable import plain
from osae_theory.threads import in_parallel

_DTYPES = (np.float32, np.float64)


def matmul(
    a: Float[np.ndarray, "n k"], b: Float[np.ndarray, "k p"], *, compiled: bool = True
) -> Float[np.ndarray, "n p"]:
    """Return a @ b; each entry is one chain of fused multiply-adds over k, from 0 on.

    Parameters
    ----------
    a : array of shape (n, k)
        float32 or float64.
    b : array of shape (k, p)
        Of the same dtype.
    compiled : bool
        False computes in numpy, to the same bits: slow.
    """
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    affine(a, b.T, None, out, compiled=compiled)
    return out


def affine(
    x: Float[np.ndarray, "n d"],
    weights: Float[np.ndarray, "K d"],
    bias: Float[np.ndarray, " K"] | None,
    out: Float[np.ndarray, "n K"],
    *,
    compiled: bool = True,
) -> None:
    """Overwrite `out` with x weights^T + bias.

    Entry (i, j) is one chain of fused multiply-adds: from bias[j], or 0, over d in its order.
    It does not depend on the other rows and columns, on the number of threads or on the
    machine.

    Parameters
    ----------
    x, weights, bias : arrays
        float32 or float64, all of one dtype.
    out : array of shape (n, K)
        C-contiguous, of the same dtype.
    compiled : bool
        False computes in numpy, to the same bits: slow.

    Raises
    ------
    InputError
        If the arrays are not of one dtype.
    """
    dtypes = {array.dtype for array in (x, weights, bias, out) if array is not None}
    if len(dtypes) > 1:
        raise InputError(f"arrays of {', '.join(sorted(map(str, dtypes)))}: expected one dtype")
    x, weights = np.ascontiguousarray(x), np.ascontiguousarray(weights)
    if not (compiled and x.dtype in _DTYPES and compiles()):
        plain.chain_product(x, weights, bias, out)
        return
    from osae_theory.portable import tiles

    n = len(x)
    start = np.zeros((1, len(weights)), x.dtype)
    if bias is not None:
        start[0] = bias
    size = max(-(-n // torch.get_num_threads()), 1)
    parts = [slice(first, first + size) for first in range(0, n, size)]

    def multiply(part: slice) -> None:
        tiles.chain_product(x[part], weights, start, out[part])

    in_parallel([lambda part=part: multiply(part) for part in parts], n * weights.size)


@cache
def compiles() -> bool:
    """Say whether numba compiles the products here; otherwise they are computed in numpy."""
    try:
        from osae_theory.portable import tiles

        out = np.empty((1, 1), np.float32)
        one = np.ones((1, 1), np.float32)
        tiles.chain_product(one, one, one, out)
        return out.item() == 2
    except Exception:  # numba and LLVM fail in many ways, all with the same remedy
        return False
