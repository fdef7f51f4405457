from dataclasses import replace
from functools import cache

import pytest
from scipy import stats

from benchmarks.analysis.ablations import ablations, variants_of_bases
from benchmarks.analysis.comparisons import compare, compare_pairs
from benchmarks.analysis.summary import summaries
from benchmarks.report.analyses import ablation_analysis
from made_up_study import made_up
from osae_theory.metrics.comparisons import holm

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = (
    "topk[lr=0.01]",
    "topk[lr=0.02]",
    "topk-resorted[lr=0.01]",
    "osae[lr=0.01]",
    "osae-resorted[lr=0.01]",
    "osae-swept[lr=0.01]",
    "osae-zipf[lr=0.01]",
)


@cache
def summary():
    [found] = summaries(made_up(METHODS, problems=[SMALL], draws=5))
    return found


def test_a_variant_is_held_to_the_base_at_its_own_values():
    found = [(row.label, base.label) for row, base in variants_of_bases(summary())]
    assert found == [
        ("topk-resorted[lr=0.01]", "topk[lr=0.01]"),
        ("osae-zipf[lr=0.01]", "osae[lr=0.01]"),
        ("osae-resorted[lr=0.01]", "osae[lr=0.01]"),
        ("osae-swept[lr=0.01]", "osae[lr=0.01]"),
    ]


def test_at_another_rate_or_budget_more_than_one_thing_differs():
    rows = {row.label: row for row in summary().rows}
    base, own = rows["topk[lr=0.02]"], rows["topk-resorted[lr=0.01]"]
    assert variants_of_bases(replace(summary(), rows=[base, own])) == []
    longer = replace(own, budget=replace(own.budget, amount=20_000))
    assert variants_of_bases(replace(summary(), rows=[rows["topk[lr=0.01]"], longer])) == []
    assert ablation_analysis(replace(summary(), rows=[base, own])) is None


def test_differences_are_within_draws_and_corrected_for_the_variants_of_the_table():
    found = [one for one in ablations(summary()) if one.metric == "stab_truth"]
    values = summary().values["stab_truth"]
    plain = []
    for one, (row, base) in zip(found, variants_of_bases(summary()), strict=True):
        assert (one.variant, one.other) == (row.label, base.label)
        expected = stats.ttest_1samp(values[row.label] - values[base.label], 0)
        assert one.difference.ci95 == pytest.approx(tuple(expected.confidence_interval()))
        plain.append(expected.pvalue)
    assert [one.p_different for one in found] == pytest.approx(holm(plain))
    assert {one.metric for one in ablations(summary())} == {
        metric.name for metric in summary().questions
    }


def test_chosen_pairs_are_those_of_all_pairs_but_for_the_correction():
    values = {label: list(own) for label, own in summary().values["mse"].items()}
    every = {(one.variant, one.other): one for one in compare("mse", values, None)}
    pair = ("osae-swept[lr=0.01]", "osae[lr=0.01]")
    [alone] = compare_pairs("mse", values, [pair], None)
    assert alone.difference == every[pair].difference
    assert alone.p_different == alone.difference.p_different


def test_the_table_has_a_line_a_variant_and_the_file_one_a_measurement_too():
    found = ablation_analysis(summary())
    titles = [(row.title, base.title) for row, base in variants_of_bases(summary())]
    assert list(zip(found.table["variant"], found.table["minus"], strict=True)) == titles
    assert len(found.table) == 4
    assert len(found.rows) == 4 * len(summary().questions)
    assert "for the 4 differences of this table in one measurement." in found.caption
    words = {one.word for one in ablations(summary())}
    cells = " ".join(found.table.to_numpy().ravel())
    for word in words & {"higher", "lower", "level"}:
        assert f", {word}" in cells
    assert "not told apart" not in cells
