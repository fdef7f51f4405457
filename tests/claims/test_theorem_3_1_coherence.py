from fractions import Fraction

import pytest

from osae_theory.claims.exact import THEOREM_3_1, Instance, meets
from osae_theory.claims.lemma_3_1 import three_atoms, two_atoms
from osae_theory.claims.theorem_3_1_coherence import THEOREM_3_1_COHERENCE, check_instances

pytestmark = pytest.mark.theory


def with_law(instance, *law):
    return Instance(instance.D, instance.Y, tuple(map(Fraction, law)), instance.m)


def test_the_check_confirms_with_the_numbers_of_theory_p1():
    found = THEOREM_3_1_COHERENCE.check(1)
    assert found.confirmed
    assert found.certificate["L_ND at D*, least over orders and encoders"] == Fraction(1, 2)
    assert found.certificate["min L_ND"] == Fraction(2, 5)
    assert found.certificate["overcomplete: L_ND at (D*, Y*)"] == 1
    at_truth = found.certificate["overcomplete: L_ND at D*, least over orders and encoders"]
    assert at_truth == Fraction(52, 75)
    assert found.certificate["overcomplete: min L_ND"] == Fraction(8, 15)
    assert found.certificate["mu(D*)"] == Fraction(3, 5)


@pytest.mark.parametrize("instance", [two_atoms(), three_atoms()])
def test_each_instance_meets_every_hypothesis_with_equal_frequencies_and_energies(instance):
    assert meets(THEOREM_3_1, instance)
    assert set(instance.frequencies) == {1}
    assert set(instance.energies) == {1}


def test_a_last_prefix_likelier_than_the_coherence_refutes_nothing():
    assert not check_instances(with_law(two_atoms(), "3/10", "7/10"), three_atoms()).confirmed
    assert not check_instances(
        two_atoms(), with_law(three_atoms(), "1/20", "1/20", "9/10")
    ).confirmed


def test_a_law_without_full_support_is_not_accepted():
    never = with_law(three_atoms(), "1/2", "0", "1/2")
    assert THEOREM_3_1_COHERENCE.unmet(never) == [
        "every prefix length 1..K has positive probability"
    ]
    assert not check_instances(two_atoms(), never).confirmed
