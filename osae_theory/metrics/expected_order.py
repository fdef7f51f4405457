"""What Ord to expect of latents sorted by counts or energies of N samples, and the N it takes.

The true order is 0, 1, ..., K-1. An inversion matrix holds, at (i, j) with i < j, how probable it
is that atom j is put before atom i; below the diagonal it is zero. What the law of the supports
has to say is the inclusion matrix: P(i and j in the support), P(i in it) on the diagonal.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special, stats

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real

_SLACK = 1e-9
# Inversions rarer than this are reported as impossible.
_NEVER = 1e-18
_DEVIATIONS = 9.5
# The trapezoidal rule in log t of `inversions_by_energy`, in units of 1 / sqrt(N variance).
_STEP, _FIRST, _LAST = 0.04, -45.0, 60.0
_CHUNK = 64


@dataclass(frozen=True)
class SquaredValues:
    """What sorting by energy needs of the law of a nonzero code v.

    Attributes
    ----------
    mean : float
        E v^2.
    second : float
        E v^4.
    scale : float
        c with E v^(2k) <= (k!/2) E v^4 c^(k-2) for k >= 3, Bernstein's condition; for v^2 <= b,
        c = b/3 does.
    """

    mean: float
    second: float
    scale: float

    def __post_init__(self) -> None:
        for name in ("mean", "second", "scale"):
            check_real(name, getattr(self, name), above=0.0)
        if self.second < self.mean**2:
            raise InputError(f"second = {self.second}: expected at least mean^2, {self.mean**2}")


HALF_NORMAL = SquaredValues(1.0, 3.0, 2.0)
"""|N(0,1)|, the paper's: E v^(2k) = 1 * 3 * ... * (2k-1), which is at most (k!/2) 3 2^(k-2)."""
UNIFORM = SquaredValues(1 / 3, 1 / 5, 1 / 3)
"""Uniform on (0, 1]."""


@at_the_door
def inversions_of(mu: Int[np.ndarray, " K"]) -> Float[np.ndarray, "K K"]:
    """Return the inversion matrix, of zeros and ones, of a permutation of 0..K-1.

    `mu[i]` is the place at which atom i stands. Raises InputError if it is no permutation.
    """
    K = len(mu)
    if not np.array_equal(np.sort(mu), np.arange(K)):
        raise InputError(f"mu = {mu}: expected a permutation of 0..{K - 1}")
    return np.triu(mu[:, None] > mu[None, :], 1).astype(np.float64)


@at_the_door
def expected_orderedness(inversions: Float[np.ndarray, "K K"]) -> float:
    """Return E Ord = 1 - 12 / (K (K^2 - 1)) sum_{i<j} (j - i) P(j is put before i).

    Parameters
    ----------
    inversions : Float[np.ndarray, "K K"]
        Inversion matrix, K at least 2; ties that are broken at random count one half. Only
        entries above the diagonal are read.

    Returns
    -------
    float
        Ord over all K atoms: none is left out, unused ones are ties.

    Raises
    ------
    InputError
        If K is 1 or an entry is no probability.

    Notes
    -----
    claim C (docs/theory.md).
    """
    K = len(inversions)
    check_integer("K", K, 2)
    if inversions.min() < -_SLACK or inversions.max() > 1 + _SLACK:
        raise InputError("inversions: expected probabilities, between 0 and 1")
    i, j = np.triu_indices(K, 1)
    return float(1 - 12 * ((j - i) @ inversions[i, j]) / (K * (K**2 - 1)))


@at_the_door
def orderedness_with_misplaced(recovered: Bool[np.ndarray, " K"]) -> float:
    """Return E Ord where lost atoms' latents stand anywhere, and the others in their true order.

    Parameters
    ----------
    recovered : Bool[np.ndarray, " K"]
        Which of the K atoms, in their true order, have a latent of their own, K at least 2. The
        latents matched to the others stand at places drawn uniformly.

    Returns
    -------
    float
        12 / (K (K - 1) (n + 1)) sum_r i_r (r - (n + 1) / 2), i_1 < ... < i_n the places of the
        recovered atoms; C(n, 2) / C(K, 2) where the rarest are lost.

    Raises
    ------
    InputError
        If K is 1.

    Notes
    -----
    claim E (docs/theory.md).
    """
    K, places = len(recovered), np.flatnonzero(recovered)
    check_integer("K", K, 2)
    n = len(places)
    centred = np.arange(1, n + 1) - (n + 1) / 2
    return float(12 * (places @ centred) / (K * (K - 1) * (n + 1)))


