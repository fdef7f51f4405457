"""Laws of the prefix length l in nested dropout, and the survival weights they give the atoms.

A method of the paper is a law of l on {1..K}, seen by the loss only through the survival
weights w_j = P(l >= j):

- top-m SAE: all mass on l = K, so w = 1 (`PrefixLaw.full`);
- Matryoshka SAE, fixed groups: mass on a few group ends (`PrefixLaw.groups`);
- Matryoshka SAE, random groups: prefixes drawn anew each step (`RandomPrefixes`);
- OSAE: mass on every l (`PrefixLaw.uniform`, `.zipf`, `.geometric`, `.piecewise`);
- annealed OSAE: a law that moves to l = K during training (`AnnealedLaw`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from osae_theory.errors import InputError, check_finite, check_integer, check_real
from osae_theory.portable import exp, log

_SUM_TOLERANCE = 1e-8


@runtime_checkable
class WeightSchedule(Protocol):
    """Survival weights as a function of the training step.

    A `PrefixLaw` is one whose weights never change.
    """

    @property
    def K(self) -> int:
        """Number of atoms."""
        ...

    def survival_at(
        self, step: int, n_steps: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " K"]:
        """Return the survival weights of training step `step` of `n_steps` (from 0)."""
        ...


@dataclass(frozen=True, eq=False)
class PrefixLaw:
    """A law of the prefix length l on {1..K} (paper, section 2.2: p_ND or p_MSAE).

    Attributes
    ----------
    probabilities : array of shape (K,)
        P(l = 1), ..., P(l = K): finite, none negative, summing to 1 within 1e-8; read-only.
    name : str
        What tables and figures call the law.

    Raises
    ------
    InputError
        If the vector is empty, not finite, has a negative entry or does not sum to 1.
    """

    probabilities: Float[np.ndarray, " K"]
    name: str = "custom"

    def __post_init__(self) -> None:
        p = np.array(self.probabilities, dtype=np.float64)
        if p.ndim != 1 or p.size == 0:
            raise InputError(f"prefix law of shape {p.shape}: expected a vector of K >= 1 entries")
        check_finite("prefix law", p)
        if (p < 0).any():
            first = int(np.argmax(p < 0))
            raise InputError(
                f"prefix law has P(l = {first + 1}) = {p[first]:g}: expected no negative entry"
            )
        total = math.fsum(p)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise InputError(f"prefix law sums to {total:.10g}: expected 1")
        p /= total
        p.flags.writeable = False
        object.__setattr__(self, "probabilities", p)

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
    def from_survival(cls, survival: npt.ArrayLike, name: str = "custom") -> "PrefixLaw":
        """Return the law whose survival weights are given: from 1, non-increasing, >= 0."""
        w = np.asarray(survival, dtype=np.float64)
        if w.ndim != 1 or w.size == 0 or abs(w[0] - 1) > _SUM_TOLERANCE:
            raise InputError(f"survival weights {w}: expected a vector that starts at 1")
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
        check_real("alpha", alpha)
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
    def groups(
        cls, K: int, ends: Sequence[int], masses: Sequence[float] | None = None
    ) -> "PrefixLaw":
        """Mass on group ends only: a Matryoshka SAE with fixed nested groups.

        Parameters
        ----------
        K : int
            Number of atoms.
        ends : sequence of int
            Last index of each group, in 1..K, non-decreasing, the last one K. An end that
            occurs twice carries both masses (small K).
        masses : sequence of float, optional
            Probability of each end; equal by default.
        """
        checked = _check_groups(K, ends, masses)
        p = np.zeros(K)
        np.add.at(p, np.asarray(ends) - 1, checked)
        return cls(p, f"{len(ends)} groups")

    @classmethod
    def piecewise(
        cls, K: int, ends: Sequence[int], masses: Sequence[float] | None = None
    ) -> "PrefixLaw":
        """Each group's mass spread evenly over its indices (paper, section 3.2, for OSAE).

        Parameters
        ----------
        K : int
            Number of atoms.
        ends : sequence of int
            Last index of each group, in 1..K, strictly increasing, the last one K.
        masses : sequence of float, optional
            Probability of each group; equal by default.
        """
        checked = _check_groups(K, ends, masses)
        sizes = np.diff(ends, prepend=0)
        if (sizes <= 0).any():
            raise InputError(f"group ends {list(ends)}: expected strictly increasing ends")
        return cls(np.repeat(checked / sizes, sizes), f"piecewise over {len(ends)} groups")


def equal_group_ends(K: int, n_groups: int) -> tuple[int, ...]:
    """Return the ends ceil(K i / n_groups), i = 1..n_groups, of near-equal groups."""
    check_integer("K", K, 1)
    check_integer("n_groups", n_groups, 1)
    return tuple(-(-K * i // n_groups) for i in range(1, n_groups + 1))


def geometric_group_ends(K: int, n_groups: int) -> tuple[int, ...]:
    """Return ends that double up to K: ceil(K / 2 ** (n_groups - i)), i = 1..n_groups."""
    check_integer("K", K, 1)
    check_integer("n_groups", n_groups, 1)
    return tuple(-(-K // 2 ** (n_groups - i)) for i in range(1, n_groups + 1))


@dataclass(frozen=True)
class RandomPrefixes:
    """Prefixes drawn anew at each step, with equal weights: the Random MSAE.

    Attributes
    ----------
    K : int
        Number of atoms.
    n_drawn : int
        Distinct prefixes drawn per step, uniform on 1..K-1 when l = K is always included,
        otherwise uniform on 1..K.
    include_full : bool
        Whether l = K is always one of the prefixes.

    Raises
    ------
    InputError
        If there are fewer than `n_drawn` prefixes to draw from, or none is used at all.
    """

    K: int
    n_drawn: int = 4
    include_full: bool = True

    def __post_init__(self) -> None:
        check_integer("K", self.K, 1)
        check_integer("n_drawn", self.n_drawn, 0 if self.include_full else 1)
        if self.n_drawn > self._n_choices:
            raise InputError(
                f"n_drawn = {self.n_drawn}: expected at most {self._n_choices} distinct prefixes"
                f" at K = {self.K}"
            )

    @property
    def _n_choices(self) -> int:
        return self.K - 1 if self.include_full else self.K

    def survival_at(
        self, step: int, n_steps: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " K"]:
        """Draw this step's prefixes; w_j is the share of them that reach atom j."""
        ends = rng.choice(self._n_choices, size=self.n_drawn, replace=False)
        p = np.zeros(self.K)
        p[ends] = 1.0
        p[-1] += self.include_full
        p /= self.n_drawn + self.include_full
        return PrefixLaw(p).survival

    def mean_law(self) -> PrefixLaw:
        """Return the law that the drawn prefixes estimate without bias (claim I3)."""
        n = self.n_drawn + self.include_full
        p = np.zeros(self.K)
        p[: self._n_choices] = self.n_drawn / n / max(self._n_choices, 1)
        p[-1] += self.include_full / n
        return PrefixLaw(p, "mean of random prefixes")


