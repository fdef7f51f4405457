import json
import re
from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from benchmarks import catalogue
from benchmarks.analysis.ranks import rankings
from benchmarks.analysis.study import study
from benchmarks.analysis.summary import Estimate, summaries
from benchmarks.report import tables
from benchmarks.report.flat import pair_frame, run_frame
from benchmarks.report.latex import latex
from benchmarks.report.markdown import markdown
from made_up_study import PAPER, frames_of, made_up, outcomes_of, setting_of

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = ("topk", "osae")
SOURCE = "Made by `a command_with 100% of it`."


@cache
def small_frames():
    return made_up(METHODS, problems=[SMALL], draws=4)


@pytest.fixture(scope="module")
def summary():
    [found] = summaries(small_frames())
    return found


@pytest.fixture(scope="module")
def papers():
    [found] = summaries(made_up(METHODS, problems=[PAPER], draws=4))
    return found


def test_markdown_tables_have_as_many_cells_in_every_line(summary):
    text = markdown(tables.reading_table(summary), tables.caption(summary), SOURCE)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {6}
    assert "the paper's" not in text
    assert text.endswith(f"\n{SOURCE}\n")
    caption = tables.comparison_caption(summary)
    text = markdown(tables.comparison_table(summary), caption, SOURCE, index=False)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len([m for m in catalogue.metrics().values() if m.question])
    assert {line.count("|") for line in lines} == {10}


def test_a_bar_in_a_name_does_not_begin_another_cell():
    frame = pd.DataFrame({"a|b": ["x|y"]}, index=["p|q"])
    lines = markdown(frame, "text", SOURCE).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:3]} == {3}


def test_the_papers_figures_stand_beside_ours_on_the_papers_cell_only(papers):
    table = tables.reading_table(papers)
    assert table.loc["Stab(D, D*), the paper's"].tolist()[:2] == [
        "0.479 (0.0104)",
        "0.814 (0.0195)",
    ]
    assert table.loc["held-out MSE, the paper's"].tolist()[:2] == [
        "0.0257 (0.000841)",
        "0.00725 (0.000746)",
    ]
    assert len([t for t in table.index if t.endswith("the paper's")]) == 4
    assert "The paper's figures" in tables.caption(papers)
    [other] = summaries(made_up(METHODS, problems=[{**PAPER, "alpha": 1.0}], draws=1))
    assert not tables.reading_table(other).index.str.endswith("the paper's").any()


def test_chance_and_ceiling_stand_beside_every_measurement_that_has_them(summary):
    table = tables.reading_table(summary)
    assert table.columns.tolist()[2:] == ["chance", "ceiling"]
    assert table.loc["Stab(D, D*)", "chance"] == f"{summary.chance['stab_truth']:.3f}"
    assert table.loc["Ord(D, D*), as trained", "chance"] == "0"
    assert table.loc["held-out MSE", "chance"] == ""
    assert table.loc["Stab(D, D*)", "ceiling"] == "1.000"


def test_several_oracles_have_a_column_each(summary):
    [top] = summary.oracles
    both = replace(
        summary, oracles=[top, replace(top, variant=replace(top.variant, title="pursuit"))]
    )
    assert tables.reading_table(both).columns.tolist()[3:] == [
        f"ceiling: {top.title}",
        "ceiling: pursuit",
    ]


def test_the_best_are_marked_where_the_comparisons_say_so(summary):
    table = tables.reading_table(summary)
    for title, metric in (("Stab(D, D*)", "stab_truth"), ("held-out MSE", "mse")):
        marked = [entry.endswith(" *") for entry in table.loc[title][:2]]
        assert marked == [row.label in summary.leaders[metric] for row in summary.rows]
        assert any(marked)
    assert not table.loc["held-out L0"].str.endswith("*").any()


def test_a_table_says_how_many_draws_it_is_over_and_when_it_is_a_quick_look(summary):
    assert "4 problem draws x 2 seeds a method (a quick look" in tables.caption(summary)
    rows = [replace(row, draws=20) for row in summary.rows]
    assert "quick look" not in tables.caption(replace(summary, rows=rows))
    [one] = summaries(made_up(METHODS, problems=[SMALL], draws=1, seeds=3))
    assert "1 problem draw x 3 seeds" in tables.caption(one)
    assert "No interval and no comparison: both take 3 draws or more." in tables.caption(one)
    assert "Mean over draws" in tables.caption(one, deviations=False)


def test_a_table_says_what_its_runs_lack():
    outcomes = [
        one
        for draw in range(4)
        for method in METHODS
        if (draw, method) != (0, "osae")
        for one in outcomes_of(setting_of(method, problem=SMALL, draw=draw))
    ]
    first, second, third, *others = outcomes
    bad = [replace(one, status="error", reason="it broke", values={}) for one in (first, second)]
    late = replace(third, status="timeout", reason="too long", values={})
    [found] = summaries(frames_of([*bad, late, *others]))
    failures, draws = tables.notes(found)
    assert failures == (
        "In no figure: 1 run of top-m SAE were stopped by the clock, 2 runs of top-m SAE failed."
    ) or failures.startswith("In no figure: ")
    assert "3 to 4 of 4: a comparison is over those that both have, here 3." in draws
    assert "3 to 4 problem draws x 2 seeds" in tables.scope_text(found)
    assert tables.reading_table(found).loc["runs"].iloc[0] == "8, of which 1 timeout, 2 error"


