import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.matching import match
from osae_theory.metrics.reconstruction import (
    dead_share,
    fifr_error,
    fraction_of_variance_unexplained,
    mean_l0,
    mean_squared_error,
)

seeds = st.integers(0, 2**32 - 1)
sizes = {
    "d": st.integers(2, 6),
    "width": st.integers(1, 8),
    "n": st.integers(1, 20),
    "seed": seeds,
}
signs = pytest.mark.parametrize("absolute", [False, True])


def sparse_codes(width, n, rng):
    return rng.standard_normal((width, n)) * (rng.random((width, n)) < 0.4)


def truth_and_fit(d, width, n, seed):
    """Draw a true dictionary with codes that are not all zero, and an unrelated one."""
    rng = np.random.default_rng(seed)
    D_true, D = rng.standard_normal((2, d, width))
    codes_true, codes = sparse_codes(width, n, rng), sparse_codes(width, n, rng)
    codes_true[rng.integers(width), rng.integers(n)] = 1.0
    return D_true, codes_true, D, codes


def fifr_in_loops(D_true, codes_true, D, codes, absolute=True):
    matched = match(D_true, D, absolute).permutation
    ratios = []
    for j in range(D_true.shape[1]):
        active = [i for i in range(codes_true.shape[1]) if codes_true[j, i] != 0]
        if not active:
            continue
        k = matched[j]
        errors, sizes = [], []
        for i in active:
            wanted, got = codes_true[j, i] * D_true[:, j], codes[k, i] * D[:, k]
            errors.append(np.sum((wanted - got) ** 2))
            sizes.append(np.sum(wanted**2))
        ratios.append(np.mean(errors) / (np.mean(sizes) + 1e-12))
    return np.mean(ratios)


@given(d=st.integers(1, 6), n=st.integers(1, 20), seed=seeds)
def test_the_mean_squared_error_is_per_entry(d, n, seed):
    X, X_hat = np.random.default_rng(seed).standard_normal((2, d, n))
    total = sum((X[a, i] - X_hat[a, i]) ** 2 for a in range(d) for i in range(n))
    assert mean_squared_error(X, X_hat) == pytest.approx(total / (d * n), rel=1e-12)
    assert mean_squared_error(X, X) == 0.0


@given(d=st.integers(1, 6), n=st.integers(2, 20), seed=seeds)
def test_unexplained_variance_is_zero_for_the_data_and_one_for_its_mean(d, n, seed):
    X, X_hat = np.random.default_rng(seed).standard_normal((2, d, n)) + 5.0
    mean = np.repeat(X.mean(axis=1, keepdims=True), n, axis=1)
    assert fraction_of_variance_unexplained(X, X) == 0.0
    assert fraction_of_variance_unexplained(X, mean) == pytest.approx(1.0, rel=1e-12)
    expected = np.sum((X - X_hat) ** 2) / (n * X.var(axis=1).sum())
    assert fraction_of_variance_unexplained(X, X_hat) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
def test_data_without_variance_are_refused(value):
    X = np.full((3, 7), value)
    with pytest.raises(InputError, match="no variance"):
        fraction_of_variance_unexplained(X, X)


@pytest.mark.parametrize("metric", [mean_squared_error, fraction_of_variance_unexplained])
def test_reconstructions_that_cannot_be_compared_are_refused(metric):
    X = np.arange(6.0).reshape(2, 3)
    broken = X.copy()
    broken[1, 2] = np.inf
    with pytest.raises(InputError, match=r"X_hat has shape \(2, 2\): expected \(2, 3\)"):
        metric(X, X[:, :2])
    with pytest.raises(InputError, match=r"X_hat\[1, 2\] = inf"):
        metric(X, broken)
    with pytest.raises(InputError, match=r"X\[1, 2\] = inf"):
        metric(broken, X)
    with pytest.raises(InputError, match="at least one entry"):
        metric(X[:, :0], X[:, :0])


