from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import obstruction
from osae_theory.claims.obstruction import (
    OBSTRUCTION,
    certificates,
    code_pull,
    decoder_pull,
    descended_loss,
    draw_point,
    few_partners,
    measured_rate,
    rate_error,
    statement_a,
    statement_b,
    turning,
)
from osae_theory.claims.theorem_3_1_sparsity import SMALL, five_cycle
from osae_theory.errors import InputError
from osae_theory.minimisers.alternating import alternating
from osae_theory.minimisers.losses import nested_loss
from osae_theory.prefixes import PrefixLaw

pytestmark = pytest.mark.theory

SEEDS = st.integers(0, 2**32 - 1)


def test_the_check_confirms_with_the_numbers_of_theory_n1():
    found = OBSTRUCTION.check(100)
    assert found.confirmed
    assert found.error < 1e-11
    assert found.n_examples == 100
    numbers = found.certificate
    least = "L_ND at D*, least over orders and encoders"
    assert numbers["L_ND at (D*, Y*), best order (N = 76)"] == Fraction(7542529, 160)
    assert numbers[f"{least} (N = 76)"] == Fraction(24135321, 512)
    assert numbers["L_ND, decoder turned (N = 76)"] == Fraction(2814826129, 64160)
    assert numbers["L_ND at (D*, Y*), best order (N = 55)"] == 638
    assert numbers[f"{least} (N = 55)"] == Fraction(876551, 1710)
    assert numbers["L_ND, decoder turned (N = 55)"] == Fraction(1271622, 2005)
    assert numbers["L_ND below D*, by descent, rounded up (N = 55)"] < Fraction(876551, 1710)


def test_descent_from_the_smaller_instance_s_best_encoder_leaves_d_star():
    instance = five_cycle(*SMALL)
    start = instance.D[:, list(instance.least_at_truth().order)].astype(float)
    X, law = instance.X.astype(float), PrefixLaw.uniform(5)
    found = alternating(X, 5, 2, law, 0, initial=[start])
    assert found.loss == pytest.approx(425.045, abs=1e-3)


def test_a_lower_point_that_is_not_below_the_best_encoder_is_no_refutation():
    exact = certificates()
    assert exact.are_refutations
    small = exact.small
    assert not replace(exact, descended=min(small.refitted, small.turned)).are_refutations


def test_descent_from_an_instance_without_a_certificate_is_refused():
    with pytest.raises(InputError, match="one dictionary with L_K = 0"):
        descended_loss(five_cycle((1,) * 5, (1,) * 5))


@given(SEEDS)
def test_the_rate_is_that_of_a_central_difference_of_the_loss(seed):
    D, Y, law = point = draw_point(np.random.default_rng(seed))
    tau = turning(point)
    j = int(np.linalg.norm(tau, axis=0).argmax())
    speed, h = np.linalg.norm(tau[:, j]), 1e-4

    def loss(step):
        moved = D.copy()
        moved[:, j] = D[:, j] * np.cos(step) + tau[:, j] / max(speed, 1e-300) * np.sin(step)
        return nested_loss(D @ Y, Y, moved, law)

    slope = (loss(h) - loss(-h)) / (2 * h)
    assert slope == pytest.approx(-2 * speed, rel=1e-5, abs=1e-5)


@given(SEEDS)
def test_the_measured_rate_is_minus_twice_the_squared_turning(seed):
    assert rate_error(draw_point(np.random.default_rng(seed))) < 1e-10


@given(SEEDS)
def test_the_pulls_are_their_sums_over_later_atoms(seed):
    D, Y, law = point = draw_point(np.random.default_rng(seed))
    w, K = law.survival, len(Y)
    v, codes = decoder_pull(point), code_pull(point)
    for j in range(K):
        later = range(j + 1, K)
        terms = [(w[j] - w[k]) * (Y[j] @ Y[k]) * D[:, k] for k in later]
        np.testing.assert_allclose(v[:, j], sum(terms, np.zeros(len(D))), atol=1e-12)
        for n in range(Y.shape[1]):
            pull = sum((w[j] - w[k]) * Y[k, n] * (D[:, j] @ D[:, k]) for k in later)
            assert codes[j, n] == pytest.approx(pull if Y[j, n] else 0.0, abs=1e-12)


def test_an_orthonormal_dictionary_with_uncorrelated_codes_is_stationary():
    D, law = np.eye(3), PrefixLaw.uniform(3)
    Y = np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])
    assert not decoder_pull((D, Y, law)).any()
    assert not code_pull((D, Y, law)).any()
    assert not statement_a((D, Y, law))


def test_orthonormal_atoms_that_co_occur_move_though_the_codes_do_not():
    point = (np.eye(3), np.array([[1.0], [1.0], [0.0]]), PrefixLaw.uniform(3))
    assert not code_pull(point).any()
    assert not statement_a(point)
    assert few_partners(point)
    assert statement_b(point)
    assert measured_rate(point, 0) == pytest.approx(-2 / 9)


def test_without_full_support_statement_a_and_b_fail():
    D, Y, _ = draw_point(np.random.default_rng(0), nonnegative=True)
    full = PrefixLaw.full(len(Y))
    assert not statement_a((D, Y, full))
    assert not statement_b((D, Y, full))


def test_with_too_many_partners_an_atom_can_stay_where_it_is():
    # In the plane, v_1 is parallel to d_1: its two partners balance.
    s = np.sqrt(0.5)
    D = np.array([[1.0, s, s], [0.0, s, -s]])
    Y = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0]])
    law = PrefixLaw.from_survival([1.0, 0.75, 0.5])
    point = (D, Y, law)
    assert not few_partners(point)
    assert np.linalg.norm(turning(point)[:, 0]) == pytest.approx(0, abs=1e-12)
    assert not statement_b(point)


def test_codes_of_both_signs_are_outside_statement_b():
    D, Y, law = draw_point(np.random.default_rng(3), nonnegative=True)
    assert not few_partners((D, -Y, law))


def test_a_wrong_pull_is_noticed(monkeypatch):
    right = obstruction.decoder_pull
    monkeypatch.setattr(obstruction, "decoder_pull", lambda point: 1.01 * right(point))
    assert not OBSTRUCTION.check(20).confirmed


def test_the_hypotheses_are_tests_of_a_point():
    D, Y, law = draw_point(np.random.default_rng(1))
    assert OBSTRUCTION.unmet((D, Y, law)) == []
    assert OBSTRUCTION.unmet((D, Y, PrefixLaw.full(len(Y)))) == [
        "the law of the prefix has full support"
    ]
    alone = np.where(np.arange(len(Y))[:, None] == 0, 1.0, 0.0 * Y)
    assert OBSTRUCTION.unmet((D, alone, law)) == ["some sample uses two or more atoms"]


def test_a_check_of_no_examples_is_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        OBSTRUCTION.check(0)
