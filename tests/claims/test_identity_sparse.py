"""I2: L_ND of a sample from its active atoms."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from osae_theory.claims import identity_sparse
from osae_theory.claims.identity_gram import integer_instance, loss_by_prefixes, survival_weights
from osae_theory.claims.identity_sparse import IDENTITY_SPARSE, loss_by_active_atoms
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory


def test_the_check_confirms_it_exactly():
    finding = IDENTITY_SPARSE.check(30)
    assert finding.confirmed
    assert finding.certificate["largest |loop over prefixes - sparse form|"] == Fraction(0)
    assert finding.certificate["most residuals beyond s + 1"] == 0
    assert finding.certificate["examples where all s + 1 residuals differ"] > 0


def test_the_docstring_example_runs():
    assert doctest.testmod(identity_sparse).failed == 0


@given(seeds())
def test_both_forms_agree_exactly_and_need_s_plus_1_residuals(seed):
    X, Y, D, p = integer_instance(np.random.default_rng(seed))
    loss, n_residuals = loss_by_active_atoms(X[:, 0], Y[:, 0], D, survival_weights(p))
    assert loss == loss_by_prefixes(X[:, :1], Y[:, :1], D, p)
    assert n_residuals == np.count_nonzero(Y[:, 0]) + 1


def test_a_sample_without_active_atoms_costs_its_energy():
    x, D = np.array([3, 4], dtype=object), np.eye(2, dtype=int).astype(object)
    w = np.array([Fraction(1), Fraction(1, 2)])
    assert loss_by_active_atoms(x, x * 0, D, w) == (25, 1)


def test_a_dropped_last_residual_would_not_be_confirmed(monkeypatch):
    def shortened(x, z, D, w):
        loss, n = loss_by_active_atoms(x, z, D, w)
        return loss - (z[-1] != 0) * w[-1], n

    monkeypatch.setattr(identity_sparse, "loss_by_active_atoms", shortened)
    assert not IDENTITY_SPARSE.check(10).confirmed
