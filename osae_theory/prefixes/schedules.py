"""Laws of the prefix length that change in training, and what a user may give for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float

from osae_theory.arrays import ArrayLike
from osae_theory.errors import InputError, check_integer, check_real, shown
from osae_theory.prefixes.laws import SUM_TOLERANCE, PrefixLaw, vector


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
class SampledPrefix:
    """One prefix drawn anew at each step from a law: nested dropout as it was first trained.

    The loss of a step is L_l with l from the law, the same for all samples of the batch: an
    estimate without bias of the exact loss, whose weights are the law's own (claim I3).

    Attributes
    ----------
    law : PrefixLaw
        What l is drawn from; its probabilities will do.

    References
    ----------
    Rippel, Gelbart and Adams (2014), "Learning ordered representations with nested dropout".
    """

    law: PrefixLaw

    def __init__(self, law: PrefixLaw | ArrayLike) -> None:
        object.__setattr__(self, "law", as_law("law", law))

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.law.K

    def survival_at(
        self, step: int, n_steps: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " K"]:
        """Draw this step's l from one uniform number; return 1 up to atom l and 0 beyond."""
        # P(u < w_j) = w_j, and the weights fall: one number decides for all atoms.
        return (rng.random() < self.law.survival).astype(np.float64)

    def mean_law(self) -> PrefixLaw:
        """Return the law whose exact loss the drawn prefixes estimate without bias."""
        return self.law


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
    w = vector("survival weights of the schedule", weights)
    falling = np.diff(w, append=0.0) <= SUM_TOLERANCE
    if w.shape != (K,) or abs(w[0] - 1) > SUM_TOLERANCE or not falling.all():
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
