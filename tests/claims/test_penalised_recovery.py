"""T6: the penalised loss that recovers D* in frequency order, and its sharp threshold."""

import doctest
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest
import sympy
from hypothesis import given

from osae_theory.claims import penalised_recovery
from osae_theory.claims.exact import columns
from osae_theory.claims.penalised_recovery import (
    D_1,
    D_2,
    EXAMPLES,
    PENALISED_RECOVERY,
    descend,
    increasing_costs,
    minimisers,
    patterns,
    penalised_codes,
    threshold,
    two_sparse,
)
from osae_theory.errors import InputError
from osae_theory.problems import problem_from_arrays
from osae_theory.strategies import seeds

pytestmark = pytest.mark.theory

FIRST, SECOND = EXAMPLES


def test_the_check_confirms_recovery_below_and_failure_above():
    finding = PENALISED_RECOVERY.check(30)
    assert finding.confirmed
    assert finding.certificate[f"lambda_0 of {FIRST}"] == Fraction(1, 2)
    assert finding.certificate[f"lambda_0 of {SECOND}"] == Fraction(1)
    assert finding.certificate[f"slots just below lambda_0, {FIRST}"] == "(1, 1, 2)"
    assert finding.certificate[f"slots just above lambda_0, {FIRST}"] == "(1, 1, 0)"
    assert finding.certificate["random instances recovered at 0.99 lambda_0"] == 30
    assert finding.certificate["random instances lost at 1.01 lambda_0"] == 30


def test_the_docstring_example_runs():
    assert doctest.testmod(penalised_recovery).failed == 0


@pytest.mark.parametrize(("name", "value"), [(FIRST, sympy.Rational(1, 2)), (SECOND, 1)])
def test_at_the_threshold_recovery_and_failure_tie(name, value):
    table = patterns(EXAMPLES[name], (1, 2))
    lambda_0, P_0 = threshold(table)
    assert (lambda_0, P_0) == (value, 4)
    losses = {s.loss == 0 for s in minimisers(table, lambda_0)}
    assert losses == {True, False}


def test_the_pattern_losses_match_singular_values():
    X = EXAMPLES[SECOND]
    for pattern in patterns(X, (1, 2)):
        floats, expected = X.astype(float), 0.0
        for slot in range(3):
            part = floats[:, [n for n, s in enumerate(pattern.slots) if s == slot]]
            sigma = np.linalg.svd(part, compute_uv=False) if part.size else np.zeros(1)
            expected += float((sigma[1 if slot else 0 :] ** 2).sum())
        assert float(pattern.loss) == pytest.approx(expected, abs=1e-12)


def test_equal_costs_do_not_say_which_order():
    table = patterns(EXAMPLES[FIRST], (1, 1))
    lambda_0, _ = threshold(table)
    assert {s.slots for s in minimisers(table, lambda_0 / 2)} == {(1, 1, 2), (2, 2, 1)}


def test_falling_costs_give_the_reverse_order():
    table = patterns(EXAMPLES[FIRST], (2, 1))
    lambda_0, _ = threshold(table)
    assert [s.slots for s in minimisers(table, lambda_0 / 2)] == [(2, 2, 1)]


def test_data_with_other_frequencies_would_not_be_confirmed(monkeypatch):
    monkeypatch.setattr(
        penalised_recovery,
        "EXAMPLES",
        {FIRST: columns(D_1, D_2, D_2), SECOND: columns(D_1, D_1, D_2)},
    )
    # [d1, d2, d2] is recovered with its frequent atom first, which is not slots (1, 1, 2).
    assert not PENALISED_RECOVERY.check(1).confirmed


def test_a_threshold_that_is_too_large_would_not_be_confirmed(monkeypatch):
    honest = threshold
    monkeypatch.setattr(
        penalised_recovery,
        "threshold",
        lambda table: (honest(table)[0] * 2, honest(table)[1]),
    )
    assert not PENALISED_RECOVERY.check(1).confirmed


def test_with_two_atoms_a_sample_the_lowest_descents_are_the_truth_by_frequency():
    instance = two_sparse(np.random.default_rng(0))
    counts = np.count_nonzero(instance.Y, axis=1)
    assert counts.tolist() == sorted(counts, reverse=True)
    weight = 1e-5 * float(np.vdot(instance.X, instance.X))
    ends = {
        order: descend(instance, instance.D[:, list(order)], weight)
        for order in permutations(range(3))
    }
    for order, (J, loss, penalty) in ends.items():
        assert loss == pytest.approx(0, abs=1e-12)
        assert penalty == instance.costs @ counts[list(order)]
        assert (J <= weight * instance.P_0 * (1 + 1e-9)) == (order == (0, 1, 2))


@given(seeds())
def test_penalised_codes_are_the_best_of_all_supports(seed):
    rng = np.random.default_rng(seed)
    instance, weight = two_sparse(rng), float(10 ** rng.uniform(-3, 0))
    Y = penalised_codes(instance.X, instance.D, instance.costs, weight)
    for x, z in zip(instance.X.T, Y.T, strict=True):
        found = np.sum((x - instance.D @ z) ** 2) + weight * instance.costs[z != 0].sum()
        for size in range(3):
            for S in map(list, combinations(range(3), size)):
                left = x - instance.D[:, S] @ np.linalg.lstsq(instance.D[:, S], x, rcond=None)[0]
                assert found <= left @ left + weight * instance.costs[S].sum() + 1e-9


def test_too_many_patterns_are_refused():
    with pytest.raises(InputError, match="59049 patterns: expected at most 10000"):
        patterns(columns(*[D_1] * 10), (1, 2))


def test_the_assumptions_are_increasing_costs_and_uniqueness():
    D = np.array([D_1, D_2], dtype=float).T
    good = problem_from_arrays(D, np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]))
    unused = problem_from_arrays(D, np.array([[1.0, 2.0], [0.0, 0.0]]))
    assert PENALISED_RECOVERY.unmet((good, (1, 2))) == []
    assert len(PENALISED_RECOVERY.unmet((good, (1, 1)))) == 1
    assert len(PENALISED_RECOVERY.unmet((unused, (1, 2)))) == 1
    assert increasing_costs((0, 1, 5))
    assert not increasing_costs((-1, 1))
