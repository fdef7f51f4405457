import re
from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.prefixes import (
    AnnealedLaw,
    ExactPenalty,
    FitSchedule,
    PrefixLaw,
    RandomPrefixes,
    SampledPrefix,
    WeightSchedule,
    equal_group_ends,
    geometric_group_ends,
    matryoshka_group_ends,
)
from osae_theory.prefixes.named import LAWS
from osae_theory.strategies import prefix_laws
from runtime_types import end_checks


@given(prefix_laws())
def test_survival_weights_fall_from_one_and_are_tail_sums(law):
    w = law.survival
    tails = [law.probabilities[j:].sum() for j in range(law.K)]
    assert w[0] == 1
    assert (np.diff(w) <= 0).all()
    np.testing.assert_allclose(w, tails, atol=1e-12)


@given(prefix_laws())
def test_a_law_and_its_survival_weights_determine_each_other(law):
    back = PrefixLaw.from_survival(law.survival)
    np.testing.assert_allclose(back.probabilities, law.probabilities, atol=1e-12)


@given(prefix_laws(full_support=True))
def test_weights_fall_strictly_exactly_under_full_support(law):
    assert law.has_full_support
    assert (np.diff(law.survival) < 0).all()
    assert law.survival[-1] > 0


def test_the_named_laws_are_what_they_say():
    np.testing.assert_array_equal(PrefixLaw.full(3).survival, [1, 1, 1])
    np.testing.assert_allclose(PrefixLaw.uniform(4).survival, [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(PrefixLaw.zipf(3, 1).probabilities, np.array([6, 3, 2]) / 11)
    np.testing.assert_allclose(PrefixLaw.geometric(3, 0.5).probabilities, np.array([4, 2, 1]) / 7)
    np.testing.assert_allclose(PrefixLaw.massed(4, 0.7).probabilities, [0.1, 0.1, 0.1, 0.7])
    np.testing.assert_array_equal(PrefixLaw.massed(1, 0.2).probabilities, [1])
    np.testing.assert_allclose(PrefixLaw.groups(4, (1, 4)).survival, [1, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(
        PrefixLaw.piecewise(4, (1, 4), (0.4, 0.6)).probabilities, [0.4, 0.2, 0.2, 0.2]
    )
    np.testing.assert_allclose(
        PrefixLaw.uniform(4).mixed_with_full(0.6).probabilities, [0.1, 0.1, 0.1, 0.7]
    )


def test_support_is_full_only_where_every_prefix_has_mass():
    assert PrefixLaw.uniform(5).has_full_support
    assert PrefixLaw.piecewise(5, (2, 5)).has_full_support
    assert not PrefixLaw.full(5).has_full_support
    assert not PrefixLaw.groups(5, (2, 5)).has_full_support


def test_steep_laws_do_not_underflow_to_nan():
    assert PrefixLaw.geometric(5000, 0.1).survival[0] == 1
    assert PrefixLaw.zipf(5000, 400.0).probabilities[0] == pytest.approx(1)
    assert PrefixLaw.zipf(5000, -400.0).probabilities.argmax() == 4999


@pytest.mark.parametrize("K", [1, 2, 3, 5, 7, 100])
def test_equal_groups_end_at_the_ceilings_of_fifths(K):
    assert equal_group_ends(K, 5) == tuple(int(np.ceil(K * i / 5)) for i in range(1, 6))
    assert PrefixLaw.groups(K, equal_group_ends(K, 5)).probabilities.sum() == pytest.approx(1)


def test_geometric_groups_double_up_to_K():
    assert geometric_group_ends(100, 5) == (7, 13, 25, 50, 100)
    assert PrefixLaw.groups(3, geometric_group_ends(3, 5)).probabilities[-1] == pytest.approx(0.2)


def test_every_named_law_is_of_as_many_atoms_as_it_is_asked_for():
    for name, law in LAWS.items():
        if law.takes_number and law.default is None:
            assert law.build(7, 0.5).K == 7, name
        else:
            assert law.of(7).K == 7, name
    assert (LAWS["zipf"].of(7).probabilities == PrefixLaw.zipf(7).probabilities).all()


@pytest.mark.theory
@pytest.mark.parametrize(("K", "n", "full"), [(6, 2, True), (6, 3, False), (4, 3, True)])
def test_the_mean_law_of_random_prefixes_is_the_mean_over_every_draw(K, n, full):
    choices = range(1, K) if full else range(1, K + 1)
    total = np.zeros(K)
    draws = list(combinations(choices, n))
    for drawn in draws:
        ends = [*drawn, K] if full else list(drawn)
        total += [np.mean([e >= j for e in ends]) for j in range(1, K + 1)]
    mean = RandomPrefixes(K, n, full).mean_law().survival
    np.testing.assert_allclose(mean, total / len(draws), atol=1e-12)


class Numbers(np.random.Generator):
    """A stream of uniform numbers that are given."""

    def __init__(self, numbers):
        super().__init__(np.random.PCG64(0))
        self._numbers = iter(numbers)

    def random(self):
        return next(self._numbers)


@pytest.mark.theory
def test_the_mean_weights_of_a_sampled_prefix_are_those_of_its_law():
    # Eighths: the mean over the cells of [0, 1) is the mean over all draws, exactly.
    law = PrefixLaw([0.125, 0.5, 0, 0.125, 0.25])
    schedule, stream = SampledPrefix(law), Numbers((i + 0.5) / 8 for i in range(8))
    drawn = np.array([schedule.survival_at(0, 1, stream) for _ in range(8)])
    assert np.array_equal(drawn.mean(axis=0), law.survival)
    lengths = drawn.sum(axis=1).astype(int)
    assert np.array_equal(drawn, np.arange(5) < lengths[:, None])
    counts = np.bincount(lengths, minlength=6)[1:]
    assert np.array_equal(counts / 8, law.probabilities)


@given(prefix_laws(), st.integers(0, 2**32))
def test_a_sampled_prefix_is_one_prefix_of_positive_probability(law, seed):
    w = SampledPrefix(law).survival_at(0, 1, np.random.default_rng(seed))
    length = int(w.sum())
    assert np.array_equal(w, np.arange(law.K) < length)
    assert law.survival[length - 1] > 0
    assert SampledPrefix(law).mean_law() is law


@pytest.mark.parametrize("K", [1, 2, 5, 8, 31, 100, 4096])
def test_matryoshka_groups_end_at_odd_parts_of_32(K):
    ends = matryoshka_group_ends(K)
    assert ends == tuple(sorted({int(np.ceil(K * n / 32)) for n in (1, 3, 7, 15, 32)}))
    assert PrefixLaw.piecewise(K, ends).has_full_support


def test_drawn_prefixes_are_distinct_and_include_K_when_asked():
    rng = np.random.default_rng(0)
    for _ in range(50):
        w = RandomPrefixes(10, 4).survival_at(0, 1, rng)
        steps = np.round(-np.diff(np.append(w, 0)) * 5).astype(int)
        assert steps[-1] == 1
        assert sorted(steps)[-5:] == [1] * 5
        assert steps.sum() == 5


def test_annealing_starts_at_the_law_and_ends_at_the_plain_loss():
    schedule = AnnealedLaw(PrefixLaw.uniform(4), begin=0.25, end=0.75)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(schedule.survival_at(0, 100, rng), PrefixLaw.uniform(4).survival)
    np.testing.assert_allclose(schedule.survival_at(25, 100, rng), PrefixLaw.uniform(4).survival)
    np.testing.assert_allclose(
        schedule.survival_at(50, 100, rng), (PrefixLaw.uniform(4).survival + 1) / 2
    )
    np.testing.assert_array_equal(schedule.survival_at(75, 100, rng), np.ones(4))
    abrupt = AnnealedLaw(PrefixLaw.uniform(4), begin=0.5, end=0.5)
    np.testing.assert_array_equal(abrupt.survival_at(50, 100, rng), np.ones(4))


def test_laws_and_schedules_share_one_interface():
    assert isinstance(SampledPrefix([0.5, 0.5]), WeightSchedule)
    law = PrefixLaw.uniform(3)
    for schedule in (law, RandomPrefixes(3, 2), AnnealedLaw(law)):
        assert isinstance(schedule, WeightSchedule)
        assert schedule.K == 3


def test_a_law_cannot_be_changed_after_it_was_checked():
    law = PrefixLaw.uniform(3)
    for array in (law.probabilities, law.survival):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_a_vector_is_a_law_only_if_nonnegative_and_summing_to_one(entries):
    p = np.array(entries)
    valid = (p >= 0).all() and abs(p.sum() - 1) <= 1e-8
    if valid:
        assert len(entries) == PrefixLaw(p).K
    else:
        with pytest.raises(InputError, match=r"expected (no negative entry|1)"):
            PrefixLaw(p)


HALVES = [0.5, 0.5]


@pytest.mark.parametrize(
    "halves",
    [
        HALVES,
        tuple(HALVES),
        np.array(HALVES, dtype=">f4"),
        [Fraction(1, 2)] * 2,
        np.array([Fraction(1, 2)] * 2, dtype=object),
        torch.tensor(HALVES),
        pd.Series(HALVES),
        np.array(HALVES, dtype=complex),
    ],
    ids=lambda halves: type(halves).__name__,
)
def test_probabilities_may_come_in_any_form(halves):
    for law in (PrefixLaw(halves), AnnealedLaw(halves).law):
        np.testing.assert_array_equal(law.survival, [1, 0.5])
        assert law.probabilities.dtype == np.float64


def test_groups_may_be_arrays():
    expected = PrefixLaw.groups(5, (2, 5), (0.25, 0.75)).survival
    for ends in (np.array([2, 5]), torch.tensor([2, 5]), [np.int32(2), 5]):
        found = PrefixLaw.groups(5, ends, np.array([0.25, 0.75]))
        np.testing.assert_array_equal(found.survival, expected)
        assert PrefixLaw.piecewise(5, ends).K == 5
    assert geometric_group_ends(5, 10**5)[-4:] == (1, 2, 3, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PrefixLaw(np.array([0.5, 0.6])), r"sums to 1\.1: expected 1"),
        (lambda: PrefixLaw(np.array([1.5, -0.5])), r"P\(l = 2\) = -0\.5"),
        (lambda: PrefixLaw(np.array([np.nan, 1.0])), r"prefix law\[0\] = nan"),
        (lambda: PrefixLaw(np.array([])), "K >= 1"),
        (lambda: PrefixLaw.from_survival([0.5, 0.2]), "starts at 1"),
        (lambda: PrefixLaw.from_survival([1.0, 0.2, 0.4]), r"P\(l = 2\) = -0\.2"),
        (lambda: PrefixLaw(None), "prefix law = None: expected numbers"),
        (lambda: PrefixLaw(["a"]), "prefix law holds text"),
        (lambda: PrefixLaw([1 + 1j]), "imaginary part"),
        (lambda: PrefixLaw([10**400]), "expected numbers of float64"),
        (lambda: PrefixLaw([[0.5, 0.5]]), r"prefix law of shape \(1, 2\)"),
        (lambda: PrefixLaw(np.ma.masked_array([0.5, 0.5], mask=[0, 1])), "1 masked entries"),
        (lambda: PrefixLaw.from_survival({}), "survival weights = {}: expected numbers"),
        (lambda: PrefixLaw.uniform(10**30), "K = a whole number of about 31 digits"),
        (lambda: PrefixLaw.zipf(3, 10**400), "alpha = a whole number of about 401 digits"),
        (lambda: PrefixLaw.groups(4, None), "group ends = None: expected whole numbers"),
        (lambda: PrefixLaw.groups(4, [2.0, 4]), "group ends of dtype float64"),
        (lambda: PrefixLaw.groups(4, []), "the last one K = 4"),
        (lambda: PrefixLaw.groups(4, (2, 4), ("a", "b")), "group masses holds text"),
        (lambda: PrefixLaw.groups(4, (2, 4), (2.0, -1.0)), r"P\(l = 4\) = -1"),
        (lambda: AnnealedLaw(None), "law = None: expected a prefix law"),
        (lambda: AnnealedLaw(RandomPrefixes(3, 1)), "expected a law that does not change"),
        (lambda: PrefixLaw.uniform(0), "K = 0"),
        (lambda: PrefixLaw.zipf(3, float("nan")), "alpha = nan"),
        (lambda: PrefixLaw.geometric(3, 1.5), r"ratio = 1\.5"),
        (lambda: PrefixLaw.groups(4, (2, 3)), "the last one K = 4"),
        (lambda: PrefixLaw.groups(4, (3, 2, 4)), "ends in order"),
        (lambda: PrefixLaw.groups(4, (2, 4), (1.0,)), "1 group masses"),
        (lambda: PrefixLaw.piecewise(4, (2, 2, 4)), "strictly increasing"),
        (lambda: PrefixLaw.uniform(4).mixed_with_full(2.0), r"share = 2\.0"),
        (lambda: RandomPrefixes(3, 4), "n_drawn = 4: expected at most 2"),
        (lambda: RandomPrefixes(3, 0, include_full=False), "n_drawn = 0"),
        (lambda: AnnealedLaw(PrefixLaw.uniform(2), 0.5, 0.4), r"end = 0\.4"),
    ],
)
def test_what_is_no_law_is_refused_with_its_value(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_exact_penaltys_law_is_the_direction_of_its_gradient():
    """1 / (2 ||R||) on L_K against lambda on L_q, with c = 2 lambda ||X||, normalised."""
    q, lam, norm, residual = PrefixLaw.zipf(6), 0.4, 3.0, 0.2
    on_full, on_q = 1 / (2 * residual * norm), lam
    expected = (on_full + on_q * q.survival) / (on_full + on_q)
    law = ExactPenalty(q, 2 * lam * norm)
    np.testing.assert_allclose(law.survival_for(residual), expected, rtol=1e-12)
    np.testing.assert_array_equal(law.survival_for(0.0), np.ones(6))
    assert isinstance(law, FitSchedule)
    assert not isinstance(law, WeightSchedule)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExactPenalty(PrefixLaw.uniform(3), 0), "strength = 0"),
        (lambda: ExactPenalty(PrefixLaw.uniform(3), every=0), "every = 0"),
        (lambda: ExactPenalty(PrefixLaw.uniform(3), by_sample="no"), "by_sample = 'no'"),
        (lambda: ExactPenalty(AnnealedLaw(PrefixLaw.uniform(3))), "expected a law that does not"),
        (lambda: AnnealedLaw(ExactPenalty(PrefixLaw.uniform(3))), "expected a law that does not"),
        (lambda: ExactPenalty(PrefixLaw.uniform(3)).survival_for(-1.0), "residual = -1"),
    ],
)
def test_an_exact_penalty_that_cannot_be_is_refused(make, message):
    end_checks()
    with pytest.raises(InputError, match=re.escape(message)):
        make()
