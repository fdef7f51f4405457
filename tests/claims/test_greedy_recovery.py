"""U3: OMP and basis pursuit below coherence 1/(2m-1)."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from osae_theory.claims import greedy_recovery
from osae_theory.claims.greedy_recovery import (
    GREEDY_RECOVERY,
    basis_pursuit,
    exact_recovery_coefficient,
    incoherent_dictionary,
    pursuit,
    simplex_defect,
)
from osae_theory.problems import EquiangularFrame, coherence
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_recovery_and_sharpness():
    finding = GREEDY_RECOVERY.check(40)
    assert finding.confirmed
    for m in (1, 2, 3, 4):
        assert finding.certificate[f"m = {m}: ||D 1||^2 at mu = 1/(2m-1)"] == Fraction(0)
    assert finding.certificate["largest ||D_S^+ d_j||_1 / (m mu / (1 - (m-1) mu))"] <= 1 + 1e-6
    assert finding.error < 1e-6


def test_the_docstring_example_runs():
    assert doctest.testmod(greedy_recovery).failed == 0


@given(seeds())
def test_drawn_dictionaries_meet_the_assumption(seed):
    D, m = incoherent_dictionary(np.random.default_rng(seed))
    assert GREEDY_RECOVERY.unmet((D, m)) == []
    np.testing.assert_allclose(np.linalg.norm(D, axis=0), 1, rtol=1e-12)


def test_at_equality_a_sample_has_two_codes_and_the_assumption_fails():
    D = EquiangularFrame(3, 4).draw(np.random.default_rng(0))
    assert coherence(D) == pytest.approx(1 / 3)
    np.testing.assert_allclose(D @ [1, 1, 0, 0], D @ [0, 0, -1, -1], atol=1e-15)
    assert len(GREEDY_RECOVERY.unmet((np.sign(D) * np.abs(D), 3))) == 1
    defect, mu = simplex_defect(2)
    assert (defect, mu) == (0, Fraction(1, 3))


def test_a_coherent_dictionary_defeats_both_methods():
    # Two atoms on either side of a third that is nearly their sum.
    D = np.array([[0.8, 0.8, 1.0], [0.6, -0.6, 0.0], [0.0, 0.0, 0.0]])
    z = np.array([1.0, 1.0, 0.0])
    assert GREEDY_RECOVERY.unmet((D, 2)) != []
    assert exact_recovery_coefficient(D, np.array([[0, 1]])) == pytest.approx(1.25)
    assert np.abs(pursuit(D, D @ z, 1) - z).max() > 0.5
    coherent = np.array([[0.8, 0.8, 1.0], [0.6, -0.6, 0.0]])
    assert (
        np.abs(coherent @ basis_pursuit(coherent, coherent @ (2 * z)) - coherent @ (2 * z)).max()
        < 1e-9
    )
    assert np.abs(basis_pursuit(coherent, coherent @ [1.0, 1.0, 0.0])).sum() == pytest.approx(1.6)


def test_a_coherent_dictionary_would_not_be_confirmed(monkeypatch):
    def coherent(rng):
        return np.array([[0.8, 0.8, 1.0], [0.6, -0.6, 0.0]]), 2

    monkeypatch.setattr(greedy_recovery, "incoherent_dictionary", coherent)
    assert not GREEDY_RECOVERY.check(10).confirmed


def test_a_weaker_coherence_than_the_simplex_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(greedy_recovery, "simplex_defect", lambda m: (Fraction(m, 7), Fraction(1)))
    assert not GREEDY_RECOVERY.check(1).confirmed


def test_the_coefficient_over_many_supports_is_the_worst_of_each_alone():
    D, _ = incoherent_dictionary(np.random.default_rng(3))
    supports = np.array([[0, 1], [1, 3], [2, 0]])
    alone = [exact_recovery_coefficient(D, supports[[i]]) for i in range(3)]
    by_hand = max(
        np.abs(np.linalg.lstsq(D[:, [0, 1]], D[:, [j]], rcond=None)[0]).sum()
        for j in range(2, D.shape[1])
    )
    assert alone[0] == pytest.approx(by_hand)
    assert exact_recovery_coefficient(D, supports) == pytest.approx(max(alone))


def test_the_coefficient_of_all_atoms_is_zero():
    assert exact_recovery_coefficient(np.eye(2), np.array([[0, 1]])) == 0
