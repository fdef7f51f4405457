from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims.exact import THEOREM_3_1, Instance, as_fractions, columns, meets
from osae_theory.claims.theorem_3_1_samples import (
    THEOREM_3_1_SAMPLES,
    all_used,
    is_refutation,
    is_signed_permutation,
    one_sample,
)

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_the_numbers_worked_by_hand():
    found = THEOREM_3_1_SAMPLES.check(1)
    assert found.confirmed
    assert found.certificate["one sample: L_ND at another dictionary"] == 0
    # Energies 16, 16, 9, 9 in slots that are dropped with probability 0, 1/4, 1/2, 3/4.
    best = 16 * Fraction(1, 4) + 9 * Fraction(1, 2) + 9 * Fraction(3, 4)
    assert found.certificate["all used: L_ND at D*, least over orders and encoders"] == best
    assert found.certificate["all used: L_ND at another dictionary"] == Fraction(25, 4)


@pytest.mark.parametrize("pair", [one_sample(), all_used()])
def test_each_instance_meets_every_hypothesis_and_refutes(pair):
    assert meets(THEOREM_3_1, pair[0])
    assert is_refutation(*pair)


def test_every_atom_of_the_second_instance_is_used():
    assert all_used()[0].frequencies == [1, 1, 1, 1]


def test_d_star_itself_with_other_signs_and_order_is_no_other_dictionary():
    instance, _ = one_sample()
    D, Y = -instance.D[:, [0, 2, 1]], -instance.Y[[0, 2, 1]]
    assert is_signed_permutation(instance.D, D)
    assert not is_refutation(instance, (D, Y))


def test_codes_that_are_not_m_sparse_refute_nothing():
    instance, (D, Y) = all_used()
    thin = Instance(instance.D, instance.Y, instance.law, 1)
    assert THEOREM_3_1_SAMPLES.unmet(thin) == ["Y* is nonnegative with m-sparse columns"]
    assert not is_refutation(thin, (D, Y))


def test_a_sample_on_every_atom_pins_the_dictionary():
    instance, (D, _) = one_sample()
    eye = as_fractions(np.eye(3, dtype=int))
    full = Instance(instance.D, eye, instance.law, 1)
    assert not is_refutation(full, (D, eye))


def test_a_dictionary_that_does_not_factorise_the_data_refutes_nothing():
    instance, (D, Y) = all_used()
    assert not is_refutation(instance, (D, columns((5, 0, 0, 0), (0, 4, 0, 0))))
    assert is_refutation(instance, (D, Y))
