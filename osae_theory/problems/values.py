"""The values of the codes Y*: how strongly each sample uses the atoms of its support."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from osae_theory.errors import InputError, check_integer, check_real, shown
from osae_theory.portable import standard_normal

if TYPE_CHECKING:
    Scale = tuple[float, ...] | None
    Entries = tuple[float, ...]
    Places = tuple[int, ...]
else:
    # The laws check it themselves: beartype would sample the tuple with the `random` module,
    # which Hypothesis forbids while a strategy draws.
    Scale = Entries = Places = Any


@runtime_checkable
class Values(Protocol):
    """A law of the nonzero entries of the codes, described by plain fields."""

    def check(self, K: int) -> None:
        """Raise InputError if K atoms cannot be served."""
        ...

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return the values on the supports, none of them 0.

        Where a support has -1, since it holds fewer atoms, the value means nothing.
        """
        ...


class _Scaled:
    """What the laws share: one factor for each atom, which multiplies that atom's values.

    With it the order by energy and the order by frequency can be made to disagree.
    """

    scale: Scale

    def check(self, K: int) -> None:
        """Raise InputError if there are scales and their number is not K."""
        if self.scale is not None and len(self.scale) != K:
            raise InputError(f"scale of {len(self.scale)} numbers: expected one an atom, K = {K}")

    def _check_scale(self) -> None:
        if self.scale is None:
            return
        if not isinstance(self.scale, tuple):
            raise InputError(f"scale = {self.scale!r}: expected None or a tuple of numbers")
        for j, factor in enumerate(self.scale):
            check_real(f"scale[{j}]", factor, above=0.0)

    def _scaled(
        self, values: Float[np.ndarray, "n m"], supports: Int[np.ndarray, "n m"]
    ) -> Float[np.ndarray, "n m"]:
        if self.scale is None:
            return values
        if supports.max(initial=0) >= len(self.scale):
            raise InputError(
                f"scale of {len(self.scale)} numbers: expected one an atom, and the supports "
                f"hold atom {supports.max()}"
            )
        return values * np.asarray(self.scale, dtype=np.float64)[supports]


@dataclass(frozen=True)
class HalfNormalValues(_Scaled):
    """Absolute values of standard normal numbers: the paper's toy model (section 3.1).

    Parameters
    ----------
    scale : tuple of float, optional
        One positive factor an atom.

    Raises
    ------
    InputError
        If a scale is not positive and finite.
    """

    scale: Scale = None

    def __post_init__(self) -> None:
        self._check_scale()

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return positive values; raises InputError for an atom without a scale."""
        return self._scaled(np.abs(standard_normal(rng, supports.shape)), supports)


@dataclass(frozen=True)
class NormalValues(_Scaled):
    """Standard normal numbers, of either sign.

    Parameters
    ----------
    scale : tuple of float, optional
        One positive factor an atom.

    Raises
    ------
    InputError
        If a scale is not positive and finite.
    """

    scale: Scale = None

    def __post_init__(self) -> None:
        self._check_scale()

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return signed values; raises InputError for an atom without a scale."""
        return self._scaled(standard_normal(rng, supports.shape), supports)


@dataclass(frozen=True)
class UniformValues(_Scaled):
    """Uniform numbers in (low, high], an interval that leaves out 0.

    Parameters
    ----------
    low, high : float
        low < high, and either both at least 0 or both below 0.
    scale : tuple of float, optional
        One positive factor an atom.

    Raises
    ------
    InputError
        If the interval is empty or holds 0, or a scale is not positive and finite.
    """

    low: float
    high: float
    scale: Scale = None

    def __post_init__(self) -> None:
        check_real("low", self.low)
        check_real("high", self.high)
        if self.low >= self.high:
            raise InputError(f"high = {self.high!r}: expected a number above low = {self.low!r}")
        if self.low < 0 <= self.high:
            raise InputError(
                f"(low, high) = ({self.low!r}, {self.high!r}): expected an interval without 0, "
                "that is both at least 0 or both below 0"
            )
        self._check_scale()

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return the values; raises InputError for an atom without a scale."""
        # 1 - random() lies in (0, 1], so that low = 0 never gives a value of 0.
        share = 1.0 - rng.random(supports.shape)
        return self._scaled(self.low + (self.high - self.low) * share, supports)


@dataclass(frozen=True)
class ConstantValues(_Scaled):
    """The same value on every support, up to the atom's scale.

    Parameters
    ----------
    value : float
        Finite and not 0.
    scale : tuple of float, optional
        One positive factor an atom.

    Raises
    ------
    InputError
        If the value is 0 or not finite, or a scale is not positive and finite.
    """

    value: float
    scale: Scale = None

    def __post_init__(self) -> None:
        check_real("value", self.value)
        if self.value == 0:
            raise InputError(f"value = {self.value!r}: expected a number other than 0")
        self._check_scale()

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return the values; `rng` is not used. Raises InputError for an atom without a scale."""
        del rng
        return self._scaled(np.full(supports.shape, float(self.value)), supports)


