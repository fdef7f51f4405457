import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_minimum
from osae_theory.claims.ray_minimum import (
    RAY_MINIMUM,
    draw_small,
    fixed_dictionary_error,
    minimum_over_assignments,
    minimum_over_partitions,
    set_partitions,
)
from osae_theory.minimisers.losses import nested_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_the_three_ways_to_the_minimum_agree():
    found = RAY_MINIMUM.check(200)
    assert found.confirmed
    assert found.error < 1e-12
    assert found.certificate["maps of samples to slots compared"] > 200 * 2**3


def test_set_partitions_are_the_bell_numbers_many_and_cover_every_atom_once():
    for K, bell in enumerate([1, 1, 2, 5, 15, 52, 203]):
        partitions = set_partitions(K)
        assert len(partitions) == bell == len({tuple(sorted(blocks)) for blocks in partitions})
        assert all(sum(blocks) == (1 << K) - 1 and 0 not in blocks for blocks in partitions)


def test_p1s_numbers_come_out():
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    instance = (problem_from_arrays(D, np.eye(2)), PrefixLaw.uniform(2))
    assert minimum_over_partitions(instance) == pytest.approx(2 / 5)
    minimum, maps = minimum_over_assignments(D, instance[1])
    assert minimum == pytest.approx(2 / 5)
    assert maps == 4


@given(st.integers(0, 2**32 - 1))
def test_no_assignment_by_hand_has_less_loss_than_the_minimum(seed):
    rng = np.random.default_rng(seed)
    problem, law = draw_small(rng)
    X = problem.data
    minimum, _ = minimum_over_assignments(X, law)
    slots = rng.integers(law.K, size=X.shape[1])
    D = np.eye(problem.d)[:, np.zeros(law.K, dtype=int)]
    Y = np.zeros((law.K, X.shape[1]))
    for j in set(slots.tolist()):
        u, _, _ = np.linalg.svd(X[:, slots == j], full_matrices=False)
        D[:, j] = u[:, 0]
        Y[j, slots == j] = u[:, 0] @ X[:, slots == j]
    scale = float(np.vdot(X, X))
    assert nested_loss(X, Y, D, law) >= minimum - 1e-12 * scale
    assert fixed_dictionary_error((problem, law), rng, minimum)[0] <= 1e-12 * scale


def test_laws_without_full_support_are_among_the_examples():
    laws = [draw_small(np.random.default_rng(seed))[1] for seed in range(60)]
    assert any(not law.has_full_support for law in laws)
    assert any(law.has_full_support for law in laws)
    assert any(law.probabilities[-1] == 1 for law in laws)


def test_codes_with_two_atoms_or_noise_do_not_meet_the_hypotheses():
    law = PrefixLaw.uniform(2)
    two = (problem_from_arrays(np.eye(2), np.ones((2, 3))), law)
    noisy = (problem_from_arrays(np.eye(2), np.eye(2), np.ones((2, 2))), law)
    assert len(RAY_MINIMUM.unmet(two)) == len(RAY_MINIMUM.unmet(noisy)) == 1
    assert RAY_MINIMUM.unmet((problem_from_arrays(np.eye(2), np.eye(2)), law)) == []


def test_a_forgotten_partition_is_noticed(monkeypatch):
    monkeypatch.setattr(ray_minimum, "set_partitions", lambda K: [[1 << k for k in range(K)]])
    assert not RAY_MINIMUM.check(50).confirmed
