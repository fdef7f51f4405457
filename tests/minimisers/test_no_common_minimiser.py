"""N1 in exact arithmetic: for m = 2 no minimiser of L_K minimises L_ND."""

from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest
import sympy

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError
from osae_theory.metrics import order_by_energy, order_by_frequency
from osae_theory.minimisers import (
    alternating,
    as_fractions,
    convex_lower_bound,
    cyclic_pair_codes,
    eckart_young_bound,
    exact_codes,
    exact_nested_loss,
    no_common_minimiser,
    order_loss,
)
from osae_theory.prefixes import PrefixLaw

FLAT = as_fractions([[1], [1], [1], [1]]) / Fraction(2)
AXES = as_fractions(np.eye(4, dtype=int))
N1 = np.concatenate([AXES, FLAT], axis=1)
SQUARE = np.concatenate([AXES[:, :3], FLAT], axis=1)
HEXAGON = np.concatenate([N1, as_fractions([[2], [4], [5], [6]]) / Fraction(9)], axis=1)

LARGE = cyclic_pair_codes((20, 14, 16, 11, 15), (100, 8, 4, 2, Fraction(1, 16)))
SMALL = cyclic_pair_codes((11,) * 5, (1,) * 5)


def counted(D, repeats):
    """The counting argument of `cyclic_pair_codes`, its two hypotheses checked."""
    K = D.shape[1]
    assert all(sympy.Matrix(D[:, list(S)].tolist()).rank() == 4 for S in combinations(range(K), 4))
    assert min(repeats) > K * (K - 1) // 2
    return Certificate("unique 2-sparse factorisation", 1, "exact", "counting pair-planes")


def uniform(K):
    return [Fraction(1, K)] * K


def supports(Y):
    return np.array([np.flatnonzero(column) for column in Y.T])


def turned(D, atom, other, cosine, sine):
    D = D.copy()
    D[:, atom] = Fraction(0)
    D[atom, atom], D[other, atom] = cosine, sine
    return D


@pytest.mark.theory
def test_n1_has_the_frequencies_energies_and_best_order_of_the_page():
    Y = LARGE.astype(float)
    assert (LARGE != 0).sum(axis=1).tolist() == [35, 34, 30, 27, 26]
    assert (LARGE * LARGE).sum(axis=1).tolist() == [350000, 184576, 16496, 6028, Fraction(873, 128)]
    found = no_common_minimiser(
        N1, LARGE, 2, uniform(5), counted(N1, (20, 14, 16, 11, 15)), point=(N1, LARGE)
    )
    assert found.among_minimisers.loss == Fraction(7542529, 160)
    assert found.among_minimisers.n_optimal == 1
    for order in (found.among_minimisers.order, order_by_frequency(Y), order_by_energy(Y)):
        assert order.tolist() == [0, 1, 2, 3, 4]
    # In its best order the true pair is one of the minimisers of L_K: no gap, and no proof.
    assert found.gap == 0
    assert not found.refutes_the_lemma


@pytest.mark.theory
def test_n1s_codes_and_decoder_each_move_below_every_order():
    X = N1 @ LARGE
    refitted = exact_codes(X, N1, supports(LARGE), uniform(5))
    assert exact_nested_loss(X, refitted, N1, uniform(5)) == Fraction(4012551181, 85120)
    tilted = turned(N1, 0, 1, Fraction(399, 401), Fraction(40, 401))
    assert exact_nested_loss(X, LARGE, tilted, uniform(5)) == Fraction(2814826129, 64160)
    for point in ((N1, refitted), (tilted, LARGE)):
        found = no_common_minimiser(
            N1, LARGE, 2, uniform(5), counted(N1, (20, 14, 16, 11, 15)), point=point
        )
        assert found.refutes_the_lemma


@pytest.mark.theory
def test_the_smaller_instance_of_n1_has_six_best_orders_and_points_below():
    A = (N1.T @ N1) * (SMALL @ SMALL.T)
    losses = [order_loss(A, uniform(5), p) for p in permutations(range(5))]
    assert (min(losses), losses.count(min(losses))) == (638, 6)
    X, order = N1 @ SMALL, [4, 1, 2, 3, 0]
    assert order_loss(A, uniform(5), order) == 638
    D, Y = N1[:, order], SMALL[order]
    refitted = exact_codes(X, D, supports(Y), uniform(5))
    assert exact_nested_loss(X, refitted, D, uniform(5)) == Fraction(120659, 190)
    tilted = turned(N1, 1, 0, Fraction(399, 401), Fraction(40, 401))[:, order]
    assert exact_nested_loss(X, Y, tilted, uniform(5)) == Fraction(1271622, 2005)


