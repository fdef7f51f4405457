"""Laws of the prefix length l in nested dropout, and the survival weights they give the atoms.

A method of the paper is a law of l on {1..K}, seen by the loss only through the survival
weights w_j = P(l >= j):

- top-m SAE: all mass on l = K, so w = 1 (`PrefixLaw.full`);
- Matryoshka SAE, fixed groups: mass on a few group ends (`PrefixLaw.groups`);
- Matryoshka SAE, random groups: prefixes drawn anew each step (`RandomPrefixes`);
- OSAE: mass on every l (`PrefixLaw.uniform`, `.zipf`, `.geometric`, `.piecewise`);
- annealed OSAE: a law that moves to l = K during training (`AnnealedLaw`);
- exact penalty: a law that moves to l = K as the data are fitted (`ExactPenalty`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, TypeGuard, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from osae_theory.arrays import ArrayLike, array
from osae_theory.errors import InputError, check_finite, check_integer, check_real, shown
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


@runtime_checkable
class FitSchedule(Protocol):
    """Survival weights as a function of how well the data are fitted so far."""

    @property
    def K(self) -> int:
        """Number of atoms."""
        ...

    @property
    def every(self) -> int:
        """Steps between two measurements of the fit, at least 1."""
        ...

    def survival_for(self, residual: float) -> Float[np.ndarray, " K"]:
        """Return the survival weights at a relative residual ||X - D Y||_F / ||X||_F."""
        ...


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
        p = _vector("prefix law", probabilities)
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
        w = _vector("survival weights", survival)
        if abs(w[0] - 1) > _SUM_TOLERANCE:
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


@dataclass(frozen=True, init=False)
class AnnealedLaw:
    """A law that moves linearly to "all mass on l = K" during training (claim T4).

    Attributes
    ----------
    law : PrefixLaw
        The law before the annealing begins; its probabilities will do.
    begin, end : float
        Shares of the training at which the annealing begins and ends,
        0 <= begin <= end <= 1. From `end` on the loss is that of a plain top-m SAE.
    """

    law: PrefixLaw
    begin: float
    end: float

    def __init__(self, law: PrefixLaw | ArrayLike, begin: float = 0.3, end: float = 0.7) -> None:
        check_real("begin", begin, at_least=0, at_most=1)
        check_real("end", end, at_least=begin, at_most=1)
        for name, value in (("law", as_law("law", law)), ("begin", begin), ("end", end)):
            object.__setattr__(self, name, value)

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


@dataclass(frozen=True, init=False)
class ExactPenalty:
    """The loss whose residual is not squared, as a law that follows the fit (claim A).

    The gradient of ||X - D Y||_F + lambda L_q is, up to its length, that of nested dropout with
    mass 1 / (1 + c rho) on l = K and the rest spread as q, where rho = ||X - D Y||_F / ||X||_F
    and c = 2 lambda ||X||_F: the better the fit, the closer to the plain loss. The form by
    samples, sum_n ||x_n - D y_n|| + lambda L_q, gives besides each sample's full residual a
    weight in inverse proportion to its length.

    Attributes
    ----------
    law : PrefixLaw
        The law q of the ordering loss; its probabilities will do. Mass that it has on l = K adds
        a term to the loss that is 0 wherever the data are fitted exactly: what claim A says of q
        without it stays true.
    strength : float
        c, above 0: how much the ordering loss weighs, in units of the data's norm. By default
        what the benchmark's protocol chose at the paper's toy cell.
    by_sample : bool
        Whether residuals are taken sample by sample.
    every : int
        Steps between two measurements of rho, at least 1.
    """

    law: PrefixLaw
    strength: float
    by_sample: bool
    every: int

    def __init__(
        self,
        law: PrefixLaw | ArrayLike,
        strength: float = 0.5,
        *,
        by_sample: bool = False,
        every: int = 10,
    ) -> None:
        check_real("strength", strength, above=0, at_most=1e300)
        check_integer("every", every, 1)
        if not isinstance(by_sample, (bool, np.bool_)):
            raise InputError(f"by_sample = {shown(by_sample)}: expected True or False")
        for name, value in (
            ("law", as_law("law", law)),
            ("strength", float(strength)),
            ("by_sample", bool(by_sample)),
            ("every", int(every)),
        ):
            object.__setattr__(self, name, value)

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.law.K

    def share_for(self, residual: float) -> float:
        """Return the mass c rho / (1 + c rho) of q at the relative residual rho."""
        check_real("residual", residual, at_least=0)
        weight = self.strength * residual
        return weight / (1 + weight) if math.isfinite(weight) else 1.0

    def survival_for(self, residual: float) -> Float[np.ndarray, " K"]:
        """Return the survival weights at the relative residual rho, of all samples together."""
        share = self.share_for(residual)
        return share * self.law.survival + (1 - share)


def as_law(name: str, value: object, K: int | None = None) -> PrefixLaw:
    """Return what a user gave for a law of the prefix length.

    Parameters
    ----------
    name : str
        What messages call the value.
    value : PrefixLaw, or array of shape (K,)
        A law, or its probabilities P(l = 1), ..., P(l = K).
    K : int, optional
        The number of atoms it is to have; any by default.

    Raises
    ------
    InputError
        If it is neither, no law, or one of another number of atoms.
    """
    if isinstance(value, PrefixLaw):
        return _of_width(name, value, K)
    if _is_schedule(value) or _follows_fit(value):
        raise InputError(
            f"{name} = {shown(value)}: expected a law that does not change in training"
        )
    return _of_width(name, _from_probabilities(name, value), K)


def as_schedule(name: str, value: object, K: int | None = None) -> WeightSchedule | FitSchedule:
    """Return what a user gave for a law of the prefix length that may change in training.

    Parameters
    ----------
    name : str
        What messages call the value.
    value : WeightSchedule, FitSchedule, or array of shape (K,)
        A schedule, of which every PrefixLaw is one, or the probabilities of a law.
    K : int, optional
        The number of atoms it is to have; any by default.

    Raises
    ------
    InputError
        If it is neither, no law, or of another number of atoms.
    """
    if _is_schedule(value):
        return _of_width(name, value, K)
    if _follows_fit(value):
        check_integer(f"{name}: every", value.every, 1)
        return _of_width(name, value, K)
    return _of_width(name, _from_probabilities(name, value), K)


def check_survival(weights: object, K: int) -> Float[np.ndarray, " K"]:
    """Return what a schedule of a user's own gave for survival weights, if it is some.

    Parameters
    ----------
    weights : array of shape (K,)
        From 1, non-increasing, at least 0, each to 1e-8.
    K : int
        Number of atoms.

    Raises
    ------
    InputError
        If it is anything else.
    """
    w = _vector("survival weights of the schedule", weights)
    falling = np.diff(w, append=0.0) <= _SUM_TOLERANCE
    if w.shape != (K,) or abs(w[0] - 1) > _SUM_TOLERANCE or not falling.all():
        raise InputError(
            f"survival weights of the schedule {shown(w.tolist())}: expected {K} of them that start"
            " at 1 and fall, none below 0"
        )
    return w


def _is_schedule(value: object) -> TypeGuard[WeightSchedule]:
    # The class of a schedule has the attributes of one too.
    return isinstance(value, WeightSchedule) and not isinstance(value, type)


def _follows_fit(value: object) -> TypeGuard[FitSchedule]:
    return isinstance(value, FitSchedule) and not isinstance(value, type)


_Schedule = TypeVar("_Schedule", bound=WeightSchedule | FitSchedule)


def _of_width(name: str, schedule: _Schedule, K: int | None) -> _Schedule:
    if K is not None and schedule.K != K:
        raise InputError(f"{name}: a prefix law over {schedule.K} atoms: expected K = {K}")
    return schedule


def _from_probabilities(name: str, value: object) -> PrefixLaw:
    if value is None or isinstance(value, (str, bytes, type, Mapping)) or not np.iterable(value):
        raise InputError(f"{name} = {shown(value)}: expected a prefix law or its probabilities")
    return PrefixLaw(cast("Any", value))


def _vector(name: str, value: object) -> Float[np.ndarray, " K"]:
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
