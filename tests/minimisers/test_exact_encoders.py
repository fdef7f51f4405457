"""The least L_ND at a given dictionary, over encoders and orders, exactly."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    as_fractions,
    best_codes,
    exact_best_encoder,
    exact_nested_loss,
    nested_loss,
    rational_unit_vector,
)
from osae_theory.prefixes import PrefixLaw

F = Fraction
P1 = as_fractions([[1, F(3, 5), 0], [0, F(4, 5), 1]])
THIRDS = [F(1, 3)] * 3


def drawn(seed):
    """A rational dictionary, data that need not be of the form D* Y*, m, and a law."""
    rng = np.random.default_rng(seed)
    d, K = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    atoms = [rational_unit_vector(v, 6) for v in rng.standard_normal((K, d))]
    D = np.array(atoms, dtype=object).T
    if K > 1 and rng.random() < 0.3:
        D[:, -1] = -D[:, 0]
    X = as_fractions(rng.integers(-3, 4, (d, int(rng.integers(1, 4)))))
    weights = rng.integers(0, 4, K)
    weights[-1] += not weights.any()
    law = [F(int(v), int(weights.sum())) for v in weights]
    return X, D, int(rng.integers(1, K + 1)), law


@given(st.integers(0, 2**32 - 1))
def test_the_least_over_encoders_is_that_of_the_codes_it_gives_and_of_the_search_in_floats(seed):
    X, D, m, law = drawn(seed)
    found = exact_best_encoder(X, D, m, law)
    ordered = D[:, list(found.order)]
    assert (np.count_nonzero(found.codes, axis=0) <= m).all()
    assert exact_nested_loss(X, found.codes, ordered, law) == found.loss
    floats, prefix_law = X.astype(float), PrefixLaw(np.array(law, dtype=float))
    losses = []
    for order in permutations(range(D.shape[1])):
        atoms = D[:, list(order)].astype(float)
        codes = best_codes(floats, atoms, m, prefix_law)
        losses.append(nested_loss(floats, codes, atoms, prefix_law))
    scale = 1 + float((floats**2).sum())
    assert float(found.loss) == pytest.approx(min(losses), abs=1e-9 * scale)
    near = sum(loss < min(losses) + 1e-9 * scale for loss in losses)
    assert found.n_optimal == near


def test_an_encoder_can_do_better_at_the_truth_than_the_true_codes():
    found = exact_best_encoder(P1, P1, 1, THIRDS)
    assert found.loss == F(52, 75)
    assert (found.order, found.n_optimal) == ((1, 0, 2), 2)
    at_truth = exact_nested_loss(P1, as_fractions(np.eye(3, dtype=int)), P1, THIRDS)
    assert at_truth == 1 > found.loss


def test_only_the_given_orders_are_compared():
    given_orders = [(0, 1, 2), (2, 1, 0)]
    found = exact_best_encoder(P1, P1, 1, THIRDS, given_orders)
    # The middle atom in slot 2 serves the sample that would wait for slot 3.
    assert found.order in given_orders
    assert found.loss > F(52, 75)


def test_parallel_atoms_under_equal_weights_are_no_obstacle():
    D = as_fractions([[1, 1], [0, 0]])
    X = as_fractions([[2], [1]])
    assert exact_best_encoder(X, D, 2, [F(0), F(1)]).loss == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"D": 2 * P1}, "squared norm 4"),
        ({"m": 4}, "m = 4"),
        ({"probabilities": THIRDS[:2]}, "2 probabilities"),
        ({"orders": [(0, 1, 1)]}, r"order = \(0, 1, 1\)"),
        (
            {
                "X": as_fractions(np.eye(8, dtype=int)),
                "D": as_fractions(np.eye(8, dtype=int)),
                "probabilities": [F(1, 8)] * 8,
            },
            "K = 8 atoms: expected at most 7",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"X": P1, "D": P1, "m": 1, "probabilities": THIRDS} | change
    with pytest.raises(InputError, match=message):
        exact_best_encoder(**arguments)
