"""Descent for any m: every step is exact in its block and never increases L_ND."""

import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    alternating,
    best_codes,
    codes_on_supports,
    exchange_codes,
    nested_loss,
    stationarity,
    update_atoms,
)
from osae_theory.minimisers.losses import gradients
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import prefix_laws, seeds


def drawn(seed, law, d=3, N=5, m=2):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, law.K))
    D /= np.linalg.norm(D, axis=0)
    m = min(m, law.K)
    supports = np.sort(np.argsort(rng.random((N, law.K)), axis=1)[:, :m], axis=1)
    return rng.standard_normal((d, N)), D, supports, m


def prefix_by_prefix(x, D, support, law):
    """The least loss of one sample on a support, as one least-squares problem of all prefixes."""
    K = D.shape[1]
    root = np.sqrt(law.probabilities)
    rows = [root[n] * (D * (np.arange(K) <= n))[:, support] for n in range(K)]
    stacked, target = np.concatenate(rows), np.concatenate([r * x for r in root])
    z = np.linalg.lstsq(stacked, target, rcond=None)[0]
    return float(np.sum((target - stacked @ z) ** 2))


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(1, 5), m=st.integers(1, 3))
def test_codes_are_the_best_of_every_support(seed, law, m):
    X, D, _, m = drawn(seed, law, m=m)
    Y = best_codes(X, D, m, law)
    assert (np.count_nonzero(Y, axis=0) <= m).all()
    oracle = sum(
        min(prefix_by_prefix(x, D, list(S), law) for S in combinations(range(law.K), m))
        for x in X.T
    )
    assert nested_loss(X, Y, D, law) == pytest.approx(oracle, rel=1e-9, abs=1e-9)


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(1, 6, full_support=True))
def test_codes_on_given_supports_are_stationary_there_and_an_exchange_is_no_worse(seed, law):
    X, D, supports, m = drawn(seed, law)
    fixed = codes_on_supports(X, D, supports, law)
    assert stationarity(X, fixed, D, law)[1] < 1e-9
    exchanged = exchange_codes(X, D, supports, law)
    best = nested_loss(X, best_codes(X, D, m, law), D, law)
    here = nested_loss(X, exchanged, D, law)
    assert best - 1e-10 <= here <= nested_loss(X, fixed, D, law) + 1e-10
    # The best of the supports that differ in one atom at most, sample by sample.
    oracle = sum(
        min(
            prefix_by_prefix(x, D, list(S), law)
            for S in combinations(range(law.K), m)
            if len(set(S) & set(own.tolist())) >= m - 1
        )
        for x, own in zip(X.T, supports, strict=True)
    )
    assert here == pytest.approx(oracle, rel=1e-9, abs=1e-9)


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(1, 5))
def test_a_sweep_over_the_atoms_never_increases_the_loss_and_each_atom_is_its_best(seed, law):
    X, D, supports, _ = drawn(seed, law)
    Y = codes_on_supports(X, D, supports, law)
    updated = update_atoms(X, Y, D, law)
    loss = nested_loss(X, Y, updated, law)
    assert loss <= nested_loss(X, Y, D, law) + 1e-10
    np.testing.assert_allclose(np.linalg.norm(updated, axis=0), 1.0)
    # The last atom was set last: no other unit vector in its place is better.
    rng = np.random.default_rng(seed)
    for _ in range(20):
        trial = updated.copy()
        trial[:, -1] = rng.standard_normal(3)
        trial[:, -1] /= np.linalg.norm(trial[:, -1])
        assert nested_loss(X, Y, trial, law) >= loss - 1e-10


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(2, 5))
def test_steps_never_increase_the_loss(seed, law):
    X, D, supports, m = drawn(seed, law, N=8)
    losses = [nested_loss(X, codes_on_supports(X, D, supports, law), D, law)]
    for _ in range(6):
        Y = best_codes(X, D, m, law)
        losses.append(nested_loss(X, Y, D, law))
        D = update_atoms(X, Y, D, law)
        losses.append(nested_loss(X, Y, D, law))
    assert max(np.diff(losses)) <= 1e-10


