from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import catalogue
from benchmarks.analysis.improvement import FEW, UNANIMOUS, improvements
from benchmarks.analysis.names import cell_of, metric_named, unknown_note, variant_named
from benchmarks.analysis.ranks import rankings
from benchmarks.analysis.study import study
from benchmarks.analysis.summary import summaries
from benchmarks.analysis.variance import variance_shares
from benchmarks.store import Frames
from made_up_study import frames_of, made_up, outcomes_of, setting_of
from osae_theory.errors import InputError
from osae_theory.metrics.intervals import bootstrap_interval

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = ("topk", "osae", "osae-annealed")


def with_values(setting, values, metric="mse"):
    """Outcomes of a setting that have these values in one measurement."""
    return [
        replace(one, values={metric: value})
        for one, value in zip(outcomes_of(setting, len(values)), values, strict=True)
    ]


def renamed(frames, **names):
    """Frames in which a method, a family and a metric have names that nobody knows."""
    runs, measurements = frames.runs.copy(), frames.measurements.copy()
    for old, new in names.items():
        for column in ("text", "cell", "family", "method", "variant"):
            runs[column] = runs[column].astype(str).str.replace(old, new)
        measurements["metric"] = measurements["metric"].astype(str).str.replace(old, new)
    return Frames(runs, measurements, frames.provenance, frames.vectors)


# Tables.


def test_runs_of_one_cell_are_one_table_whatever_budget_each_method_has():
    osae = setting_of("osae", problem=SMALL, amounts={"steps": 50})
    outcomes = outcomes_of(setting_of("topk", problem=SMALL)) + outcomes_of(osae)
    [table] = study(frames_of(outcomes)).tables
    assert [one.budget.amount for one in table.settings] == [1960, 50]
    assert table.budget is None


def test_a_method_with_several_budgets_makes_a_table_of_each_and_the_others_stand_in_all():
    outcomes = [
        *outcomes_of(setting_of("topk", problem=SMALL)),
        *outcomes_of(setting_of("topk", problem=SMALL, amounts={"steps": 50})),
        *outcomes_of(setting_of("osae", problem=SMALL, amounts={"steps": 50})),
        *outcomes_of(setting_of("truth", problem=SMALL)),
    ]
    short, long = study(frames_of(outcomes)).tables
    assert [one.variant.method for one in short.settings] == ["topk", "osae", "truth"]
    assert {one.budget.amount for one in short.settings} == {50, 0}
    assert [one.variant.method for one in long.settings] == ["topk", "truth"]
    assert short.slug != long.slug


def test_arithmetics_are_not_compared_with_each_other():
    fast = outcomes_of(setting_of("topk", problem=SMALL, arithmetic="fast"))
    tables = study(frames_of([*fast, *outcomes_of(setting_of("topk", problem=SMALL))])).tables
    assert [table.arithmetic for table in tables] == ["fast", "portable"]


def test_cells_stand_by_the_size_of_their_parameters():
    problems = [{**SMALL, "N": N} for N in (9, 1000, 400)]
    tables = study(made_up(("topk",), problems=problems, draws=1, truth=False)).tables
    assert [table.cell.params["N"] for table in tables] == [9, 400, 1000]


def test_a_store_without_runs_is_refused():
    empty = frames_of(outcomes_of(setting_of("topk", problem=SMALL))).only([])
    with pytest.raises(InputError, match="holds no run"):
        study(empty)


def test_measurements_that_finished_runs_lack_are_counted():
    first, second = outcomes_of(setting_of("topk", problem=SMALL))
    without = replace(first, values={k: v for k, v in first.values.items() if k != "fvu"})
    undefined = replace(second, values={**second.values, "mse": None})
    found = study(frames_of([without, undefined]))
    assert found.lacking == {
        "stab_pairs": 1,
        "reappears": 1,
        "fvu": 1,
    }  # what is not defined is measured
    assert found.values["mse"].isna().sum() == 1


# What is not known any more.


