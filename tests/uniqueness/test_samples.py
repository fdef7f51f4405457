from itertools import combinations
from math import comb

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.problems import (
    CyclicSupports,
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
    UniformSupports,
    toy_spec,
)
from osae_theory.uniqueness import (
    aharon_elad_bruckstein,
    distinct_directions,
    garfinkle_hillar,
    hillar_sommer,
    read_instance,
    spark_by_construction,
    sufficient_conditions,
)


def integer_codes(K, supports, number, seed=0):
    """Return `number` samples on each support, with whole codes in general position."""
    rng = np.random.default_rng(seed)
    columns = []
    for support in supports:
        for _ in range(number):
            column = np.zeros(K, dtype=int)
            column[list(support)] = rng.integers(1, 1000, size=len(support))
            columns.append(column)
    return np.array(columns).T


def cyclic(K, m):
    return [tuple((i + step) % K for step in range(m)) for i in range(K)]


@pytest.mark.theory
def test_three_samples_on_every_pair_meet_aharon_elad_and_bruckstein(n1):
    Y = integer_codes(5, combinations(range(5), 2), 3)
    finding = aharon_elad_bruckstein(n1.D, Y)
    assert finding.met
    assert finding.certificate.kind == "exact"
    assert len(finding.certificate.details["samples"].split(", ")) == 30


@pytest.mark.theory
def test_a_support_short_of_samples_is_named(n1):
    Y = integer_codes(5, combinations(range(5), 2), 3)
    finding = aharon_elad_bruckstein(n1.D, Y[:, :-1])
    assert not finding.met
    assert finding.reason == "support (3, 4) has 2 samples: expected at least 3"
    Y[:, -1] = 2 * Y[:, -2]
    finding = aharon_elad_bruckstein(n1.D, Y)
    assert "support (3, 4): 2 of its 3 samples are in general position" in finding.reason
    assert finding.answer == "not met"
    rounded = aharon_elad_bruckstein(np.array(n1.D, dtype=float), Y)
    assert rounded.answer == "not decided"


@pytest.mark.theory
def test_dependent_samples_of_different_supports_are_named(n1):
    Y = integer_codes(5, combinations(range(5), 2), 3)
    # d_0 + d_1, d_0 + 2 d_2 and d_1 - 2 d_2, the first samples of (0, 1), (0, 2) and (1, 2).
    Y[:, 0], Y[:, 3], Y[:, 12] = [1, 1, 0, 0, 0], [1, 0, 2, 0, 0], [0, 1, -2, 0, 0]
    finding = aharon_elad_bruckstein(n1.D, Y)
    assert not finding.met
    assert finding.reason.startswith("samples 0, 3, 12 are not proved independent")


@pytest.mark.theory
def test_too_many_sets_of_samples_are_left_unchecked():
    Y = integer_codes(8, combinations(range(8), 3), 4)
    finding = aharon_elad_bruckstein(np.eye(8, dtype=int), Y)
    assert not finding.met
    assert "not checked" in finding.reason


@pytest.mark.theory
@pytest.mark.parametrize("r", [(20, 14, 16, 11, 15), (11,) * 5])
def test_the_samples_of_n1_meet_garfinkle_and_hillar_but_not_the_richer_conditions(n1, r):
    findings = sufficient_conditions((n1.D, n1.codes(r)))
    assert [finding.met for finding in findings] == [False, False, True, True]
    assert all(f.certificate.kind == "exact" for f in findings if f.met)
    assert findings[1].reason == "support (0, 2) has 0 samples: expected at least 11"


@pytest.mark.theory
def test_one_sample_fewer_fails_garfinkle_and_hillar(n1):
    finding = garfinkle_hillar(n1.D, n1.codes((11, 11, 11, 11, 10)))
    assert not finding.met
    assert finding.reason == "support (0, 4) has 10 samples: expected at least 11"


@pytest.mark.theory
def test_a_repeated_direction_does_not_count(n1):
    codes = np.array(n1.codes((12, 11, 11, 11, 11)))
    codes[:, 1] = 2 * codes[:, 0]
    assert garfinkle_hillar(n1.D, [list(row) for row in codes]).met
    codes[:, 2] = 3 * codes[:, 0]
    finding = garfinkle_hillar(n1.D, [list(row) for row in codes])
    assert not finding.met
    assert "10 of its 12 samples are in general position" in finding.reason
    assert distinct_directions(read_instance(n1.D, [list(row) for row in codes]))[0, 1] == 10


@pytest.mark.theory
def test_a_regular_family_need_not_be_in_cyclic_order(n1):
    star = [(0, 2), (2, 4), (1, 4), (1, 3), (0, 3)]
    finding = garfinkle_hillar(n1.D, integer_codes(5, star, 11))
    assert finding.met
    assert finding.condition == "regular supports"
    assert not garfinkle_hillar(n1.D, integer_codes(5, star[:-1], 11)).met


@pytest.mark.theory
def test_supports_that_never_part_two_atoms_fail():
    blocks = [(0, 1), (2, 3)]
    D = np.eye(4, dtype=int)
    assert not garfinkle_hillar(D, integer_codes(4, blocks, 20)).met


