import importlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from osae_theory import strategies
from osae_theory.errors import InputError
from osae_theory.problems import (
    ClusteredDictionary,
    CoherentDictionary,
    EquiangularFrame,
    GaussianDictionary,
    HarmonicFrame,
    OrthonormalDictionary,
    SparseCodingProblem,
    VandermondeFrame,
    check_dictionary,
)

QUICK = settings(max_examples=300, suppress_health_check=list(HealthCheck))


@given(st.data())
def test_codes_are_exactly_m_sparse_and_nonnegative_by_default(data):
    K = data.draw(st.integers(1, 8))
    m = data.draw(st.integers(1, K))
    Y = data.draw(strategies.codes(K, 5, m))
    assert Y.shape == (K, 5)
    assert np.all((Y != 0).sum(axis=0) == m)
    assert Y.min() >= 0


@given(strategies.codes(6, 10, 3, exactly_m=False))
def test_codes_may_be_sparser_than_m(Y):
    assert (Y != 0).sum(axis=0).max() <= 3


def test_codes_of_every_sparsity_and_sign_are_found():
    for wanted in range(4):
        found = find(
            strategies.codes(6, 1, 3, exactly_m=False),
            lambda Y, wanted=wanted: np.count_nonzero(Y) == wanted,
            settings=QUICK,
        )
        assert np.count_nonzero(found) == wanted
    signed = find(strategies.codes(4, 3, 2, nonnegative=False), lambda Y: Y.min() < 0 < Y.max())
    assert signed.min() < 0 < signed.max()


@given(st.data())
def test_dictionaries_have_unit_columns_and_the_sizes_asked_for(data):
    d = data.draw(st.none() | st.integers(1, 5))
    K = data.draw(st.none() | st.integers(1, 9))
    D = data.draw(strategies.dictionaries(d, K, max_d=4, max_K=7))
    check_dictionary(D)
    assert (D.shape[0] == d) if d else (D.shape[0] <= 4)
    assert (D.shape[1] == K) if K else (D.shape[1] <= 7)


@pytest.mark.parametrize(
    "kind",
    [
        GaussianDictionary,
        OrthonormalDictionary,
        HarmonicFrame,
        VandermondeFrame,
        EquiangularFrame,
        ClusteredDictionary,
        CoherentDictionary,
    ],
)
def test_every_kind_of_dictionary_is_found(kind):
    found = find(strategies.dictionary_specs(), lambda s: isinstance(s, kind), settings=QUICK)
    assert isinstance(found, kind)


@given(strategies.problems(max_d=3, max_K=5, max_m=2, max_n=4))
def test_problems_keep_to_the_largest_sizes(problem):
    assert isinstance(problem, SparseCodingProblem)
    assert problem.d <= 3
    assert problem.K <= 5
    assert 1 <= problem.m <= 2
    assert problem.n_samples <= 4


def test_problems_shrink_to_one_atom_and_one_sample():
    found = find(strategies.problem_specs(), lambda spec: True)
    assert (found.d, found.K, found.m, found.n_samples, found.seed) == (1, 1, 1, 1, 0)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (strategies.codes(3, 5, 4), "m = 4: expected at most K = 3"),
        (strategies.codes(3, 0, 2), "N = 0"),
        (strategies.dictionaries(0, 3), "d = 0"),
        (strategies.dictionaries(max_K=0), "max_K = 0"),
        (strategies.problems(max_m=0), "max_m = 0"),
        (strategies.problems(max_n=0), "max_n = 0"),
    ],
)
def test_bad_sizes_are_refused(strategy, message):
    with pytest.raises(InputError, match=message):
        find(strategy, lambda _: True)


def test_without_hypothesis_the_error_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "osae_theory.strategies")
    with pytest.raises(ImportError, match=r"install the extra, osae-theory\[dev\]"):
        importlib.import_module("osae_theory.strategies")


def test_importing_the_problems_does_not_import_hypothesis():
    code = "import sys, osae_theory.problems; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(strategies.dictionaries(max_d=6, max_K=8, certified=2))
def test_certified_dictionaries_have_no_four_dependent_atoms(dictionary):
    K = dictionary.shape[1]
    for subset in combinations(range(K), min(4, K)):
        assert np.linalg.matrix_rank(dictionary[:, subset], tol=1e-14) == len(subset)


def test_a_sparsity_of_zero_cannot_be_certified():
    with pytest.raises(InputError, match="certified = 0"):
        find(strategies.dictionaries(certified=0), lambda D: True)
