"""Laws of the prefix length that do not change in training, as vectors of probabilities."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from osae_theory.arrays import ArrayLike, array
from osae_theory.errors import InputError, check_finite, check_integer, check_real, shown
from osae_theory.portable import exp, log

SUM_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False, init=False)
class PrefixLaw:
    """A law of the prefix length l on {1..K} (paper, section 2.2: p_ND or p_MSAE).

    Attributes
    ----------
    probabilities : array of shape (K,)
        P(l = 1), ..., P(l = K): finite, none negative, summing to 1 within 1e-8; read-only.
    name : str
        What tables and figures call the law.

    The probabilities may be given as any array of numbers (`osae_theory.arrays`), Fractions
    too.

    Raises
    ------
    InputError
        If the vector is empty, not finite, has a negative entry or does not sum to 1.
    """

    probabilities: Float[np.ndarray, " K"]
    name: str

    def __init__(self, probabilities: ArrayLike, name: str = "custom") -> None:
        p = vector("prefix law", probabilities)
        if (p < 0).any():
            first = int(np.argmax(p < 0))
            raise InputError(
                f"prefix law has P(l = {first + 1}) = {p[first]:g}: expected no negative entry"
            )
        total = math.fsum(p)
        if abs(total - 1) > SUM_TOLERANCE:
            raise InputError(f"prefix law sums to {total:.10g}: expected 1")
        p /= total
        p.flags.writeable = False
        object.__setattr__(self, "probabilities", p)
        object.__setattr__(self, "name", name)

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.probabilities.size

    @cached_property
    def survival(self) -> Float[np.ndarray, " K"]:
        """Survival weights w_j = P(l >= j): 1 = w_1 >= ... >= w_K >= 0; read-only."""
        # Summed from the small end, then pinned: w_1 is exactly 1 whatever the rounding.
        w = np.minimum(np.cumsum(self.probabilities[::-1])[::-1], 1.0)
        w[0] = 1.0
        w.flags.writeable = False
        return w

    @property
    def has_full_support(self) -> bool:
        """Whether every prefix length has positive probability (the paper's assumption)."""
        return bool((self.probabilities > 0).all())

    def survival_at(
        self, step: int, n_steps: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " K"]:
        """Return `survival`: a fixed law is a schedule that never changes."""
        return self.survival

    def mixed_with_full(self, share: float) -> "PrefixLaw":
        """Return (1 - share) * this law + share * (all mass on l = K).

        With share = 1 - eps this is the vanishing truncation of claim T4.
        """
        check_real("share", share, at_least=0, at_most=1)
        p = (1 - share) * self.probabilities
        p[-1] += share
        return PrefixLaw(p, f"{self.name}, {share:g} on K")

    @classmethod
    def from_survival(cls, survival: ArrayLike, name: str = "custom") -> "PrefixLaw":
        """Return the law whose survival weights are given: from 1, non-increasing, >= 0."""
        w = vector("survival weights", survival)
        if abs(w[0] - 1) > SUM_TOLERANCE:
            raise InputError(
                f"survival weights {shown(w.tolist())}: expected a vector that starts at 1"
            )
        return cls(w - np.append(w[1:], 0.0), name)

    @classmethod
    def full(cls, K: int) -> "PrefixLaw":
        """All mass on l = K: the loss of a plain top-m SAE, L_K."""
        check_integer("K", K, 1)
        p = np.zeros(K)
        p[-1] = 1
        return cls(p, "full")

    @classmethod
    def uniform(cls, K: int) -> "PrefixLaw":
        """Mass 1/K on every prefix length."""
        check_integer("K", K, 1)
        return cls(np.full(K, 1 / K), "uniform")

    @classmethod
    def zipf(cls, K: int, alpha: float = 1.0) -> "PrefixLaw":
        """P(l = j) proportional to j ** -alpha."""
        check_integer("K", K, 1)
        check_real("alpha", alpha, at_least=-1e300, at_most=1e300)
        return cls(_normalised_exp(-alpha * log(np.arange(1.0, K + 1))), f"zipf({alpha:g})")

    @classmethod
    def geometric(cls, K: int, ratio: float) -> "PrefixLaw":
        """P(l = j) proportional to ratio ** j, with ratio in (0, 1]."""
        check_integer("K", K, 1)
        check_real("ratio", ratio, above=0, at_most=1)
        return cls(
            _normalised_exp(np.arange(K) * log(np.array(float(ratio)))), f"geometric({ratio:g})"
        )

    @classmethod
    def massed(cls, K: int, share: float) -> "PrefixLaw":
        """Mass `share`, in [0, 1], on l = K, the rest spread evenly over 1..K-1."""
        check_integer("K", K, 1)
        check_real("share", share, at_least=0, at_most=1)
        p = np.full(K, (1 - share) / max(K - 1, 1))
        p[-1] = share if K > 1 else 1
        return cls(p, f"{share:g} on K")

    @classmethod
    def groups(cls, K: int, ends: ArrayLike, masses: ArrayLike | None = None) -> "PrefixLaw":
        """Mass on group ends only: a Matryoshka SAE with fixed nested groups.

        Parameters
        ----------
        K : int
            Number of atoms.
        ends : sequence or array of int, shape (n,)
            Last index of each group, in 1..K, non-decreasing, the last one K. An end that
            occurs twice carries both masses (small K).
        masses : sequence or array of float, shape (n,), optional
            Probability of each end; equal by default.
        """
        ends, masses = _check_groups(K, ends, masses)
        p = np.zeros(K)
        np.add.at(p, ends - 1, masses)
        return cls(p, f"{len(ends)} groups")

    @classmethod
    def piecewise(cls, K: int, ends: ArrayLike, masses: ArrayLike | None = None) -> "PrefixLaw":
        """Each group's mass spread evenly over its indices (paper, section 3.2, for OSAE).

        Parameters
        ----------
        K : int
            Number of atoms.
        ends : sequence or array of int, shape (n,)
            Last index of each group, in 1..K, strictly increasing, the last one K.
        masses : sequence or array of float, shape (n,), optional
            Probability of each group; equal by default.
        """
        ends, masses = _check_groups(K, ends, masses)
        sizes = np.diff(ends, prepend=0)
        if (sizes <= 0).any():
            raise InputError(
                f"group ends {shown(ends.tolist())}: expected strictly increasing ends"
            )
        return cls(np.repeat(masses / sizes, sizes), f"piecewise over {len(ends)} groups")


def equal_group_ends(K: int, n_groups: int) -> tuple[int, ...]:
    """Return the ends ceil(K i / n_groups), i = 1..n_groups, of near-equal groups."""
    check_integer("K", K, 1)
    check_integer("n_groups", n_groups, 1)
    return tuple(-(-K * i // n_groups) for i in range(1, n_groups + 1))


def geometric_group_ends(K: int, n_groups: int) -> tuple[int, ...]:
    """Return ends that double up to K: ceil(K / 2 ** (n_groups - i)), i = 1..n_groups."""
    check_integer("K", K, 1)
    check_integer("n_groups", n_groups, 1)
    # Beyond K's own length every further halving gives 1.
    halvings = (min(n_groups - i, K.bit_length()) for i in range(1, n_groups + 1))
    return tuple(-(-K // 2**times) for times in halvings)


def matryoshka_group_ends(K: int) -> tuple[int, ...]:
    """Return the ends of nested groups at 1/32, 3/32, 7/32, 15/32 and all of K, rounded up.

    With K = 4096 the first group has the 128 atoms of the paper's (section 3.2). Groups that a
    small K leaves empty are merged with the next.
    """
    check_integer("K", K, 1)
    return tuple(dict.fromkeys(-(-K * share // 32) for share in (1, 3, 7, 15, 32)))


def vector(name: str, value: object) -> Float[np.ndarray, " K"]:
    """Return a vector of at least one number as a float64 copy."""
    try:
        vector = np.array(array(name, value, kind="exact"), dtype=np.float64)
    except OverflowError as error:
        raise InputError(f"{name} = {shown(value)}: expected numbers of float64") from error
    check_finite(name, vector)
    if vector.ndim != 1 or vector.size == 0:
        raise InputError(f"{name} of shape {vector.shape}: expected a vector of K >= 1 entries")
    return vector


def _normalised_exp(log_weights: np.ndarray) -> np.ndarray:
    weights = exp(log_weights - log_weights.max())
    return weights / math.fsum(weights)


def _check_groups(
    K: int, ends: ArrayLike, masses: ArrayLike | None
) -> tuple[Int[np.ndarray, " n_groups"], Float[np.ndarray, " n_groups"]]:
    check_integer("K", K, 1)
    places = array("group ends", ends, kind="whole", ndim=1)
    if (
        places.size == 0
        or places[0] < 1
        or places[-1] != K
        or any(b < a for a, b in pairwise(places))
    ):
        raise InputError(
            f"group ends {shown(places.tolist())}: expected ends in order from 1 on, the last "
            f"one K = {K}"
        )
    if masses is None:
        return places, np.full(places.size, 1 / places.size)
    shares = array("group masses", masses, ndim=1)
    if shares.size != places.size:
        raise InputError(
            f"{shares.size} group masses: expected one for each of {places.size} groups"
        )
    return places, shares
