import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims.ray_instances import (
    ALL_USED,
    DISTINCT_ENERGIES,
    FULL_SUPPORT,
    LOW_COHERENCE,
    NO_NOISE,
    ONE_SPARSE,
    draw_instance,
    energies_of,
    instances,
    recovery_error,
    used_in_order,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def instance(D=None, Y=None, law=None, noise=None):
    D = np.eye(3) if D is None else D
    Y = np.diag([3.0, 2.0, 1.0]) if Y is None else Y
    law = PrefixLaw.uniform(3) if law is None else law
    return problem_from_arrays(D, Y, noise), law


def test_orthonormal_atoms_of_falling_energy_meet_every_hypothesis():
    met = (NO_NOISE, ONE_SPARSE, ALL_USED, FULL_SUPPORT, DISTINCT_ENERGIES, LOW_COHERENCE)
    assert all(assumption.test(instance()) for assumption in met)


CLOSE = np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("assumption", "unmet"),
    [
        (NO_NOISE, instance(noise=np.full((3, 3), 0.1))),
        (ONE_SPARSE, instance(Y=np.triu(np.ones((3, 3))))),
        (ONE_SPARSE, instance(Y=np.diag([3.0, 2.0, 0.0]))),
        (ALL_USED, instance(Y=np.diag([3.0, 2.0, 0.0]))),
        (FULL_SUPPORT, instance(law=PrefixLaw.full(3))),
        (FULL_SUPPORT, instance(law=PrefixLaw.uniform(2))),
        (DISTINCT_ENERGIES, instance(Y=np.diag([3.0, 2.0, 2.0]))),
        (LOW_COHERENCE, instance(D=CLOSE)),
    ],
)
def test_an_instance_that_breaks_a_hypothesis_does_not_meet_it(assumption, unmet):
    assert assumption.test(unmet) is False


def test_unused_atoms_do_not_spoil_distinct_energies():
    assert DISTINCT_ENERGIES.test(instance(Y=np.diag([3.0, 0.0, 0.0])))
    assert used_in_order(instance(Y=np.diag([1.0, 0.0, 5.0]))[0]) == [2, 0]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_a_drawn_instance_has_one_sparse_codes_and_as_many_unused_atoms_as_asked(seed, n_unused):
    problem, law = draw_instance(np.random.default_rng(seed), n_unused)
    assert NO_NOISE.test((problem, law))
    assert ONE_SPARSE.test((problem, law))
    assert FULL_SUPPORT.test((problem, law))
    assert (energies_of(problem) == 0).sum() == n_unused


def test_the_stream_gives_exactly_n_instances_that_meet_the_hypotheses_and_the_same_again():
    drawn, again = (list(instances(40, (LOW_COHERENCE,), seed=1)) for _ in range(2))
    assert len(drawn) == 40
    assert all(LOW_COHERENCE.test(i) for i in drawn)
    assert all((a[0].data == b[0].data).all() for a, b in zip(drawn, again, strict=True))
    assert any(p.K > p.d for p, _ in instances(200, (), seed=1))


def test_recovery_is_up_to_signs_and_by_energy():
    signed = instance(D=np.diag([1.0, -1.0, 1.0]), Y=np.diag([1.0, -5.0, 3.0]))
    assert recovery_error(signed) < 1e-12


def test_equal_energies_or_merged_atoms_are_not_recovery():
    assert recovery_error(instance(Y=np.eye(3))) == np.inf
    merged = instance(D=CLOSE, Y=np.eye(3) + 0.01 * np.diag([2.0, 1.0, 0.0]))
    assert recovery_error(merged) == np.inf
