from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import exact_recovery_m2
from osae_theory.claims.exact_recovery_m2 import (
    EXACT_RECOVERY_M2,
    SHAPES,
    coactive_orthogonal,
    code_threshold,
    exact_pulls,
    local_threshold,
    measured_threshold,
    orthogonal_cycle,
    random_instance,
    sparser_column_moves,
    uncorrelated,
)
from osae_theory.claims.vanishing_truncation import TRUNCATION, branch, expansion, tangents
from osae_theory.errors import InputError
from osae_theory.minimisers.losses import prefix_losses
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.problems.geometry import unit_columns

pytestmark = pytest.mark.theory


def with_codes(problem, codes):
    return problem_from_arrays(problem.dictionary, codes)


def test_the_check_confirms_with_an_exact_instance():
    found = EXACT_RECOVERY_M2.check(20)
    assert found.confirmed
    assert found.certificate["sum_j ||v_j||^2 by energy"] == 0
    assert found.certificate["squared pull on the codes by energy"] == 0


def test_the_exact_instance_is_overcomplete_unit_norm_and_uncorrelated():
    exact = orthogonal_cycle()
    assert exact.D.shape == (4, 5)
    assert ((exact.D * exact.D).sum(axis=0) == 1).all()
    C = exact.Y @ exact.Y.T
    assert all(C[i, j] == 0 for i in range(5) for j in range(5) if i != j)
    assert exact_pulls(exact) == (Fraction(0), Fraction(0))


def test_nonnegative_codes_or_other_atoms_bring_the_pull_back(monkeypatch):
    exact = orthogonal_cycle()
    unsigned = replace(exact, Y=abs(exact.Y))
    assert exact_pulls(unsigned)[0] > 0
    D = exact.D.copy()
    D[:, 0] = [Fraction(3, 5), Fraction(4, 5), 0, 0]
    assert exact_pulls(replace(exact, D=D))[1] > 0
    monkeypatch.setattr(exact_recovery_m2, "orthogonal_cycle", lambda: unsigned)
    assert not EXACT_RECOVERY_M2.check(1).confirmed


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bias_of_t4_vanishes_and_the_branch_stays_at_the_truth(seed):
    problem, truncation = random_instance(seed)
    assert np.abs(expansion(problem, truncation).velocity).max() < 1e-10
    D, _, _ = branch(problem, truncation, 0.005)
    assert np.abs(D - problem.dictionary).max() < 1e-9
    unsigned = with_codes(problem, np.abs(problem.codes))
    assert np.abs(expansion(unsigned, truncation).velocity).max() > 1e-3


def test_the_local_threshold_is_where_the_second_difference_changes_sign():
    rng = np.random.default_rng(0)
    exact = orthogonal_cycle()
    problem = problem_from_arrays(exact.D.astype(float), exact.Y.astype(float))
    truncation = PrefixLaw(np.append(np.full(4, 0.25), 0.0), "q")
    eps = local_threshold(problem, truncation)
    assert 0.3 < eps < 0.9
    for share, sign in ((eps - 0.01, 1), (eps + 0.01, -1)):
        curvature = least_curvature(problem, truncation.mixed_with_full(1 - share), rng)
        assert np.sign(curvature) == sign


def least_curvature(problem, law, rng):
    """Least eigenvalue of the Hessian on the supports, by second differences of the loss."""
    D, Y = problem.dictionary, problem.codes
    bases = tangents(D)
    n_turns = bases.shape[0] * bases.shape[2]
    active = np.argwhere(Y.T != 0)
    size = n_turns + len(active)

    def loss(theta):
        turn = theta[:n_turns].reshape(len(Y), -1)
        codes = Y.copy()
        codes[active[:, 1], active[:, 0]] += theta[n_turns:]
        moved = unit_columns(D + np.einsum("jdi,ji->dj", bases, turn))
        return law.probabilities @ prefix_losses(problem.data, codes, moved)

    h, base = 1e-3, loss(np.zeros(size))
    unit = np.eye(size) * h
    single = np.array([loss(u) for u in unit])
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            both = loss(unit[i] + unit[j])
            hessian[i, j] = hessian[j, i] = (both - single[i] - single[j] + base) / h**2
    # Third order terms of the differences are odd, so they average out over the sign of h.
    back = np.array([loss(-u) for u in unit])
    np.fill_diagonal(hessian, (single + back - 2 * base) / h**2)
    return np.linalg.eigvalsh(hessian)[0]


def test_thresholds_are_in_order_and_descents_fail_above_the_measured_one():
    problem, truncation = random_instance(1)
    measured = measured_threshold(problem, truncation, n_starts=1)
    codes, local = code_threshold(problem, truncation), local_threshold(problem, truncation)
    assert 0.05 < measured <= codes <= local <= 1


def test_a_column_with_fewer_nonzeros_moves_at_once():
    assert sparser_column_moves()


def test_hypotheses_are_tests_of_an_instance():
    problem, q = random_instance(3)
    assert EXACT_RECOVERY_M2.unmet((problem, q)) == []
    assert coactive_orthogonal(problem)
    assert uncorrelated(problem)
    unsigned = with_codes(problem, np.abs(problem.codes))
    assert EXACT_RECOVERY_M2.unmet((unsigned, q))[-1] == "Y* Y*^T is diagonal"
    rng = np.random.default_rng(0)
    turned = problem_from_arrays(unit_columns(rng.standard_normal((4, 5))), problem.codes)
    assert EXACT_RECOVERY_M2.unmet((turned, q)) == ["co-active atoms are orthogonal"]
    scale = np.sqrt((problem.codes**2).sum(axis=1, keepdims=True))
    level = with_codes(problem, problem.codes / scale)
    assert EXACT_RECOVERY_M2.unmet((level, q)) == ["energies are distinct and positive"]
    gap = PrefixLaw(np.array([0.5, 0.0, 0.25, 0.25, 0.0]), "q")
    assert EXACT_RECOVERY_M2.unmet((problem, gap)) == [TRUNCATION.text]
    # Without l = 2 in q, atoms 2 and 3 change places at no cost: the order is not by energy.
    law, order = gap.mixed_with_full(0.9), [0, 2, 1, 3, 4]
    losses = [
        law.probabilities @ prefix_losses(problem.data, problem.codes[o], problem.dictionary[:, o])
        for o in ([0, 1, 2, 3, 4], order)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_instances_of_every_shape_have_no_pull_and_positive_thresholds(shape):
    # The check's own instances; others can have a threshold below the bisection's grid.
    problem, truncation = random_instance(SHAPES.index(shape), shape)
    assert (problem.d, problem.K, problem.m) == shape
    assert coactive_orthogonal(problem)
    assert uncorrelated(problem)
    assert local_threshold(problem, truncation) > 0
    assert code_threshold(problem, truncation) > 0


def test_a_pull_or_too_few_samples_are_refused():
    problem, truncation = random_instance(3)
    with pytest.raises(InputError, match="gradient of L_q"):
        local_threshold(with_codes(problem, np.abs(problem.codes)), truncation)
    few = with_codes(problem, problem.codes[:, [0, 6]])
    with pytest.raises(InputError, match="not injective"):
        local_threshold(few, truncation)
