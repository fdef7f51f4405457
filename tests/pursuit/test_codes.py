"""Codes by pursuit, against scipy, scikit-learn and a pursuit that forms every residual."""

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import orthogonal_mp

from osae_theory.errors import InputError
from osae_theory.pursuit import compiled, nonnegative_omp, plain
from osae_theory.threads import limited_threads

SIZES = [
    (6, 12, 4),
    (6, 12, 6),
    (4, 5, 5),
    (10, 30, 6),
    (8, 5, 5),
    (3, 20, 8),
    (20, 10, 4),
    (7, 9, 1),
]


def instance(d, K, seed=0, n=60, noise=1.0):
    """Samples that are half sparse codes and half noise, and random atoms."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((K, d))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.abs(rng.standard_normal((n, K))) * (rng.random((n, K)) < 3 / K)
    codes[: n // 2] = 0
    return np.where(
        codes.any(1)[:, None], codes @ atoms, noise * rng.standard_normal((n, d))
    ), atoms


def by_residuals(x, atoms, m, tolerance):
    """Return a support: pick, solve by scipy, keep what is above 0; every residual is formed."""
    support, code = [], np.zeros(0)
    for _ in range(4 * m):
        residual = x - code @ atoms[support]
        scores = atoms @ residual
        scores[support] = -np.inf
        best = int(np.argmax(scores))
        if len(support) == m or scores[best] <= tolerance * np.linalg.norm(x):
            break
        tried = [*support, best]
        found, _ = scipy.optimize.nnls(atoms[tried].T, x)
        kept = found > 1e-6 * tolerance * np.linalg.norm(x)
        support = [k for k, stays in zip(tried, kept, strict=True) if stays]
        code = found[kept]
    return sorted(support)


@pytest.mark.parametrize(("d", "K", "m"), SIZES)
def test_values_are_those_of_nonnegative_least_squares_on_the_support(d, K, m):
    X, atoms = instance(d, K)
    found = nonnegative_omp(X, atoms, m)
    for x, chosen, values in zip(X, found.indices, found.values, strict=True):
        support = chosen[chosen >= 0]
        assert (np.diff(support) > 0).all()
        assert (values[len(support) :] == 0).all()
        if len(support):
            expected, _ = scipy.optimize.nnls(atoms[support].T, x)
            np.testing.assert_allclose(values[: len(support)], expected, atol=1e-10, rtol=0)
            assert (values[: len(support)] > 0).all()


@pytest.mark.parametrize(("d", "K", "m"), SIZES)
def test_supports_are_those_of_a_pursuit_that_forms_residuals(d, K, m):
    X, atoms = instance(d, K, seed=1)
    found = nonnegative_omp(X, atoms, m)
    for x, chosen in zip(X, found.indices, strict=True):
        assert chosen[chosen >= 0].tolist() == by_residuals(x, atoms, m, 1e-6)


def test_atoms_leave_a_support_where_their_code_falls_to_zero():
    X, atoms = instance(6, 12, seed=1, n=400)
    found = nonnegative_omp(X, atoms, 6)
    first = np.argmax(X @ atoms.T, axis=1)
    assert (found.indices[:, 0] >= 0).all()
    assert 0 < (found.indices != first[:, None]).all(axis=1).sum() < 40


@pytest.mark.parametrize(("d", "K", "m"), [(20, 30, 4), (10, 30, 6), (20, 10, 4)])
def test_signed_codes_are_those_of_scikit_learn(d, K, m):
    X, atoms = instance(d, K, seed=2)
    X = X[:30]
    found = nonnegative_omp(X, atoms, m, signed=True).dense(K)
    expected = orthogonal_mp(atoms.T, X.T, n_nonzero_coefs=m).T
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("d", "K", "m"), SIZES)
def test_compiled_and_plain_loops_have_the_same_bits(d, K, m, signed):
    X, atoms = instance(d, K, seed=3)
    fast, slow = (
        nonnegative_omp(X, atoms, m, signed=signed, compiled=which) for which in (True, False)
    )
    np.testing.assert_array_equal(fast.indices, slow.indices)
    np.testing.assert_array_equal(fast.values, slow.values)
    for name in ("MOST_PICKS", "LEAST_PIVOT", "ZERO"):
        assert getattr(compiled, name) == getattr(plain, name)


def test_a_sample_has_the_same_bits_alone_and_in_company_and_on_any_number_of_threads():
    X, atoms = instance(30, 50, n=3000)
    whole = nonnegative_omp(X, atoms, 5)
    with limited_threads(3):
        assert torch.get_num_threads() == 3
        threaded = nonnegative_omp(X, atoms, 5)
    np.testing.assert_array_equal(threaded.values, whole.values)
    np.testing.assert_array_equal(threaded.indices, whole.indices)
    for i in (0, 1701, 2999):
        alone = nonnegative_omp(X[i : i + 1], atoms, 5)
        np.testing.assert_array_equal(alone.values[0], whole.values[i])


def test_sparse_codes_come_back_exactly_where_atoms_are_nearly_orthogonal():
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((60, 200))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((50, 60))
    for code in codes:
        code[rng.choice(60, 3, replace=False)] = 1 + rng.random(3)
    found = nonnegative_omp((codes @ atoms).astype(np.float32), atoms, 5)
    np.testing.assert_allclose(found.dense(60), codes, atol=1e-5)
    # What rounding in float32 has left is no further atom.
    assert ((found.indices >= 0).sum(axis=1) == 3).all()
    assert found.indices.shape == (50, 5)


def test_zero_samples_zero_atoms_and_doubled_atoms_are_harmless():
    atoms = np.array([[1.0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    X = np.array([[0.0, 0, 0], [2, 1, 1], [-1, 0, 0], [0, 0, -1]])
    found = nonnegative_omp(X, atoms, 4)
    assert found.indices.tolist() == [[-1] * 4, [0, 3, -1, -1], [-1] * 4, [-1] * 4]
    assert found.values[1].tolist() == [2, 1, 0, 0]
    signed = nonnegative_omp(X, atoms, 4, signed=True)
    assert signed.values[2].tolist() == [-1, 0, 0, 0]
    assert nonnegative_omp(X, atoms, 9).indices.shape == (4, 4)
    assert nonnegative_omp(X[:0], atoms, 2).indices.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": 0}, "m = 0: expected a whole number of at least 1"),
        ({"tolerance": -1.0}, "tolerance = -1.0: expected"),
        ({"atoms": 2 * np.eye(3)}, r"atoms\[0\] has norm 2: expected atoms of norm 1, or 0"),
        ({"atoms": np.zeros((0, 3))}, "expected at least one atom"),
        ({"atoms": np.eye(4)}, r"atoms of shape \(4, 4\): expected \(K, d\) beside X"),
        ({"X": [[np.nan, 0, 0]]}, "expected finite numbers"),
    ],
)
def test_what_cannot_be_pursued_is_one_sentence(change, message):
    arguments = {"X": np.eye(3), "atoms": np.eye(3), "m": 2} | change
    with pytest.raises(InputError, match=message):
        nonnegative_omp(**arguments)
