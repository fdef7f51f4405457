"""Hypothesis strategies for the paper's objects: codes, dictionaries and problems X = D* Y*.

Sizes, seeds and kinds are drawn by Hypothesis, and numpy fills the arrays, so that an example
shrinks to a small problem and is a short line in a report. Hypothesis is an extra, needed by
this module alone: `pip install osae-theory[dev]`.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from osae_theory.errors import InputError, check_integer
from osae_theory.prefixes import PrefixLaw, equal_group_ends
from osae_theory.problems import (
    AllSupports,
    BlockSupports,
    ClusteredDictionary,
    CoherentDictionary,
    ConstantValues,
    CyclicSupports,
    Dictionary,
    EquiangularFrame,
    GaussianDictionary,
    GeometricSupports,
    HalfNormalValues,
    HarmonicFrame,
    NormalValues,
    OrthonormalDictionary,
    ProblemSpec,
    SparseCodingProblem,
    Supports,
    TreeSupports,
    UniformSupports,
    UniformValues,
    Values,
    VandermondeFrame,
    ZipfSupports,
)
from osae_theory.uniqueness import decide_codes

try:
    from hypothesis import assume
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "osae_theory.strategies needs hypothesis: install the extra, osae-theory[dev]"
    ) from error

# Hypothesis' own DrawFn is a protocol that run-time type checkers cannot check.
Draw = Callable[..., Any]

__all__ = [
    "codes",
    "dictionaries",
    "dictionary_specs",
    "prefix_laws",
    "problem_specs",
    "problems",
    "seeds",
]


def seeds() -> st.SearchStrategy[int]:
    """Return a strategy for seeds, whole numbers in [0, 2**32)."""
    return st.integers(0, 2**32 - 1)


@st.composite
def codes(
    draw: Draw,
    K: int,
    N: int,
    m: int,
    *,
    nonnegative: bool = True,
    exactly_m: bool = True,
) -> Float[np.ndarray, "K N"]:
    """Return a strategy for code matrices Y with m-sparse columns.

    Parameters
    ----------
    K, N, m : int
        Atoms, samples and atoms a sample uses, each at least 1, m <= K.
    nonnegative : bool
        Whether all entries are at least 0, as the paper's Theorem 3.1 has it.
    exactly_m : bool
        Whether each column has exactly m nonzero entries, or anything from 0 to m.

    Raises
    ------
    InputError
        If a size is outside its range.
    """
    supports = UniformSupports(m)
    supports.check(K)
    check_integer("N", N, 1)
    values = draw(_values(nonnegative))
    rng = np.random.default_rng(draw(seeds()))
    indices = supports.draw(K, N, rng)
    entries = values.draw(indices, rng)
    if not exactly_m:
        entries[np.arange(m) >= rng.integers(m + 1, size=(N, 1))] = 0.0
    matrix = np.zeros((K, N))
    np.put_along_axis(matrix, indices.T, entries.T, axis=0)
    return matrix


@st.composite
def dictionary_specs(
    draw: Draw,
    d: int | None = None,
    K: int | None = None,
    max_d: int = 6,
    max_K: int = 8,
) -> Dictionary:
    """Return a strategy for descriptions of small dictionaries, of every kind that fits.

    Parameters
    ----------
    d, K : int, optional
        Sizes to keep; drawn when not given.
    max_d, max_K : int
        Largest sizes drawn.

    Raises
    ------
    InputError
        If a size is not a whole number of at least 1.
    """
    for name, size in (("d", d), ("K", K), ("max_d", max_d), ("max_K", max_K)):
        if size is not None:
            check_integer(name, size, 1)
    return draw(
        _dictionary_specs(
            draw(st.integers(1, max_d)) if d is None else d,
            draw(st.integers(1, max_K)) if K is None else K,
        )
    )


@st.composite
def dictionaries(
    draw: Draw,
    d: int | None = None,
    K: int | None = None,
    max_d: int = 6,
    max_K: int = 8,
    certified: int | None = None,
) -> Float[np.ndarray, "d K"]:
    """Return a strategy for small dictionaries as arrays.

    Parameters
    ----------
    d, K, max_d, max_K : int
        As in `dictionary_specs`.
    certified : int, optional
        A sparsity m: draw only dictionaries whose m-sparse codes are provably unique, by
        `osae_theory.uniqueness.decide_codes`.

    Raises
    ------
    InputError
        As in `dictionary_specs`, or if `certified` is not a whole number of at least 1.
    """
    if certified is not None:
        check_integer("certified", certified, 1)
    description = draw(dictionary_specs(d, K, max_d, max_K))
    dictionary = description.draw(np.random.default_rng(draw(seeds())))
    if certified is not None:
        assume(_has_unique_codes(dictionary, certified, description))
    return dictionary


def _has_unique_codes(
    dictionary: Float[np.ndarray, "d K"], m: int, description: Dictionary
) -> bool:
    decision = decide_codes(dictionary, min(m, dictionary.shape[1]), description)
    return decision.answer == "unique"


@st.composite
def problem_specs(
    draw: Draw, max_d: int = 6, max_K: int = 8, max_m: int = 3, max_n: int = 12
) -> ProblemSpec:
    """Return a strategy for descriptions of small problems, with and without noise.

    Parameters
    ----------
    max_d, max_K, max_m, max_n : int
        Largest dimension, number of atoms, of atoms in a support, and of samples.

    Raises
    ------
    InputError
        If a size is not a whole number of at least 1.
    """
    check_integer("max_m", max_m, 1)
    check_integer("max_n", max_n, 1)
    dictionary = draw(dictionary_specs(max_d=max_d, max_K=max_K))
    return ProblemSpec(
        dictionary=dictionary,
        supports=draw(_supports(dictionary.K, max_m)),
        values=draw(_values(nonnegative=draw(st.booleans()), K=dictionary.K)),
        n_samples=draw(st.integers(1, max_n)),
        snr_db=draw(st.none() | st.floats(-10.0, 60.0)),
        seed=draw(seeds()),
    )


def problems(
    max_d: int = 6, max_K: int = 8, max_m: int = 3, max_n: int = 12
) -> st.SearchStrategy[SparseCodingProblem]:
    """Return a strategy for small drawn problems; arguments as in `problem_specs`."""
    return problem_specs(max_d, max_K, max_m, max_n).map(lambda spec: spec.draw())


@st.composite
def _dictionary_specs(draw: Draw, d: int, K: int) -> Dictionary:
    kinds: list[Dictionary] = [GaussianDictionary(d, K), VandermondeFrame(d, K)]
    if d >= K:
        kinds.append(OrthonormalDictionary(d, K))
    if d <= K:
        kinds.append(HarmonicFrame(d, K))
    if 2 <= K <= d:
        kinds.append(CoherentDictionary(d, K, draw(st.floats(0.01, 0.99))))
    if min(d, K) >= 2:
        size = draw(st.integers(2, min(d, K)))
        kinds.append(ClusteredDictionary(d, K, size, draw(st.floats(0.01, 1.57))))
    with contextlib.suppress(InputError):  # few sizes have one
        kinds.append(EquiangularFrame(d, K))
    return draw(st.sampled_from(kinds))


@st.composite
def prefix_laws(
    draw: Draw, min_K: int = 1, max_K: int = 8, *, full_support: bool = False
) -> PrefixLaw:
    """Draw a law of the prefix length on {1..K}: a named one, or any rational one.

    Parameters
    ----------
    min_K, max_K : int
        Range of the number of atoms, 1 <= min_K <= max_K.
    full_support : bool
        Draw only laws in which every prefix has positive probability, as the paper assumes.

    Raises
    ------
    InputError
        If the range is empty.
    """
    check_integer("min_K", min_K, 1)
    check_integer("max_K", max_K, min_K)
    K = draw(st.integers(min_K, max_K))
    # Whole numbers over their sum: examples shrink to laws that can be read.
    least = 1 if full_support else 0
    weights = draw(st.lists(st.integers(least, 9), min_size=K, max_size=K).filter(any))
    kinds = [
        PrefixLaw(np.array(weights) / sum(weights)),
        PrefixLaw.uniform(K),
        PrefixLaw.zipf(K, draw(st.floats(-2.0, 3.0))),
        PrefixLaw.geometric(K, draw(st.floats(0.1, 1.0))),
    ]
    if not full_support:
        n_groups = draw(st.integers(1, 5))
        kinds += [PrefixLaw.full(K), PrefixLaw.groups(K, equal_group_ends(K, n_groups))]
    return draw(st.sampled_from(kinds))


@st.composite
def _supports(draw: Draw, K: int, max_m: int) -> Supports:
    m = draw(st.integers(1, min(K, max_m)))
    kinds: list[Supports] = [
        UniformSupports(m),
        ZipfSupports(m, draw(st.floats(-1.0, 3.0))),
        GeometricSupports(m, draw(st.floats(0.1, 1.0))),
        CyclicSupports(m),
        AllSupports(m),
        TreeSupports(m, draw(st.integers(1, 3))),
    ]
    if K % m == 0:
        kinds.append(BlockSupports(m, m))
    return draw(st.sampled_from(kinds))


@st.composite
def _values(draw: Draw, nonnegative: bool, K: int | None = None) -> Values:
    scale = None
    if K is not None and draw(st.booleans()):
        scale = tuple(draw(st.lists(st.floats(0.1, 10.0), min_size=K, max_size=K)))
    kinds: list[Values] = [
        HalfNormalValues(scale),
        UniformValues(0.0, 1.0, scale),
        ConstantValues(1.0, scale),
    ]
    if not nonnegative:
        kinds += [
            NormalValues(scale),
            UniformValues(-2.0, -1.0, scale),
            ConstantValues(-1.0, scale),
        ]
    return draw(st.sampled_from(kinds))
