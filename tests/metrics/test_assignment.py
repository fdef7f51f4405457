import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.assignment import assign, tied_assignments

seeds = st.integers(0, 2**32 - 1)


def optima(scores):
    """All assignments of the greatest sum, of whole numbers, one by one."""
    width = len(scores)
    sums = {
        mu: sum(scores[j, i] for j, i in enumerate(mu))
        for mu in itertools.permutations(range(width))
    }
    return {mu for mu, total in sums.items() if total == max(sums.values())}


@given(width=st.integers(1, 5), top=st.integers(0, 3), tie_seed=st.integers(0, 99), seed=seeds)
def test_the_assignment_is_one_of_the_optima_and_they_are_all_found(width, top, tie_seed, seed):
    scores = np.random.default_rng(seed).integers(0, top + 1, (width, width)).astype(float)
    expected = optima(scores)
    assert tuple(assign(scores, tie_seed).tolist()) in expected
    assert {tuple(mu) for mu in tied_assignments(scores).tolist()} == expected


@given(width=st.integers(1, 12), tie_seed=st.integers(0, 99), seed=seeds)
def test_without_ties_the_seed_changes_nothing(width, tie_seed, seed):
    scores = np.random.default_rng(seed).standard_normal((width, width))
    np.testing.assert_array_equal(assign(scores, tie_seed), assign(scores))


def test_the_same_scores_and_seed_give_the_same_assignment_and_other_seeds_others():
    scores = np.zeros((30, 30))
    found = {tuple(assign(scores, tie_seed).tolist()) for tie_seed in range(20)}
    assert len(found) == 20
    assert tuple(assign(scores.copy(), 3).tolist()) == tuple(assign(scores, 3).tolist())


def test_tied_scores_are_assigned_the_same_on_every_machine():
    np.testing.assert_array_equal(assign(np.zeros((6, 6))), [5, 3, 4, 2, 1, 0])


def test_every_assignment_of_tied_scores_is_equally_likely():
    counts = dict.fromkeys(itertools.permutations(range(3)), 0)
    for tie_seed in range(1200):
        counts[tuple(assign(np.zeros((3, 3)), tie_seed).tolist())] += 1
    chi_squared = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert chi_squared < 20.5  # the 99.9% point at five degrees of freedom


def test_a_seed_that_is_no_whole_number_is_refused():
    with pytest.raises(InputError, match="tie_seed = -1"):
        assign(np.zeros((2, 2)), -1)
