from dataclasses import replace

import numpy as np
import pytest

from benchmarks.analysis.arithmetics import roundings
from benchmarks.analysis.study import study
from benchmarks.analysis.variance import variance_shares
from benchmarks.report.analyses import rounding_analysis
from made_up_study import frames_of, outcomes_of, setting_of
from osae_theory.metrics.intervals import estimate

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
DRAWS, SEEDS = 4, 3
SHIFT = np.random.default_rng(5).normal(0.01, 0.02, (DRAWS, SEEDS))


def outcomes(method="topk", draws=DRAWS, arithmetic="portable", shift=None, **how):
    """Runs under one arithmetic; those under the other have the same values, shifted."""
    found = []
    for draw in range(draws):
        plain = outcomes_of(setting_of(method, problem=SMALL, draw=draw, **how), SEEDS)
        other = setting_of(method, problem=SMALL, draw=draw, arithmetic=arithmetic, **how)
        for seed, (own, base) in enumerate(zip(outcomes_of(other, SEEDS), plain, strict=True)):
            by = 0.0 if shift is None else shift[draw, seed]
            stab = base.values["stab_truth"] - 0.1 + by
            found.append(replace(own, values={**base.values, "stab_truth": stab}))
    return found


def rounding_of(frames, metric="stab_truth"):
    found = study(frames)
    result = roundings(found, variance_shares(found))
    return {
        (one.variant.method, one.budget.amount): one
        for several in result.values()
        for one in several
        if one.metric.name == metric
    }


def test_the_differences_of_matched_runs_give_mean_deviation_interval_and_ratio():
    plain = outcomes()
    [one] = rounding_of(frames_of([*plain, *outcomes(arithmetic="fast", shift=SHIFT)])).values()
    assert (one.pairs, one.runs) == (12, 12)
    assert one.mean == pytest.approx(SHIFT.mean())
    assert one.std == pytest.approx(SHIFT.std(ddof=1))
    assert one.over_draws.ci95 == pytest.approx(estimate(list(SHIFT.mean(axis=1))).ci95)
    values = np.array([own.values["stab_truth"] for own in plain]).reshape(DRAWS, SEEDS)
    within = np.sqrt(values.var(axis=1, ddof=1).mean())
    assert one.seeds_std == pytest.approx(within)
    assert one.ratio == pytest.approx(SHIFT.std(ddof=1) / within)


def test_what_rounding_leaves_alone_has_ratio_0_and_no_spread_of_seeds_none():
    frames = frames_of([*outcomes(), *outcomes(arithmetic="fast", shift=SHIFT)])
    [same], [constant] = (rounding_of(frames, name).values() for name in ("mse", "l0"))
    assert (same.mean, same.std, same.ratio) == (0.0, 0.0, 0.0)
    assert (constant.seeds_std, constant.ratio) == (0.0, None)


def test_only_the_same_seeds_on_the_same_draws_with_one_budget_are_matched():
    fast = [
        *outcomes(draws=2, arithmetic="fast"),
        *outcomes("osae", arithmetic="fast"),
        *outcomes(arithmetic="fast", amounts={"steps": 50}),
    ]
    found = rounding_of(frames_of([*outcomes(), *fast]))
    assert [(key, one.pairs) for key, one in found.items()] == [(("topk", 1960), 6)]
    assert found["topk", 1960].over_draws.ci95 is None  # two draws
    assert rounding_of(frames_of(outcomes())) == {}


def test_a_run_that_is_not_done_under_one_of_the_two_does_not_count():
    first, *others = outcomes(arithmetic="fast", shift=SHIFT)
    bad = replace(first, status="diverged", reason="a loss that is not finite", values={})
    [one] = rounding_of(frames_of([*outcomes(), bad, *others])).values()
    assert (one.pairs, one.runs) == (12, 11)
    assert one.mean == pytest.approx(SHIFT.ravel()[1:].mean())


def test_the_table_has_the_questions_and_the_file_all_measurements_of_runs():
    short = {"amounts": {"steps": 50}}
    frames = frames_of(
        [
            *outcomes(),
            *outcomes(arithmetic="fast", shift=SHIFT),
            *outcomes(**short),
            *outcomes(arithmetic="fast", **short),
        ]
    )
    found = study(frames)
    [several] = roundings(found, variance_shares(found)).values()
    analysis = rounding_analysis(several)
    assert analysis.table["budget"].unique().tolist() == [
        "50 steps of 1024 samples",
        "1960 steps of 1024 samples",
    ]
    assert set(analysis.table["measurement"]) == {m.title for m in found.metrics if m.question}
    measured = {row["measurement"] for row in analysis.rows}
    assert {"fvu", "dead_share", "stab_truth_corrected"} < measured
    assert "stab_pairs" not in measured
    [line] = (
        analysis.table.query("budget.str.startswith('1960') and measurement == 'Stab(D, D*)'")[
            ["fast minus portable", "runs", "draws"]
        ]
        .to_numpy()
        .tolist()
    )
    assert line[1:] == ["12", "4"]
    assert float(line[0].split(" ± ")[0]) == pytest.approx(SHIFT.mean(), abs=0.001)
