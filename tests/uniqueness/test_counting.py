from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError
from osae_theory.problems import HarmonicFrame
from osae_theory.uniqueness import counting_argument, distinct_directions, read_instance, spark_mip

RNG = np.random.default_rng(0)
INDEPENDENT = Certificate("spark(D)", 9, "exact", "given")


def identity(K):
    return [[int(i == j) for j in range(K)] for i in range(K)]


def consistent_atoms(K, edges, images):
    """Return the atoms of D among those of D' if edge planes e become the pairs `images`.

    None if it cannot be: an atom of D' on several planes is the one atom these share, and the two
    ends of a plane are different atoms.
    """
    named = {}
    for k in range(K):
        planes = [set(e) for e, pair in zip(edges, images, strict=True) if k in pair]
        if len(planes) >= 2:
            common = set.intersection(*planes)
            if len(common) != 1:
                return None
            named[k] = common.pop()
    ends = [[named.get(k) for k in pair] for pair in images]
    if any(a is not None and a == b for a, b in ends):
        return None
    return set(named.values())


def atoms_are_forced(K, edges):
    """Slow oracle: whether every assignment of planes to pairs of D' names every atom of D."""
    pairs = list(combinations(range(K), 2))
    for images in permutations(pairs, len(edges)):
        found = consistent_atoms(K, edges, images)
        if found is not None and found != set(range(K)):
            return False
    return True


@pytest.mark.theory
@pytest.mark.parametrize(
    ("r", "s"),
    [((20, 14, 16, 11, 15), (100, 8, 4, 2, Fraction(1, 16))), ((11,) * 5, (1,) * 5)],
)
def test_both_instances_of_n1_have_one_dictionary_in_exact_arithmetic(n1, r, s):
    instance = read_instance(n1.D, n1.codes(r, s))
    directions = distinct_directions(instance)
    assert directions == dict(zip(n1.cycle, r, strict=True))
    finding = counting_argument(n1.D, directions)
    assert finding.met
    assert finding.certificate.kind == "exact"
    assert finding.certificate.value == 1
    assert len(finding.steps) == 2 + 5 + 1
    assert "leave none of the 5 atoms out" in finding.steps[-1]


@pytest.mark.theory
def test_too_few_directions_are_refused(n1):
    finding = counting_argument(n1.D, dict.fromkeys(n1.cycle, 10))
    assert not finding.met
    assert finding.certificate is None
    assert "10 distinct directions: expected more than 10" in finding.reason


@pytest.mark.theory
@pytest.mark.parametrize(("r", "met"), [((11, 10, 9, 8, 7), True), ((11, 10, 9, 8, 6), False)])
def test_planes_that_are_known_lower_the_number_the_next_one_needs(n1, r, met):
    finding = counting_argument(n1.D, dict(zip(n1.cycle, r, strict=True)))
    assert finding.met is met
    assert ("expected more than 6" in finding.reason) is not met


@pytest.mark.theory
def test_on_four_atoms_planes_force_the_atoms_iff_every_degree_is_at_least_2():
    pairs = list(combinations(range(4), 2))
    for size in range(2, len(pairs) + 1):
        for edges in combinations(pairs, size):
            degrees = [sum(atom in edge for edge in edges) for atom in range(4)]
            finding = counting_argument(identity(4), dict.fromkeys(edges, 100), INDEPENDENT)
            assert finding.met is atoms_are_forced(4, edges) is (min(degrees) >= 2)


@pytest.mark.theory
def test_a_cycle_with_a_chord_has_triangles_and_forces_the_atoms_all_the_same(n1):
    edges = (*n1.cycle, (0, 2))
    assert counting_argument(n1.D, dict.fromkeys(edges, 11)).met
    bowtie = ((0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (2, 4))
    assert counting_argument(n1.D, dict.fromkeys(bowtie, 11)).met


@pytest.mark.theory
@given(st.integers(1, 9), st.integers(1, 9))
def test_an_atom_on_one_edge_can_be_turned_however_many_samples_there_are(y, z):
    # A triangle and the pendant edge (0, 3): d_3' = (3 d_0 + 4 d_3) / 5 serves as well.
    edges = ((0, 1), (1, 2), (0, 2), (0, 3))
    finding = counting_argument(identity(4), dict.fromkeys(edges, 1000))
    assert not finding.met
    assert "atom 3 is on 1 edge(s)" in finding.reason
    x = [Fraction(y), 0, 0, Fraction(z)]
    turned = [Fraction(3, 5), 0, 0, Fraction(4, 5)]
    codes = (Fraction(y) - Fraction(3, 4) * z, Fraction(5, 4) * z)
    assert [codes[0] * (i == 0) + codes[1] * turned[i] for i in range(4)] == x


@pytest.mark.theory
def test_dependent_quadruples_of_atoms_are_refused(p3):
    finding = counting_argument(p3, dict.fromkeys([(0, 1), (1, 2), (2, 3), (0, 3)], 100))
    assert not finding.met
    assert finding.answer == "not met"
    assert "expected d of at least 4" in finding.reason
    assert finding.steps == ()


@pytest.mark.theory
def test_a_spark_that_is_too_small_or_found_by_a_solver_weakens_the_finding(n1):
    edges = dict.fromkeys(n1.cycle, 11)
    weak = Certificate("spark(D)", 4, "lower bound", "given")
    finding = counting_argument(n1.D, edges, weak)
    assert not finding.met
    assert finding.answer == "not decided"
    assert "expected a proof of more than 4" in finding.reason
    assert counting_argument(n1.D, edges, spark_mip(n1.D)).certificate.kind == "value"


def test_floats_and_random_dictionaries_give_weaker_certificates():
    edges = dict.fromkeys([(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)], 11)
    D = HarmonicFrame(4, 5).draw(RNG)
    assert counting_argument(D, edges).certificate.kind == "value"
    random = Certificate("spark(D)", 5, "with probability one", "given")
    assert counting_argument(D, edges, random).certificate.kind == "with probability one"


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ({(0, 0): 1}, "two different atoms"),
        ({(0, 5): 1}, r"two different atoms in 0..4"),
        ({(0, 1): 1, (1, 0): 1}, "given twice"),
        ({(0, 1): -1}, "at least 0"),
    ],
)
def test_what_is_no_graph_on_the_atoms_is_refused(n1, directions, message):
    with pytest.raises(InputError, match=message):
        counting_argument(n1.D, directions)
