"""The supports of the codes Y*: which m of the K true atoms each sample uses, and how often."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.portable import exp, log, standard_exponential
from osae_theory.problems.firing import BernoulliSupports, CopulaSupports, ForestSupports
from osae_theory.problems.rows import chunks

MAX_SUBSETS = 2_000_000
MAX_EXACT_ATOMS = 20
LARGEST_ALPHA = 1e300
# With 10^15 atoms a weight is still a normal number.
LARGEST_TREE_ALPHA = 20.0
# Range of the logarithms of weights within which their quotients are far from overflow.
_MODERATE = 500.0


@runtime_checkable
class Supports(Protocol):
    """A law of supports with at most m atoms, described by plain fields."""

    @property
    def m(self) -> int:
        """Number of atoms in every support; the most there can be, where that varies."""
        ...

    def check(self, K: int) -> None:
        """Raise InputError if K atoms cannot be served."""
        ...

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports, one a row: distinct indices in 0..K-1, ascending.

        A support of fewer than m atoms, or of none, has its row filled up with -1.
        """
        ...


@dataclass(frozen=True)
class ZipfSupports:
    """Successive sampling without replacement, atom j of 1..K having weight j^-alpha.

    The supports of the paper's toy model (section 3.1, alpha = 1.2).

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1.
    alpha : float
        Exponent, any finite number; 0 makes all supports equally likely.

    Raises
    ------
    InputError
        If a field is outside its range.
    """

    m: int
    alpha: float

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)
        check_real("alpha", self.alpha, at_least=-LARGEST_ALPHA, at_most=LARGEST_ALPHA)

    def check(self, K: int) -> None:
        """Raise InputError if m > K."""
        _check_fits(self.m, K)

    def log_weights(self, K: int) -> Float[np.ndarray, " K"]:
        """Return the logarithms of the weights, which are not normalised."""
        return -float(self.alpha) * log(np.arange(1.0, K + 1))

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        return _successive_sampling(self.log_weights(K), self.m, n, rng)


@dataclass(frozen=True)
class GeometricSupports:
    """Successive sampling without replacement, atom j of 1..K having weight ratio^j.

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1.
    ratio : float
        In (0, 1]; 1 makes all supports equally likely.

    Raises
    ------
    InputError
        If a field is outside its range.
    """

    m: int
    ratio: float

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)
        check_real("ratio", self.ratio, above=0.0, at_most=1.0)

    def check(self, K: int) -> None:
        """Raise InputError if m > K."""
        _check_fits(self.m, K)

    def log_weights(self, K: int) -> Float[np.ndarray, " K"]:
        """Return the logarithms of the weights, which are not normalised."""
        return log(np.array(float(self.ratio))) * np.arange(1, K + 1)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        return _successive_sampling(self.log_weights(K), self.m, n, rng)


@dataclass(frozen=True)
class UniformSupports:
    """All m-subsets of the atoms equally likely.

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1.

    Raises
    ------
    InputError
        If `m` is not a whole number of at least 1.
    """

    m: int

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)

    def check(self, K: int) -> None:
        """Raise InputError if m > K."""
        _check_fits(self.m, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        return _successive_sampling(np.zeros(K), self.m, n, rng)


@dataclass(frozen=True)
class CyclicSupports:
    """Cyclic intervals {i, ..., i + m - 1 mod K} with a uniform start i.

    The K supports under which a sparse factorisation can already be unique.

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1.

    Raises
    ------
    InputError
        If `m` is not a whole number of at least 1.

    Notes
    -----
    Garfinkle & Hillar (2019).
    """

    m: int

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)

    def check(self, K: int) -> None:
        """Raise InputError if m > K."""
        _check_fits(self.m, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        starts = rng.integers(K, size=n)
        return np.sort((starts[:, None] + np.arange(self.m)) % K, axis=1)


@dataclass(frozen=True)
class AllSupports:
    """Every m-subset of the atoms in turn, in a random order that repeats.

    Any stretch of as many samples as there are subsets holds each subset once, so the counts
    of two subsets never differ by more than one.

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1.

    Raises
    ------
    InputError
        If `m` is not a whole number of at least 1.
    """

    m: int

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)

    def check(self, K: int) -> None:
        """Raise InputError if m > K or there are more than 2,000,000 subsets."""
        _check_fits(self.m, K)
        count = math.comb(K, self.m)
        if count > MAX_SUBSETS:
            raise InputError(
                f"m = {self.m} of K = {K} atoms makes {count} subsets: expected at most "
                f"{MAX_SUBSETS}"
            )

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        count = math.comb(K, self.m)
        members = chain.from_iterable(combinations(range(K), self.m))
        subsets = np.fromiter(members, dtype=np.int64, count=count * self.m)
        order = rng.permutation(count)
        return subsets.reshape(count, self.m)[order[np.arange(n) % count]]


