import numpy as np
import pytest

from osae_theory.claims import ray_recovery
from osae_theory.claims.ray_instances import LOW_COHERENCE, draw_instance
from osae_theory.claims.ray_recovery import ASSUMPTIONS, RAY_RECOVERY, bound_failures
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_every_instance_of_the_hypotheses_is_recovered():
    found = RAY_RECOVERY.check(300)
    assert found.confirmed
    assert found.n_examples == 300
    assert found.certificate["instances that meet the hypotheses"] == 300
    assert found.certificate["of which recovered in energy order"] == 300
    assert found.certificate["of which K > d"] > 0
    assert 0 < found.error < 1e-12


def test_without_low_coherence_the_check_does_not_confirm(monkeypatch):
    others = tuple(a for a in ASSUMPTIONS if a is not LOW_COHERENCE)
    monkeypatch.setattr(ray_recovery, "ASSUMPTIONS", others)
    found = RAY_RECOVERY.check(200)
    assert not found.confirmed
    assert found.certificate["of which recovered in energy order"] < 200


def test_the_proofs_bound_is_attained_by_equal_energies_and_fails_for_a_smaller_mu(monkeypatch):
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    instance = (problem_from_arrays(D, np.eye(2)), PrefixLaw.uniform(2))
    assert bound_failures(instance) == 0
    monkeypatch.setattr(ray_recovery, "coherence", lambda dictionary: 0.59)
    assert bound_failures(instance) == 1


def test_the_bound_of_the_proof_needs_no_hypothesis():
    rng = np.random.default_rng(0)
    assert sum(bound_failures(draw_instance(rng)) for _ in range(100)) == 0


def test_the_claim_says_which_hypothesis_an_instance_breaks():
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    problem = problem_from_arrays(D, np.diag([2.0, 1.0]))
    assert RAY_RECOVERY.unmet((problem, PrefixLaw.from_survival([1.0, 0.7]))) == []
    with pytest.raises(InputError, match=r"claim T3 does not apply: .*mu\(D\*\) < p_K"):
        RAY_RECOVERY.require((problem, PrefixLaw.uniform(2)))


def test_no_examples_are_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        RAY_RECOVERY.check(0)
