from dataclasses import replace

import numpy as np
import pytest

from osae_theory.claims import vanishing_truncation
from osae_theory.claims.vanishing_truncation import (
    EXPECTED,
    SHAPES,
    SHARES,
    VANISHING_TRUNCATION,
    branch,
    exactly_sparse,
    expansion,
    injective,
    limit_order_wins,
    linearised,
    measured,
    random_instance,
    search,
    spurious_entry,
    tangents,
)
from osae_theory.errors import InputError
from osae_theory.minimisers import alternating, best_codes
from osae_theory.minimisers.losses import nested_loss, stationarity
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.problems.geometry import unit_columns
from osae_theory.uniqueness import garfinkle_hillar

pytestmark = pytest.mark.theory


def test_the_check_confirms_slopes_one_and_two():
    found = VANISHING_TRUNCATION.check(300)
    assert found.confirmed
    assert found.error < 1e-10
    for name, slope in EXPECTED.items():
        assert found.certificate[f"slope of {name}, mean"] == pytest.approx(slope, abs=0.02)


def test_a_wrong_constant_is_noticed(monkeypatch):
    def doubled(problem, truncation):
        right = expansion(problem, truncation)
        return replace(right, velocity=2 * right.velocity)

    monkeypatch.setattr(vanishing_truncation, "expansion", doubled)
    assert not VANISHING_TRUNCATION.check(200).confirmed


def test_a_wrong_limit_of_the_loss_is_noticed(monkeypatch):
    def halved(problem, truncation):
        right = expansion(problem, truncation)
        return replace(right, loss=right.loss / 2)

    monkeypatch.setattr(vanishing_truncation, "expansion", halved)
    assert not VANISHING_TRUNCATION.check(200).confirmed


@pytest.mark.parametrize("seed", [1, 4])
def test_the_linearised_map_is_the_derivative_of_the_product(seed):
    problem, _ = random_instance(seed)
    D, Y = problem.dictionary, problem.codes
    bases, rng, h = tangents(D), np.random.default_rng(seed), 1e-6
    J = linearised(D, Y, bases)
    turn = rng.standard_normal((5, 3))
    dY = rng.standard_normal(Y.shape) * (Y != 0)
    theta = np.concatenate([turn.ravel(), dY.T[Y.T != 0]])
    dD = np.einsum("jdi,ji->dj", bases, turn)
    moved = [unit_columns(D + s * h * dD) @ (Y + s * h * dY) for s in (1, -1)]
    slope = (moved[0] - moved[1]) / (2 * h)
    np.testing.assert_allclose((J @ theta).reshape(-1, 4).T, slope, atol=1e-7)
    np.testing.assert_allclose((dD * D).sum(axis=0), 0, atol=1e-12)


def test_a_branch_point_is_stationary_and_below_the_truth():
    problem, truncation = random_instance(1)
    law = truncation.mixed_with_full(1 - 1e-3)
    D, Y, step = branch(problem, truncation, 1e-3)
    assert max(stationarity(problem.data, Y, D, law)) < 1e-10
    assert step < 1e-10
    truth = nested_loss(problem.data, problem.codes, problem.dictionary, law)
    assert nested_loss(problem.data, Y, D, law) < truth


def test_at_small_eps_descents_with_free_supports_end_no_lower_than_the_branch():
    problem, truncation = random_instance(1)
    law = truncation.mixed_with_full(0.99)
    D, Y, _ = branch(problem, truncation, 0.01)
    found = alternating(problem.data, 5, 2, law, 4, initial=[problem.dictionary], max_steps=1000)
    assert found.loss == pytest.approx(nested_loss(problem.data, Y, D, law), rel=1e-5)


