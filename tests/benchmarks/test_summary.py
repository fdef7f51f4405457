import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.summary import (
    MEASUREMENTS,
    estimate,
    estimate_pairs,
    pair_stabilities,
    paired_differences,
    summarise,
)
from osae_theory.metrics import chance_stability, stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


def test_an_estimate_is_mean_deviation_and_students_interval():
    values = [0.2, 0.5, 0.4, 0.9]
    found = estimate(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert found.ci95 == pytest.approx((interval.low, interval.high))
    assert found.n == 4


def test_undefined_values_are_left_out_and_counted():
    assert estimate([None, 0.5, None]).n == 1
    one = estimate([0.5])
    assert (one.mean, one.std, one.ci95) == (0.5, None, None)
    none = estimate([None])
    assert (none.mean, none.std, none.ci95, none.n) == (None, None, None, 0)


def test_equal_values_have_an_interval_of_no_width():
    assert estimate([0.5, 0.5, 0.5]).ci95 == (0.5, 0.5)


def test_pairs_have_the_mean_over_pairs_and_the_jackknife_over_runs():
    rng = np.random.default_rng(0)
    n = 6
    pairs = {pair: rng.random() for pair in itertools.combinations(range(n), 2)}
    found = estimate_pairs(pairs, n)
    without = [np.mean([v for p, v in pairs.items() if i not in p]) for i in range(n)]
    variance = (n - 1) / n * np.sum((np.array(without) - np.mean(without)) ** 2)
    half = stats.t.ppf(0.975, n - 1) * np.sqrt(variance)
    mean = np.mean(list(pairs.values()))
    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx(np.std(list(pairs.values()), ddof=1))
    assert found.ci95 == pytest.approx((mean - half, mean + half))


@pytest.mark.theory
def test_the_pair_interval_covers_the_truth_where_students_on_pairs_does_not():
    """Pairs h(x_i, x_j) = (x_i + x_j) / 2 share runs: the jackknife must know it."""
    rng = np.random.default_rng(1)
    n, trials, covered, naive = 5, 1000, 0, 0
    for _ in range(trials):
        x = rng.standard_normal(n)
        pairs = {(i, j): (x[i] + x[j]) / 2 for i, j in itertools.combinations(range(n), 2)}
        low, high = estimate_pairs(pairs, n).ci95
        covered += low <= 0 <= high
        low, high = estimate(list(pairs.values())).ci95
        naive += low <= 0 <= high
    assert covered / trials == pytest.approx(0.95, abs=0.025)
    assert naive / trials < 0.85


def test_few_runs_have_no_interval_over_pairs():
    assert estimate_pairs({}, 1).mean is None
    two = estimate_pairs({(0, 1): 0.5}, 2)
    assert (two.mean, two.std, two.ci95) == (0.5, None, None)
    assert estimate_pairs({(0, 1): 0.5, (0, 2): 0.6, (1, 2): 0.7}, 3).ci95 is not None


def test_pair_stabilities_are_stab_of_each_pair(small_records):
    runs = small_records[:3]
    found = pair_stabilities(runs)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    expected = stability(runs[0].arrays["dictionary"], runs[2].arrays["dictionary"])
    assert found[0, 2] == expected


def test_a_row_has_every_measurement_of_every_method(small_records):
    rows = summarise(small_records, CHANCE)
    assert [row.method for row in rows] == ["topk", "osae"]
    for row in rows:
        assert set(row.estimates) == {m.key for m in MEASUREMENTS}
        assert (row.seeds, row.diverged) == (3, 0)
        raw, fixed = row.estimates["stab_truth"].mean, row.estimates["stab_truth_corrected"].mean
        assert fixed == pytest.approx((raw - CHANCE.mean) / (1 - CHANCE.mean))


def test_differences_are_paired_by_seed_with_the_baseline_only(small_records):
    topk, osae = summarise(small_records, CHANCE)
    assert topk.differences == {}
    for key in ("stab_truth", "ord_by_energy", "mse"):
        own, other = (
            np.array([r.scalars[key] for r in small_records if r.config.method == method])
            for method in ("osae", "topk")
        )
        interval = stats.ttest_rel(own, other).confidence_interval()
        assert osae.differences[key].ci95 == pytest.approx((interval.low, interval.high))
    [alone] = summarise(small_records[3:], CHANCE)
    assert alone.differences == {}


def test_a_run_without_a_partner_gives_no_difference(small_records):
    found = paired_differences(small_records[3:], small_records[1:3], "mse")
    assert found[0] is None
    assert None not in found[1:]


def test_diverged_runs_are_counted_and_enter_no_figure(small_records):
    diverged = replace(small_records[0], status="diverged", scalars={"seconds": 1.0}, arrays={})
    [row] = summarise([*small_records[:3], diverged], CHANCE)
    [clean] = summarise(small_records[:3], CHANCE)
    assert (row.seeds, row.diverged) == (4, 1)
    assert row.estimates == clean.estimates
    [nothing] = summarise([diverged], CHANCE)
    assert all(found.mean is None for found in nothing.estimates.values())
