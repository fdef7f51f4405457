import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError
from osae_theory.problems import (
    DiracHadamard,
    EquiangularFrame,
    GaussianDictionary,
    HarmonicFrame,
    OrthonormalDictionary,
    VandermondeFrame,
)
from osae_theory.strategies import dictionaries
from osae_theory.uniqueness import (
    has_unique_codes,
    spark_by_coherence,
    spark_by_construction,
    spark_exhaustive,
    spark_mip,
)
from osae_theory.uniqueness import spark as spark_module

RNG = np.random.default_rng(0)

# Scaling rows and columns leaves the spark as it is and makes these frames rational.
MERCEDES_BENZ = [[2, -1, -1], [0, 1, -1]]
INTEGER_HARMONIC_6 = [
    [2, 1, -1, -2, -1, 1],
    [0, 1, 1, 0, -1, -1],
    [2, -1, -1, 2, -1, -1],
    [0, 1, -1, 0, 1, -1],
]
INTEGER_HARMONIC_8 = [
    [1, 1, 0, -1, -1, -1, 0, 1],
    [0, 1, 1, 1, 0, -1, -1, -1],
    [1, 0, -1, 0, 1, 0, -1, 0],
    [0, 1, 0, -1, 0, 1, 0, -1],
]
VANDERMONDE = [[1] * 6, [0, 1, 2, 3, 4, 5], [0, 1, 4, 9, 16, 25]]


def integer_harmonic(K):
    angles = np.outer([1, 2], 2 * np.pi * np.arange(K) / K)
    return math.sqrt(0.5) * np.vstack([np.cos(angles), np.sin(angles)])


def null_vector_residual(D, certificate):
    """Return the exact (or float) combination of atoms that the certificate says is zero."""
    atoms = [int(i) for i in certificate.details["atoms"].split(", ")]
    entries = [Fraction(c) for c in certificate.details["coefficients"].split(", ")]
    assert len(atoms) == certificate.value
    assert all(entries)
    return [sum(Fraction(row[i]) * c for i, c in zip(atoms, entries, strict=True)) for row in D]


@pytest.mark.theory
@pytest.mark.parametrize(
    ("D", "expected"),
    [
        (MERCEDES_BENZ, 3),
        (INTEGER_HARMONIC_6, 3),
        (INTEGER_HARMONIC_8, 4),
        (VANDERMONDE, 4),
    ],
)
def test_rational_frames_have_their_known_spark_by_two_methods(D, expected):
    exhaustive, programmed = spark_exhaustive(D), spark_mip(D)
    assert exhaustive.value == programmed.value == expected
    assert exhaustive.kind == "exact"
    assert programmed.kind == "value"
    assert not any(null_vector_residual(D, exhaustive))
    assert not any(null_vector_residual(D, programmed))
    assert "not decided" not in programmed.details


@pytest.mark.theory
def test_scaled_rows_and_columns_turn_the_integer_harmonic_frames_into_rational_ones():
    rows = math.sqrt(2) * np.array([2.0, 2 / math.sqrt(3), 2.0, 2 / math.sqrt(3)])
    scaled = rows[:, None] * integer_harmonic(6)[[0, 2, 1, 3]]
    np.testing.assert_allclose(scaled, INTEGER_HARMONIC_6, atol=1e-12)
    rows = math.sqrt(2) * np.array([1.0, 1.0, 1.0, math.sqrt(0.5)])
    scaled = rows[:, None] * integer_harmonic(8)[[0, 2, 1, 3]]
    scaled[:, 1::2] *= math.sqrt(2)
    np.testing.assert_allclose(scaled, INTEGER_HARMONIC_8, atol=1e-12)


@pytest.mark.theory
def test_identity_beside_hadamard_has_spark_4_at_d_4_by_three_methods(dirac_hadamard):
    exhaustive = spark_exhaustive(dirac_hadamard)
    assert exhaustive.value == 4
    assert exhaustive.kind == "exact"
    assert not any(null_vector_residual(dirac_hadamard, exhaustive))
    assert spark_mip(dirac_hadamard).value == 4
    assert spark_by_construction(DiracHadamard(4)).value == 4
    # 1 + 1/mu = 3 is short of it: the uncertainty bound 2 sqrt(d) is the sharp one.
    assert spark_by_coherence(dirac_hadamard).value == 3


@pytest.mark.theory
def test_the_dictionary_of_n1_has_spark_5_by_two_methods(n1):
    assert spark_exhaustive(n1.D).value == spark_mip(n1.D).value == 5
    assert not any(null_vector_residual(n1.D, spark_exhaustive(n1.D)))
    assert has_unique_codes(spark_exhaustive(n1.D, max_size=4), 2, 5)


@pytest.mark.theory
def test_p3_has_spark_4_though_mu_times_m_minus_1_is_below_1(p3):
    certificate = spark_exhaustive(p3)
    assert certificate.value == 4
    assert certificate.kind == "exact"
    assert spark_mip(p3).value == 4
    vector = [Fraction(c) for c in certificate.details["coefficients"].split(", ")]
    assert [c / vector[0] for c in vector] == [1, 1, -1, -1]
    mu, m = Fraction(16, 25), 2
    assert mu * (m - 1) < 1
    assert certificate.value <= 2 * m
    assert spark_by_coherence(p3).value == 3


