import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks import tables
from benchmarks.comparisons import FAMILY
from benchmarks.config import PAPER_CELL
from benchmarks.summary import Estimate, summarise
from osae_theory.metrics import chance_stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


@pytest.fixture
def summary(drawn_records, small_ceilings):
    return summarise(drawn_records, CHANCE, small_ceilings)


def on_the_papers_cell(summary):
    return replace(summary, cell=PAPER_CELL)


def test_markdown_tables_have_as_many_cells_in_every_line(summary):
    text = tables.markdown(tables.reading_table(summary), tables.caption(summary))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {6}
    assert "the paper's" not in text
    caption = tables.comparison_caption(summary)
    text = tables.markdown(tables.comparison_table(summary), caption, index=False)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(FAMILY)
    assert {line.count("|") for line in lines} == {10}


def test_the_papers_figures_stand_beside_ours_on_the_papers_cell_only(summary):
    table = tables.reading_table(on_the_papers_cell(summary))
    assert table.loc["Stab(D, D*), the paper's"].tolist()[:2] == [
        "0.479 (0.0104)",
        "0.814 (0.0195)",
    ]
    assert table.loc["held-out MSE, the paper's"].tolist()[:2] == [
        "0.0257 (0.000841)",
        "0.00725 (0.000746)",
    ]
    assert len([t for t in table.index if t.endswith("the paper's")]) == 4


def test_chance_and_ceiling_stand_beside_every_measurement_that_has_them(summary):
    table = tables.reading_table(summary)
    assert table.loc["Stab(D, D*)", "chance"] == f"{CHANCE.mean:.3f}"
    assert table.loc["Ord(D, D*), as trained", "chance"] == "0.00 (0.38)"  # 1 / sqrt(7)
    for title in ("Ord, sorted by energy", "Ord, sorted by frequency", "held-out MSE"):
        assert "±" in table.loc[title, "ceiling"]


def test_the_best_are_marked_where_the_comparisons_say_so(summary):
    table = tables.reading_table(summary)
    for measurement, best in (("Stab(D, D*)", "stab_truth"), ("held-out MSE", "mse")):
        marked = [entry.endswith(" *") for entry in table.loc[measurement][:2]]
        assert marked == [m in summary.leaders[best] for m in ("topk", "osae")]
        assert any(marked)
    assert not table.loc["held-out L0"].str.endswith("*").any()


def test_a_table_says_how_many_draws_it_is_over_and_when_it_is_a_quick_look(summary, small_records):
    assert "4 problem draws x 2 seeds a method (a quick look" in tables.caption(summary)
    assert "quick look" not in tables.caption(replace(summary, draws=20))
    one = tables.caption(summarise(small_records, CHANCE))
    assert "1 problem draw x 3 seeds" in one
    assert "No interval and no comparison: both take 3 draws or more." in one


def test_medians_stand_in_the_table_where_some_runs_are_far_below_them(summary):
    assert not tables.reading_table(summary).index.str.contains("median").all()
    row = summary.rows[0]
    low = Estimate(0.8, 0.1, None, 8, median=0.9, n_low=3)
    bad = replace(row, over_runs={**row.over_runs, "stab_truth": low})
    table = tables.reading_table(replace(summary, rows=[bad, summary.rows[1]]))
    title = "Stab(D, D*), median run (runs below 0.9 of it)"
    assert table.loc[title].iloc[0] == "0.900 (3 of 8)"


def test_latex_escapes_what_latex_would_swallow(summary):
    text = tables.latex(tables.reading_table(summary), tables.caption(summary))
    assert not re.search(r"(?<!\\)%", text)
    assert "±" not in text
    assert ">=" not in text
    assert "$D, D^*$" in text
    assert text.count(r"\\") == text.count("&") // 4


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
    promised = (
        "stab_pairs stab_truth stab_truth_corrected ord_truth ord_recovered recovered_share"
        " ord_by_frequency ord_by_energy mse dead_share"
    ).split()
    for row in found["rows"]:
        for key in promised:
            assert {f"{key}_mean", f"{key}_std", f"{key}_ci95", f"{key}_n"} <= set(row)
        assert {"method", "draws", "runs", "stab_chance", "seconds"} <= set(row)
        assert {"stab_truth_median_of_runs", "stab_truth_low_runs"} <= set(row)
    assert [one["measurement"] for one in found["comparisons"]] == list(FAMILY)
    for one in found["comparisons"]:
        assert {"method", "minus", "difference_ci95", "p_holm", "p_level", "word"} <= set(one)
        assert one["margin"] == (None if one["measurement"] == "mse" else 0.02)
    assert found["ceiling"]["ord_by_energy_n"] == 4


def test_frames_have_one_row_a_run_a_pair_and_a_method(drawn_records, summary, tmp_path):
    runs = tables.run_frame(drawn_records, CHANCE)
    assert len(runs) == 16
    assert sorted(set(runs["draw"])) == [0, 1, 2, 3]
    assert runs.groupby("draw")["problem_seed"].nunique().eq(1).all()
    assert set(runs["arithmetic"]) == {"portable"}
    assert len(tables.pair_frame(drawn_records)) == 2 * 4
    assert len(tables.pair_frame(drawn_records[:1])) == 0
    found = tables.document(summary)
    methods = tables.flat_frame(SMALL, found["rows"])
    assert methods["stab_truth_ci95_low"].lt(methods["stab_truth_mean"]).all()
    pairs = tables.flat_frame(SMALL, found["comparisons"])
    assert pairs["difference_ci95_low"].lt(pairs["difference_mean"]).all()
    assert {"difference_bootstrap95_low", "word"} <= set(pairs)
    tables.write_parquet(tmp_path / "runs.parquet", runs)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), runs)