@at_the_door
def orderedness_with_shuffled(shuffled: Bool[np.ndarray, " K"]) -> float:
    """Return E Ord where some atoms trade places at random, and the others stand right.

    Parameters
    ----------
    shuffled : Bool[np.ndarray, " K"]
        Which of the K atoms, in their true order, K at least 2, are shuffled among themselves.

    Returns
    -------
    float
        1 - 12 u s^2 / (K (K^2 - 1)), s^2 the variance (divisor u) of the u places;
        1 - (u^3 - u) / (K^3 - K) where they are consecutive.

    Raises
    ------
    InputError
        If K is 1.

    Notes
    -----
    claim E (docs/theory.md).
    """
    K, places = len(shuffled), np.flatnonzero(shuffled)
    check_integer("K", K, 2)
    spread = float(((places - places.mean()) ** 2).sum()) if len(places) else 0.0
    return 1 - 12 * spread / (K * (K**2 - 1))


@at_the_door
def inversions_by_frequency(
    inclusion: Float[np.ndarray, "K K"], n_samples: int
) -> Float[np.ndarray, "K K"]:
    """Return P(n_i < n_j) + P(n_i = n_j) / 2 for i < j, n the uses in N independent samples.

    Parameters
    ----------
    inclusion : Float[np.ndarray, "K K"]
        Inclusion matrix of the law of supports.
    n_samples : int
        N, at least 1.

    Returns
    -------
    Float[np.ndarray, "K K"]
        Inversion matrix, exact up to rounding: of M ~ Bin(N, a + b) samples that use one of the
        two, a = P(i only), b = P(j only), a majority uses j with probability I_q(s, s),
        q = b / (a + b), s = ceil(M / 2), ties counted one half. Below 1e-18 it is given as 0.

    Raises
    ------
    InputError
        If the matrix is not that of a law of supports, or N is not a whole number of at least 1.
    """
    check_integer("n_samples", n_samples, 1)
    i, j, only_i, only_j = _pairs(inclusion)
    found = np.zeros_like(inclusion)
    bound = 0.5 * _same_count_base(only_i, only_j) ** n_samples
    for place in np.flatnonzero((bound >= _NEVER) | (only_j > only_i)):
        both = only_i[place] + only_j[place]
        found[i[place], j[place]] = _majority(n_samples, both, only_j[place])
    return found


@at_the_door
def inversions_by_energy(
    inclusion: Float[np.ndarray, "K K"], n_samples: int
) -> Float[np.ndarray, "K K"]:
    """Return P(e_i < e_j) + P(e_i = e_j) / 2 for i < j, values |N(0,1)| or N(0,1), all independent.

    Parameters
    ----------
    inclusion : Float[np.ndarray, "K K"]
        Inclusion matrix of the law of supports.
    n_samples : int
        N, at least 1.

    Returns
    -------
    Float[np.ndarray, "K K"]
        Inversion matrix, to about 1e-10: by inverting the characteristic function of e_i - e_j,

            (1 - a - b - c + a (1-2it)^(-1/2) + b (1+2it)^(-1/2) + c (1+4t^2)^(-1/2))^N,

        a = P(i only), b = P(j only), c = P(both), with the trapezoidal rule in log t. Where e_j
        lags 9.5 standard deviations or more it is given as 0.

    Raises
    ------
    InputError
        As `inversions_by_frequency`.

    Notes
    -----
    Gil-Pelaez (1951): P(S < 0) + P(S = 0) / 2 = 1/2 - (1/pi) int_0^inf Im E exp(itS) dt / t.
    """
    check_integer("n_samples", n_samples, 1)
    i, j, only_i, only_j = _pairs(inclusion)
    both = inclusion[i, j]
    mean, variance = _difference(inclusion, HALF_NORMAL, n_samples)
    found = np.zeros_like(inclusion)
    near = np.flatnonzero((variance > 0) & (np.abs(mean) < _DEVIATIONS * np.sqrt(variance)))
    far = mean <= -_DEVIATIONS * np.sqrt(variance)
    found[i[far], j[far]] = 1.0
    found[i[variance <= 0], j[variance <= 0]] = 0.5
    grid = np.exp(np.arange(_FIRST, _LAST, _STEP))
    for start in range(0, len(near), _CHUNK):
        part = near[start : start + _CHUNK]
        t = grid / np.sqrt(variance[part, None])
        root = 1 / np.sqrt(1 - 2j * t)
        # log1p, so that small t loses no digits in a large power.
        less = only_i[part, None] * (root - 1) + only_j[part, None] * (root.conj() - 1)
        less += both[part, None] * (np.abs(root) ** 2 - 1)
        some = less != -1  # elsewhere the power is 0
        power = np.exp(n_samples * np.log1p(np.where(some, less, 0.0))) * some
        integral = np.imag(power).sum(axis=1) * _STEP
        found[i[part], j[part]] = np.clip(0.5 - integral / np.pi, 0.0, 1.0)
    return found


