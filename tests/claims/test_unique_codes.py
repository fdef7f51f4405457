"""U1: unique codes and spark(D) > 2m."""

import doctest

import numpy as np
import pytest
import sympy

from osae_theory.claims import unique_codes
from osae_theory.claims.exact import as_fractions
from osae_theory.claims.unique_codes import (
    UNIQUE_CODES,
    harmonic_spark,
    least_fourier_minor,
    supports_are_apart,
    two_codes,
)
from osae_theory.problems import EquiangularFrame

pytestmark = pytest.mark.theory

P3 = as_fractions([[3, -3, 0, 0], [0, 0, 3, -3], [4, 4, 4, 4]])


def test_the_check_confirms_the_equivalence_and_the_constructions():
    finding = UNIQUE_CODES.check(40)
    assert finding.confirmed
    certificate = finding.certificate
    assert certificate["spark, frequencies 1, 2, K = 6"] == 3
    assert certificate["spark, frequencies 1, 2, K = 8"] == 4
    assert certificate["spark, frequencies 1/2, 3/2, K = 6"] == 5
    assert certificate["spark, frequencies 1/2, 3/2, K = 8"] == 5
    assert certificate["random integer dictionaries with unique codes"] > 0
    assert certificate["without: two m-sparse codes of one sample found"] > 0


def test_the_docstring_example_runs():
    assert doctest.testmod(unique_codes).failed == 0


def test_p3_has_two_codes_of_one_sample():
    assert not supports_are_apart(P3, 2)
    found = two_codes(P3, 2)
    assert found is not None
    first, second = found
    assert (P3 @ first == P3 @ second).all()
    assert {tuple(np.flatnonzero(c)) for c in found} == {(0, 1), (2, 3)}
    assert two_codes(P3, 1) is None
    assert supports_are_apart(P3, 1)


def test_independent_atoms_have_unique_codes_at_every_m():
    D = as_fractions(np.eye(3, dtype=int).tolist())
    assert two_codes(D, 3) is None
    assert all(supports_are_apart(D, m) for m in (1, 2, 3))


def test_parallel_atoms_have_no_unique_codes():
    D = as_fractions([[1, 2, 0], [1, 2, 1]])
    assert not supports_are_apart(D, 1)
    assert two_codes(D, 1) is not None


@pytest.mark.parametrize("K", [5, 7])
def test_half_odd_frequencies_have_full_spark_at_odd_sizes_too(K):
    half = sympy.Rational(1, 2)
    assert harmonic_spark((half, 3 * half), K) == 5


@pytest.mark.parametrize(
    ("frequencies", "K", "expected"), [((1,), 3, 3), ((1, 2), 5, 5), ((1, 2), 7, 5)]
)
def test_frequencies_1_to_half_d_have_full_spark_for_prime_sizes(frequencies, K, expected):
    assert harmonic_spark(frequencies, K) == expected == 2 * len(frequencies) + 1


def test_a_shifted_row_of_a_composite_fourier_matrix_loses_full_spark():
    assert least_fourier_minor(6, (0, 2)) < 1e-12
    assert least_fourier_minor(7, (0, 2)) > 0.1


def test_a_wrong_threshold_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        unique_codes, "supports_are_apart", lambda D, m: supports_are_apart(D, max(m - 1, 1))
    )
    assert not UNIQUE_CODES.check(60).confirmed


def test_wrong_frames_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        unique_codes, "harmonic_spark", lambda f, K: harmonic_spark([2 * x for x in f], K)
    )
    assert not UNIQUE_CODES.check(1).confirmed


def test_the_assumption_is_a_proved_spark():
    mercedes_benz = EquiangularFrame(2, 3).draw(np.random.default_rng(0))
    assert UNIQUE_CODES.unmet((mercedes_benz, 1)) == []
    assert len(UNIQUE_CODES.unmet((mercedes_benz, 2))) == 1
