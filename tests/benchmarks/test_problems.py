import pandas as pd
import pytest

from benchmarks import report
from benchmarks.analysis.ranks import rankings
from benchmarks.analysis.summary import summaries
from benchmarks.report.page import problem_grid
from benchmarks.report.problems import MOST, across_problems, caption, headings
from benchmarks.report.rounding import interval_text
from benchmarks.report.tables import rank_caption, rank_table
from made_up_study import frames_of, made_up, outcomes_of, setting_of

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
OTHER = {"d": 6, "K": 10, "m": 2, "N": 400}


@pytest.fixture(scope="module")
def two():
    """Two problems, of which one lacks a method."""
    whole = (
        outcomes_of(setting_of("topk", problem=SMALL)),
        outcomes_of(setting_of("osae", problem=SMALL)),
    )
    part = [outcomes_of(setting_of("topk", problem=OTHER, draw=i)) for i in range(3)]
    return frames_of([run for own in (*whole, *part) for run in own])


@pytest.fixture(scope="module")
def several():
    return summaries(made_up(("topk", "osae"), problems=[SMALL, OTHER], draws=4))


def test_an_entry_is_what_its_own_table_says(several):
    for one in across_problems(several):
        assert list(one.table.columns) == headings(several)
        for summary, column in zip(several, one.table, strict=True):
            for row in summary.rows:
                found = row.estimates[one.metric.name]
                text = one.table[column][row.title]
                assert text.removesuffix(" *") == interval_text(found.mean, found.ci95)
                assert text.endswith(" *") == (
                    row.label in summary.leaders.get(one.metric.name, ())
                )


def test_every_measurement_that_is_compared_has_a_table(several):
    assert [one.metric for one in across_problems(several)] == list(several[0].questions)


def test_a_method_that_was_not_run_on_a_problem_has_a_dash_there(two):
    found = summaries(two)
    [stab] = [one for one in across_problems(found) if one.metric.name == "stab_truth"]
    lacking = [s for s in found if len(s.rows) == 1]
    column = headings(found)[found.index(lacking[0])]
    assert stab.table[column]["OSAE"] == "–"
    assert stab.table.drop(columns=column).loc["OSAE"].item() != "–"


def test_chance_and_ceiling_stand_below(several):
    [stab] = [one for one in across_problems(several) if one.metric.name == "stab_truth"]
    assert list(stab.limits.index) == ["chance", "ceiling"]
    level = several[0].chance["stab_truth"]
    assert stab.limits.iloc[0, 0] == f"{level:.3f}"
    title, grid = problem_grid(stab)
    assert title == stab.metric.title
    assert [line[0] for line in grid.foot] == ["chance", "ceiling"]
    assert [line[0] for line in grid.rows] == list(stab.table.index)


def test_a_heading_names_the_family_and_what_tells_its_problems_apart(several):
    assert headings(several) == ["toy K=8", "toy K=10"]
    assert headings(several[:1]) == ["toy"]


def test_headings_are_different_where_the_arithmetic_is():
    runs = [
        run
        for arithmetic in ("portable", "fast")
        for run in outcomes_of(setting_of(problem=SMALL, arithmetic=arithmetic))
    ]
    assert sorted(headings(summaries(frames_of(runs)))) == ["toy fast", "toy portable"]


def test_one_problem_and_very_many_have_no_such_table(several):
    assert across_problems(several[:1]) == []
    assert across_problems([several[0]] * (MOST + 1)) == []


def test_intervals_are_spoken_of_only_where_there_are_any(several, two):
    assert "confidence interval" in caption(several)
    assert "confidence interval" not in caption(summaries(two))


def test_the_files_and_the_page_have_them(tmp_path):
    frames = made_up(("topk", "osae"), problems=[SMALL, OTHER], draws=3)
    report.write(frames, tmp_path / "report")
    text = (tmp_path / "report" / "problems.md").read_text()
    assert text.count("## ") == len(across_problems(summaries(frames)))
    assert "| toy K=8" in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<h2>All problems</h2>" in page
    # Two cells are too few for ranks: no table without an entry.
    assert "<h2>Over all cells</h2>" not in page
    assert (tmp_path / "report" / "ranks.md").read_text().startswith("No ranks over cells")


def test_ranks_of_too_few_cells_are_a_sentence(several):
    found = rankings(several)
    assert rank_table(found).equals(pd.DataFrame())
    assert rank_caption(found) == "No ranks over cells of one kind: 2 cells: ranks take 3 or more."