@at_the_door
def normal_inversions_by_energy(
    inclusion: Float[np.ndarray, "K K"], n_samples: int, values: SquaredValues = HALF_NORMAL
) -> Float[np.ndarray, "K K"]:
    """Return the normal approximation of P(e_i < e_j) for i < j, any law of the values.

    Parameters
    ----------
    inclusion : Float[np.ndarray, "K K"]
        Inclusion matrix of the law of supports.
    n_samples : int
        N, at least 1.
    values : SquaredValues
        Moments of the values' squares, one law for all atoms, independent of the supports and of
        each other.

    Returns
    -------
    Float[np.ndarray, "K K"]
        Inversion matrix: Phi(-mean / deviation) of e_i - e_j. An approximation, for large N.

    Raises
    ------
    InputError
        As `inversions_by_frequency`.
    """
    check_integer("n_samples", n_samples, 1)
    i, j, _, _ = _pairs(inclusion)
    mean, variance = _difference(inclusion, values, n_samples)
    found = np.zeros_like(inclusion)
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    found[i, j] = np.where(variance > 0, special.ndtr(-mean / deviation), 0.5)
    return found


@at_the_door
def disorder_bound_by_frequency(inclusion: Float[np.ndarray, "K K"], n_samples: int) -> float:
    """Return a bound of E (1 - Ord), sorted by frequency, atoms in falling order of use.

    Parameters
    ----------
    inclusion : Float[np.ndarray, "K K"]
        Inclusion matrix; P(i in the support) does not rise with i.
    n_samples : int
        N, at least 1.

    Returns
    -------
    float
        6 / (K (K^2 - 1)) sum_{i<j} (j - i) (1 - (sqrt(a) - sqrt(b))^2)^N, a = P(i only), b = P(j
        only), in [0, 1], falling in N.

    Raises
    ------
    InputError
        As `inversions_by_frequency`, or if the atoms are not in falling order of use.

    Notes
    -----
    claim C (docs/theory.md): Chernoff's bound, halved since the tilted difference is symmetric.
    """
    check_integer("n_samples", n_samples, 1)
    i, j, only_i, only_j = _pairs(inclusion)
    _check_falling(inclusion)
    found = np.zeros_like(inclusion)
    found[i, j] = 0.5 * _same_count_base(only_i, only_j) ** n_samples
    return 1 - expected_orderedness(found)


@at_the_door
def disorder_bound_by_energy(
    inclusion: Float[np.ndarray, "K K"], n_samples: int, values: SquaredValues = HALF_NORMAL
) -> float:
    """Return a bound of E (1 - Ord), sorted by energy, atoms in falling order of use.

    Parameters
    ----------
    inclusion : Float[np.ndarray, "K K"]
        Inclusion matrix; P(i in the support) does not rise with i.
    n_samples : int
        N, at least 1.
    values : SquaredValues
        As in `normal_inversions_by_energy`.

    Returns
    -------
    float
        12 / (K (K^2 - 1)) sum_{i<j} (j - i) exp(-N D^2 / (2 (v + c D))), D = E v^2 (P(i) - P(j)),
        v = E v^4 (P(i) + P(j)), c the scale of `values`; it falls in N, from 2.

    Raises
    ------
    InputError
        As `disorder_bound_by_frequency`.

    Notes
    -----
    claim C (docs/theory.md): Bernstein's inequality.
    """
    check_integer("n_samples", n_samples, 1)
    i, j, _, _ = _pairs(inclusion)
    _check_falling(inclusion)
    use = np.diagonal(inclusion)
    lead = values.mean * (use[i] - use[j])
    spread = values.second * (use[i] + use[j]) + values.scale * lead
    exponent = np.divide(lead**2, 2 * spread, out=np.zeros_like(lead), where=spread > 0)
    found = np.zeros_like(inclusion)
    found[i, j] = np.exp(-n_samples * exponent)
    return 1 - expected_orderedness(found)