@dataclass(frozen=True)
class BlockSupports:
    """Whole blocks of consecutive atoms, all choices of blocks equally likely.

    Parameters
    ----------
    m : int
        Atoms in a support, a multiple of `block_size`.
    block_size : int
        Atoms in a block, at least 1; K must be a multiple of it.

    Raises
    ------
    InputError
        If a field is outside its range.

    Notes
    -----
    Eldar & Mishali (2009) for block sparsity.
    """

    m: int
    block_size: int

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)
        check_integer("block_size", self.block_size, 1)
        if self.m % self.block_size:
            raise InputError(f"m = {self.m}: expected a multiple of block_size = {self.block_size}")

    def check(self, K: int) -> None:
        """Raise InputError if m > K or K is not a multiple of the block size."""
        _check_fits(self.m, K)
        if K % self.block_size:
            raise InputError(f"K = {K}: expected a multiple of block_size = {self.block_size}")

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        weights = np.zeros(K // self.block_size)
        blocks = _successive_sampling(weights, self.m // self.block_size, n, rng)
        members = blocks[:, :, None] * self.block_size + np.arange(self.block_size)
        return members.reshape(n, self.m)


@dataclass(frozen=True)
class TreeSupports:
    """Connected sets that hold the root of a tree of atoms: an atom needs its parent.

    The atoms are in heap order, the parent of atom j being (j - 1) // branching. A support
    grows from the root by one atom at a time, among the children it does not hold yet: atom j of
    0..K-1 with weight (j + 1)^-alpha.

    Parameters
    ----------
    m : int
        Atoms in a support, at least 1. Atoms at a depth of m or more, the root being at depth 0,
        are in none.
    branching : int
        Children of an atom, at least 1; 1 makes a chain.
    alpha : float
        Exponent of the weights; 0, the default, makes all children equally likely.

    Raises
    ------
    InputError
        If a field is outside its range.

    Notes
    -----
    Jenatton, Mairal, Obozinski & Bach (2011) for tree-structured sparsity.
    """

    m: int
    branching: int
    alpha: float = 0.0

    def __post_init__(self) -> None:
        check_integer("m", self.m, 1)
        check_integer("branching", self.branching, 1)
        check_real("alpha", self.alpha, at_least=-LARGEST_TREE_ALPHA, at_most=LARGEST_TREE_ALPHA)

    def check(self, K: int) -> None:
        """Raise InputError if m > K."""
        _check_fits(self.m, K)

    def draw(self, K: int, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n m"]:
        """Return n supports; raises InputError as `check` does, or if n < 1."""
        self.check(K)
        check_integer("n", n, 1)
        branching = min(self.branching, K)
        supports = np.empty((n, self.m), dtype=np.int64)
        for rows in chunks(n, min(self.m * branching, K)):
            choices = rng.random((rows.stop - rows.start, self.m - 1))
            weights = self._weights(K) if self.alpha else None
            supports[rows] = _grown_trees(choices, K, branching, weights)
        return supports

    def inclusion_probabilities(self, K: int) -> Float[np.ndarray, " K"]:
        """Return the exact probability that each of K atoms is in a support, by enumeration.

        Raises InputError as `check` does, or where there are more than 2,000,000 supports.
        """
        self.check(K)
        weights = self._weights(K)
        law: dict[tuple[int, ...], float] = {(0,): 1.0}
        for _ in range(self.m - 1):
            grown: dict[tuple[int, ...], float] = {}
            for support, probability in law.items():
                children = _children(support, K, self.branching)
                total = math.fsum(weights[children])
                for j in children:
                    larger = tuple(sorted((*support, j)))
                    grown[larger] = grown.get(larger, 0.0) + probability * weights[j] / total
            law = grown
            if len(law) > MAX_SUBSETS:
                raise InputError(
                    f"m = {self.m} of K = {K} atoms makes more than {MAX_SUBSETS} supports:"
                    " expected fewer"
                )
        found = np.zeros(K)
        for support, probability in law.items():
            found[list(support)] += probability
        return found

    def _weights(self, K: int) -> Float[np.ndarray, " K"]:
        return exp(-float(self.alpha) * log(np.arange(1.0, K + 1)))


@at_the_door
def inclusion_probabilities(weights: Float[np.ndarray, " K"], m: int) -> Float[np.ndarray, " K"]:
    """Return the exact probability that each atom is in a support of successive sampling.

    Parameters
    ----------
    weights : Float[np.ndarray, " K"]
        Positive weights, not necessarily normalised, for K <= 20 atoms.
    m : int
        Atoms in a support, 1 <= m <= K.

    Returns
    -------
    Float[np.ndarray, " K"]
        Probabilities, which sum to m. Exact up to rounding: a sum of positive terms over the
        subsets of the atoms, 2^K numbers in memory.

    Raises
    ------
    InputError
        If K > 20, a weight is not positive and finite, or m is outside 1..K.
    """
    K = len(weights)
    if K > MAX_EXACT_ATOMS:
        raise InputError(f"K = {K}: expected at most {MAX_EXACT_ATOMS} weights")
    for j, weight in enumerate(weights):
        check_real(f"weights[{j}]", weight, above=0.0)
    check_integer("m", m, 1)
    _check_fits(m, K)
    totals = np.zeros(1)
    sizes = np.zeros(1, dtype=np.int64)
    for weight in weights / weights.max():
        totals = np.concatenate([totals, totals + weight])
        sizes = np.concatenate([sizes, sizes + 1])
    # The complement of subset s is subset 2^K - 1 - s; its sum is free of cancellation.
    remaining = totals[::-1]
    subsets = np.arange(1 << K)
    probability = np.zeros(1 << K)
    probability[0] = 1.0
    for size in range(m):
        layer = subsets[sizes == size]
        for j, weight in enumerate(weights / weights.max()):
            without = layer[(layer >> j) & 1 == 0]
            step = probability[without] * weight / remaining[without]
            probability[without | (1 << j)] += step
    layer = subsets[sizes == m]
    holds = (layer[:, None] >> np.arange(K)) & 1
    return probability[layer] @ holds


def _check_fits(m: int, K: int) -> None:
    check_integer("K", K, 1)
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K}")


def _successive_sampling(
    log_weights: Float[np.ndarray, " K"], m: int, n: int, rng: np.random.Generator
) -> Int[np.ndarray, "n m"]:
    """Return n supports drawn one atom after another, without replacement, by weight.

    Atom j arrives after an exponential time of rate equal to its weight, and the first m
    arrivals are the support (Efraimidis & Spirakis 2006). Times are compared by logarithm where
    weights go beyond the range of floats.
    """
    check_integer("n", n, 1)
    K = len(log_weights)
    supports = np.empty((n, m), dtype=np.int64)
    heaviest = log_weights.max()
    moderate = bool(heaviest - log_weights.min() < _MODERATE)
    mean_times = exp(heaviest - log_weights) if moderate else None
    for rows in chunks(n, K):
        times = standard_exponential(rng, (rows.stop - rows.start, K))
        if mean_times is not None:
            times *= mean_times
        else:
            times = log(times) - log_weights
        supports[rows] = np.argpartition(times, m - 1, axis=1)[:, :m]
    supports.sort(axis=1)
    return supports


def _children(support: tuple[int, ...], K: int, branching: int) -> list[int]:
    """Return the children, among K atoms, that a rooted connected set does not hold."""
    first = ((j * branching + 1, min((j + 1) * branching, K - 1)) for j in support)
    return [j for low, high in first for j in range(low, high + 1) if j not in support]


def _grown_trees(
    choices: Float[np.ndarray, "n steps"],
    K: int,
    branching: int,
    weights: Float[np.ndarray, " K"] | None = None,
) -> Int[np.ndarray, "n m"]:
    """Return one rooted connected set a row, grown by the uniform numbers in `choices`.

    Children are taken by their `weights`, and all alike without any.
    """
    n, steps = choices.shape
    row = np.arange(n)
    support = np.zeros((n, steps + 1), dtype=np.int64)
    frontier = np.zeros((n, min((steps + 1) * branching, K)), dtype=np.int64)
    length = np.zeros(n, dtype=np.int64)
    for step in range(steps):
        first = support[:, step] * branching + 1
        children = np.clip(K - first, 0, branching)
        parent, child = np.nonzero(np.arange(branching) < children[:, None])
        frontier[parent, length[parent] + child] = first[parent] + child
        length += children
        place = (choices[:, step] * length).astype(np.int64)
        if weights is not None:
            held = np.arange(frontier.shape[1]) < length[:, None]
            reached = np.cumsum(np.where(held, weights[frontier], 0.0), axis=1)
            aim = choices[:, step] * reached[:, -1]
            place = np.minimum((reached <= aim[:, None]).sum(axis=1), length - 1)
        support[:, step + 1] = frontier[row, place]
        length -= 1
        frontier[row, place] = frontier[row, length]
    return np.sort(support, axis=1)


SUPPORTS: Mapping[str, Callable[..., Supports]] = MappingProxyType(
    {
        "zipf": ZipfSupports,
        "geometric": GeometricSupports,
        "uniform": UniformSupports,
        "cyclic": CyclicSupports,
        "all": AllSupports,
        "block": BlockSupports,
        "tree": TreeSupports,
        "bernoulli": BernoulliSupports,
        "copula": CopulaSupports,
        "forest": ForestSupports,
    }
)
