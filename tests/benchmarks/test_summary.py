from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.summary import (
    MEASUREMENTS,
    draw_values,
    pair_stabilities,
    summarise,
)
from osae_theory.metrics import chance_stability, stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)
DRAWS = [0, 1, 2, 3]


def values(records, method, key):
    """A measurement by draw and seed, worked out from the records."""
    found = [r.scalars[key] for r in records if r.config.method == method]
    return np.array(found).reshape(4, 2)


def test_pair_stabilities_are_stab_of_each_pair(small_records):
    runs = small_records[:3]
    found = pair_stabilities(runs)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    expected = stability(runs[0].arrays["dictionary"], runs[2].arrays["dictionary"])
    assert found[0, 2] == expected


def test_runs_of_different_problems_are_no_pair(drawn_records):
    topk = [r for r in drawn_records if r.config.method == "topk"]
    assert list(pair_stabilities(topk)) == [(0, 1), (2, 3), (4, 5), (6, 7)]


def test_the_unit_is_the_draw_whose_value_is_the_mean_of_its_runs(drawn_records):
    summary = summarise(drawn_records, CHANCE)
    assert (summary.draws, summary.seeds) == (4, 2)
    assert [row.method for row in summary.rows] == ["topk", "osae"]
    for row in summary.rows:
        assert set(row.estimates) == {m.key for m in MEASUREMENTS}
        assert (row.draws, row.runs, row.diverged) == (4, 8, 0)
        by_draw = values(drawn_records, row.method, "stab_truth").mean(axis=1)
        found = row.estimates["stab_truth"]
        interval = stats.ttest_1samp(by_draw, 0).confidence_interval()
        assert (found.n, found.mean) == (4, pytest.approx(by_draw.mean()))
        assert found.std == pytest.approx(by_draw.std(ddof=1))
        assert found.ci95 == pytest.approx((interval.low, interval.high))
        raw, fixed = row.estimates["stab_truth"].mean, row.estimates["stab_truth_corrected"].mean
        assert fixed == pytest.approx((raw - CHANCE.mean) / (1 - CHANCE.mean))


def test_stab_of_two_runs_has_one_value_a_draw(drawn_records):
    topk = [r for r in drawn_records if r.config.method == "topk"]
    found = draw_values(topk, DRAWS, "stab_pairs", CHANCE)
    expected = [
        stability(first.arrays["dictionary"], second.arrays["dictionary"])
        for first, second in zip(topk[::2], topk[1::2], strict=True)
    ]
    assert found == expected
    assert draw_values(topk[:1], DRAWS, "stab_pairs", CHANCE) == [None] * 4


def test_differences_are_taken_within_the_draw(drawn_records):
    summary = summarise(drawn_records, CHANCE)
    for key in ("stab_truth", "ord_by_energy", "ord_by_frequency", "mse"):
        own, other = (values(drawn_records, m, key).mean(axis=1) for m in ("osae", "topk"))
        [found] = summary.comparisons[key]
        assert (found.method, found.other) == ("osae", "topk")
        expected = stats.ttest_1samp(own - other, 0)
        assert found.difference.ci95 == pytest.approx(tuple(expected.confidence_interval()))
        assert found.p_different == pytest.approx(expected.pvalue)


def test_a_draw_that_a_method_lacks_gives_no_difference(drawn_records):
    lost = [r for r in drawn_records if r.config.method == "osae" or r.config.problem_seed]
    [found] = summarise(lost, CHANCE).comparisons["mse"]
    assert found.difference.n == 3


def test_diverged_runs_are_counted_and_enter_no_figure(drawn_records):
    first, second = drawn_records[:2]
    diverged = replace(first, status="diverged", scalars={"seconds": 1.0}, arrays={})
    [row, _] = summarise([diverged, *drawn_records[1:]], CHANCE).rows
    assert (row.runs, row.diverged) == (8, 1)
    assert row.estimates["mse"].n == 4
    assert row.estimates["stab_pairs"].n == 3
    topk = [r for r in [diverged, *drawn_records[1:]] if r.config.method == "topk"]
    assert draw_values(topk, DRAWS, "mse", CHANCE)[0] == second.scalars["mse"]
    [nothing] = summarise([diverged], CHANCE).rows
    assert all(found.mean is None for found in nothing.estimates.values())


def test_one_draw_has_means_and_no_comparison(small_records):
    summary = summarise(small_records, CHANCE)
    assert (summary.draws, summary.seeds) == (1, 3)
    for row in summary.rows:
        assert row.estimates["stab_truth"].mean is not None
        assert row.estimates["stab_truth"].ci95 is None
    assert summary.comparisons["mse"][0].word == "too few units"
    assert not any(summary.leaders.values())


def test_bad_runs_are_counted_against_the_median_of_runs(drawn_records):
    bad = replace(drawn_records[0], scalars={**drawn_records[0].scalars, "stab_truth": 0.1})
    row = summarise([bad, *drawn_records[1:]], CHANCE).rows[0]
    found = [0.1, *values(drawn_records, "topk", "stab_truth").ravel()[1:]]
    median = np.median(found)
    assert row.over_runs["stab_truth"].median == median
    assert row.over_runs["stab_truth"].n_low == np.sum(np.array(found) < 0.9 * median) >= 1


def test_intervals_end_where_the_measurement_does(drawn_records, small_ceilings):
    summary = summarise(drawn_records, CHANCE, small_ceilings)
    for row in summary.rows:
        low, high = row.estimates["dead_share"].ci95
        assert 0 <= low <= high <= 1
    assert summary.ceilings["ord_by_energy"].ci95[1] <= 1


def test_the_ceiling_is_an_estimate_over_draws(drawn_records, small_ceilings):
    found = summarise(drawn_records, CHANCE, small_ceilings).ceilings
    assert set(found) == {"ord_by_energy", "ord_by_frequency", "mse", "fvu"}
    assert found["mse"].mean == pytest.approx(np.mean([c["mse"] for c in small_ceilings]))
    assert summarise(drawn_records, CHANCE).ceilings == {}
