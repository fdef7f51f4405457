from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import candidates, cosines, match, match_candidates
from osae_theory.metrics.candidates import ASSIGNMENT, CANDIDATES, nearest_atoms
from osae_theory.metrics.similarities import Cosines, single_rounding


def dictionaries(d, K, seed, shared=0):
    """Two random dictionaries of which the first atoms are shared, those of the second shuffled."""
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((2, d, K))
    E[:, :shared] = D[:, :shared] + 0.1 * rng.standard_normal((d, shared))
    return D, E[:, rng.permutation(K)]


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Few atoms are matched as very many are."""
    monkeypatch.setattr(candidates, "DENSE", 4)
    monkeypatch.setattr(candidates, "_BLOCK", 7)


@given(
    K=st.integers(5, 40),
    n_candidates=st.integers(1, 40),
    shared=st.integers(0, 5),
    absolute=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_matching_lies_between_what_is_found_and_its_bound(
    K, n_candidates, shared, absolute, seed
):
    D, E = dictionaries(6, K, seed, shared)
    found = match_candidates(D, E, absolute, n_candidates=n_candidates)
    best = match(D, E, absolute).stability
    assert sorted(found.permutation) == list(range(K))
    assert found.stability <= best + 1e-12
    assert best <= found.upper_bound + 1e-12


@given(K=st.integers(5, 40), absolute=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_with_everybody_a_candidate_it_is_the_best_matching(K, absolute, seed):
    D, E = dictionaries(6, K, seed)
    found, best = match_candidates(D, E, absolute, n_candidates=K), match(D, E, absolute)
    assert np.array_equal(found.permutation, best.permutation)
    np.testing.assert_allclose(found.similarities, best.similarities, atol=1e-12)
    assert found.upper_bound == pytest.approx(best.stability, abs=2e-9)
    assert found.orderedness == best.orderedness


def test_few_candidates_are_enough_for_unrelated_atoms_and_the_bound_says_so():
    D, E = dictionaries(64, 300, 0)
    found, best = match_candidates(D, E, n_candidates=48), match(D, E)
    assert found.stability == pytest.approx(best.stability, abs=1e-12)
    assert found.upper_bound == pytest.approx(best.stability, abs=2e-8)


def test_where_all_want_one_atom_the_bound_says_what_may_be_missed():
    rng = np.random.default_rng(1)
    hub = rng.standard_normal(8)
    D = hub[:, None] + 0.01 * rng.standard_normal((8, 30))
    E = np.column_stack([hub, rng.standard_normal((8, 29))])
    found, best = match_candidates(D, E, n_candidates=1), match(D, E).stability
    assert found.stability <= best
    assert found.upper_bound > best + 0.1


@given(
    K=st.integers(5, 30),
    n_candidates=st.integers(1, 8),
    spread=st.sampled_from([0.0, 1e-9, 1e-7, 1e-5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bound_holds_for_atoms_that_single_precision_cannot_tell_apart(
    K, n_candidates, spread, seed
):
    rng = np.random.default_rng(seed)
    hub = rng.standard_normal((40, 1))
    D, E = hub + spread * rng.standard_normal((2, 40, K))
    found, best = match_candidates(D, E, n_candidates=n_candidates), match(D, E).stability
    assert found.stability <= best + 1e-12
    assert best <= found.upper_bound + 1e-12


@given(
    K=st.integers(5, 40),
    shared=st.integers(0, 30),
    n_candidates=st.integers(1, 10),
    absolute=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_settled_first_is_in_the_best_matching_over_candidates(
    K, shared, n_candidates, absolute, seed
):
    D, E = dictionaries(6, K, seed, min(shared, K))
    given = (Cosines.of(D, E), n_candidates, absolute)
    found, total = candidates._relaxed(*given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_settled", lambda weights, *others: np.full(len(weights), -1))
        plain, expected = candidates._relaxed(*given)
    assert total == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(found, plain)


def test_shared_atoms_are_settled_first(monkeypatch):
    settled, plain = [], candidates._settled
    monkeypatch.setattr(
        candidates, "_settled", lambda *given: settled.append(plain(*given)) or settled[-1]
    )
    D, E = dictionaries(32, 200, 0, shared=80)
    match_candidates(D, E, n_candidates=10)
    assert np.sum(settled[0] != -1) >= 80


@given(d=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_single_precision_is_off_by_no_more_than_is_allowed_for(d, seed):
    rng = np.random.default_rng(seed)
    U, V = rng.standard_normal((2, 5, d)) + rng.integers(0, 2)
    U, V = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (U, V))
    error = np.abs(U.astype(np.float32) @ V.astype(np.float32).T - U @ V.T)
    assert error.max() <= single_rounding(d)


def test_a_prefix_dead_atoms_and_zero_rows_count_as_in_match():
    D, E = dictionaries(6, 20, 2, shared=5)
    D[:, 3] = 0.0
    live = np.arange(20) != 7, np.ones(20, dtype=bool)
    for prefix in (12, 20):
        found = match_candidates(D, E, prefix=prefix, n_candidates=20, live=live)
        best = match(D, E, prefix=prefix, live=live)
        assert found.stability == pytest.approx(best.stability, abs=1e-12)
        assert found.left_out == best.left_out
    assert found.left_out == pytest.approx(2 / 20)


def test_dead_atoms_by_the_hundred_want_different_partners(monkeypatch):
    D, E = dictionaries(6, 400, 4)
    D[:, 100:], E[:, :250] = 0.0, 0.0
    rounds, relaxed = [], candidates._relaxed
    monkeypatch.setattr(
        candidates, "_relaxed", lambda *given: rounds.append(given[0].shape[0]) or relaxed(*given)
    )
    found, best = match_candidates(D, E, n_candidates=8), match(D, E).stability
    assert sorted(found.permutation) == list(range(400))
    assert found.stability <= best + 1e-12 <= found.upper_bound + 2e-12
    assert all(after < 0.6 * before for before, after in pairwise(rounds))


def test_few_atoms_are_matched_as_match_does(monkeypatch):
    monkeypatch.setattr(candidates, "DENSE", 1024)
    D, E = dictionaries(6, 30, 3)
    found = match_candidates(D, E, n_candidates=1)
    assert found.stability == found.upper_bound == pytest.approx(match(D, E).stability)


def test_the_same_question_has_the_same_answer_and_equal_atoms_no_favourite():
    D = np.ones((3, 9))
    several = {tuple(match_candidates(D, D, tie_seed=seed).permutation) for seed in range(5)}
    assert len(several) == 5
    again = match_candidates(D, D, tie_seed=3).permutation
    assert np.array_equal(again, match_candidates(D, D, tie_seed=3).permutation)


@pytest.mark.parametrize(
    ("E", "changes", "message"),
    [
        (np.ones((4, 5)), {}, "E has atoms of length 4: expected 3"),
        (np.ones((3, 6)), {}, "6"),
        (np.full((3, 5), np.nan), {}, r"E\[0, 0\] = nan"),
        (np.ones((3, 5)), {"n_candidates": 0}, "n_candidates = 0"),
        (np.ones((3, 5)), {"prefix": 6}, "prefix = 6"),
        (np.ones((3, 5)), {"tie_seed": -1}, "tie_seed = -1"),
    ],
)
def test_what_cannot_be_matched_is_refused(E, changes, message):
    with pytest.raises(InputError, match=message):
        match_candidates(np.ones((3, 5)), E, **changes)


@given(
    d=st.integers(1, 6),
    K=st.integers(1, 30),
    other=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_nearest_atom_is_the_greatest_of_all_cosines(d, K, other, seed):
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((d, K)), rng.standard_normal((d, other))
    D[:, 0] = 0.0
    nearest, cosine = nearest_atoms(D, E)
    S = cosines(D, E)
    np.testing.assert_allclose(cosine, S.max(axis=1), atol=1e-12)
    np.testing.assert_allclose(S[np.arange(K), nearest], S.max(axis=1), atol=1e-12)
    assert nearest[0] == 0


def test_of_equal_nearest_atoms_the_first_is_named():
    E = np.eye(4)[:, [2, 0, 1, 1, 0]]
    assert list(nearest_atoms(np.eye(4)[:, :2], E)[0]) == [1, 2]
    with pytest.raises(InputError, match="E has atoms of length 3: expected 4"):
        nearest_atoms(np.eye(4), np.eye(3))
    with pytest.raises(InputError, match="the number of E's atoms = 0: expected"):
        nearest_atoms(np.eye(4), np.empty((4, 0)))


def test_progress_tells_the_atoms_whose_candidates_are_known_and_each_assignment():
    told = []
    D, E = dictionaries(6, 40, 5)
    match_candidates(D, E, n_candidates=3, on_progress=lambda *one: told.append(one))
    first = [(CANDIDATES, start) for start in range(0, 40, 7)]
    assert told[: len(first) + 1] == [*first, (ASSIGNMENT, 40)]
    later = told[len(first) + 1 :]
    assert (CANDIDATES, 40) in later
    assert later[-1] == (ASSIGNMENT, 40)
    assert all(done == 40 for _, done in later)
