import json
import re

import pandas as pd
import pytest

from benchmarks import tables
from benchmarks.config import PAPER_CELL
from benchmarks.summary import Estimate, summarise
from osae_theory.metrics import chance_stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


@pytest.fixture
def rows(small_records):
    return summarise(small_records, CHANCE)


def test_a_markdown_table_has_as_many_cells_in_every_line(rows):
    text = tables.markdown(tables.reading_table(SMALL, rows, CHANCE), tables.caption(SMALL, CHANCE))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {4}
    assert "the paper's" not in text


def test_the_papers_figures_stand_beside_ours_on_the_papers_cell_only(rows):
    table = tables.reading_table(PAPER_CELL, rows, CHANCE)
    assert table.loc["Stab(D, D*), the paper's"].tolist() == ["0.479 (0.0104)", "0.814 (0.0195)"]
    assert table.loc["held-out MSE, the paper's"].tolist() == [
        "0.0257 (0.000841)",
        "0.00725 (0.000746)",
    ]
    assert len([t for t in table.index if t.endswith("the paper's")]) == 4


def test_latex_escapes_what_latex_would_swallow(rows):
    text = tables.latex(tables.reading_table(SMALL, rows, CHANCE), tables.caption(SMALL, CHANCE))
    assert not re.search(r"(?<!\\)%", text)
    assert "±" not in text
    assert ">=" not in text
    assert "$D, D^*$" in text
    assert text.count(r"\\") == text.count("&") // 2


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(None, None, None, 0), "–"),
        (Estimate(0.5, None, None, 1), "0.500"),
        (Estimate(0.5, 0.1, (0.4, 0.6), 3), "0.500 (0.100) ± 0.100"),
        (Estimate(0.00086, 0.0001, (0.0008, 0.00092), 3), "0.000860 (0.000100) ± 6.00e-05"),
    ],
)
def test_estimates_are_written_as_far_as_they_are_defined(found, text):
    assert tables.estimate_text(found) == text


def test_a_json_row_has_the_promised_fields_and_no_nan(rows):
    promised = (
        "stab_pairs stab_truth stab_truth_corrected ord_truth ord_recovered recovered_share"
        " ord_by_frequency ord_by_energy mse dead_share"
    ).split()
    for row in rows:
        fields = tables.json_row(row, CHANCE)
        json.dumps(fields, allow_nan=False)
        for key in promised:
            assert {f"{key}_mean", f"{key}_std", f"{key}_ci95"} <= set(fields)
        assert {"method", "seeds", "stab_chance", "seconds"} <= set(fields)
        assert ("mse_minus_topk_mean" in fields) == (row.method == "osae")


def test_frames_have_one_row_a_run_a_pair_and_a_method(small_records, rows, tmp_path):
    runs = tables.run_frame(small_records, CHANCE)
    assert len(runs) == 6
    assert len(tables.pair_frame(small_records)) == 2 * 3
    assert len(tables.pair_frame(small_records[:1])) == 0
    methods = tables.row_frame(SMALL, [tables.json_row(row, CHANCE) for row in rows])
    assert methods["stab_truth_ci95_low"].lt(methods["stab_truth_mean"]).all()
    tables.write_parquet(tmp_path / "runs.parquet", runs)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), runs)