def test_at_larger_eps_the_branch_is_not_the_minimiser():
    problem, truncation = random_instance(4)
    found = search(problem, truncation, 0.05, n_starts=0)
    law = truncation.mixed_with_full(0.95)
    D, Y, _ = branch(problem, truncation, 0.05)
    assert found.branch == pytest.approx(nested_loss(problem.data, Y, D, law))
    # On other supports, for the same dictionary, the codes are better already.
    assert nested_loss(problem.data, best_codes(problem.data, D, 2, law), D, law) < found.branch
    assert found.from_branch < 0.9 * found.branch
    assert found.shortfall > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_instances_of_every_shape_meet_the_hypotheses_that_can_be_checked_quickly(shape):
    problem, truncation = random_instance(2, shape)
    assert (problem.d, problem.K, problem.m) == shape
    assert exactly_sparse(problem)
    assert injective(problem)
    assert garfinkle_hillar(problem.dictionary, problem.codes, problem.m).met
    assert expansion(problem, truncation).sigma_min > 0


def test_a_branch_that_is_beaten_at_small_eps_is_noticed(monkeypatch):
    monkeypatch.setattr(vanishing_truncation, "_SMALL", 0.05)
    assert not VANISHING_TRUNCATION.check(200).confirmed


def test_the_order_of_least_truncated_loss_has_the_lowest_branch_and_another_one_has_not(
    monkeypatch,
):
    assert limit_order_wins(1)
    shuffled, truncation = random_instance(1)
    order = [1, 0, 2, 3, 4]
    wrong = problem_from_arrays(shuffled.dictionary[:, order], shuffled.codes[order])
    monkeypatch.setattr(vanishing_truncation, "random_instance", lambda seed: (wrong, truncation))
    assert not limit_order_wins(1)


def test_a_sparser_column_keeps_an_entry_of_order_eps():
    entries = [spurious_entry(0, eps) for eps in SHARES]
    assert max(entries) == pytest.approx(min(entries), rel=1e-3)
    assert min(entries) > 0.01


def test_the_loss_falls_as_eps_squared_with_richardson_below_plain():
    errors, accuracy = measured(*random_instance(19))
    assert accuracy < 1e-12
    assert (errors["Richardson's error"] < 1e-3 * errors["||D_eps - D*||"]).all()
    assert errors["L_K / eps^2"].max() < 1e-3


def test_hypotheses_are_tests_of_an_instance():
    problem, truncation = random_instance(0)
    assert VANISHING_TRUNCATION.unmet((problem, truncation)) == []
    reversed_ = problem_from_arrays(problem.dictionary[:, ::-1], problem.codes[::-1])
    assert len(VANISHING_TRUNCATION.unmet((reversed_, truncation))) == 1
    few = problem_from_arrays(problem.dictionary, problem.codes[:, :6])
    texts = " ".join(VANISHING_TRUNCATION.unmet((few, PrefixLaw.uniform(5))))
    assert all(word in texts for word in ("unique", "injective", "no mass on K"))
    assert not injective(few)
    codes = problem.codes.copy()
    codes[np.flatnonzero(codes[:, 0])[0], 0] = 0.0
    assert exactly_sparse(problem)
    assert not exactly_sparse(problem_from_arrays(problem.dictionary, codes))


def test_bad_input_is_named():
    problem, truncation = random_instance(0)
    with pytest.raises(InputError, match="mass on every prefix but l = K"):
        expansion(problem, PrefixLaw.uniform(5))
    with pytest.raises(InputError, match="eps = 1"):
        branch(problem, truncation, 1.0)
    few = problem_from_arrays(problem.dictionary, problem.codes[:, :6])
    with pytest.raises(InputError, match="J injective"):
        expansion(few, truncation)
    codes = problem.codes.copy()
    codes[:, 0] = 0.0
    with pytest.raises(InputError, match="exactly m = 2 nonzeros"):
        expansion(problem_from_arrays(problem.dictionary, codes), truncation)


def test_where_the_branch_has_ended_there_is_an_error():
    problem, truncation = random_instance(20)
    with pytest.raises(ArithmeticError, match="no local minimum"):
        branch(problem, truncation, 0.4)
