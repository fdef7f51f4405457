from itertools import permutations

import numpy as np
import pytest

from osae_theory.claims.exact_penalty_instances import three_planes
from osae_theory.claims.exact_penalty_needs import few_samples
from osae_theory.claims.vanishing_truncation import expansion, random_instance
from osae_theory.errors import InputError
from osae_theory.minimisers import (
    hyperplane_bound,
    local_threshold,
    penalty_descent,
    penalty_loss,
    prefix_losses,
    ray_maps,
    ray_minimiser,
)
from osae_theory.minimisers.linearised import linearised, tangents
from osae_theory.minimisers.losses import gradients
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns
from osae_theory.uniqueness.solvers import load_cvxpy, solve

pytestmark = pytest.mark.theory
HALVES = PrefixLaw([0.5, 0.5, 0.0])


def floats(instance):
    return instance.D.astype(float), instance.Y.astype(float)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_local_threshold_is_the_limit_of_the_loss_in_t4(seed):
    problem, truncation = random_instance(seed)
    local = local_threshold(problem.dictionary, problem.codes, truncation)
    assert local.value == pytest.approx(0.5 / np.sqrt(expansion(problem, truncation).loss))
    assert np.linalg.norm(local.atoms) ** 2 + np.linalg.norm(local.codes) ** 2 == pytest.approx(1)
    np.testing.assert_allclose((local.atoms * problem.dictionary).sum(axis=0), 0, atol=1e-12)


def test_one_norm_a_sample_has_the_threshold_of_the_conic_program():
    problem, truncation = random_instance(0)
    D, Y = problem.dictionary, problem.codes
    bases = tangents(D)
    J = linearised(D, Y, bases)
    grad_D, grad_Y = gradients(problem.data, Y, D, truncation)
    g = np.concatenate([np.einsum("jdi,dj->ji", bases, grad_D).ravel(), grad_Y.T[Y.T != 0]])
    cp = load_cvxpy()
    u = cp.Variable(J.shape[0])
    size = cp.Variable()
    limits = [cp.norm(u[4 * n : 4 * n + 4]) <= size for n in range(Y.shape[1])]
    solve(cp.Problem(cp.Minimize(size), [J.T @ u == -g, *limits]))
    local = local_threshold(D, Y, truncation, "per sample", tolerance=1e-5)
    assert 1 / size.value == pytest.approx(local.value, rel=1e-4)
    assert local.value <= 1 / size.value * (1 + 1e-5)
    assert local.error <= 1e-5 * local.value * 1.001


def test_more_codes_that_may_move_lower_the_threshold():
    D, Y = floats(three_planes())
    # A 1-sparse sample on the last atom: a second entry on the first may come.
    Y = np.hstack([Y, [[0.0], [0.0], [1.0]]])
    active = Y != 0
    plain = local_threshold(D, Y, HALVES, active=active).value
    active[0, -1] = True
    filled = local_threshold(D, Y, HALVES, active=active).value
    assert filled < 0.999 * plain
    active[2, -1] = False
    with pytest.raises(InputError, match="every nonzero"):
        local_threshold(D, Y, HALVES, active=active)


def test_at_m_1_there_is_no_slope_and_no_local_threshold():
    D = gaussian_columns(3, 3, np.random.default_rng(0))
    local = local_threshold(D, np.diag([3.0, 2.0, 1.0]), HALVES)
    assert local.value == np.inf
    assert not local.atoms.any()
    assert not local.codes.any()


def test_too_few_samples_have_no_local_threshold_and_no_certified_one():
    D, Y = floats(few_samples(1))
    with pytest.raises(InputError, match="J injective"):
        local_threshold(D, Y, HALVES)
    assert hyperplane_bound(D, Y, HALVES).value == pytest.approx(0, abs=1e-9)
    assert hyperplane_bound(*floats(few_samples(2)), HALVES).value > 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_the_certified_bound_is_below_the_exact_threshold_of_two_rays(seed):
    rng = np.random.default_rng(seed)
    D, scale = gaussian_columns(2, 2, rng), np.sort(rng.uniform(0.5, 2, 2))[::-1]
    maps = ray_maps(D * scale, [1.0, 0.0])
    bound = hyperplane_bound(D, np.diag(scale), [1.0, 0.0]).value
    assert 0 < bound < maps.threshold
    # The merged pair: the lesser eigenvalue against the lesser energy.
    left = np.linalg.eigvalsh((D * scale**2) @ D.T)[0]
    e = scale[1] ** 2
    assert maps.threshold == pytest.approx(np.sqrt(left) / (e - left), rel=1e-9)


def test_no_descent_is_below_the_truth_at_the_certified_weight_on_random_planes():
    for seed in (3, 8):
        problem, truncation = random_instance(seed, (3, 3, 2))
        # Three samples a pair identify the planes, and have fewer splits than four.
        D, Y = problem.dictionary, problem.codes[:, np.arange(12) % 4 < 3]
        X = D @ Y
        bound = float(hyperplane_bound(D, Y, truncation).value)
        assert 0 < bound < local_threshold(D, Y, truncation).value
        orders = map(list, permutations(range(3)))
        q = truncation.probabilities
        least = min(float(q @ prefix_losses(X, Y[o], D[:, o])) for o in orders)
        # D* is the first start, in an order that need not be the best one.
        found = penalty_descent(X, 3, 2, truncation, bound, 6, initial=[D])
        assert found.loss >= bound * least * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_over_maps_is_the_least_over_the_laws_that_anneal(seed):
    """min F = min over a of 1 / (4 a) + (a + lambda) min L_ND at mass a on l = K, lambda q else."""
    rng = np.random.default_rng(seed)
    K, weight = 3, float(rng.uniform(0.05, 1))
    X = gaussian_columns(3, K, rng) * rng.uniform(0.5, 2, K)
    truncation = PrefixLaw(np.append(rng.dirichlet(np.ones(K - 1)), 0))
    maps = ray_maps(X, truncation)
    least = float((maps.residuals + weight * maps.truncated).min())

    def relaxed(a):
        p = weight * truncation.probabilities
        p[-1] += a
        found = ray_minimiser(X, PrefixLaw(p / p.sum()))
        value = 1 / (4 * a) + p.sum() * float(found.certificate.value)
        rest = np.linalg.norm(X - found.dictionary @ found.codes)
        assert penalty_loss(X, found.codes, found.dictionary, truncation, weight) >= least - 1e-9
        return value, rest

    values = [relaxed(a)[0] for a in np.geomspace(1e-2, 1e6, 60)]
    assert min(values) >= least - 1e-9
    best = maps.residuals[np.argmin(maps.residuals + weight * maps.truncated)]
    touching, rest = relaxed(1 / (2 * max(best, 1e-7)))
    assert touching == pytest.approx(least, abs=1e-6)
    assert rest == pytest.approx(best, abs=1e-6)


def test_bad_input_is_named():
    D, Y = floats(three_planes())
    with pytest.raises(InputError, match="d = K"):
        hyperplane_bound(D[:2] / np.linalg.norm(D[:2], axis=0), Y, HALVES)
    with pytest.raises(InputError, match="every prefix but l = K"):
        hyperplane_bound(D, Y, PrefixLaw.uniform(3))
    with pytest.raises(InputError, match=r"3\^17 splits"):
        hyperplane_bound(D, np.hstack([Y, Y]), HALVES)
    with pytest.raises(InputError, match="4 rays for 3 slots"):
        ray_maps(gaussian_columns(3, 4, np.random.default_rng(0)), HALVES)
