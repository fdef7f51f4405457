import numpy as np
import pytest

from osae_theory.claims import ray_recovery_partial
from osae_theory.claims.ray_instances import recovery_error
from osae_theory.claims.ray_recovery_partial import (
    ASSUMPTIONS,
    LOW_USED_COHERENCE,
    RAY_RECOVERY_PARTIAL,
    recovery_and_rest,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory

# Atoms 0 and 1 at cosine 3/5; atom 2 close to atom 0.
ATOMS = np.array([[1.0, 0.6, 0.96], [0.0, 0.8, 0.28]])
CODES = np.diag([1.0, 2.0, 0.0])[:, :2]


def with_second_weight(w_2):
    law = PrefixLaw.from_survival([1.0, w_2, 0.1])
    return problem_from_arrays(ATOMS, CODES), law


def test_the_used_atoms_are_recovered_whatever_the_unused_ones():
    found = RAY_RECOVERY_PARTIAL.check(200)
    assert found.confirmed
    assert found.certificate["of which recovered in slots 1..K'"] == 200
    assert found.certificate["of which mu(D*) >= p_K"] > 20
    assert found.error < 1e-12


def test_only_the_coherence_of_the_used_atoms_counts():
    instance = with_second_weight(0.61)
    assert RAY_RECOVERY_PARTIAL.unmet(instance) == []
    error, moved = recovery_and_rest(instance, np.random.default_rng(0))
    assert error < 1e-12
    assert moved < 1e-12


def test_too_little_weight_on_the_last_used_slot_loses_the_atoms():
    # Energies 4 and 1 at cosine 3/5: lost from P1's threshold, which is above 0.4, on.
    instance = with_second_weight(0.4)
    assert RAY_RECOVERY_PARTIAL.unmet(instance) == [LOW_USED_COHERENCE.text]
    assert recovery_error(instance) == np.inf


def test_without_low_coherence_the_check_does_not_confirm(monkeypatch):
    monkeypatch.setattr(ray_recovery_partial, "ASSUMPTIONS", ASSUMPTIONS[:-1])
    assert not RAY_RECOVERY_PARTIAL.check(200).confirmed


def test_a_slot_for_a_used_atom_is_not_free(monkeypatch):
    monkeypatch.setattr(ray_recovery_partial, "used_in_order", lambda problem: [1])
    assert recovery_and_rest(with_second_weight(0.61), np.random.default_rng(0))[1] > 1e-3