def test_budgets_that_differ_stand_in_the_table():
    short = setting_of("osae", problem=SMALL, amounts={"steps": 50})
    [found] = summaries(
        frames_of(outcomes_of(setting_of("topk", problem=SMALL)) + outcomes_of(short))
    )
    table = tables.reading_table(found)
    assert table.loc["budget"].tolist()[:2] == [
        "1960 steps of 1024 samples",
        "50 steps of 1024 samples",
    ]
    assert "Each method with its own budget; portable arithmetic." in tables.caption(found)


def test_medians_stand_in_the_table_where_some_runs_are_far_below_them(summary):
    row = summary.rows[0]
    low = Estimate(0.8, 0.1, None, 8, median=0.9, n_low=3)
    bad = replace(row, over_runs={**row.over_runs, "stab_truth": low})
    table = tables.reading_table(replace(summary, rows=[bad, summary.rows[1]]))
    title = "Stab(D, D*), median run (runs below 0.9 of it)"
    assert table.loc[title].iloc[0] == "0.900 (3 of 8)"
    noise = replace(row, over_runs={"ord_truth": replace(low, median=0.01)})
    table = tables.reading_table(replace(summary, rows=[noise, noise]))
    assert not table.index.str.contains("median").any()


def test_latex_escapes_what_latex_would_swallow(summary):
    text = latex(tables.reading_table(summary), tables.caption(summary), SOURCE, "a-name")
    body, comment = text.split("\\end{table}")
    assert not re.search(r"(?<!\\)[%_#]", body.replace("tab:a-name", ""))
    assert comment.strip() == f"% {SOURCE}"
    assert "±" not in body
    assert ">=" not in body
    assert "$D, D^*$" in body
    assert body.count(r"\\") == body.count("&") // 4
    assert r"\label{tab:a-name}" in body


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(None, None, None, 0), "–"),
        (Estimate(0.5, None, None, 1), "0.500"),
        (Estimate(0.5, 0.1, (0.4, 0.6), 3), "0.50 (0.10) ± 0.10"),
        (Estimate(0.93275, 0.0188, (0.9193, 0.9462), 10), "0.933 (0.019) ± 0.013"),
        (Estimate(0.00086, 0.0001, (0.0008, 0.00092), 3), "0.000860 (0.000100) ± 0.000060"),
        (Estimate(5.0, 0.0, (5.0, 5.0), 3), "5.000 (0.000) ± 0.000"),
        (Estimate(-0.0001, 0.07, (-0.0501, 0.0499), 10), "0.000 (0.070) ± 0.050"),
    ],
)
def test_estimates_are_written_as_far_as_they_are_defined(found, text):
    assert tables.estimate_text(found) == text


def test_a_document_has_the_promised_fields_and_no_nan(summary):
    found = tables.document(summary)
    json.dumps(found, allow_nan=False)
    assert (found["draws"], found["seeds"]) == (4, 2)
    assert found["cell"]["problem"] == {**SMALL, "alpha": 1.2}
    for row in found["rows"]:
        for key in catalogue.metrics():
            assert {f"{key}_mean", f"{key}_std", f"{key}_ci95", f"{key}_n"} <= set(row)
        assert {"method", "variant", "draws", "runs", "stab_truth_chance", "seconds"} <= set(row)
        assert {"stab_truth_median_of_runs", "stab_truth_low_runs"} <= set(row)
    questions = [m.name for m in catalogue.metrics().values() if m.question]
    assert [one["measurement"] for one in found["comparisons"]] == questions
    for one in found["comparisons"]:
        assert {"difference_ci95", "p_holm", "p_level", "word"} <= set(one)
        assert (one["method"], one["minus"]) == ("osae", "topk")
        assert one["margin"] == (None if one["measurement"] == "mse" else 0.02)
    assert found["ceiling"]["truth"]["ord_by_energy_n"] == 4


def test_flat_frames_have_one_row_a_run_and_a_pair_with_all_that_was_set(tmp_path):
    found = study(small_frames())
    runs = run_frame(found)
    assert len(runs) == 2 * 8 + 4
    assert runs["problem.K"].eq(8).all()
    assert runs.loc[runs["method"].eq("osae"), "params.lr"].eq(0.01).all()
    assert runs.loc[runs["method"].eq("truth"), "params.lr"].isna().all()
    assert {"mse", "stab_truth_corrected", "seconds", "processor", "code"} <= set(runs)
    assert runs["mse"].notna().all()
    pairs = pair_frame(found)
    assert len(pairs) == 2 * 4
    assert pairs["stab_pairs"].between(-1, 1).all()
    runs.to_parquet(tmp_path / "runs.parquet")
    again = pd.read_parquet(tmp_path / "runs.parquet")
    pd.testing.assert_series_equal(again["mse"], runs["mse"])


def test_intervals_stand_in_two_columns_of_a_flat_table(summary):
    rows = [tables.json_row(summary, row) for row in summary.rows]
    frame = tables.flat_frame(tables.table_fields(summary), rows)
    assert frame["stab_truth_ci95_low"].lt(frame["stab_truth_mean"]).all()
    assert frame["problem.d"].eq(6).all()
    assert not frame.columns.str.endswith("ci95").any()


def test_the_table_of_ranks_says_what_it_lacks():
    problems = [{**SMALL, "N": 400 + i} for i in range(3)]
    found = rankings(summaries(made_up(METHODS, problems=problems, draws=1)))
    table = tables.rank_table(found)
    assert table.loc["top-m SAE", "held-out MSE"] == "1.000 ± 0.000 (best in 3)"
    assert tables.rank_caption(found).startswith("Mean rank over 3 cells")
