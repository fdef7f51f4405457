import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import (
    SquaredValues,
    disorder_bound_by_energy,
    disorder_bound_by_frequency,
    expected_order,
    expected_orderedness,
    inversions_by_energy,
    inversions_by_frequency,
    inversions_of,
    least_samples,
    normal_inversions_by_energy,
    order_by_energy,
    order_by_frequency,
    orderedness_of_permutation,
    orderedness_with_misplaced,
    orderedness_with_shuffled,
)
from osae_theory.metrics.expected_order import HALF_NORMAL, UNIFORM
from osae_theory.problems import inclusion_matrix, toy_spec
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory

TOY = inclusion_matrix(np.arange(1.0, 21.0) ** -1.2, 3)


def random_inclusion(seed):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(2, 7))
    weights = np.sort(np.exp(rng.standard_normal(K)))[::-1]
    return inclusion_matrix(weights, int(rng.integers(1, K)))


@given(st.permutations(range(9)))
def test_ord_of_a_permutation_is_read_off_its_inversions(mu):
    places = np.array(mu)
    expected = orderedness_of_permutation(places)
    assert expected_orderedness(inversions_of(places)) == pytest.approx(expected, abs=1e-14)


def test_coin_tosses_give_0_and_certain_inversions_minus_1():
    certain = np.triu(np.ones((7, 7)), 1)
    assert expected_orderedness(certain / 2) == pytest.approx(0, abs=1e-15)
    assert expected_orderedness(certain) == pytest.approx(-1)


@given(seeds(), st.integers(1, 12))
def test_inversions_by_frequency_are_the_trinomial_sum(seed, N):
    inclusion = random_inclusion(seed)
    a, b = inclusion[0, 0] - inclusion[0, 1], inclusion[1, 1] - inclusion[0, 1]
    chances = stats.multinomial(N, np.clip([a, b, 1 - a - b], 0, 1))
    pairs = [(x, y) for x, y in product(range(N + 1), repeat=2) if x <= y <= N - x]
    expected = sum(chances.pmf([x, y, N - x - y]) * (0.5 if x == y else 1) for x, y in pairs)
    found = inversions_by_frequency(inclusion, N)
    assert found[0, 1] == pytest.approx(expected, abs=1e-9)
    assert not np.tril(found).any()


@pytest.mark.parametrize(
    ("inversions", "order"),
    [
        (inversions_by_frequency, order_by_frequency),
        (inversions_by_energy, order_by_energy),
    ],
)
def test_drawn_codes_have_the_ord_that_is_expected(inversions, order):
    n_samples, values = 400, []
    for seed in range(60):
        codes = toy_spec(8, 20, 3, n_samples, seed=seed).draw().codes
        shuffled = np.random.default_rng(seed).permutation(20)  # ties carry no order
        values.append(orderedness_of_permutation(shuffled[order(codes[shuffled])]))
    expected = expected_orderedness(inversions(TOY, n_samples))
    assert abs(np.mean(values) - expected) < 4 * stats.sem(values)
    assert stats.sem(values) < 0.01


def test_where_the_normal_approximation_is_good_it_agrees_by_energy():
    exact = expected_orderedness(inversions_by_energy(TOY, 20_000))
    normal = expected_orderedness(normal_inversions_by_energy(TOY, 20_000))
    assert 1e-4 < 1 - exact
    assert normal == pytest.approx(exact, abs=2e-5)


@pytest.mark.parametrize("n_samples", [1, 3, 50, 3000])
def test_a_finer_rule_changes_nothing(n_samples, monkeypatch):
    found = inversions_by_energy(TOY, n_samples)
    monkeypatch.setattr(expected_order, "_STEP", 0.02)
    np.testing.assert_allclose(inversions_by_energy(TOY, n_samples), found, atol=1e-10)


@given(seeds(), st.integers(1, 3000))
def test_the_bounds_are_above_what_is_expected(seed, N):
    inclusion = random_inclusion(seed)
    for inversions, bound in (
        (inversions_by_frequency, disorder_bound_by_frequency),
        (inversions_by_energy, disorder_bound_by_energy),
    ):
        disorder = 1 - expected_orderedness(inversions(inclusion, N))
        assert disorder <= bound(inclusion, N) + 1e-10
        assert bound(inclusion, N + 1) <= bound(inclusion, N)


