from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.problems import (
    CyclicSupports,
    DiracHadamard,
    EquiangularFrame,
    GaussianDictionary,
    HalfNormalValues,
    HarmonicFrame,
    ProblemSpec,
    problem_from_arrays,
    toy_spec,
)
from osae_theory.uniqueness import (
    certify_codes,
    certify_problem,
    decide_codes,
    decide_problem,
    spark_by_construction,
    spark_exhaustive,
    sufficient_conditions,
)
from osae_theory.uniqueness.certify import judge

RNG = np.random.default_rng(0)


def drawn(dictionary, m):
    return ProblemSpec(dictionary, CyclicSupports(m), HalfNormalValues(), n_samples=30).draw()


@pytest.mark.theory
@pytest.mark.parametrize("dictionary", [HarmonicFrame(4, 9), EquiangularFrame(7, 14)])
def test_a_full_spark_frame_is_certified_by_its_construction(dictionary):
    certificate = certify_problem(drawn(dictionary, 2))
    assert certificate.kind == "exact"
    assert certificate.value == dictionary.d + 1
    assert "2-sparse codes are unique" in certificate.details["conclusion"]


@pytest.mark.theory
def test_the_table_1_model_is_certified_with_probability_one():
    certificate = certify_problem(toy_spec(80, 100, 5, n_samples=20).draw())
    assert (certificate.value, certificate.kind) == (81, "with probability one")


@pytest.mark.theory
def test_a_small_gaussian_dictionary_is_certified_for_the_very_draw():
    certificate = certify_problem(toy_spec(4, 7, 2, n_samples=20).draw())
    assert certificate.kind == "lower bound"
    assert certificate.value == 5
    assert "singular value" in certificate.method


@pytest.mark.theory
def test_low_coherence_is_proof_enough_without_a_construction():
    D = EquiangularFrame(3, 6).draw(RNG)
    assert "Gershgorin" in certify_codes(D, 1).method


@pytest.mark.theory
def test_mixed_integer_programming_serves_where_enumeration_is_too_large():
    D = DiracHadamard(16).draw(RNG)
    certificate = certify_codes(D, 3)
    assert certificate.value == spark_by_construction(DiracHadamard(16)).value == 8
    assert "mixed-integer" in certificate.method
    # The array alone leaves the spark undecided at 2 m = 8; the description settles it.
    with pytest.raises(InputError, match=r"m = 4: spark\(D\) = 8 .*expected a spark above 8"):
        certify_codes(D, 4, DiracHadamard(16))


@pytest.mark.theory
def test_n1_is_certified_exactly(n1):
    certificate = certify_codes(n1.D, 2)
    assert certificate.value == 5
    assert "exact arithmetic" in certificate.method


@pytest.mark.theory
def test_the_atoms_of_p3_have_unique_codes_for_m_1_and_not_for_m_2(p3):
    for D in (p3, np.array(p3, dtype=float)):
        with pytest.raises(InputError, match=r"any d \+ 1 atoms are dependent"):
            certify_codes(D, 2)
        assert certify_codes(D, 1).value == 3


@pytest.mark.theory
def test_dependent_atoms_are_named_in_the_refusal(dirac_hadamard):
    with pytest.raises(InputError, match=r"spark\(D\) = 4: atoms 0, 1, 4, 6 are dependent"):
        certify_codes(dirac_hadamard, 2)


@pytest.mark.theory
def test_floats_that_leave_it_open_are_refused_with_what_was_tried():
    D = DiracHadamard(4).draw(RNG)
    with pytest.raises(InputError, match=r"is not proved; give whole numbers .* Tried: .*lower"):
        certify_codes(D, 2)


@pytest.mark.theory
def test_independent_atoms_have_unique_codes_of_any_sparsity():
    assert certify_codes(np.eye(3), 3).value == 4
    assert certify_codes([[1, 1], [0, 1]], 2).value == 3


@pytest.mark.theory
def test_whether_codes_are_unique_is_a_value_with_three_answers(n1, p3):
    unique, not_unique = decide_codes(n1.D, 2), decide_codes(p3, 2)
    undecided = decide_codes(DiracHadamard(4).draw(RNG), 2)
    assert [unique.answer, not_unique.answer, undecided.answer] == [
        "unique",
        "not unique",
        "not decided",
    ]
    assert unique.spark == certify_codes(n1.D, 2)
    assert (not_unique.spark.value, not_unique.spark.kind) == (4, "upper bound")
    assert undecided.spark is None
    assert "is not proved" in undecided.reason
    problem = drawn(HarmonicFrame(4, 9), 2)
    assert decide_problem(problem).spark == certify_problem(problem)


@pytest.mark.theory
def test_a_certificate_of_the_spark_is_judged_by_its_kind(dirac_hadamard):
    spark = spark_exhaustive(dirac_hadamard)
    assert spark.value == 4
    kinds = ("exact", "value", "upper bound", "lower bound", "with probability one")
    for kind, answer in zip(kinds, ["not unique"] * 3 + ["not decided"] * 2, strict=True):
        assert judge(replace(spark, kind=kind), 2, 8).answer == answer
    for kind, answer in zip(kinds, ["unique"] * 2 + ["not decided"] + ["unique"] * 2, strict=True):
        assert judge(replace(spark, kind=kind), 1, 8).answer == answer


@pytest.mark.theory
def test_what_is_not_proved_of_the_spark_leaves_every_condition_undecided(dirac_hadamard):
    codes = np.zeros((8, 28), dtype=int)
    for sample, pair in enumerate((i, j) for i in range(8) for j in range(i)):
        codes[list(pair), sample] = 1
    known = sufficient_conditions((dirac_hadamard, codes))
    rounded = sufficient_conditions((np.array(dirac_hadamard, dtype=float), codes))
    assert {finding.answer for finding in known} == {"not met"}
    assert {finding.answer for finding in rounded} == {"not decided"}


def test_atoms_of_irrational_norm_are_certified_without_their_coherence():
    assert certify_codes([[1, 0, 1], [0, 1, 1]], 1).value == 3


def test_a_dictionary_beyond_every_method_is_refused():
    D = GaussianDictionary(20, 70).draw(RNG)
    with pytest.raises(InputError, match="is not proved"):
        certify_codes(D, 5)


def test_a_construction_that_says_nothing_is_passed_over():
    class Unknown:
        d, K = 2, 2

        def draw(self, rng):
            return np.eye(2)

    assert certify_codes(np.eye(2), 1, Unknown()).value == 3


def test_a_description_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"expected one of the shape of D, \(d, K\) = \(2, 2\)"):
        certify_codes(np.eye(2), 1, HarmonicFrame(2, 3))


def test_a_sparsity_that_the_dictionary_cannot_have_is_refused():
    with pytest.raises(InputError, match="m = 3: expected at most K = 2"):
        certify_codes(np.eye(2), 3)
    with pytest.raises(InputError, match="m = 0"):
        certify_problem(problem_from_arrays(np.eye(2), np.zeros((2, 3))))