@pytest.mark.theory
@pytest.mark.parametrize(
    ("D", "repeats", "best"),
    [
        pytest.param(N1, (11,) * 5, Fraction(638), id="N1, smaller"),
        pytest.param(SQUARE, (7,) * 4, Fraction(483, 4), id="four atoms in R^4, 28 samples"),
        pytest.param(HEXAGON, (16,) * 6, Fraction(7708, 3), id="six atoms in R^4, 96 samples"),
    ],
)
def test_descent_finds_a_rational_point_far_below_every_minimiser_of_the_plain_loss(
    D, repeats, best
):
    K = D.shape[1]
    Y = cyclic_pair_codes(repeats, (1,) * K)
    found = no_common_minimiser(D, Y, 2, uniform(K), counted(D, repeats))
    assert found.among_minimisers.loss == best
    assert (found.certificate.kind, found.certificate.error) == ("lower bound", 0.0)
    assert isinstance(found.certificate.value, Fraction)
    assert found.gap > best / 5
    assert found.refutes_the_lemma
    # What the certificate says, once more by the definition of the loss.
    assert ((found.codes != 0).sum(axis=0) <= 2).all()
    assert ((found.dictionary**2).sum(axis=0) == 1).all()
    assert exact_nested_loss(D @ Y, found.codes, found.dictionary, uniform(K)) == best - found.gap
    X, law = (D @ Y).astype(float), PrefixLaw.uniform(K)
    assert float(found.upper_bound) >= eckart_young_bound(X, law).value


@pytest.mark.theory
def test_the_rational_point_loses_little_of_what_descent_found():
    Y = cyclic_pair_codes((7,) * 4, (1,) * 4)
    X, law = (SQUARE @ Y).astype(float), PrefixLaw.uniform(4)
    descent = alternating(X, 4, 2, law, n_starts=4)
    found = no_common_minimiser(
        SQUARE, Y, 2, uniform(4), counted(SQUARE, (7,) * 4), denominator=10**5
    )
    assert float(found.upper_bound) <= descent.loss * (1 + 1e-6)
    floor = convex_lower_bound(X, 4, 2, law)
    assert eckart_young_bound(X, law).value < floor.value <= float(found.upper_bound)


@pytest.mark.theory
def test_a_random_dictionarys_certificate_passes_its_reservation_on():
    uniqueness = Certificate("unique", 1, "with probability one", "general position")
    found = no_common_minimiser(N1, SMALL, 2, uniform(5), uniqueness)
    assert found.certificate.kind == "with probability one"
    assert "general position" in found.certificate.details["uniqueness"]


def changed(**changes):
    arguments = {
        "D_star": N1,
        "Y_star": SMALL,
        "m": 2,
        "probabilities": uniform(5),
        "uniqueness": Certificate("unique", 1, "exact", "given"),
    }
    return no_common_minimiser(**(arguments | changes))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: changed(m=1), "sample 0 uses 2 atoms: expected at most m = 1"),
        (lambda: changed(D_star=2 * N1), "squared norm 4"),
        (lambda: changed(probabilities=[*uniform(4), Fraction(0)]), r"P\(l = K\) = 0"),
        (lambda: changed(point=(N1, 1 + SMALL)), "uses 5 atoms"),
        (
            lambda: changed(uniqueness=Certificate("unique", 1, "value", "by hand", 1e-9)),
            "certificate of kind 'value'",
        ),
        (
            lambda: changed(
                D_star=as_fractions(np.eye(17, dtype=int)),
                Y_star=as_fractions(np.eye(17, dtype=int)),
                probabilities=uniform(17),
            ),
            "exact up to 16 only",
        ),
        (lambda: cyclic_pair_codes((1, 1), (1, 1)), "number of scales = 2"),
        (lambda: cyclic_pair_codes((1, 1), (1, 1, 1)), "2 repeats for 3 scales"),
        (lambda: cyclic_pair_codes((0, 1, 1), (1, 1, 1)), "repeats = 0"),
    ],
)
def test_inputs_that_prove_nothing_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
