import numpy as np
import pytest

from osae_theory.claims.exact_penalty_growth import STEP, growth, sides
from osae_theory.claims.vanishing_truncation import random_instance
from osae_theory.minimisers import local_threshold, penalty_loss, prefix_losses
from osae_theory.problems.geometry import unit_columns

pytestmark = pytest.mark.theory


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_growth_is_the_difference_of_f_over_the_residual(form, monkeypatch):
    # A long step: there the plain difference of F does not cancel.
    monkeypatch.setattr("osae_theory.claims.exact_penalty_growth.STEP", 0.01)
    problem, q = random_instance(0)
    D, Y, X = problem.dictionary, problem.codes, problem.data
    local = local_threshold(D, Y, q, form, tolerance=1e-3)
    weight = 0.7 * local.value
    moved = unit_columns(D + 0.01 * local.atoms), Y + 0.01 * local.codes
    R = np.linalg.norm(X - moved[0] @ moved[1], axis=0)
    fit = np.linalg.norm(R) if form == "total" else R.sum()
    gain = penalty_loss(X, moved[1], moved[0], q, weight, form)
    gain -= weight * float(q.probabilities @ prefix_losses(X, Y, D))
    found = growth(D, Y, q, weight, (local.atoms, local.codes), form)
    assert found == pytest.approx(gain / fit, rel=1e-8)


def test_growth_changes_sign_at_the_threshold_and_a_wrong_one_is_noticed():
    assert STEP < 1e-5
    problem, q = random_instance(3, (3, 3, 2))
    local = local_threshold(problem.dictionary, problem.codes, q)
    assert sides(problem, q, local).as_predicted
    for factor in (0.995, 1.005):
        wrong = type(local)(factor * local.value, 0.0, local.atoms, local.codes)
        assert not sides(problem, q, wrong).as_predicted
    # Another direction than the worst grows: the threshold is not its own.
    other = type(local)(local.value, 0.0, local.atoms, -local.codes)
    assert not sides(problem, q, other).as_predicted
