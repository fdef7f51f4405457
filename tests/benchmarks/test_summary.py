from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from benchmarks import catalogue
from benchmarks.analysis.study import study
from benchmarks.analysis.summary import summaries, summarised
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.spec import run_seeds
from made_up_study import frames_of, made_up, outcomes_of, pairs_of, setting_of
from osae_theory.errors import InputError
from osae_theory.metrics import chance_stability

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = ("topk", "osae")


@cache
def small_frames():
    """Two seeds of each of two methods, and the truth, on each of four draws."""
    return made_up(METHODS, problems=[SMALL], draws=4)


@cache
def summary():
    [found] = summaries(small_frames())
    return found


def values(metric, method):
    """A measurement by draw and seed, worked out from the long table."""
    frames = small_frames()
    runs = frames.runs[frames.runs["method"].eq(method)].sort_values("problem_seed")
    wanted = frames.measurements[frames.measurements["metric"].eq(metric)]
    by_run = dict(zip(wanted["run"].astype(str), wanted["value"], strict=True))
    return np.array([by_run[run] for run in runs["run"].astype(str)]).reshape(4, 2)


def outcomes_on_draws(method, draws=range(4), **changes):
    return [
        one
        for d in draws
        for one in outcomes_of(setting_of(method, problem=SMALL, draw=d), **changes)
    ]


def test_the_unit_is_the_draw_whose_value_is_the_mean_of_its_runs():
    found = summary()
    assert (found.draws, found.seeds) == (4, 2)
    assert [row.variant.method for row in found.rows] == ["topk", "osae"]
    for row in found.rows:
        assert set(row.estimates) == set(catalogue.metrics())
        assert (row.draws, row.runs, row.done) == (4, 8, 8)
        by_draw = values("stab_truth", row.variant.method).mean(axis=1)
        estimate = row.estimates["stab_truth"]
        interval = stats.ttest_1samp(by_draw, 0).confidence_interval()
        assert (estimate.n, estimate.mean) == (4, pytest.approx(by_draw.mean()))
        assert estimate.std == pytest.approx(by_draw.std(ddof=1))
        assert estimate.ci95 == pytest.approx((interval.low, interval.high))


def test_derived_measurements_follow_from_their_source():
    level = chance_stability(SMALL["d"], SMALL["K"], n_draws=100).mean
    for row in summary().rows:
        raw, fixed = row.estimates["stab_truth"], row.estimates["stab_truth_corrected"]
        assert fixed.mean == pytest.approx((raw.mean - level) / (1 - level))
    assert summary().chance["stab_truth"] == pytest.approx(level)
    assert summary().chance["ord_truth"] == 0


def test_a_measurement_of_pairs_has_the_mean_of_its_pairs_in_each_draw():
    outcomes = outcomes_on_draws("topk", draws=range(3), n_seeds=3)
    by_draw = [outcomes[3 * draw : 3 * draw + 3] for draw in range(3)]
    measurements = [one for own in by_draw for one in pairs_of(own)]
    [found] = summaries(frames_of(outcomes, measurements))
    expected = [np.mean([one.value for one in pairs_of(own)]) for own in by_draw]
    [row] = found.rows
    assert found.values["stab_pairs"][row.label] == pytest.approx(expected)
    assert row.estimates["stab_pairs"].n == 3


def test_runs_of_different_problems_or_methods_are_no_pair():
    first, second = outcomes_on_draws("topk", draws=range(2), n_seeds=1)
    other = outcomes_of(setting_of("osae", problem=SMALL), 1)[0]
    wrong = [*pairs_of([first, second]), *pairs_of([first, other])]
    found = study(frames_of([first, second, other], wrong))
    assert found.pairs.empty


def test_differences_are_taken_within_the_draw():
    for metric in ("stab_truth", "ord_by_energy", "ord_by_frequency", "mse"):
        own, other = (values(metric, m).mean(axis=1) for m in ("osae", "topk"))
        [found] = summary().comparisons[metric]
        assert (found.variant[:4], found.other[:4]) == ("osae", "topk")
        expected = stats.ttest_1samp(own - other, 0)
        assert found.difference.ci95 == pytest.approx(tuple(expected.confidence_interval()))
        assert found.p_different == pytest.approx(expected.pvalue)


def test_a_draw_that_a_method_lacks_gives_no_difference():
    outcomes = [*outcomes_on_draws("osae"), *outcomes_on_draws("topk", draws=range(1, 4))]
    [found] = summaries(frames_of(outcomes))
    assert found.draws == 4
    assert found.comparisons["mse"][0].difference.n == 3


