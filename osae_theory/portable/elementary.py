"""Logarithm, exponential and normal numbers by the operations that IEEE 754 rounds correctly.

Only sums, products, quotients, square roots and exact changes of the exponent, one numpy
operation each: nothing that a mathematical library, a vector unit or a compiler's fused
operations could round in another way. So the same seed gives the same bits on any machine.
Errors are a few units in the last place, which no use of them here can tell from rounding.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

_CHUNK = 2**14
_LEAST_NORMAL = 2.0**-1022
_SQRT_HALF_BITS = int(np.float64(0.7071067811865476).view(np.int64))
# ln 2 in two parts, the first short enough for its product with an exponent to be exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG_TERMS = tuple(2.0 / (2 * k + 1) for k in range(11))
_EXP_TERMS = 14

# Wichura (1988), "Algorithm AS 241", PPND16: numerators and denominators of three rational
# functions of r, from the constant term on.
_CENTRAL = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)  # fmt: skip
_MIDDLE = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip
_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15),
)  # fmt: skip


def log(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the natural logarithm of numbers of at least 0; -inf for 0, NaN below."""
    return _in_chunks(_log, x)


def exp(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return e to the power of x; 0 and infinity beyond the range of float64."""
    return _in_chunks(_exp, x)


def normal_quantile(p: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the numbers below which a standard normal one is with probabilities p, inside (0, 1).

    References
    ----------
    Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution".
    """
    return _in_chunks(_normal_quantile, p)


def standard_normal(
    rng: np.random.Generator, shape: int | tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Return standard normal numbers, one uniform number each.

    Parameters
    ----------
    rng : numpy Generator
        Where the uniform numbers come from, in C order.
    shape : int or tuple of int
        Shape of the result.

    References
    ----------
    Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution".
    """
    return normal_quantile(_open_uniform(rng, shape))


def standard_exponential(
    rng: np.random.Generator, shape: int | tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Return exponential numbers of mean 1, all above 0, one uniform number each."""
    return -log(_open_uniform(rng, shape))


def _open_uniform(
    rng: np.random.Generator, shape: int | tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Return uniform numbers in (0, 1): the midpoints of 2^53 intervals, as far as they fit."""
    return _inside(rng.random(shape))


def _inside(u: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.minimum(u + 2.0**-54, 1 - 2.0**-53)


def _in_chunks(
    function: Callable[[np.ndarray], np.ndarray], x: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Apply an entrywise function to pieces that fit in the processor's cache."""
    flat = np.ascontiguousarray(x, dtype=np.float64).reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = function(flat[part])
    return result.reshape(np.shape(x))


def _log(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    regular = (x >= _LEAST_NORMAL) & (x < np.inf)
    if not regular.all():
        return _log_special(x, regular)
    bits = x.view(np.int64)
    # The exponent is counted so that the mantissa lies in [1/sqrt 2, sqrt 2).
    power = (bits - _SQRT_HALF_BITS) >> 52
    mantissa = (bits - (power << 52)).view(np.float64)
    ratio = (mantissa - 1) / (mantissa + 1)
    scale = power.astype(np.float64)
    series = _polynomial(_LOG_TERMS, ratio * ratio) * ratio
    return scale * _LN2_HIGH + (series + scale * _LN2_LOW)


def _log_special(
    x: Float[np.ndarray, " n"], regular: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the logarithm where some number is zero, subnormal, infinite, NaN or negative."""
    subnormal = (x > 0) & (x < _LEAST_NORMAL)
    result = np.where(x == 0, -np.inf, np.where(x == np.inf, np.inf, np.nan))
    result[regular] = _log(x[regular])
    result[subnormal] = _log(x[subnormal] * 2.0**54) - 54 * (_LN2_HIGH + _LN2_LOW)
    return result


def _exp(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    bounded = np.clip(x, -746.0, 710.0)
    power = np.rint(bounded * (1 / (_LN2_HIGH + _LN2_LOW)))
    rest = (bounded - power * _LN2_HIGH) - power * _LN2_LOW
    total = np.ones_like(rest)
    for k in range(_EXP_TERMS, 0, -1):
        total = total * rest / k + 1
    # In two steps, since 2^1024 is no number though half of its square root's square is.
    half = np.nan_to_num(power * 0.5).astype(np.int64)
    whole = np.nan_to_num(power).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        found = np.ldexp(np.ldexp(total, half), whole - half)
    return np.where(np.isnan(x), np.nan, found)


def _normal_quantile(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    centred = p - 0.5
    result = np.empty_like(p)
    central = np.abs(centred) <= 0.425
    q = centred[central]
    result[central] = q * _rational(_CENTRAL, 0.180625 - q * q)
    outside = ~central
    q = centred[outside]
    r = np.sqrt(-_log(np.minimum(p[outside], 1 - p[outside])))
    middle = r <= 5
    size = np.empty_like(r)
    size[middle] = _rational(_MIDDLE, r[middle] - 1.6)
    size[~middle] = _rational(_TAIL, r[~middle] - 5)
    result[outside] = np.where(q < 0, -size, size)
    return result


def _rational(
    terms: tuple[tuple[float, ...], tuple[float, ...]], x: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    return _polynomial(terms[0], x) / _polynomial(terms[1], x)


def _polynomial(terms: tuple[float, ...], x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return sum_k terms[k] x^k by Horner's rule."""
    total = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        total *= x
        total += term
    return total