@dataclass(frozen=True)
class AnnealedLaw:
    """A law that moves linearly to "all mass on l = K" during training (claim T4).

    Attributes
    ----------
    law : PrefixLaw
        The law before the annealing begins.
    begin, end : float
        Shares of the training at which the annealing begins and ends,
        0 <= begin <= end <= 1. From `end` on the loss is that of a plain top-m SAE.
    """

    law: PrefixLaw
    begin: float = 0.3
    end: float = 0.7

    def __post_init__(self) -> None:
        check_real("begin", self.begin, at_least=0, at_most=1)
        check_real("end", self.end, at_least=self.begin, at_most=1)

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.law.K

    def survival_at(
        self, step: int, n_steps: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " K"]:
        """Return (1 - a) w + a, with `a` rising from 0 at `begin` to 1 at `end`."""
        progress = step / n_steps
        if progress >= self.end:
            return np.ones(self.K)
        a = max(progress - self.begin, 0.0) / (self.end - self.begin)
        return (1 - a) * self.law.survival + a


def _normalised_exp(log_weights: np.ndarray) -> np.ndarray:
    weights = exp(log_weights - log_weights.max())
    return weights / math.fsum(weights)


def _check_groups(
    K: int, ends: Sequence[int], masses: Sequence[float] | None
) -> Float[np.ndarray, " n_groups"]:
    check_integer("K", K, 1)
    for end in ends:
        check_integer("group end", end, 1)
    if not ends or ends[-1] != K or any(b < a for a, b in pairwise(ends)):
        raise InputError(f"group ends {list(ends)}: expected ends in order, the last one K = {K}")
    if masses is None:
        return np.full(len(ends), 1 / len(ends))
    if len(masses) != len(ends):
        raise InputError(f"{len(masses)} group masses: expected one for each of {len(ends)} groups")
    return np.asarray(masses, dtype=np.float64)
