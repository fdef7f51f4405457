from dataclasses import replace

import pytest

from benchmarks import catalogue
from benchmarks.analysis.names import variant_named
from benchmarks.analysis.summary import Estimate, summaries
from benchmarks.report.terminal import terminal_table
from made_up_study import METHODS, PAPER, made_up

ALL = [name for name, method in catalogue.methods().items() if method.sees == "data"]


@pytest.fixture(scope="module")
def summary():
    [found] = summaries(made_up(("topk", "osae"), problems=[PAPER], draws=4))
    return found


def with_methods(summary, names):
    variants = [variant_named(name) for name in names]
    rows = [replace(summary.rows[0], variant=one) for one in variants]
    return replace(summary, rows=rows)


@pytest.mark.parametrize("width", [36, 60, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal_and_no_method_is_lost(summary, width):
    text = terminal_table(with_methods(summary, ALL), width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("8 runs") == len(ALL)


def test_the_four_methods_of_the_paper_fit_beside_each_other_in_80_columns(summary):
    text = terminal_table(with_methods(summary, METHODS), 80)
    assert len([line for line in text.splitlines() if line.startswith("Ord by energy ")]) == 1
    assert text.count("- the paper's") == 4


def test_no_measurement_widens_the_column_of_names_beyond_the_questions():
    metrics = catalogue.metrics().values()
    widest = max(len(metric.short) for metric in metrics if metric.question)
    assert [metric.name for metric in metrics if len(metric.short) > widest] == []


def test_measurements_that_nobody_has_are_left_out(summary):
    nothing = {"uniqueness": Estimate(None, None, None, 0)}

    def without(rows):
        return [replace(row, estimates={**row.estimates, **nothing}) for row in rows]

    assert "uniqueness" in terminal_table(summary, 80)
    some = replace(summary, rows=without(summary.rows))
    assert "uniqueness" in terminal_table(some, 80)
    none = replace(some, oracles=without(summary.oracles))
    assert "uniqueness" not in terminal_table(none, 80)


def test_small_errors_are_in_thousandths_and_numbers_as_exact_as_their_intervals(summary):
    row = summary.rows[0]
    changed = {
        "mse": Estimate(0.000738, 0.00015, (0.00063, 0.000846), 4),
        "stab_truth": Estimate(0.93275, 0.0188, (0.9193, 0.9462), 4),
        "ord_truth": Estimate(-0.02, 0.1, (-0.07, 0.03), 4),
    }
    row = replace(row, estimates={**row.estimates, **changed})
    marked = replace(summary, rows=[row], leaders={"mse": frozenset({row.label})})
    text = terminal_table(marked, 80)
    lines = {line[:18].strip(): line[18:].strip() for line in text.splitlines()}
    assert lines["MSE, 1e-3"] == ".74±.11*"
    assert lines["Stab(D, D*)"] == ".933±.013"
    assert lines["Ord as trained"] == "-.020±.050"


def test_the_notes_say_draws_chance_and_ceiling(summary):
    text = " ".join(terminal_table(summary, 80).split())
    assert "4 problem draws x 2 seeds" in text
    assert "By chance: Stab(D, D'), Stab(D, D*) .260; Ord as trained, " in text
    assert "By the truth: Stab(D, D*), Ord as trained 1.000; Ord by energy .996;" in text


def test_one_draw_has_no_interval_and_no_best_method():
    [found] = summaries(made_up(("topk", "osae"), problems=[PAPER], draws=1))
    text = " ".join(terminal_table(found, 80).split())
    assert "No intervals and no comparisons: both take 3 draws or more." in text
    assert "*" not in text.replace("D*", "")


def test_runs_that_are_not_done_have_a_line(summary):
    row = replace(summary.rows[0], statuses={"done": 5, "diverged": 1, "error": 2})
    lines = terminal_table(replace(summary, rows=[row, summary.rows[1]]), 80).splitlines()
    assert [line.split() for line in lines if line.startswith(("diverged", "error"))] == [
        ["diverged", "1", "0"],
        ["error", "2", "0"],
    ]