@pytest.mark.theory
def test_triples_in_cyclic_order_need_more_than_2_binom_K_3_samples():
    D, supports = np.eye(4, dtype=int), cyclic(4, 3)
    assert garfinkle_hillar(D, integer_codes(4, supports, 9)).met
    assert hillar_sommer(D, integer_codes(4, supports, 9)).met  # with K = 4 they are all triples
    assert not garfinkle_hillar(D, integer_codes(4, supports, 8)).met


@pytest.mark.theory
def test_samples_on_every_pair_meet_every_condition(n1):
    Y = integer_codes(5, combinations(range(5), 2), 11)
    findings = sufficient_conditions((n1.D, Y))
    assert [finding.met for finding in findings] == [True, True, True, True]


@pytest.mark.theory
def test_one_sample_an_atom_is_enough_for_1_sparse_codes():
    findings = sufficient_conditions((np.eye(3), np.eye(3)))
    # Aharon, Elad & Bruckstein ask for m + 1 = 2.
    assert [finding.met for finding in findings] == [False, True, True]
    assert {f.certificate.kind for f in findings if f.met} == {"value"}


@pytest.mark.theory
def test_as_many_nonzeros_as_atoms_say_nothing_about_the_atoms():
    finding = garfinkle_hillar(np.eye(2), np.random.default_rng(0).random((2, 50)) + 0.1)
    assert not finding.met
    assert "any basis explains the data" in finding.reason


@pytest.mark.theory
def test_a_drawn_problem_on_cyclic_supports_has_a_unique_dictionary():
    spec = ProblemSpec(GaussianDictionary(4, 5), CyclicSupports(2), HalfNormalValues(), 120)
    findings = sufficient_conditions(spec.draw())
    assert [finding.met for finding in findings] == [False, False, True, True]
    assert findings[2].certificate.kind == "value"


@pytest.mark.theory
def test_a_dictionary_known_with_probability_one_gives_no_more_than_that():
    spec = ProblemSpec(GaussianDictionary(100, 300), CyclicSupports(1), HalfNormalValues(), 6000)
    finding = garfinkle_hillar(
        spec.draw().dictionary,
        spec.draw().codes,
        spark=spark_by_construction(spec.dictionary),
    )
    assert finding.met
    assert finding.certificate.kind == "with probability one"


@pytest.mark.theory
def test_no_condition_is_met_if_codes_are_not_unique(p3):
    for problem in (
        ProblemSpec(GaussianDictionary(3, 5), UniformSupports(2), HalfNormalValues(), 60).draw(),
        (p3, integer_codes(4, combinations(range(4), 2), 7)),
    ):
        findings = sufficient_conditions(problem)
        assert len(findings) == 4
        assert not any(finding.met for finding in findings)
        assert all("dependent" in finding.reason for finding in findings)


def test_triples_have_no_counting_argument():
    findings = sufficient_conditions((np.eye(4, dtype=int), integer_codes(4, cyclic(4, 3), 9)))
    assert len(findings) == 3
    with pytest.raises(InputError, match="m = 3: expected 2"):
        distinct_directions(read_instance(np.eye(4), integer_codes(4, cyclic(4, 3), 1)))
    failing = sufficient_conditions((np.ones((1, 3)), np.array([[1], [1], [1]])))
    assert len(failing) == 3


def test_conditions_that_the_table_1_model_fails_are_found_out_at_once():
    for m in (2, 5):
        findings = sufficient_conditions(toy_spec(80, 100, m, n_samples=2000).draw())
        assert not any(finding.met for finding in findings)
        assert findings[1].reason.endswith(f"expected at least {(m - 1) * comb(100, m) + 1}")


def test_a_check_too_large_to_make_is_not_decided_and_can_be_made_all_the_same(n1):
    finding = garfinkle_hillar(np.eye(9, dtype=int), integer_codes(9, cyclic(9, 3), 170))
    assert finding.answer == "not decided"
    assert "expected at most max_sets = 2000000; not checked" in finding.reason
    Y = integer_codes(5, cyclic(5, 2), 11)
    assert garfinkle_hillar(n1.D, Y, max_sets=5 * comb(11, 2)).met
    assert garfinkle_hillar(n1.D, Y, max_sets=5 * comb(11, 2) - 1).answer == "not decided"
    Y = integer_codes(5, combinations(range(5), 2), 11)
    assert hillar_sommer(n1.D, Y, max_sets=10 * comb(11, 2)).met
    assert hillar_sommer(n1.D, Y, max_sets=10 * comb(11, 2) - 1).answer == "not decided"
    assert aharon_elad_bruckstein(n1.D, Y, max_sets=comb(30, 3)).met
    assert aharon_elad_bruckstein(n1.D, Y, max_sets=comb(30, 3) - 1).answer == "not decided"


def test_very_many_samples_of_a_pair_are_compared_until_their_directions_are_enough(n1):
    Y = integer_codes(5, cyclic(5, 2), 1000)
    instance = read_instance(n1.D, Y)
    assert set(distinct_directions(instance, enough=11).values()) == {11}
    with pytest.raises(InputError, match=r"5000000 pairs .* at most 2000000; give enough, or rai"):
        distinct_directions(instance)
    assert sufficient_conditions((n1.D, Y))[3].met
    with pytest.raises(InputError, match="enough = 0"):
        distinct_directions(instance, enough=0)