@pytest.mark.theory
def test_a_descent_ends_where_the_gradient_vanishes_and_reports_it():
    law = PrefixLaw.uniform(4)
    X, _, _, _ = drawn(3, law, N=12)
    found = alternating(X, 4, 2, law, n_starts=3, max_steps=5000, tolerance=0)
    grad_D, _ = gradients(X, found.codes, found.dictionary, law)
    tangent, on_supports = stationarity(X, found.codes, found.dictionary, law)
    assert tangent < 1e-6
    assert on_supports < 1e-6
    assert found.certificate.details["tangent gradient in D"] == f"{tangent:.3g}"
    # Codes that are optimal leave nothing along the atoms either: rescaling gains nothing.
    assert np.linalg.norm(grad_D) < 1e-5
    assert found.loss == nested_loss(X, found.codes, found.dictionary, law)
    assert found.unique is None
    assert found.certificate.kind == "upper bound"


@pytest.mark.theory
def test_orthonormal_atoms_with_uncorrelated_codes_are_found_by_energy():
    # T8: every sample one atom, so that C is diagonal.
    Y = np.zeros((4, 8))
    Y[np.arange(8) % 4, np.arange(8)] = np.array([1.0, 2.0, 3.0, 4.0])[np.arange(8) % 4]
    law = PrefixLaw.uniform(4)
    found = alternating(Y, 4, 2, law, n_starts=10)
    np.testing.assert_allclose(np.abs(found.dictionary), np.eye(4)[::-1], atol=1e-4)
    assert found.loss == pytest.approx(np.sort(2.0 * np.arange(1, 5) ** 2) @ [0.75, 0.5, 0.25, 0.0])


def test_starts_are_reproducible_and_given_ones_are_used():
    law = PrefixLaw.uniform(3)
    X, D, _, _ = drawn(1, law)
    first, again = (alternating(X, 3, 1, law, n_starts=3, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.dictionary, again.dictionary)
    given_start = alternating(X, 3, 1, law, n_starts=0, initial=[D])
    assert given_start.loss <= nested_loss(X, best_codes(X, D, 1, law), D, law)
    assert given_start.certificate.details["starts that reached it"] == "1 of 1"


def test_no_data_at_all_is_fitted_exactly():
    assert alternating(np.zeros((2, 3)), 2, 1, PrefixLaw.uniform(2), n_starts=2).loss == 0.0


def test_where_supports_are_too_many_to_enumerate_exchanges_descend(monkeypatch):
    law = PrefixLaw.uniform(6)
    X, D, supports, m = drawn(7, law, N=10)
    enumerated = alternating(X, 6, m, law, n_starts=4)
    # The package exports a function of the module's name, so the module is reached by sys.modules.
    monkeypatch.setattr(sys.modules["osae_theory.minimisers.alternating"], "_MOST_ENTRIES", 10)
    exchanged = alternating(X, 6, m, law, n_starts=4)
    start = nested_loss(X, codes_on_supports(X, D, supports, law), D, law)
    assert enumerated.loss - 1e-9 <= exchanged.loss * 1.5
    assert exchanged.loss < start
    with pytest.raises(InputError, match="use `exchange_codes`"):
        best_codes(X, D, m, law)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": 4}, "m = 4: expected at most K = 3"),
        ({"n_starts": 0}, "n_starts = 0"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"tolerance": -1.0}, "tolerance = -1"),
        ({"initial": [np.eye(2)]}, "start of shape"),
        ({"initial": [2 * np.eye(3)]}, "norm 2"),
        ({"law": PrefixLaw.uniform(2)}, "prefix law on 2 atoms"),
    ],
)
def test_arguments_outside_their_range_are_refused(changes, message):
    arguments = {"X": np.eye(3), "K": 3, "m": 1, "law": PrefixLaw.uniform(3)} | changes
    with pytest.raises(InputError, match=message):
        alternating(**arguments)