@pytest.mark.parametrize("values", [HALF_NORMAL, UNIFORM])
def test_the_named_laws_meet_bernsteins_condition_with_the_moments_they_have(values):
    if values is HALF_NORMAL:
        moments = [math.prod(range(1, 2 * k, 2)) for k in range(30)]
    else:
        moments = [1 / (2 * k + 1) for k in range(30)]
    assert (moments[1], moments[2]) == (values.mean, values.second)
    for k in range(3, 30):
        allowed = math.factorial(k) / 2 * values.second * values.scale ** (k - 2)
        assert moments[k] <= allowed * (1 + 1e-12)


def test_n_is_the_least_with_the_order_asked_for():
    n = least_samples(lambda N: disorder_bound_by_frequency(TOY, N), 0.05)
    assert disorder_bound_by_frequency(TOY, n) <= 0.05 < disorder_bound_by_frequency(TOY, n - 1)
    assert least_samples(lambda N: 0.0, 0.1) == 1


def test_atoms_of_equal_use_never_get_into_an_order():
    equal = inclusion_matrix(np.ones(4), 2)
    assert expected_orderedness(inversions_by_frequency(equal, 500)) == pytest.approx(0, abs=1e-9)
    assert expected_orderedness(inversions_by_energy(equal, 500)) == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="not reached"):
        least_samples(lambda N: disorder_bound_by_frequency(equal, N), 0.5, most=1000)


def test_atoms_that_are_always_used_or_never_tie():
    never = np.diag([0.5, 0.0, 0.0])
    always = np.ones((2, 2))
    assert inversions_by_frequency(never, 5)[1, 2] == 0.5
    assert inversions_by_energy(never, 5)[1, 2] == 0.5
    assert normal_inversions_by_energy(never, 5)[1, 2] == 0.5
    assert inversions_by_frequency(always, 5)[0, 1] == 0.5
    assert inversions_by_energy(always, 5)[0, 1] == pytest.approx(0.5)


def test_an_order_that_is_wrong_about_the_use_is_told():
    backwards = inclusion_matrix(np.array([1.0, 2.0, 4.0]), 1)
    assert expected_orderedness(inversions_by_frequency(backwards, 10_000)) == pytest.approx(-1)
    assert expected_orderedness(inversions_by_energy(backwards, 10_000)) == pytest.approx(-1)
    with pytest.raises(InputError, match="falling order"):
        disorder_bound_by_frequency(backwards, 10)
    with pytest.raises(InputError, match="falling order"):
        disorder_bound_by_energy(backwards, 10)


def test_ten_lost_of_a_hundred_cost_what_is_claimed():
    rarest = np.arange(100) >= 90
    assert 1 - orderedness_with_misplaced(~rarest) == pytest.approx(21 / 110)
    assert 1 - orderedness_with_shuffled(rarest) == pytest.approx(1 / 1010)
    assert orderedness_with_shuffled(np.zeros(5, dtype=bool)) == 1
    assert orderedness_with_misplaced(np.zeros(5, dtype=bool)) == 0


@pytest.mark.parametrize(
    "inclusion",
    [
        np.array([[0.5, 0.6], [0.6, 0.7]]),  # both more often than one
        np.array([[1.5, 0.1], [0.1, 0.2]]),
        np.array([[0.9, 0.1], [0.1, 0.9]]),  # one of the two more often than always
        np.array([[0.9, 0.1], [0.2, 0.2]]),
        np.array([[0.9, -0.1], [-0.1, 0.1]]),
    ],
)
def test_what_is_no_inclusion_matrix_is_refused(inclusion):
    with pytest.raises(InputError, match="inclusion"):
        inversions_by_frequency(inclusion, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inversions_by_energy(TOY, 0), "n_samples = 0"),
        (lambda: expected_orderedness(np.zeros((1, 1))), "K = 1"),
        (lambda: expected_orderedness(np.full((3, 3), 1.1)), "between 0 and 1"),
        (lambda: inversions_of(np.array([0, 2])), "permutation"),
        (lambda: least_samples(lambda N: 1 / N, 0.0), "epsilon"),
        (lambda: SquaredValues(1.0, 0.5, 1.0), "second"),
        (lambda: SquaredValues(1.0, 2.0, 0.0), "scale"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_disorder_that_is_no_number_has_no_number_of_samples():
    with pytest.raises(InputError, match="not reached"):
        least_samples(lambda n_samples: float("nan"), 0.01)
