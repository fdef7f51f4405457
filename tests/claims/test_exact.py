from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import exact
from osae_theory.claims.exact import (
    FREQUENCY_ORDER,
    FULL_SUPPORT,
    NONNEGATIVE_SPARSE,
    SUPPORT_TO_M,
    THEOREM_3_1,
    UNIQUE_CODES,
    UNIT_NORM,
    Instance,
    as_fractions,
    columns,
    meets,
    nested_loss,
    prefix_losses,
    rank,
    spark,
    squared_norm,
    uniform,
)
from osae_theory.errors import InputError
from osae_theory.minimisers.losses import nested_loss as float_nested_loss
from osae_theory.prefixes import PrefixLaw

pytestmark = pytest.mark.theory

A, B = Fraction(3, 5), Fraction(4, 5)
HALF = Fraction(1, 2)


def pythagorean(rng, K):
    t = [Fraction(int(n), 9) for n in rng.integers(-9, 10, K)]
    return columns(*[((1 - x * x) / (1 + x * x), 2 * x / (1 + x * x)) for x in t])


def instance(**changes):
    fields = {
        "D": columns((1, 0), (A, B), (0, 1)),
        "Y": columns((1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 0, 3)),
        "law": uniform(3),
        "m": 1,
    }
    return Instance(**(fields | changes))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_exact_loss_is_the_float_loss_up_to_rounding(seed, K):
    rng = np.random.default_rng(seed)
    D = pythagorean(rng, K)
    Y, X = (as_fractions(rng.integers(-3, 4, (n, 3))) for n in (K, 2))
    weights = [int(n) for n in rng.integers(1, 6, K)]
    law = tuple(Fraction(n, sum(weights)) for n in weights)
    floats = (np.asarray(M, dtype=np.float64) for M in (X, Y, D))
    expected = float_nested_loss(*floats, PrefixLaw(np.array(law, dtype=np.float64)))
    assert float(nested_loss(X, Y, D, law)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_loss_is_the_law_s_mean_of_the_prefix_losses_worked_by_hand():
    D, X = columns((1, 0), (0, 1)), columns((2, 3))
    assert prefix_losses(X, X, D) == [9, 0]
    assert nested_loss(X, X, D, (Fraction(1, 4), Fraction(3, 4))) == Fraction(9, 4)


def test_a_loss_whose_two_forms_disagree_is_not_returned(monkeypatch):
    monkeypatch.setattr(exact, "prefix_losses", lambda X, Y, D: [Fraction(1), Fraction(1)])
    D = columns((1, 0), (0, 1))
    with pytest.raises(ArithmeticError, match="by prefixes"):
        nested_loss(D, D, D, uniform(2))


def test_a_column_that_is_not_of_norm_one_is_refused_by_its_number():
    D = columns((1, 0), (1, 1))
    with pytest.raises(InputError, match="column 1 has squared norm 2"):
        nested_loss(D, D, D, uniform(2))


def test_a_float_is_refused_for_exactness():
    with pytest.raises(InputError, match=r"0\.5"):
        columns((0.5, 1))


@given(st.integers(0, 2**32 - 1))
def test_the_exact_rank_is_numpy_s_on_small_whole_numbers(seed):
    rng = np.random.default_rng(seed)
    d, K, r = (int(n) for n in rng.integers(1, 5, 3))
    M = rng.integers(-3, 4, (d, r)) @ rng.integers(-3, 4, (r, K))
    assert rank(as_fractions(M)) == np.linalg.matrix_rank(M)


def test_rank_tells_apart_what_floats_cannot():
    tiny = Fraction(1, 10**40)
    assert rank(columns((1, 1), (1, 1 + tiny))) == 2
    assert rank(columns((1, 1), (1, 1))) == 1


def test_spark_is_known_on_three_lines_of_the_plane_a_repeat_and_a_basis():
    assert spark(columns((1, 0), (A, B), (0, 1))) == 3
    assert spark(columns((1, 0), (0, 1), (-1, 0))) == 2
    assert spark(as_fractions(np.eye(3, dtype=int))) == 4


def test_an_instance_knows_its_data_frequencies_energies_and_orders():
    one = instance()
    assert (one.X == columns((1, 0), (2, 0), (A, B), (0, 3))).all()
    assert one.frequencies == [2, 1, 1]
    assert one.energies == [5, 1, 9]
    assert one.loss() == Fraction(1 + 2 * 9, 3)
    assert one.ordered_loss((2, 0, 1)) == Fraction(5 + 2 * 1, 3)
    assert squared_norm(one.X) == 15


def test_an_instance_that_meets_every_hypothesis_is_recognised():
    assert meets(THEOREM_3_1, instance())


@pytest.mark.parametrize(
    ("assumption", "changes"),
    [
        (UNIT_NORM, {"D": columns((1, 0), (A, B), (0, 2))}),
        (UNIQUE_CODES, {"m": 2}),
        (UNIQUE_CODES, {"D": columns((1, 0), (A, B), (-1, 0))}),
        (NONNEGATIVE_SPARSE, {"Y": columns((1, 0, 0), (0, -1, 0))}),
        (NONNEGATIVE_SPARSE, {"Y": columns((1, 0, 0), (1, 1, 0))}),
        (FREQUENCY_ORDER, {"Y": columns((1, 0, 0), (0, 1, 0), (0, 2, 0))}),
        (FULL_SUPPORT, {"law": (HALF, Fraction(0), HALF)}),
        (FULL_SUPPORT, {"law": (HALF, HALF)}),
        (FULL_SUPPORT, {"law": (HALF, HALF, HALF)}),
    ],
)
def test_each_hypothesis_of_theorem_3_1_refuses_an_instance_that_breaks_it(assumption, changes):
    assert assumption.test(instance())
    assert not assumption.test(instance(**changes))
    assert not meets(THEOREM_3_1, instance(**changes))


def test_a_law_on_the_first_m_lengths_is_told_from_one_that_reaches_further():
    nil = Fraction(0)
    assert SUPPORT_TO_M.test(instance(law=(Fraction(1), nil, nil)))
    assert not SUPPORT_TO_M.test(instance(law=uniform(3)))
    assert not SUPPORT_TO_M.test(instance(law=(nil, Fraction(1), nil)))
    assert SUPPORT_TO_M.test(instance(law=(HALF, HALF, nil), m=2))