@pytest.mark.theory
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (EquiangularFrame(2, 3), 3),
        (EquiangularFrame(3, 6), 4),
        (EquiangularFrame(7, 14), 8),
        (EquiangularFrame(6, 7), 7),
        (HarmonicFrame(4, 6), 5),
        (HarmonicFrame(4, 8), 5),
        (HarmonicFrame(5, 8), 6),
        (VandermondeFrame(4, 7), 5),
        (GaussianDictionary(4, 7), 5),
        (OrthonormalDictionary(5, 3), 4),
        (GaussianDictionary(5, 3), 4),
    ],
)
def test_enumeration_programming_and_construction_agree_on_the_spark(spec, expected):
    D = spec.draw(RNG)
    exhaustive, programmed = spark_exhaustive(D), spark_mip(D)
    assert exhaustive.value == programmed.value == spark_by_construction(spec).value == expected
    assert exhaustive.kind == programmed.kind == "value"
    assert spark_by_coherence(D).value <= expected


@pytest.mark.theory
def test_coherence_alone_decides_the_mercedes_benz_and_the_3_by_6_frame():
    assert spark_by_coherence(EquiangularFrame(2, 3).draw(RNG)).value == 3
    assert spark_by_coherence(EquiangularFrame(3, 6).draw(RNG)).value == 4


@pytest.mark.theory
def test_28_equiangular_lines_have_spark_4_exactly():
    pairs = [(i, j) for i in range(8) for j in range(i)]
    rows = [[3 if k in pair else -1 for pair in pairs] for k in range(8)]
    certificate = spark_exhaustive(rows)
    assert (certificate.value, certificate.kind) == (4, "exact")
    assert spark_by_construction(EquiangularFrame(7, 28)).value == 4
    assert spark_by_coherence(EquiangularFrame(7, 28).draw(RNG)).value == 4


@pytest.mark.theory
@pytest.mark.parametrize(("K", "expected"), [(6, 3), (8, 4)])
def test_floats_leave_a_dependent_set_undecided_and_say_so(K, expected):
    for certificate in (spark_exhaustive(integer_harmonic(K)), spark_mip(integer_harmonic(K))):
        assert certificate.value == expected
        assert certificate.kind == "lower bound"
    assert "not decided" in spark_exhaustive(integer_harmonic(K)).details


@pytest.mark.theory
@given(dictionaries(max_d=4, max_K=6))
def test_no_bound_is_above_the_spark_by_enumeration(D):
    exhaustive = spark_exhaustive(D)
    assert spark_by_coherence(D).value <= exhaustive.value
    programmed = spark_mip(D)
    if exhaustive.kind == programmed.kind == "value":
        assert programmed.value == exhaustive.value


@pytest.mark.theory
@pytest.mark.parametrize("d", range(2, 8))
def test_rounding_does_not_lift_the_bound_where_1_over_mu_is_whole(d):
    # A simplex has mu = 1/d, and 1 + 1/mu is its spark.
    assert spark_by_coherence(EquiangularFrame(d, d + 1).draw(RNG)).value == d + 1


def test_independent_atoms_have_spark_K_plus_1():
    for certificate in (
        spark_exhaustive(np.eye(3, dtype=int)),
        spark_exhaustive(np.eye(3)),
        spark_mip(np.eye(3)),
        spark_by_coherence(np.eye(3)),
    ):
        assert certificate.value == 4
    assert spark_exhaustive([[1, 1], [0, 1]]).kind == "exact"
    assert spark_mip([[1, 9], [0, 1]]).value == 3
    assert spark_by_coherence([[1]]).value == 2


def test_parallel_atoms_have_spark_2():
    assert spark_exhaustive([[1, -2], [0, 0]]).value == 2
    assert spark_mip([[1, -2], [0, 0]]).value == 2
    assert spark_exhaustive(np.array([[1.0, -1.0]])).kind == "value"


def test_a_search_cut_short_gives_a_lower_bound(n1):
    certificate = spark_exhaustive(n1.D, max_size=3)
    assert (certificate.value, certificate.kind) == (4, "lower bound")


def test_a_search_that_would_go_beyond_its_bound_says_what_is_left_undecided(n1):
    certificate = spark_exhaustive(GaussianDictionary(20, 120).draw(RNG))
    assert (certificate.value, certificate.kind) == (3, "lower bound")
    assert certificate.details["subsets"] == str(120 + math.comb(120, 2))
    said = certificate.details["not decided"]
    assert said.startswith("280840 subsets of 3 atoms, beyond max_subsets = 200000; raise it, or")
    assert spark_exhaustive(n1.D, max_subsets=5).value == 2
    assert spark_exhaustive(n1.D, max_subsets=5 + 10 + 10 + 5 + 1).value == 5