@dataclass(frozen=True)
class LinkedValues:
    """Normal values about a mean of each atom's own, a child's in proportion to its parent's.

    The value of atom j is |mean_j + deviation_j g|, g standard normal; an atom with a parent has
    that multiplied by the parent's value as a share of the parent's mean. So its mean square is
    mean_j^2 times the product, over the atom and its ancestors, of 1 + (deviation / mean)^2.

    Parameters
    ----------
    means, deviations : tuple of float
        One an atom: above 0, and at least 0.
    parents : tuple of int
        The parent of each atom, among those before it; -1 where it has none.

    Raises
    ------
    InputError
        If the three are not of one length, or an entry is outside its range.

    Notes
    -----
    Chanin & Garriga-Alonso (2026), arXiv 2602.14687, who cut values below 0 off where these are
    reflected, so that an atom in the support always has a value.
    """

    means: Entries
    deviations: Entries
    parents: Places

    def __post_init__(self) -> None:
        for name in ("means", "deviations", "parents"):
            entries = getattr(self, name)
            if not isinstance(entries, tuple) or len(entries) != len(self.means):
                raise InputError(
                    f"{name} = {shown(entries)}: expected a tuple with an entry for each atom"
                )
        for j, (mean, deviation) in enumerate(zip(self.means, self.deviations, strict=True)):
            check_real(f"means[{j}]", mean, above=0.0)
            check_real(f"deviations[{j}]", deviation, at_least=0.0)
        check_parents(self.parents)

    def check(self, K: int) -> None:
        """Raise InputError if the number of atoms described is not K."""
        if len(self.means) != K:
            raise InputError(f"means of {len(self.means)} atoms: expected one an atom, K = {K}")

    def draw(
        self, supports: Int[np.ndarray, "n m"], rng: np.random.Generator
    ) -> Float[np.ndarray, "n m"]:
        """Return positive values; an atom whose parent is not in the support is as without one."""
        K = len(self.means)
        if supports.max(initial=0) >= K:
            raise InputError(
                f"means of {K} atoms: expected one an atom, and the supports hold atom"
                f" {supports.max()}"
            )
        means = np.asarray(self.means, dtype=np.float64)
        deviations = np.asarray(self.deviations, dtype=np.float64)
        normal = standard_normal(rng, supports.shape)
        own = np.abs(means[supports] + deviations[supports] * normal)
        dense = np.zeros((len(supports), K))
        held = supports >= 0
        dense[np.nonzero(held)[0], supports[held]] = own[held]
        for j, parent in enumerate(self.parents):
            if parent >= 0:
                active = dense[:, parent] > 0
                dense[active, j] *= dense[active, parent] / means[parent]
        found = np.ones_like(own)
        found[held] = dense[np.nonzero(held)[0], supports[held]]
        return found


def check_parents(parents: Places) -> None:
    """Raise InputError unless each atom's parent is one before it, or -1."""
    for j, parent in enumerate(parents):
        check_integer(f"parents[{j}]", parent, -1)
        if parent >= j:
            raise InputError(f"parents[{j}] = {parent}: expected an atom before {j}, or -1")


VALUES: Mapping[str, Callable[..., Values]] = MappingProxyType(
    {
        "half_normal": HalfNormalValues,
        "normal": NormalValues,
        "uniform": UniformValues,
        "constant": ConstantValues,
        "linked": LinkedValues,
    }
)
