from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import exact_penalty_needs
from osae_theory.claims.exact import prefix_losses
from osae_theory.claims.exact_penalty_needs import (
    EXACT_PENALTY_NEEDS,
    few_samples,
    truncated_losses,
    turned_contributions,
    two_sparse,
)
from osae_theory.minimisers import penalty_loss

pytestmark = pytest.mark.theory


def test_the_check_is_exact():
    found = EXACT_PENALTY_NEEDS.check(1)
    assert found.confirmed
    assert found.error == 0


def test_unturned_contributions_are_those_of_the_truth_and_turned_ones_give_the_same_data():
    instance = few_samples(1)
    for j, part in enumerate(turned_contributions(instance, Fraction(0))):
        assert (part == np.multiply.outer(instance.D[:, j], instance.Y[j])).all()
    turned = turned_contributions(instance, Fraction(1, 5))
    assert (sum(turned) == instance.X).all()
    assert two_sparse(turned)
    assert any(
        (t != h).any()
        for t, h in zip(turned, turned_contributions(instance, Fraction(0)), strict=True)
    )
    # With two samples on the pair the turned plane holds one of them only.
    assert not two_sparse(turned_contributions(few_samples(2), Fraction(1, 5)))


def test_losses_of_contributions_are_those_of_their_factorisation():
    instance = few_samples(1)
    losses = truncated_losses(turned_contributions(instance, Fraction(0)), instance.law)
    for order, loss in losses.items():
        D, Y = instance.D[:, list(order)], instance.Y[list(order)]
        by_prefix = prefix_losses(instance.X, Y, D)
        assert loss == sum(q * x for q, x in zip(instance.law, by_prefix, strict=True))


def test_a_turn_the_other_way_is_no_counterexample(monkeypatch):
    monkeypatch.setattr(exact_penalty_needs, "TURN", Fraction(-1, 5))
    assert not EXACT_PENALTY_NEEDS.check(1).confirmed


def test_enough_samples_are_no_counterexample(monkeypatch):
    monkeypatch.setattr(exact_penalty_needs, "few_samples", lambda n: few_samples(2))
    assert not EXACT_PENALTY_NEEDS.check(1).confirmed


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_without_a_prefix_its_two_slots_can_be_exchanged_at_any_point(form):
    rng = np.random.default_rng(0)
    D, Y = rng.standard_normal((3, 4)), rng.standard_normal((4, 6))
    D /= np.linalg.norm(D, axis=0)
    X = rng.standard_normal((3, 6))
    q, order = [0.5, 0.0, 0.5, 0.0], [0, 2, 1, 3]
    here = penalty_loss(X, Y, D, q, 0.3, form)
    assert penalty_loss(X, Y[order], D[:, order], q, 0.3, form) == pytest.approx(here)
    q = [0.4, 0.2, 0.4, 0.0]
    here = penalty_loss(X, Y, D, q, 0.3, form)
    assert penalty_loss(X, Y[order], D[:, order], q, 0.3, form) != pytest.approx(here)
