from dataclasses import replace

import pytest

from benchmarks.config import PAPER_CELL
from benchmarks.methods import METHODS
from benchmarks.summary import Estimate, summarise
from benchmarks.terminal import terminal_table
from osae_theory.metrics import chance_stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


@pytest.fixture
def summary(drawn_records, small_ceilings):
    return summarise(drawn_records, CHANCE, small_ceilings)


def with_all_methods(summary):
    rows = [replace(summary.rows[0], method=method) for method in METHODS]
    return replace(summary, rows=rows, cell=PAPER_CELL)


@pytest.mark.parametrize("width", [36, 60, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal_and_no_method_is_lost(summary, width):
    text = terminal_table(with_all_methods(summary), width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("8 runs") == len(METHODS)


def test_the_four_methods_of_the_paper_fit_beside_each_other_in_80_columns(summary):
    rows = [
        replace(summary.rows[0], method=m) for m in ("topk", "msae-fixed", "msae-random", "osae")
    ]
    text = terminal_table(replace(summary, rows=rows, cell=PAPER_CELL), 80)
    assert text.count("Ord by energy") == 1 + text.count("itself: Ord by energy")
    assert text.count("- the paper's") == 4


def test_small_errors_are_in_thousandths_and_numbers_as_exact_as_their_intervals(summary):
    row = summary.rows[0]
    changed = {
        "mse": Estimate(0.000738, 0.00015, (0.00063, 0.000846), 4),
        "stab_truth": Estimate(0.93275, 0.0188, (0.9193, 0.9462), 4),
        "ord_truth": Estimate(-0.02, 0.1, (-0.07, 0.03), 4),
    }
    row = replace(row, estimates={**row.estimates, **changed})
    text = terminal_table(replace(summary, rows=[row], leaders={"mse": frozenset({"topk"})}), 80)
    lines = {line[:18].strip(): line[18:].strip() for line in text.splitlines()}
    assert lines["MSE, 1e-3"] == ".74±.11*"
    assert lines["Stab(D, D*)"] == ".933±.013"
    assert lines["Ord as trained"] == "-.020±.050"


def test_the_notes_say_draws_chance_and_ceiling(summary, small_records):
    text = " ".join(terminal_table(summary, 80).split())
    assert "4 problem draws x 2 seeds" in text
    assert "By chance: Stab ." in text
    assert "By the truth itself: Ord by energy" in text
    one = " ".join(terminal_table(summarise(small_records, CHANCE), 80).split())
    assert "No intervals and no comparisons: both take 3 draws or more." in one
    assert "*" not in one.replace("D*", "")
