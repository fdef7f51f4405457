"""T5: the best order of known atoms against every permutation."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import order_by_energy
from osae_theory.minimisers import (
    best_order,
    energy_order_is_optimal,
    nested_loss,
    order,
    order_loss,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import prefix_laws, problems, seeds


def overlaps(seed, K, d=3, N=8, m=2, spread=0.5):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, K))
    D /= np.linalg.norm(D, axis=0)
    Y = np.abs(rng.standard_normal((K, N))) * rng.lognormal(0, spread, (K, 1))
    Y[np.argsort(rng.random(Y.shape), axis=0) >= m] = 0.0
    return (D.T @ D) * (Y @ Y.T)


def brute_force(A, law):
    losses = {p: order_loss(A, law, p) for p in permutations(range(len(A)))}
    return losses, min(losses.values())


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(1, 5))
def test_dynamic_programming_finds_the_least_of_all_orders(seed, law):
    A = overlaps(seed, law.K)
    found = best_order(A, law)
    losses, least = brute_force(A, law)
    assert found.loss == pytest.approx(least, abs=1e-12)
    assert order_loss(A, law, found.order) == pytest.approx(least, abs=1e-12)
    assert found.n_optimal == sum(v <= least + 1e-10 for v in losses.values())
    assert found.certificate.kind == "value"


@pytest.mark.theory
@pytest.mark.parametrize("K", [6, 7])
def test_dynamic_programming_finds_the_least_of_5040_orders(K):
    A, law = overlaps(K, K), PrefixLaw.zipf(K)
    assert best_order(A, law).loss == pytest.approx(brute_force(A, law)[1], abs=1e-12)


@pytest.mark.theory
@given(seed=seeds(), K=st.integers(1, 5))
def test_in_fractions_the_least_order_is_exact_and_ties_are_counted(seed, K):
    rng = np.random.default_rng(seed)
    half = rng.integers(-2, 3, (K, K))
    A = (half + half.T + np.diag(rng.integers(5, 8, K))).astype(object)
    weights = rng.integers(0, 4, K) + (np.arange(K) == 0)
    law = [Fraction(int(w), int(weights.sum())) for w in weights]
    found = best_order(A, law)
    losses, least = brute_force(A, law)
    assert isinstance(found.loss, Fraction)
    assert found.loss == least
    assert found.n_optimal == list(losses.values()).count(least)
    assert (found.certificate.kind, found.certificate.error) == ("exact", 0.0)


@pytest.mark.theory
@given(problem=problems(max_K=6), data=st.data())
def test_the_loss_of_an_order_is_that_of_the_reordered_factorisation(problem, data):
    law = data.draw(prefix_laws(problem.K, problem.K))
    places = data.draw(st.permutations(range(problem.K)))
    D, Y = problem.dictionary, problem.codes
    A = (D.T @ D) * (Y @ Y.T)
    direct = nested_loss(D @ Y, np.ascontiguousarray(Y[places]), D[:, places], law)
    assert order_loss(A, law, places) == pytest.approx(direct, abs=1e-10 * (1 + A.diagonal().sum()))


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(2, 6), m=st.integers(1, 2))
def test_where_the_condition_of_t5_holds_some_order_by_energy_is_best(seed, law, m):
    A = overlaps(seed, law.K, d=6, m=m, spread=1.0)
    by_energy = order_loss(A, law, np.argsort(-A.diagonal()))
    if energy_order_is_optimal(A):
        assert by_energy == pytest.approx(brute_force(A, law)[1], abs=1e-10)
    elif law.K == 2:
        pytest.fail("with two atoms there is no third to pull, and energy decides")


@pytest.mark.theory
def test_the_condition_of_t5_is_met_and_missed_by_random_instances():
    met = [energy_order_is_optimal(overlaps(seed, 4, d=3, spread=0.5)) for seed in range(100)]
    assert 10 < sum(met) < 90


@pytest.mark.theory
def test_with_uncorrelated_codes_energy_decides_and_with_correlated_ones_it_need_not():
    diagonal = np.diag([1.0, 3.0, 2.0])
    assert energy_order_is_optimal(diagonal)
    assert best_order(diagonal, PrefixLaw.uniform(3)).order.tolist() == [1, 2, 0]
    excess = []
    for seed in range(60):
        A, law = overlaps(seed, 6), PrefixLaw.uniform(6)
        least = best_order(A, law).loss
        excess.append(order_loss(A, law, np.argsort(-A.diagonal())) / least - 1)
    assert min(excess) > -1e-12
    assert np.mean(np.array(excess) > 1e-9) > 0.3


@pytest.mark.theory
def test_equal_energies_leave_the_condition_silent_on_which_sorted_order():
    A = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    law = PrefixLaw.uniform(3)
    assert energy_order_is_optimal(A)
    assert order_loss(A, law, [0, 1, 2]) < order_loss(A, law, [2, 0, 1])


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(2, 6))
def test_exchange_stops_where_no_pair_can_be_exchanged_and_never_below_the_best(seed, law):
    A = overlaps(seed, law.K)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "MOST_ATOMS", 1)
        found = best_order(A, law)
    assert found.certificate.kind == "upper bound"
    assert found.n_optimal is None
    assert found.loss <= order_loss(A, law, np.argsort(-A.diagonal())) + 1e-10
    assert found.loss >= best_order(A, law).loss - 1e-10
    for i in range(law.K):
        for j in range(i):
            trial = found.order.copy()
            trial[[i, j]] = trial[[j, i]]
            assert order_loss(A, law, trial) >= found.loss - 1e-9


def test_beyond_sixteen_atoms_exchange_still_sorts_uncorrelated_atoms_by_energy():
    Y = np.diag(np.random.default_rng(0).permutation(20) + 1.0)
    found = best_order(Y @ Y.T, PrefixLaw.uniform(20))
    np.testing.assert_array_equal(found.order, order_by_energy(Y))
    exact = best_order((Y @ Y.T).astype(int).astype(object), [Fraction(1, 20)] * 20)
    assert float(exact.loss) == pytest.approx(found.loss)


def test_sixteen_atoms_are_ordered_exactly():
    found = best_order(overlaps(1, 16, d=8, N=60), PrefixLaw.uniform(16))
    assert sorted(found.order) == list(range(16))
    assert found.certificate.kind == "value"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_order(np.triu(np.ones((2, 2))), PrefixLaw.uniform(2)), "symmetry"),
        (lambda: best_order(np.full((1, 1), np.nan), PrefixLaw.uniform(1)), "nan"),
        (lambda: best_order(np.zeros((0, 0)), PrefixLaw.uniform(1)), "K >= 1"),
        (lambda: best_order(np.eye(2), PrefixLaw.uniform(3)), "prefix law on 3 atoms"),
        (lambda: best_order(np.eye(2), [Fraction(1, 2)] * 2), "for exactness"),
        (lambda: order_loss(np.eye(2), PrefixLaw.uniform(2), [0, 0]), "permutation of 0..1"),
        (lambda: order_loss(np.eye(2).astype(int), [Fraction(1)], [0, 1]), "1 probabilities"),
    ],
)
def test_inputs_outside_their_range_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
