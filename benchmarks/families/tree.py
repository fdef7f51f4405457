"""Atoms in a tree: a sample that uses an atom uses its parent, and so on to the root.

The atoms are in heap order, the root first, and a support grows from the root by one atom at a
time, children with smaller numbers being preferred by a Zipf law. The root is in every sample, and
a parent is more frequent than each child: so the order by frequency, which is that by energy, puts
parents first. It is heap order, but that a last family that is incomplete may stand too late where
alpha is small; at alpha = 0 atoms of one depth are equally frequent, and have no order. Is a child
learned as itself, or together with its parents?

A support of m atoms reaches down to depth m - 1: the tree has to be wide enough for K atoms.
"""

from functools import partial

from benchmarks.contracts import Family, Params
from benchmarks.families._small import ALPHA, SHAPE, sizes, titled
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.problems import (
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
    TreeSupports,
)

BRANCHING = Parameter(
    "branching",
    "integer",
    "children of an atom; 0 is the least number with which all atoms are in reach",
    default=0,
    at_least=0,
)


def _reached(m: int, branching: int, K: int) -> int:
    """Return how many atoms are at depths 0 to m - 1, as far as K."""
    total, level = 0, 1
    for _ in range(m):
        total += level
        if total >= K:
            return K
        level *= branching
    return total


def _least(m: int, K: int) -> int:
    if m == 1:
        return 1
    low, high = 1, K
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _reached(m, middle, K) == K else (middle + 1, high)
    return low


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, m, N = sizes(params)
    if m == 1 < K:
        raise InputError(f"m = 1: expected at least 2, for the root alone to be no tree of K = {K}")
    branching = int(params["branching"]) or _least(m, K)
    if _reached(m, branching, K) < K:
        raise InputError(
            f"branching = {branching}: expected at least {_least(m, K)}, for all K = {K} atoms to"
            f" be in reach of supports of m = {m}"
        )
    return ProblemSpec(
        GaussianDictionary(d, K),
        TreeSupports(m, branching, float(params["alpha"])),
        HalfNormalValues(),
        N,
        seed=seed,
    )


FAMILY = Family(
    "tree",
    "atoms in a tree",
    (*SHAPE, ALPHA, BRANCHING),
    _spec,
    describe=partial(titled, "tree"),
)
