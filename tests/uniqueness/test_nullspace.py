from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.optimize import linprog

from osae_theory.errors import InputError
from osae_theory.problems import EquiangularFrame, GaussianDictionary, HarmonicFrame
from osae_theory.strategies import seeds
from osae_theory.uniqueness import nsp_constant_exact, nsp_upper_bound

RNG = np.random.default_rng(0)


def rational_dictionary(seed, d, K):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 4, size=(d, K))
    matrix[0, ~matrix.any(axis=0)] = 1
    return matrix


def basis_pursuit(D, x):
    """Return the code of least l1 norm with the same data as x."""
    K = D.shape[1]
    result = linprog(np.ones(2 * K), A_eq=np.hstack([D, -D]), b_eq=D @ x, bounds=(0, None))
    return result.x[:K] - result.x[K:]


@pytest.mark.theory
@pytest.mark.parametrize(("s", "expected"), [(1, Fraction(1, 3)), (2, Fraction(1, 2))])
def test_the_constants_of_n1_are_known_as_its_null_space_is_a_line(n1, s, expected):
    # The null vector is (1, 1, 1, 1, -2).
    exact = nsp_constant_exact(n1.D, s)
    assert (exact.value, exact.kind) == (expected, "exact")
    floats = nsp_constant_exact(np.array(n1.D, dtype=float), s)
    assert abs(floats.value - float(expected)) <= floats.error < 1e-12


@pytest.mark.theory
@settings(max_examples=20)
@given(seeds(), st.integers(2, 3), st.integers(3, 5), st.integers(1, 3))
def test_circuits_in_exact_arithmetic_and_linear_programs_agree(seed, d, K, s):
    matrix = rational_dictionary(seed, d, K)
    D = matrix / np.linalg.norm(matrix, axis=0)
    # The floats themselves, taken literally: scaling columns would change the constant.
    exact = nsp_constant_exact([[Fraction(float(entry)) for entry in row] for row in D], s)
    floats = nsp_constant_exact(D, s)
    assert abs(float(exact.value) - float(floats.value)) <= floats.error + 1e-9


@pytest.mark.theory
@settings(max_examples=20)
@given(seeds(), st.integers(2, 4), st.integers(3, 6), st.integers(1, 3))
def test_the_relaxation_is_above_the_constant_and_random_null_vectors_are_below(seed, d, K, s):
    D = GaussianDictionary(d, K).draw(np.random.default_rng(seed))
    exact, upper = nsp_constant_exact(D, s), nsp_upper_bound(D, s)
    assert upper.kind == "upper bound"
    assert exact.value <= upper.value + upper.error + exact.error
    assert 0 <= float(upper.details["gap"]) + 1e-12 < 1e-5
    basis = null_space(D)
    x = np.abs(basis @ np.random.default_rng(seed).standard_normal((basis.shape[1], 20)))
    ratios = np.sort(x, axis=0)[-s:].sum(axis=0) / x.sum(axis=0) if basis.size else np.zeros(1)
    assert ratios.max() <= exact.value + exact.error


@pytest.mark.theory
def test_the_relaxation_is_tight_for_one_atom():
    D = HarmonicFrame(4, 8).draw(RNG)
    exact, upper = nsp_constant_exact(D, 1), nsp_upper_bound(D, 1)
    assert abs(exact.value - upper.value) < 1e-7


@pytest.mark.theory
def test_basis_pursuit_recovers_every_code_below_one_half_and_fails_above():
    D = EquiangularFrame(3, 6).draw(RNG)
    assert nsp_constant_exact(D, 1).value < 0.5 < nsp_constant_exact(D, 2).value
    for atom in range(6):
        x = np.zeros(6)
        x[atom] = -1.5
        np.testing.assert_allclose(basis_pursuit(D, x), x, atol=1e-9)
    basis = null_space(D)
    worst = max(
        (basis @ v for v in RNG.standard_normal((2000, 3))),
        key=lambda x: np.sort(np.abs(x))[-2:].sum() / np.abs(x).sum(),
    )
    x = np.where(np.abs(worst) >= np.sort(np.abs(worst))[-2], worst, 0.0)
    assert np.abs(basis_pursuit(D, x)).sum() < np.abs(x).sum() - 1e-6


@pytest.mark.theory
def test_an_atom_in_no_null_vector_adds_nothing():
    D = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    certificate = nsp_constant_exact(D, 1)
    assert certificate.value == pytest.approx(0.5)
    assert nsp_constant_exact([[1, 0, 0], [0, 1, 1]], 1).value == Fraction(1, 2)


def test_independent_atoms_have_constant_0():
    assert nsp_constant_exact(np.eye(3), 2).value == 0
    assert nsp_constant_exact(np.eye(3, dtype=int), 2).value == 0
    assert nsp_upper_bound(np.eye(3), 2).value == pytest.approx(0, abs=1e-9)


def test_sizes_beyond_enumeration_are_refused_with_the_alternative():
    with pytest.raises(InputError, match=r"linear programs: expected at most 10000; use nsp_upper"):
        nsp_constant_exact(GaussianDictionary(8, 20).draw(RNG), 5)
    rows = np.hstack([np.eye(9, dtype=int), np.ones((9, 9), dtype=int)])
    with pytest.raises(InputError, match="subsets of atoms: expected at most 10000"):
        nsp_constant_exact(rows, 2)
    with pytest.raises(InputError, match=r"160380000 entries in the matrices of 9900 linear prog"):
        nsp_constant_exact(GaussianDictionary(80, 100).draw(RNG), 2)
    with pytest.raises(InputError, match="K = 65: expected at most 64 atoms"):
        nsp_upper_bound(GaussianDictionary(8, 65).draw(RNG), 2)


def test_the_bounds_on_the_work_can_be_raised_and_lowered():
    D = HarmonicFrame(2, 4).draw(RNG)
    assert nsp_constant_exact(D, 2, max_programs=12, max_entries=12 * 24).kind == "value"
    with pytest.raises(InputError, match=r"12 linear programs: .* at most 11; .* raise max_prog"):
        nsp_constant_exact(D, 2, max_programs=11)
    with pytest.raises(InputError, match=r"288 entries .* at most 287; .* or raise max_entries"):
        nsp_constant_exact(D, 2, max_entries=287)
    with pytest.raises(InputError, match="max_iterations = 0"):
        nsp_constant_exact(D, 2, max_iterations=0)


def test_programs_out_of_iterations_leave_the_constant_between_two_bounds():
    D = HarmonicFrame(4, 8).draw(RNG)
    solved, cut = nsp_constant_exact(D, 2), nsp_constant_exact(D, 2, max_iterations=1)
    assert (solved.kind, cut.kind) == ("value", "lower bound")
    assert cut.value <= solved.value <= float(cut.details["largest dual bound"]) == 1.0
    assert cut.details["programs"] == "0 of 56 solved"
    assert cut.details["not decided"].endswith("within max_iterations = 1 a program")


@pytest.mark.parametrize("method", [nsp_constant_exact, nsp_upper_bound])
def test_a_sparsity_outside_1_to_K_is_refused(method):
    for s in (0, 3):
        with pytest.raises(InputError, match=f"s = {s}: expected"):
            method(np.eye(2), s)
