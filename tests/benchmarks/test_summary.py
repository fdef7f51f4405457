from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.summary import (
    MEASUREMENTS,
    pair_stabilities,
    paired_differences,
    summarise,
)
from osae_theory.metrics import chance_stability, stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


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
