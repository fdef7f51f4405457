"""U2: sample conditions for a unique dictionary."""

import doctest
import math

import numpy as np
import pytest

from osae_theory.claims import unique_dictionary
from osae_theory.claims.unique_dictionary import (
    UNIQUE_DICTIONARY,
    all_supports,
    are_relabellings,
    cyclic_instance,
    cyclic_supports,
    placings,
    samples_as_atoms,
    turned_pairs,
)
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_the_check_confirms_that_only_relabellings_are_left():
    finding = UNIQUE_DICTIONARY.check(1)
    assert finding.confirmed
    for K, m in ((3, 2), (4, 2), (5, 2), (6, 2), (4, 3), (5, 3)):
        key = f"(K, m) = ({K}, {m}): placings of the cyclic spans"
        assert finding.certificate[key] == math.factorial(K)
    assert finding.certificate["N1's D*: spark"] == 5
    assert finding.error == 0


def test_the_docstring_example_runs():
    assert doctest.testmod(unique_dictionary).failed == 0


def test_the_search_meets_every_permutation_once():
    supports = cyclic_supports(4, 2)
    found = placings(supports, 4, 2)
    assert len(set(found)) == len(found) == 24
    assert tuple(supports) in found


def test_complements_of_pairs_of_4_keep_pairwise_intersections_but_are_no_relabelling():
    supports = all_supports(4, 2)
    complement = tuple(frozenset(range(4)) - s for s in supports)
    assert all(
        len(s & t) == len(a & b)
        for s, a in zip(supports, complement, strict=True)
        for t, b in zip(supports, complement, strict=True)
    )
    assert complement not in placings(supports, 4, 2)
    assert not are_relabellings([complement], supports, 4)


def test_disjoint_pairs_have_placings_that_identify_no_atom():
    supports = [frozenset({0, 1}), frozenset({2, 3})]
    found = placings(supports, 4, 2)
    assert len(found) == 6
    assert not are_relabellings(found, supports, 4)


def test_a_family_that_misses_an_atom_apart_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        unique_dictionary, "cyclic_supports", lambda K, m: cyclic_supports(K, m)[: K - 1]
    )
    assert not UNIQUE_DICTIONARY.check(1).confirmed


def test_ten_samples_a_pair_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(unique_dictionary, "cyclic_instance", lambda n=10: cyclic_instance(n))
    assert not UNIQUE_DICTIONARY.check(1).confirmed


def test_repeated_samples_would_not_be_confirmed(monkeypatch):
    def repeated(n=11):
        D, Y = cyclic_instance(n)
        Y[:, 1] = 2 * Y[:, 0]
        return D, Y

    monkeypatch.setattr(unique_dictionary, "cyclic_instance", repeated)
    assert not UNIQUE_DICTIONARY.check(1).confirmed


def test_other_dictionaries_exist_where_the_conditions_fail():
    assert samples_as_atoms()
    assert turned_pairs()


def test_the_assumptions_tell_enough_samples_from_too_few():
    D, Y = (a.astype(float) for a in cyclic_instance(11))
    assert UNIQUE_DICTIONARY.unmet(problem_from_arrays(D, Y)) == []
    few = problem_from_arrays(D, cyclic_instance(1)[1].astype(float))
    assert UNIQUE_DICTIONARY.unmet(few) == [UNIQUE_DICTIONARY.assumptions[0].text]
    noisy = problem_from_arrays(D, Y, np.ones((4, Y.shape[1])))
    assert UNIQUE_DICTIONARY.unmet(noisy) == ["there is no noise"]