def test_methods_and_metrics_that_are_not_known_keep_their_names():
    frames = renamed(made_up(("topk", "osae"), problems=[SMALL]), osae="gone", fvu="lost")
    [found] = summaries(frames)
    assert [row.title for row in found.rows] == ["top-m SAE", "gone[lr=0.01]"]
    assert found.metrics[-1].name == "lost"
    assert found.rows[1].estimates["lost"].mean is not None
    assert "lost" not in found.leaders
    note = unknown_note([found.cell], [row.variant for row in found.rows], found.metrics)
    assert note.endswith("names in the store: method gone[lr=0.01], measurement lost.")


def test_a_family_that_is_not_known_has_no_chance_level():
    frames = renamed(made_up(("topk",), problems=[SMALL]), toy="gone")
    [found] = summaries(frames)
    assert found.cell.title == "gone[K=8,N=400,d=6,m=2]"
    assert found.chance == {}
    assert found.rows[0].estimates["stab_truth_corrected"].mean is None
    assert found.rows[0].estimates["stab_truth"].mean is not None


def test_a_metric_that_is_not_known_cannot_be_computed():
    with pytest.raises(InputError, match="not known"):
        metric_named("gone").of_run(None)
    with pytest.raises(InputError, match="not known"):
        metric_named("gone", of_pairs=True).of_pair(None, None)


def test_names_of_files_are_plain_and_short():
    spec = outcomes_of(setting_of("topk", problem=SMALL), 1)[0].spec
    assert cell_of(spec.text).slug == "d6_K8_m2_N400_alpha1.2"
    assert variant_named("a b[").label == "a b["


# Variance.


def test_variance_components_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(0)
    groups = [rng.normal(rng.normal(1, 0.2), 0.1, n) ** 2 for n in (3, 2, 3, 4, 2, 1)]
    outcomes = [
        one
        for draw, group in enumerate(groups)
        for one in with_values(setting_of("topk", problem=SMALL, draw=draw), group.tolist())
    ]
    found = variance_shares(study(frames_of(outcomes))).xs("mse", level="metric").iloc[0]
    sizes = np.array([len(group) for group in groups])
    n, k = sizes.sum(), len(sizes)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (n - k)
    # F is the ratio of mean squares, and E[MSB] = within + n0 between.
    n0 = (n - (sizes**2).sum() / n) / (k - 1)
    between = max(0.0, within * (stats.f_oneway(*groups).statistic - 1) / n0)
    assert found["std_within"] == pytest.approx(np.sqrt(within))
    assert found["std_between"] == pytest.approx(np.sqrt(between))
    assert found["share_between"] == pytest.approx(between / (between + within))
    assert (found["draws"], found["runs"], found["reason"]) == (6, 15, "")


def test_variance_between_draws_is_never_negative():
    outcomes = [
        one
        for draw in range(4)
        for one in with_values(setting_of("topk", problem=SMALL, draw=draw), [0.1, 0.3])
    ]
    found = variance_shares(study(frames_of(outcomes))).xs("mse", level="metric").iloc[0]
    assert (found["std_between"], found["share_between"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("draws", "seeds", "reason"),
    [(2, 3, "fewer than 3 draws"), (4, 1, "too few draws with several runs")],
)
def test_without_enough_draws_or_seeds_there_are_no_components(draws, seeds, reason):
    found = variance_shares(study(made_up(("topk",), problems=[SMALL], draws=draws, seeds=seeds)))
    assert found["share_between"].isna().all()
    assert set(found["reason"]) == {reason}


# Improvement.


def test_the_probability_of_improvement_is_the_share_of_draws_with_ties_a_half():
    own, other = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 2.0, 4.0, 1.0, 9.0]
    outcomes = [
        *(
            with_values(setting_of("topk", problem=SMALL, draw=d), [v])[0]
            for d, v in enumerate(other)
        ),
        *(
            with_values(setting_of("osae", problem=SMALL, draw=d), [v])[0]
            for d, v in enumerate(own)
        ),
    ]
    [summary] = summaries(frames_of(outcomes))
    [found] = [one for one in improvements(summary) if one.metric == "mse"]
    assert (found.variant[:4], found.other[:4]) == ("osae", "topk")
    assert found.probability == 3.5 / 5  # a lower error is better
    assert (found.n, found.bootstrap95, found.reason) == (5, None, FEW)