def test_a_search_whose_size_is_given_is_refused_before_it_begins(n1):
    with pytest.raises(InputError, match=r"288100 subsets .* at most 200000; .* raise max_subsets"):
        spark_exhaustive(GaussianDictionary(20, 120).draw(RNG), max_size=3)
    # Any 5 atoms of R^4 are dependent, so the fifth size takes a single subset.
    assert spark_exhaustive(n1.D, max_size=5, max_subsets=31).value == 5
    with pytest.raises(InputError, match=r"31 subsets .* at most 30"):
        spark_exhaustive(n1.D, max_size=5, max_subsets=30)
    with pytest.raises(InputError, match=r"about 10\^57 subsets"):
        spark_exhaustive(GaussianDictionary(100, 200).draw(RNG), max_size=80)


def test_programs_out_of_nodes_leave_the_spark_undecided_and_say_within_what():
    D = EquiangularFrame(7, 14).draw(RNG)
    certificate = spark_mip(D, max_nodes=14)
    assert certificate.kind == "lower bound"
    assert spark_by_coherence(D).value <= certificate.value < 8
    said = certificate.details["not decided"]
    assert said.startswith(f"at least {certificate.value} and at most 8 if the support found is")
    assert said.endswith("within 1 nodes a program, max_nodes = 14")


def test_no_clock_is_given_to_the_solver_unless_the_caller_has_one(monkeypatch):
    given_options = []

    def spy(*args, options, **kwargs):
        given_options.append(dict(options))  # milp takes what it reads out of it
        return scipy.optimize.milp(*args, options=options, **kwargs)

    monkeypatch.setattr(spark_module, "milp", spy)
    monkeypatch.setattr(spark_module, "perf_counter", None)
    spark_mip(MERCEDES_BENZ)
    assert given_options == [{"node_limit": 10_000 // 3}]


def test_a_limit_on_time_is_shared_by_the_programs_and_ends_the_search(monkeypatch):
    clock, shares = iter([0.0, 0.0, 0.0, 4.0, 4.0, 7.0]), []

    def unsolved(*args, options, **kwargs):
        shares.append(options["time_limit"])
        return scipy.optimize.OptimizeResult(
            status=1, x=None, mip_dual_bound=None, mip_node_count=None
        )

    monkeypatch.setattr(spark_module, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(spark_module, "milp", unsolved)
    certificate = spark_mip(INTEGER_HARMONIC_6, time_limit=6.0)
    assert shares == [6.0 / 6, 2.0 / 5]
    assert (certificate.value, certificate.kind) == (3, "lower bound")
    assert certificate.details["not decided"].endswith("and time_limit = 6.0 s")


def test_programs_beyond_their_bound_are_refused_before_one_is_solved(monkeypatch):
    monkeypatch.setattr(spark_module, "milp", None)
    D = GaussianDictionary(64, 256).draw(RNG)
    message = r"4521984 nonzeros in K = 256 .* at most 100000; use spark_by_coherence, or raise max"
    with pytest.raises(InputError, match=message):
        spark_mip(D, time_limit=5)


def test_nearly_parallel_atoms_are_below_the_solver_s_tolerance_and_give_a_lower_bound():
    D = np.array([[1.0, math.cos(1e-8), 0.0], [0.0, math.sin(1e-8), 1.0]])
    certificate = spark_mip(D)
    assert (certificate.value, certificate.kind) == (2, "lower bound")
    assert "independent" in certificate.details["support"]
    assert spark_exhaustive(D).value == 3


@pytest.mark.theory
def test_unique_codes_need_2m_independent_atoms_or_all_of_them():
    for value, m, K, expected in ((5, 2, 9, True), (4, 2, 9, False), (4, 2, 3, True)):
        certificate = Certificate("spark(D)", value, "lower bound", "given")
        assert has_unique_codes(certificate, m, K) is expected
    assert not has_unique_codes(Certificate("spark(D)", 9, "upper bound", "given"), 2, 9)


@pytest.mark.parametrize("method", [spark_exhaustive, spark_mip, spark_by_coherence])
def test_zero_and_non_unit_atoms_are_refused(method):
    with pytest.raises(InputError, match="column 1 is zero"):
        method([[1, 0], [0, 0]])
    with pytest.raises(InputError, match="column 0 has norm 2"):
        method(np.array([[2.0, 0.0], [0.0, 1.0]]))


def test_bad_limits_are_refused():
    with pytest.raises(InputError, match="max_size = 0"):
        spark_exhaustive(np.eye(2), max_size=0)
    with pytest.raises(InputError, match="time_limit"):
        spark_mip(np.eye(2), time_limit=0.0)
    with pytest.raises(InputError, match="max_nodes = 0"):
        spark_mip(np.eye(2), max_nodes=0)
    with pytest.raises(InputError, match="max_entries = 0"):
        spark_mip(np.eye(2), max_entries=0)
    with pytest.raises(InputError, match="max_subsets = 0"):
        spark_exhaustive(np.eye(2), max_subsets=0)
    with pytest.raises(InputError, match="max_products = 0"):
        spark_by_coherence(np.eye(2), max_products=0)
