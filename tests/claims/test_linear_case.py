import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import linear_case
from osae_theory.claims.linear_case import (
    LINEAR_CASE,
    draw,
    eckart_young,
    growth_bound,
    least_loss,
    principal_directions,
    rivals,
    shortfalls,
    squared_singular_values,
)
from osae_theory.errors import InputError
from osae_theory.minimisers.losses import nested_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns

pytestmark = pytest.mark.theory


def test_the_check_confirms_up_to_rounding():
    found = LINEAR_CASE.check(200)
    assert found.confirmed
    assert found.error < 1e-12
    assert found.n_examples == 200


@given(st.integers(0, 2**32 - 1))
def test_pca_attains_the_bound_and_no_rival_is_below_it(seed):
    rng = np.random.default_rng(seed)
    pca, excess, margin = shortfalls(draw(rng), rng)
    assert pca < 1e-12
    assert excess > -1e-12
    assert margin > -1e-12


@given(st.integers(0, 2**32 - 1))
def test_the_codes_found_are_no_worse_than_their_neighbours(seed):
    rng = np.random.default_rng(seed)
    X, K, law = draw(rng)
    D = gaussian_columns(len(X), K, rng)
    Y = np.linalg.lstsq(D, X, rcond=None)[0]
    assert least_loss(X, D, law) <= nested_loss(X, Y, D, law) * (1 + 1e-9) + 1e-9


@given(st.integers(0, 2**32 - 1))
def test_rivals_far_from_pca_are_strictly_worse(seed):
    rng = np.random.default_rng(seed)
    X, K, law = draw(rng)
    D = rivals((X, K, law), rng)[0]
    if growth_bound(X, D, law) > 1e-6:
        assert least_loss(X, D, law) > eckart_young(X, law)


def test_the_growth_bound_is_zero_at_pca_with_any_signs_and_positive_when_reversed():
    X, law = np.diag([3.0, 2.0, 1.0]), PrefixLaw.uniform(3)
    U = principal_directions(X, 3)
    assert growth_bound(X, U * [1, -1, 1], law) == pytest.approx(0, abs=1e-12)
    assert growth_bound(X, U[:, ::-1], law) > 1


def test_equal_singular_values_leave_a_plane_free():
    X, law = np.diag([2.0, 2.0, 1.0]), PrefixLaw.uniform(3)
    c, s = np.cos(0.3), np.sin(0.3)
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert least_loss(X, turned, law) == pytest.approx(eckart_young(X, law))
    assert LINEAR_CASE.unmet((X, 3, law)) == ["sigma_1 > ... > sigma_K > sigma_{K+1}"]


def test_a_prefix_that_is_never_drawn_leaves_a_plane_free():
    X, law = np.diag([3.0, 2.0, 1.0]), PrefixLaw(np.array([0.0, 0.5, 0.5]))
    turned = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    assert least_loss(X, turned, law) == pytest.approx(eckart_young(X, law))
    assert LINEAR_CASE.unmet((X, 3, law)) == ["the law has full support"]


def test_the_hypotheses_are_tests_of_data_size_and_law():
    X = np.diag([3.0, 2.0, 1.0])
    assert LINEAR_CASE.unmet((X, 3, PrefixLaw.uniform(3))) == []
    assert "K <= d" in LINEAR_CASE.unmet((X, 4, PrefixLaw.uniform(4)))
    assert LINEAR_CASE.unmet((X[:, :1], 2, PrefixLaw.uniform(2))) == [
        "sigma_1 > ... > sigma_K > sigma_{K+1}"
    ]


def test_singular_values_beyond_the_data_are_zero():
    assert squared_singular_values(np.diag([2.0, 1.0]), 4).tolist() == [4.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("wrong", [lambda X, law: 0.0, lambda X, law: 2 * float((X * X).sum())])
def test_a_wrong_bound_is_noticed(monkeypatch, wrong):
    monkeypatch.setattr(linear_case, "eckart_young", wrong)
    assert not LINEAR_CASE.check(20).confirmed


def test_a_check_of_no_examples_is_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        LINEAR_CASE.check(0)
