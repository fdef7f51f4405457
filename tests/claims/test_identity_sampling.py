"""I3: what sampled prefixes estimate, by enumeration of all draws."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import identity_sampling
from osae_theory.claims.identity_gram import integer_instance, loss_by_prefixes
from osae_theory.claims.identity_sampling import (
    IDENTITY_SAMPLING,
    biased_steps,
    drawn_gradient,
    drawn_loss,
    independent_prefixes,
    prefix_per_sample,
    random_matryoshka,
)
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import RandomPrefixes
from osae_theory.sae.selection import select_top_m
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_it_exactly():
    finding = IDENTITY_SAMPLING.check(30)
    assert finding.confirmed
    assert finding.certificate["largest |mean drawn loss - L_ND|"] == Fraction(0)
    assert finding.certificate["largest |mean drawn gradient - gradient|"] == Fraction(0)
    assert finding.certificate["mean sign of drawn gradients"] == 0
    assert finding.certificate["sign of their mean"] == 1
    assert finding.certificate["jump of L_ND at a tie of Top_m"] == Fraction(3, 2)
    assert finding.certificate["examples where drawing adds variance"] > 0


def test_the_docstring_example_runs():
    assert doctest.testmod(identity_sampling).failed == 0


@pytest.mark.parametrize("include_full", [True, False])
@pytest.mark.parametrize(("K", "n"), [(4, 1), (4, 3), (5, 2)])
def test_the_enumerated_draws_are_those_of_the_random_prefixes(K, n, include_full):
    sampler, rng = RandomPrefixes(K, n, include_full), np.random.default_rng(0)
    draws = random_matryoshka(K, n, include_full, 1)
    enumerated = {tuple(s[0][::-1].cumsum()[::-1].astype(float).round(12)) for _, s in draws}
    drawn = {tuple(sampler.survival_at(0, 1, rng).round(12)) for _ in range(400)}
    assert drawn == enumerated
    mean = sum(q * shares[0] for q, shares in draws)
    np.testing.assert_allclose(
        mean.astype(float), sampler.mean_law().probabilities, rtol=0, atol=1e-15
    )


def test_a_prefix_that_is_always_included_counts():
    draws = random_matryoshka(3, 1, include_full=True, N=1)
    mean = sum(q * shares[0] for q, shares in draws)
    assert list(mean) == [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]


@given(seeds(), st.integers(1, 3))
def test_probabilities_of_all_draws_sum_to_1(seed, n):
    p = integer_instance(np.random.default_rng(seed))[3]
    for draws in (independent_prefixes(p, n, 2), prefix_per_sample(p, 3)):
        assert sum(q for q, _ in draws) == 1
        assert all((shares.sum(axis=1) == 1).all() for _, shares in draws)


@given(seeds())
def test_the_gradient_is_the_derivative_of_the_loss(seed):
    X, Y, D, p = integer_instance(np.random.default_rng(seed))
    shares = np.tile(p, (X.shape[1], 1))
    gradient, zero = drawn_gradient(X, Y, D, shares), Fraction(0)
    # L_ND is quadratic in each single entry: the central difference is exact.
    for place in range(D.size + Y.size):
        step = np.zeros(D.size + Y.size, dtype=object) + zero
        step[place] = Fraction(1)
        in_D, in_Y = step[: D.size].reshape(D.shape), step[D.size :].reshape(Y.shape)
        up, down = (drawn_loss(X, Y + s * in_Y, D + s * in_D, shares) for s in (1, -1))
        assert gradient[place] == (up - down) / 2


@given(seeds())
def test_the_drawn_loss_with_the_same_law_for_all_samples_is_l_nd(seed):
    X, Y, D, p = integer_instance(np.random.default_rng(seed))
    assert drawn_loss(X, Y, D, np.tile(p, (X.shape[1], 1))) == loss_by_prefixes(X, Y, D, p)


def test_draws_without_the_full_prefix_would_not_be_confirmed(monkeypatch):
    honest = identity_sampling.random_matryoshka
    monkeypatch.setattr(
        identity_sampling,
        "random_matryoshka",
        lambda K, n, include_full, N: honest(K, max(n, 1), False, N),
    )
    assert not IDENTITY_SAMPLING.check(30).confirmed


def test_a_linear_step_has_no_bias():
    mean, of_mean = biased_steps(lambda g: 3 * g)
    assert mean == of_mean == 6


def test_ties_are_what_the_assumption_is_about():
    latents = np.array([[1.0, 2.0], [1.0, 1.0]])
    assert IDENTITY_SAMPLING.unmet((latents, 1)) == [IDENTITY_SAMPLING.assumptions[0].text]
    assert IDENTITY_SAMPLING.unmet((latents, 2)) == []
    assert IDENTITY_SAMPLING.unmet((np.array([[1.0], [-1.5]]), 1)) == []


def test_the_loss_jumps_where_two_latents_tie():
    x, atoms, w = torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([1.0, 0.5])
    losses = [
        float(nested_dropout_loss_loop(x, select_top_m(torch.tensor([[t, 1.0]]), 1), atoms, w))
        for t in (1 - 1e-6, 1 + 1e-6)
    ]
    assert losses[0] - losses[1] == pytest.approx(1.5, abs=1e-4)