def test_runs_that_are_not_done_are_counted_and_enter_no_figure():
    first, second, *others = outcomes_on_draws("topk")
    failed = replace(first, status="diverged", reason="a loss that is not finite", values={})
    [found] = summaries(frames_of([failed, second, *others], pairs_of([failed, second])))
    [row] = found.rows
    assert row.statuses == {"done": 7, "diverged": 1}
    assert found.values["mse"][row.label][0] == second.values["mse"]
    assert row.estimates["mse"].n == 4
    nothing = [replace(one, status="error", reason="it broke", values={}) for one in others]
    [row] = summaries(frames_of(nothing))[0].rows
    assert row.statuses == {"error": 6}
    assert all(one.mean is None for one in row.estimates.values())


def test_one_draw_has_means_and_no_comparison():
    [found] = summaries(made_up(METHODS, problems=[SMALL], draws=1, seeds=3))
    assert (found.draws, found.seeds) == (1, 3)
    for row in found.rows:
        assert row.estimates["stab_truth"].mean is not None
        assert row.estimates["stab_truth"].ci95 is None
    assert found.comparisons["mse"][0].word == "too few units"
    assert not any(found.leaders.values())


def test_bad_runs_are_counted_against_the_median_of_runs():
    first, *others = outcomes_on_draws("topk")
    bad = replace(first, values={**first.values, "stab_truth": 0.1})
    [found] = summaries(frames_of([bad, *others]))
    counted = found.rows[0].over_runs["stab_truth"]
    runs = [0.1, *(one.values["stab_truth"] for one in others)]
    assert counted.median == pytest.approx(np.median(runs))
    assert counted.n_low == 1


def test_an_oracle_is_the_ceiling_and_no_competitor():
    found = summary()
    assert [top.label for top in found.oracles] == ["truth"]
    assert "truth" not in {label for one in found.comparisons["mse"] for label in (one.variant,)}
    assert found.oracles[0].estimates["stab_truth"].mean == 1.0
    assert found.oracles[0].runs == 4  # one a draw: it is deterministic
    [alone] = summaries(frames_of(outcomes_of(setting_of("truth", problem=SMALL))))
    assert [row.label for row in alone.rows] == ["truth"]


def test_tables_beyond_the_detailed_have_the_same_numbers_without_the_bootstrap():
    found = study(made_up(METHODS, problems=[SMALL], draws=20))
    [plain], [detailed] = summarised(found, ()), summarised(found, (0,))
    assert plain.rows[0].estimates == detailed.rows[0].estimates
    assert plain.rows[0].over_runs == {}
    for one, other in zip(plain.comparisons["mse"], detailed.comparisons["mse"], strict=True):
        assert one.p_different == other.p_different
        assert one.difference.bootstrap95 is None
        assert other.difference.bootstrap95 is not None


def test_values_that_rounding_puts_outside_are_brought_back_and_others_refused():
    [one] = outcomes_of(setting_of("topk", problem=SMALL), 1)
    near = replace(one, values={**one.values, "stab_truth": 1 + 1e-15})
    [found] = summaries(frames_of([near]))
    assert found.rows[0].estimates["stab_truth"].mean == 1.0
    far = replace(one, values={**one.values, "stab_truth": 1.5})
    with pytest.raises(
        InputError, match=r"stab_truth of run \w+ is 1\.5: expected a value from -1"
    ):
        summaries(frames_of([far]))


def test_several_states_of_the_code_or_processors_are_said():
    first, *others = outcomes_on_draws("topk")
    assert summaries(frames_of([first, *others]))[0].mixtures == []
    elsewhere = replace(first.provenance, processor="another")
    changed = replace(first, code="f" * 16, provenance=elsewhere)
    code, processors = summaries(frames_of([changed, *others]))[0].mixtures
    assert code == "Several states of the code trained the runs of top-m SAE (2)."
    assert processors.endswith("2 kinds of processors: a processor, another.")


@pytest.mark.trains
def test_measurements_of_trained_runs_are_those_of_the_table():
    setting = setting_of("topk", problem=SMALL, amounts={"steps": 30})
    runs = catalogue.run_specs(setting, 2)
    outcomes = run_task(FitTask(tuple(runs), code_of("toy", "topk")))
    assert runs[1].seeds == run_seeds(0, 1)
    [found] = summaries(frames_of(outcomes))
    for metric in ("mse", "ord_by_energy"):
        expected = np.mean([one.values[metric] for one in outcomes])
        assert found.rows[0].estimates[metric].mean == pytest.approx(expected)
