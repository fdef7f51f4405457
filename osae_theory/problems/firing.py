"""Supports of varying size: each atom of Y* fires with a probability of its own.

A sample may have no atom at all: it is 0 then, but for noise and bias. To leave such samples out
would make the atoms dependent, and change how often each of them fires.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from osae_theory.errors import InputError, check_integer, check_real, shown
from osae_theory.portable import exp, log, normal_quantile, standard_normal
from osae_theory.problems.rows import chunks, listed
from osae_theory.problems.values import check_parents

if TYPE_CHECKING:
    Rates = tuple[float, ...]
    Loadings = tuple[tuple[float, ...], ...]
    Parents = tuple[int, ...]
else:
    # Checked by the laws themselves; see `osae_theory.problems.values`.
    Rates = Loadings = Parents = Any

LARGEST_EXPONENT = 20.0
_HALVINGS = 200
# Below it, 1 - exp(-x) has fewer correct digits than x.
_SMALL = 1e-8
# What rounding may add to the sum of the squares of loadings of length 1.
_ROUNDING = 1e-12


def zipf_rates(K: int, m: float, alpha: float) -> Rates:
    """Return the rates of K independent atoms, falling in j, of which m fire on average.

    Atom j of 1..K fires unless an exponential clock of rate j^-alpha stays silent until a time t
    that is the same for all: with probability 1 - exp(-t j^-alpha). The paper's supports are the
    first m clocks to ring; here those that ring by t.

    Parameters
    ----------
    K : int
        Atoms, at least 1.
    m : float
        Sum of the rates, in (0, K).
    alpha : float
        Zipf exponent, in [0, 20]; 0 gives all atoms the rate m / K.

    Returns
    -------
    tuple of float
        Numbers in (0, 1] whose sum is m up to rounding.

    Raises
    ------
    InputError
        If an argument is outside its range.
    """
    check_integer("K", K, 1)
    check_real("m", m, above=0.0, below=K)
    check_real("alpha", alpha, at_least=0.0, at_most=LARGEST_EXPONENT)
    weights = exp(-float(alpha) * log(np.arange(1.0, K + 1)))

    def rates(log_time: float) -> Float[np.ndarray, " K"]:
        fired = exp(np.array(log_time)) * weights
        return np.where(fired < _SMALL, fired, 1.0 - exp(-fired))

    low, high = -750.0, 750.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if math.fsum(rates(middle)) < m:
            low = middle
        else:
            high = middle
    return tuple(rates(high).tolist())


@dataclass(frozen=True)
class BernoulliSupports:
    """Each atom fires with its own probability, independently of the others.

    Parameters
    ----------
    rates : tuple of float
        The probability of each of the K atoms, in (0, 1].

    Raises
    ------
    InputError
        If there are none, or one is outside its range.
    """

    rates: Rates

    def __post_init__(self) -> None:
        _check_rates(self.rates)

    @property
    def m(self) -> int:
        """The most atoms that can fire: all K."""
        return len(self.rates)

    def check(self, K: int) -> None:
        """Raise InputError if the number of rates is not K."""
        _check_number(self.rates, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        supports = np.empty((n, K), dtype=np.int64)
        rates = np.array(self.rates, dtype=np.float64)
        for rows in chunks(n, K):
            supports[rows] = listed(rng.random((rows.stop - rows.start, K)) < rates, K)
        return supports


@dataclass(frozen=True)
class CopulaSupports:
    """Each atom fires with its own probability, together with others through common factors.

    Atom j fires where z_j = sum_k loading_jk f_k + (1 - sum_k loading_jk^2)^(1/2) e_j is among the
    largest of its values, all f and e being independent and standard normal. So it fires at
    exactly its rate, and the z of two atoms correlate by the inner product of their loadings.

    Parameters
    ----------
    rates : tuple of float
        The probability of each of the K atoms, in (0, 1].
    loadings : tuple of tuple of float
        For each atom its loadings on the factors: as many for each atom, squares summing to 1
        at most.

    Raises
    ------
    InputError
        If a field is outside its range.

    Notes
    -----
    A Gaussian copula of low rank: Chanin & Garriga-Alonso (2026), arXiv 2602.14687.
    """

    rates: Rates
    loadings: Loadings

    def __post_init__(self) -> None:
        _check_rates(self.rates)
        _check_loadings(self.loadings, len(self.rates))

    @property
    def m(self) -> int:
        """The most atoms that can fire: all K."""
        return len(self.rates)

    def check(self, K: int) -> None:
        """Raise InputError if the number of rates is not K."""
        _check_number(self.rates, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        supports = np.empty((n, K), dtype=np.int64)
        rank = len(self.loadings[0])
        for rows in chunks(n, rank + K):
            normal = standard_normal(rng, (rows.stop - rows.start, rank + K))
            supports[rows] = listed(_fired(normal, self.rates, self.loadings), K)
        return supports


@dataclass(frozen=True)
class ForestSupports:
    """Atoms in trees: a child fires only where its parent does, and siblings exclude each other.

    First atoms are proposed as in `CopulaSupports`. Then, from the roots on, a child without its
    parent is taken back, and of several siblings that are left one remains, each as probably.
    Atoms without a parent do not exclude each other.

    Parameters
    ----------
    proposed : tuple of float
        The probability with which each of the K atoms is proposed, in (0, 1].
    loadings : tuple of tuple of float
        As in `CopulaSupports`.
    parents : tuple of int
        The parent of each atom, among those before it; -1 where it has none.
    exclusive : bool
        Whether siblings exclude each other.

    Raises
    ------
    InputError
        If a field is outside its range.

    Notes
    -----
    Chanin & Garriga-Alonso (2026), arXiv 2602.14687.
    """

    proposed: Rates
    loadings: Loadings
    parents: Parents
    exclusive: bool = True

    def __post_init__(self) -> None:
        _check_rates(self.proposed)
        _check_loadings(self.loadings, len(self.proposed))
        if not isinstance(self.parents, tuple) or len(self.parents) != len(self.proposed):
            raise InputError(
                f"parents = {shown(self.parents)}: expected a tuple with an entry for each atom"
            )
        check_parents(self.parents)

    @property
    def m(self) -> int:
        """The most atoms that can fire: K, though exclusion leaves fewer."""
        return len(self.proposed)

    def check(self, K: int) -> None:
        """Raise InputError if the number of atoms described is not K."""
        _check_number(self.proposed, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        supports = np.empty((n, K), dtype=np.int64)
        rank = len(self.loadings[0])
        for rows in chunks(n, rank + 2 * K):
            normal = standard_normal(rng, (rows.stop - rows.start, rank + 2 * K))
            active = _fired(normal[:, : rank + K], self.proposed, self.loadings)
            self._restrict(active, normal[:, rank + K :])
            supports[rows] = listed(active, K)
        return supports

    def rates(self) -> Float[np.ndarray, " K"]:
        """Return how often each atom fires if all loadings are 0, exactly.

        That is its parent's rate, times its own probability of being proposed, times the mean of
        1 / (1 + the number of siblings proposed beside it).
        """
        found = np.array(self.proposed, dtype=np.float64)
        for parent, children in families_of(self.parents):
            for j in children:
                others = [i for i in children if i != j and self.exclusive]
                found[j] = self.proposed[j] * found[parent] * self._wins(others)
        return found

    def _restrict(self, active: Bool[np.ndarray, "n K"], tickets: Float[np.ndarray, "n K"]) -> None:
        """Take back what is without its parent, and siblings that do not hold the first ticket."""
        for parent, children in families_of(self.parents):
            left = active[:, children] & active[:, [parent]]
            if self.exclusive:
                held = np.where(left, tickets[:, children], -np.inf)
                left &= np.arange(len(children)) == held.argmax(axis=1)[:, None]
            active[:, children] = left

    def _wins(self, others: list[int]) -> float:
        counts = np.ones(1)
        for i in others:
            p = self.proposed[i]
            counts = np.append(counts * (1 - p), 0.0) + np.append(0.0, counts * p)
        return math.fsum(counts / np.arange(1.0, len(counts) + 1))


def forest_parents(K: int, roots: int, branching: int, depth: int) -> Parents:
    """Return the parents of K atoms in trees that are filled level by level.

    Parameters
    ----------
    K : int
        Atoms, at least 1.
    roots : int
        Trees, at least 1: their roots are the first atoms.
    branching : int
        Children of an atom, at least 1.
    depth : int
        Levels below the roots, at least 0. Atoms that are left over are in no tree.

    Raises
    ------
    InputError
        If an argument is outside its range.
    """
    check_integer("K", K, 1)
    check_integer("roots", roots, 1)
    check_integer("branching", branching, 1)
    check_integer("depth", depth, 0)
    parents = [-1] * min(roots, K)
    level = list(range(len(parents)))
    for _ in range(depth):
        size = len(parents)
        parents += [parent for parent in level for _ in range(branching)][: K - size]
        level = list(range(size, len(parents)))
    return tuple(parents + [-1] * (K - len(parents)))


def compensated(rates: Rates, parents: Parents) -> Rates:
    """Return with what probabilities exclusive trees propose atoms, to fire about at `rates`.

    For a child: its rate over its parent's, times 1 + the sum of its siblings' rates over the
    parent's, and at most 1. The rates that come of it are a little off: `ForestSupports.rates`.

    Parameters
    ----------
    rates : tuple of float
        Of each atom, in (0, 1]; a child's at most its parent's.
    parents : tuple of int
        As in `ForestSupports`.

    Raises
    ------
    InputError
        If a rate is outside its range or above the parent's, or the two do not go together.

    Notes
    -----
    Chanin & Garriga-Alonso (2026), arXiv 2602.14687.
    """
    _check_rates(rates)
    if len(parents) != len(rates):
        raise InputError(f"{len(parents)} parents: expected one an atom, {len(rates)}")
    check_parents(parents)
    proposed = np.array(rates, dtype=np.float64)
    for parent, children in families_of(parents):
        shares = [rates[j] / rates[parent] for j in children]
        for j, share in zip(children, shares, strict=True):
            if share > 1.0:
                raise InputError(
                    f"rates[{j}] = {rates[j]}: expected at most its parent's, {rates[parent]}"
                )
            others = math.fsum(shares) - share
            proposed[j] = min(1.0, share * (1.0 + max(others, 0.0)))
    return tuple(proposed.tolist())


def families_of(parents: Parents) -> list[tuple[int, list[int]]]:
    """Return the parents with their children, from the first parent on."""
    children: dict[int, list[int]] = {}
    for j, parent in enumerate(parents):
        children.setdefault(parent, []).append(j)
    return sorted((parent, own) for parent, own in children.items() if parent >= 0)


def _fired(
    normal: Float[np.ndarray, "n rank_and_K"], rates: Rates, loadings: Loadings
) -> Bool[np.ndarray, "n K"]:
    """Return which atoms fire; the factors stand in the first columns of `normal`."""
    table = np.array(loadings, dtype=np.float64)
    rank = table.shape[1]
    own = 1.0 - np.array([math.fsum(row) for row in table * table])
    z = normal[:, rank:] * np.sqrt(np.maximum(own, 0.0))
    for k in range(rank):
        z += table[:, k] * normal[:, [k]]
    p = np.array(rates, dtype=np.float64)
    certain = p >= 1.0
    threshold = np.where(certain, -np.inf, -normal_quantile(np.where(certain, 0.5, p)))
    return z > threshold


def _check_rates(rates: Rates) -> None:
    if not isinstance(rates, tuple) or not rates:
        raise InputError(f"rates = {shown(rates)}: expected a tuple of numbers, one an atom")
    for j, rate in enumerate(rates):
        check_real(f"rates[{j}]", rate, above=0.0, at_most=1.0)


def _check_loadings(loadings: Loadings, K: int) -> None:
    if not isinstance(loadings, tuple) or len(loadings) != K:
        raise InputError(f"loadings = {shown(loadings)}: expected a tuple with an entry an atom")
    for j, row in enumerate(loadings):
        if not isinstance(row, tuple) or len(row) != len(loadings[0]):
            raise InputError(f"loadings[{j}] = {shown(row)}: expected a tuple as long as the first")
        for k, loading in enumerate(row):
            check_real(f"loadings[{j}][{k}]", loading)
        total = math.fsum(loading * loading for loading in row)
        if total > 1.0 + _ROUNDING:
            raise InputError(f"loadings[{j}]: expected squares that sum to at most 1, not {total}")


def _check_number(rates: Rates, K: int) -> None:
    check_integer("K", K, 1)
    if len(rates) != K:
        raise InputError(f"rates of {len(rates)} atoms: expected one an atom, K = {K}")