def test_from_twenty_draws_on_the_bootstrap_says_how_sure_it_is():
    [summary] = summaries(made_up(("topk", "osae", "osae-annealed"), problems=[SMALL], draws=20))
    found = {(one.metric, one.variant[:6], one.other[:4]): one for one in improvements(summary)}
    level = found["ord_truth", "osae-a", "osae"]
    labels = {row.label[:6]: row.label for row in summary.rows}
    values = summary.values["ord_truth"]
    wins = values[labels["osae-a"]] > values[labels["osae[l"]]
    assert level.probability == wins.mean()
    assert level.bootstrap95 == bootstrap_interval(sorted(wins.astype(float).tolist()))
    clear = found["ord_truth", "osae[l"[:6], "topk"]
    assert (clear.probability, clear.bootstrap95, clear.reason) == (1.0, None, UNANIMOUS)


# Ranks.


def grid(n_cells, methods=METHODS, **options):
    problems = [{**SMALL, "N": 400 + i} for i in range(n_cells)]
    return summaries(made_up(methods, problems=problems, draws=1, seeds=1, **options))


def test_ranks_are_means_over_cells_and_one_is_the_best():
    found = grid(7)
    by_metric = {ranking.metric.name: ranking for ranking in rankings(found)}
    assert set(by_metric) == {m.name for m in catalogue.metrics().values() if m.question}
    ranking = by_metric["mse"]
    labels = [row.label for row in found[0].rows]
    means = np.array([[row.estimates["mse"].mean for row in one.rows] for one in found])
    expected = stats.rankdata(means, axis=1)
    assert ranking.cells == 7
    for place, label in enumerate(labels):
        assert ranking.ranks[label].mean == pytest.approx(expected[:, place].mean())
        assert ranking.first[label] == (means[:, place] == means.min(axis=1)).sum()
    assert ranking.variants[0].method == "topk"
    order = [ranking.ranks[one.label].mean for one in ranking.variants]
    assert order == sorted(order)


def test_methods_are_told_apart_by_holms_wilcoxon_tests_and_joined_where_they_are_not():
    found = grid(12)
    ranking = next(one for one in rankings(found) if one.metric.name == "stab_truth")
    means = {
        row.label: np.array([s.rows[place].estimates["stab_truth"].mean for s in found])
        for place, row in enumerate(found[0].rows)
    }
    raw = {
        pair: stats.wilcoxon(means[pair[0]] - means[pair[1]]).pvalue for pair in ranking.p_values
    }
    smallest = min(raw, key=raw.__getitem__)
    assert ranking.p_values[smallest] == pytest.approx(3 * raw[smallest])
    topk = ranking.variants[0].label
    assert all(ranking.told_apart(topk, one.label) for one in ranking.variants[1:])
    assert ranking.groups == [(1, 2)]


def test_below_three_cells_there_are_no_ranks_and_below_six_no_tests():
    two = rankings(grid(2))[0]
    assert two.ranks == {}
    assert two.reason == "2 cells: ranks take 3 or more"
    five = rankings(grid(5))[0]
    assert five.ranks
    assert five.p_values == {}
    alone = rankings(grid(3, ("topk",)))[0]
    assert alone.reason == "no cell has two methods"


def test_a_method_that_is_not_in_all_of_these_cells_is_not_ranked():
    whole = made_up(("topk", "osae"), problems=[{**SMALL, "N": 400 + i} for i in range(4)], draws=1)
    extra = made_up(("osae-annealed",), problems=[SMALL], draws=1, truth=False)
    both = Frames(
        *(pd.concat([getattr(whole, n), getattr(extra, n)]) for n in ("runs", "measurements")),
        pd.concat([whole.provenance, extra.provenance]),
        whole.vectors,
    )
    ranking = rankings(summaries(both))[0]
    assert ranking.cells == 4
    assert [one.method for one in ranking.left_out] == ["osae-annealed"]
    assert len(ranking.ranks) == 2