def test_float32_reconstructions_are_computed_in_float64():
    X = np.array([[1.0, 1e-4], [2.0, 3.0]], dtype=np.float32)
    X_hat = np.zeros_like(X)
    expected = np.mean(X.astype(np.float64) ** 2)
    assert mean_squared_error(X, X_hat) == expected
    assert fraction_of_variance_unexplained(X, X) == 0.0


@given(width=st.integers(1, 8), n=st.integers(1, 20), seed=seeds)
def test_l0_and_the_dead_share_equal_plain_loops(width, n, seed):
    rng = np.random.default_rng(seed)
    codes = sparse_codes(width, n, rng) * (rng.random((width, 1)) < 0.7)
    assert mean_l0(codes) == pytest.approx(np.mean([np.count_nonzero(y) for y in codes.T]))
    assert dead_share(codes) == pytest.approx(np.mean([not row.any() for row in codes]))


def test_codes_without_latents_have_no_dead_share():
    with pytest.raises(InputError, match="at least one latent"):
        dead_share(np.zeros((0, 4)))


@pytest.mark.theory
@signs
@given(**sizes)
def test_fifr_equals_plain_loops(absolute, d, width, n, seed):
    given_fit = truth_and_fit(d, width, n, seed)
    found = fifr_error(*given_fit, absolute=absolute)
    assert found == pytest.approx(fifr_in_loops(*given_fit, absolute=absolute), rel=1e-10)


@pytest.mark.theory
@given(**sizes)
def test_fifr_is_zero_for_the_truth_in_any_order_and_any_units(d, width, n, seed):
    D_true, codes_true, _, _ = truth_and_fit(d, width, n, seed)
    rng = np.random.default_rng(seed)
    order, c = rng.permutation(width), rng.uniform(0.1, 10, width) * rng.choice([-1, 1], width)
    D, codes = (D_true * c)[:, order], (codes_true / c[:, None])[order]
    assert fifr_error(D_true, codes_true, D, codes) < 1e-28


@pytest.mark.theory
@given(**sizes)
def test_fifr_is_positive_as_soon_as_one_active_code_is_wrong(d, width, n, seed):
    D_true, codes_true, _, _ = truth_and_fit(d, width, n, seed)
    wrong = codes_true.copy()
    j, i = np.argwhere(codes_true)[0]
    wrong[j, i] *= 1.001
    error = fifr_error(D_true, codes_true, D_true, wrong)
    share = codes_true[j, i] ** 2 / np.sum(codes_true[j] ** 2)
    occurring = codes_true.any(axis=1).sum()
    assert error == pytest.approx(1e-6 * share / occurring, rel=1e-6)


@pytest.mark.theory
@given(**sizes)
def test_fifr_sees_a_decoder_that_is_slightly_turned(d, width, n, seed):
    D_true, codes_true, _, _ = truth_and_fit(d, width, n, seed)
    rng = np.random.default_rng(seed)
    D = D_true + 1e-9 * rng.standard_normal(D_true.shape)
    found = fifr_error(D_true, codes_true, D, codes_true)
    assert found == pytest.approx(fifr_in_loops(D_true, codes_true, D, codes_true), rel=1e-4)
    assert found > 0.0


@given(**sizes)
def test_fifr_ignores_what_a_latent_does_where_its_feature_is_silent(d, width, n, seed):
    D_true, codes_true, D, codes = truth_and_fit(d, width, n, seed)
    matched = match(D_true, D, absolute=True).permutation
    noisy = codes.copy()
    noisy[matched] += 100.0 * (codes_true == 0)
    expected = fifr_error(D_true, codes_true, D, codes)
    assert fifr_error(D_true, codes_true, D, noisy) == pytest.approx(expected, rel=1e-12)


@pytest.mark.theory
@given(**sizes)
def test_fifr_does_not_depend_on_the_order_or_the_units_of_the_latents(d, width, n, seed):
    D_true, codes_true, D, codes = truth_and_fit(d, width, n, seed)
    rng = np.random.default_rng(seed)
    order, c = rng.permutation(width), rng.uniform(0.1, 10, width) * rng.choice([-1, 1], width)
    found = fifr_error(D_true, codes_true, (D * c)[:, order], (codes / c[:, None])[order])
    assert found == pytest.approx(fifr_error(D_true, codes_true, D, codes), rel=1e-10)


