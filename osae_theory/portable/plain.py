"""Chains of fused multiply-adds in numpy: slow, on any machine, the compiled code's oracle.

A fused multiply-add rounds a b + c once. In numpy there is none, so its bits are computed: the
exact sum is first rounded to odd in a wider or a split format, which leaves every later
rounding right (Boldo and Melquiond, 2008).
"""

import numpy as np
from jaxtyping import Float

_SPLIT = 2.0**27 + 1


def fused_multiply_add(
    a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."], c: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return a b + c, rounded once.

    Parameters
    ----------
    a, b, c : arrays of float32, or arrays of float64
        They broadcast. In float64 right for results and products between 2^-960 and 2^960 or
        exactly 0, beyond which intermediate numbers would not be exact.

    References
    ----------
    Boldo and Melquiond (2008), "Emulation of FMA and correctly rounded sums".
    """
    if np.result_type(a, b, c) == np.float32:
        wide = [np.asarray(t, dtype=np.float64) for t in (a, b, c)]
        # The product of two float32 is exact in float64.
        return _sum_to_odd(wide[0] * wide[1], wide[2]).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        high, low = _exact_product(a, b)
        top, bottom = _exact_sum(np.asarray(c), low)
        value, error = _exact_sum(high, top)
        found = value + _sum_to_odd(bottom, error)
        # Infinities and NaN have no remainders.
        return np.where(np.isfinite(found), found, a * b + c)


def chain_product(
    a: Float[np.ndarray, "n k"],
    b: Float[np.ndarray, "p k"],
    start: Float[np.ndarray, " p"] | None,
    out: Float[np.ndarray, "n p"],
) -> None:
    """Overwrite `out` with start + a b^T: entry (i, j) is one chain of fused multiply-adds.

    From start[j], or 0, it adds a[i, 0] b[j, 0], then a[i, 1] b[j, 1], and so on.
    """
    out[:] = 0 if start is None else start
    for t in range(a.shape[1]):
        out[:] = fused_multiply_add(a[:, t, None], b[None, :, t], out)


def _exact_sum(
    a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return a + b rounded, and what rounding has left (Knuth's TwoSum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _exact_product(
    a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return a b rounded, and what rounding has left (Dekker's product, Veltkamp's halves)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    low = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, low


def _halves(
    a: Float[np.ndarray, "..."],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high


def _sum_to_odd(
    a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Return a + b rounded to odd: where it is not exact, to the neighbour whose last bit is 1."""
    total, error = _exact_sum(a, b)
    even = (np.ascontiguousarray(total).view(np.int64) & 1) == 0
    beside = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return np.where((error != 0) & even & np.isfinite(total), beside, total)