def least_samples(disorder: Callable[[int], float], epsilon: float, most: int = 10**12) -> int:
    """Return the least N in 1..most with disorder(N) <= epsilon, for a function that falls in N.

    Raises
    ------
    InputError
        If epsilon is not in (0, 2), or disorder(most) is above it, or no number: atoms of equal
        use never get into an order.
    """
    check_real("epsilon", epsilon, above=0.0, below=2.0)
    if not disorder(most) <= epsilon:
        raise InputError(f"epsilon = {epsilon}: not reached with {most} samples; expected more")
    low, high = 0, 1
    while high < most and disorder(high) > epsilon:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if disorder(middle) <= epsilon else (middle, high)
    return high


def _pairs(
    inclusion: Float[np.ndarray, "K K"],
) -> tuple[
    Int[np.ndarray, " P"], Int[np.ndarray, " P"], Float[np.ndarray, " P"], Float[np.ndarray, " P"]
]:
    """Return the pairs i < j, with P(i only) and P(j only), once the matrix is sound."""
    use = np.diagonal(inclusion)
    sound = (
        np.allclose(inclusion, inclusion.T, atol=_SLACK)
        and inclusion.min() >= 0
        and use.max() <= 1 + _SLACK
        and (inclusion <= use + _SLACK).all()
        and (use[:, None] + use - inclusion <= 1 + _SLACK)[~np.eye(len(use), dtype=bool)].all()
    )
    if not sound:
        raise InputError("inclusion: expected the probabilities P(i and j in the support)")
    i, j = np.triu_indices(len(use), 1)
    only_i, only_j = (np.maximum(use[k] - inclusion[i, j], 0.0) for k in (i, j))
    return i, j, only_i, only_j


def _check_falling(inclusion: Float[np.ndarray, "K K"]) -> None:
    if (np.diff(np.diagonal(inclusion)) > _SLACK).any():
        raise InputError("inclusion: expected atoms in falling order of use")


def _same_count_base(
    only_i: Float[np.ndarray, " P"], only_j: Float[np.ndarray, " P"]
) -> Float[np.ndarray, " P"]:
    """Return min over s of E exp(-s D), D = 1 for i only, -1 for j only, 0 otherwise."""
    return np.clip(1 - (np.sqrt(only_i) - np.sqrt(only_j)) ** 2, 0.0, 1.0)


def _difference(
    inclusion: Float[np.ndarray, "K K"], values: SquaredValues, n_samples: int
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """Return mean and variance of e_i - e_j for the pairs i < j."""
    use = np.diagonal(inclusion)
    i, j = np.triu_indices(len(use), 1)
    mean = values.mean * (use[i] - use[j])
    square = values.second * (use[i] + use[j]) - 2 * values.mean**2 * inclusion[i, j]
    return n_samples * mean, n_samples * (square - mean**2)


def _majority(n_samples: int, either: float, only_j: float) -> float:
    """Return P(Bin(M, q) > M/2) + P(= M/2) / 2, M ~ Bin(N, either), q = only_j / either."""
    if either <= 0:
        return 0.5
    middle, deviation = n_samples * either, np.sqrt(n_samples * either * (1 - min(either, 1.0)))
    reach = _DEVIATIONS * deviation + 40
    M = np.arange(max(0, int(middle - reach)), min(n_samples, int(middle + reach)) + 1)
    s = (M + 1) // 2
    q = min(only_j / either, 1.0)
    wins: Float[np.ndarray, " M"] = np.where(
        M > 0, special.betainc(np.maximum(s, 1), np.maximum(s, 1), q), 0.5
    )
    return float(stats.binom.pmf(M, n_samples, min(either, 1.0)) @ wins)