@given(**sizes)
def test_fifr_does_not_depend_on_the_order_of_the_truth(d, width, n, seed):
    D_true, codes_true, D, codes = truth_and_fit(d, width, n, seed)
    order = np.random.default_rng(seed).permutation(width)
    found = fifr_error(D_true[:, order], codes_true[order], D, codes)
    assert found == pytest.approx(fifr_error(D_true, codes_true, D, codes), rel=1e-10)


def test_fifr_is_one_for_silent_codes_and_for_dead_decoder_atoms():
    D_true, codes_true, D, codes = truth_and_fit(4, 6, 20, 0)
    assert fifr_error(D_true, codes_true, D, 0 * codes) == pytest.approx(1.0, abs=1e-10)
    assert fifr_error(D_true, codes_true, 0 * D, codes) == pytest.approx(1.0, abs=1e-10)


def test_a_rare_feature_counts_as_much_as_a_frequent_one():
    codes_true = np.zeros((2, 100))
    codes_true[0, :99] = 1.0
    codes_true[1, 99] = 1.0
    codes = codes_true.copy()
    codes[1] = 0.0
    assert fifr_error(np.eye(2), codes_true, np.eye(2), codes) == pytest.approx(0.5, abs=1e-10)


def test_a_feature_that_never_occurs_does_not_count():
    codes_true = np.array([[1.0, 2.0], [0.0, 0.0]])
    codes = np.array([[0.0, 2.0], [5.0, 5.0]])
    assert fifr_error(np.eye(2), codes_true, np.eye(2), codes) == pytest.approx(0.2, abs=1e-10)


def test_signed_and_absolute_matching_give_different_fifr_on_flipped_atoms():
    D_true, codes_true, _, _ = truth_and_fit(4, 6, 20, 0)
    assert fifr_error(D_true, codes_true, -D_true, -codes_true) < 1e-28
    assert fifr_error(D_true, codes_true, -D_true, -codes_true, absolute=False) > 0.1


def test_fifr_accepts_float32():
    given_fit = truth_and_fit(4, 6, 20, 0)
    found = fifr_error(*(A.astype(np.float32) for A in given_fit))
    assert found == pytest.approx(fifr_error(*given_fit), rel=1e-5)


def test_fifr_refuses_what_does_not_fit_together():
    D_true, codes_true, D, codes = truth_and_fit(4, 6, 20, 0)
    broken = codes.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InputError, match=r"codes_true has shape \(5, 20\): expected \(6, 20\)"):
        fifr_error(D_true, codes_true[:5], D, codes)
    with pytest.raises(InputError, match=r"D has shape \(4, 5\): expected \(4, 6\)"):
        fifr_error(D_true, codes_true, D[:, :5], codes)
    with pytest.raises(InputError, match=r"codes has shape \(6, 19\): expected \(6, 20\)"):
        fifr_error(D_true, codes_true, D, codes[:, :19])
    with pytest.raises(InputError, match=r"codes\[0, 0\] = nan"):
        fifr_error(D_true, codes_true, D, broken)
    with pytest.raises(InputError, match=r"codes_true\[0, 0\] = nan"):
        fifr_error(D_true, broken, D, codes)
    with pytest.raises(InputError, match="at least one feature that occurs"):
        fifr_error(D_true, 0 * codes_true, D, codes)


@given(**sizes)
def test_fifr_of_the_true_codes_is_the_sine_squared_of_each_atom_at_best(d, width, n, seed):
    D_true, codes_true, D, _ = truth_and_fit(d, width, n, seed)
    assume(codes_true.any(axis=1).all())
    found = match(D_true, D, absolute=True)
    atoms = D[:, found.permutation]
    best = np.zeros_like(codes_true)
    best[found.permutation] = codes_true * (
        np.sum(atoms * D_true, axis=0) / np.sum(atoms**2, axis=0)
    ).reshape(-1, 1)
    expected = np.mean(1.0 - found.similarities**2)
    assert fifr_error(D_true, codes_true, D, best) == pytest.approx(expected, abs=1e-6)
