from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from osae_theory.claims.exact_penalty_instances import three_planes
from osae_theory.claims.vanishing_truncation import random_instance
from osae_theory.errors import InputError
from osae_theory.minimisers import (
    local_threshold,
    nested_loss,
    penalty_descent,
    penalty_loss,
    prefix_losses,
)
from osae_theory.objectives import exact_penalty_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns

pytestmark = pytest.mark.theory
HALVES = PrefixLaw([0.5, 0.5, 0.0])


def planes():
    instance = three_planes()
    return instance.D.astype(float), instance.Y.astype(float)


def drawn(seed, d=3, K=4, m=2, n=9, nonnegative=False):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((K, n))
    Y[rng.random((K, n)).argsort(axis=0) >= m] = 0
    q = np.append(rng.dirichlet(np.ones(K - 1)), 0)
    D = gaussian_columns(d, K, rng)
    return D @ (abs(Y) if nonnegative else Y) + 0.1 * rng.standard_normal((d, n)), Y, D, q


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_the_penalty_is_that_of_the_training_side_on_rows(form):
    X, Y, D, q = drawn(0)
    law = PrefixLaw(q)
    rows = [torch.from_numpy(A.T.copy()) for A in (X, Y, D)]
    oracle = exact_penalty_loss(*rows, torch.tensor(law.survival), 0.3, form)
    assert penalty_loss(X, Y, D, law, 0.3, form) == pytest.approx(oracle.item(), rel=1e-12)


@pytest.mark.parametrize("form", ["total", "per sample"])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_descent_falls_and_keeps_to_the_constraints(form, nonnegative):
    X, _, _, q = drawn(1, nonnegative=nonnegative)
    values = [
        penalty_descent(
            X, 4, 2, q, 0.2, 1, form=form, nonnegative=nonnegative, max_steps=steps, tolerance=0
        )
        for steps in (1, 2, 3, 5, 9, 30)
    ]
    losses = [found.loss for found in values]
    # Of one norm a sample it is the rounded form that never rises.
    assert form == "per sample" or all(
        later <= before + 1e-12 for before, later in pairwise(losses)
    )
    assert losses[-1] < 0.99 * losses[0]
    last = values[-1]
    assert np.count_nonzero(last.codes, axis=0).max() <= 2
    assert (last.codes >= 0).all() or not nonnegative
    np.testing.assert_allclose(np.linalg.norm(last.dictionary, axis=0), 1)
    again = penalty_loss(X, last.codes, last.dictionary, q, 0.2, form)
    assert last.loss == pytest.approx(again, rel=1e-12)
    assert last.residual == pytest.approx(np.linalg.norm(X - last.dictionary @ last.codes))


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_a_step_is_nested_dropout_under_the_law_of_its_residual(form):
    """The quadratic touches F from above, so its best codes are no worse than any others."""
    X, Y, D, q = drawn(2)
    found = penalty_descent(X, 4, 2, q, 0.2, initial=[D], n_starts=0, form=form, max_steps=400)
    D, Y = found.dictionary, found.codes
    norms = np.linalg.norm(X - D @ Y, axis=0)
    r = np.full(9, np.linalg.norm(norms)) if form == "total" else norms
    for n in range(9):
        weights = 0.2 * np.array(q)
        weights[-1] += 1 / (2 * r[n])
        law, x = PrefixLaw(weights / weights.sum()), X[:, [n]]
        own = nested_loss(x, Y[:, [n]], D, law)
        for S in map(list, combinations(range(4), 2)):
            for z in np.random.default_rng(n).standard_normal((3, 2)):
                other = np.zeros((4, 1))
                other[S, 0] = z
                assert own <= nested_loss(x, other, D, law) + 1e-9


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_descent_from_close_by_ends_at_the_truth_at_the_certified_weight(form):
    D, Y = planes()
    rng = np.random.default_rng(3)
    start = D + 0.02 * rng.standard_normal(D.shape)
    start /= np.linalg.norm(start, axis=0)
    found = penalty_descent(
        D @ Y, 3, 2, HALVES, 0.006, initial=[start], n_starts=0, form=form, max_steps=1000
    )
    value = 0.006 * float(HALVES.probabilities @ prefix_losses(D @ Y, Y, D))
    assert found.loss == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(found.dictionary, D, atol=1e-8)


def test_bad_input_is_named():
    X, Y, D, q = drawn(4)
    with pytest.raises(InputError, match="weight = 0"):
        penalty_loss(X, Y, D, q, 0.0)
    with pytest.raises(InputError, match="form 'totl' is unknown"):
        penalty_loss(X, Y, D, q, 1.0, "totl")
    with pytest.raises(InputError, match="K = 3"):
        penalty_descent(X, 3, 2, q, 1.0)
    with pytest.raises(InputError, match=r"start of shape \(3, 3\)"):
        penalty_descent(X, 4, 2, q, 1.0, initial=[D[:, :3]])
    with pytest.raises(InputError, match="too many"):
        penalty_descent(np.ones((2, 400)), 40, 3, PrefixLaw.uniform(40), 1.0)


def test_one_norm_a_sample_does_not_stop_at_a_corner():
    """Samples that are fitted exactly too early would hold the atoms 1e-3 away from D*."""
    problem, q = random_instance(8, (3, 3, 2))
    D, Y = problem.dictionary, problem.codes
    start = D + 0.01 * np.random.default_rng(0).standard_normal(D.shape)
    start /= np.linalg.norm(start, axis=0)
    weight = 0.1 * local_threshold(D, Y, q, "per sample", tolerance=1e-2).value
    found = penalty_descent(
        problem.data, 3, 2, q, weight, 0, form="per sample", initial=[start], max_steps=3000
    )
    np.testing.assert_allclose(found.dictionary, D, atol=1e-6)
