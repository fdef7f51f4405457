"""All problems at a glance: a table a measurement, methods down and problems across."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.names import budget_text, in_order
from benchmarks.analysis.summary import Summary
from benchmarks.contracts import Metric
from benchmarks.report.rounding import MISSING, interval_text
from benchmarks.report.tables import ceiling_titles, chance_text, mark
from osae_theory.metrics.intervals import FEWEST_UNITS

NAME = "problems"
# With more columns nobody reads across.
MOST = 20


@dataclass(frozen=True, eq=False)
class AcrossProblems:
    """One measurement of every method on every problem, as text for readers.

    Attributes
    ----------
    metric : Metric
        The measurement.
    table : pandas.DataFrame
        Methods down, problems across. An entry is "mean ± half of the 95% interval", with a * at
        the best on its problem and at those not told apart from it.
    limits : pandas.DataFrame
        In the same columns, what chance and what oracles score.
    """

    metric: Metric
    table: pd.DataFrame
    limits: pd.DataFrame


def across_problems(summaries: Sequence[Summary]) -> list[AcrossProblems]:
    """Return every measurement in which methods are compared, over all tables of a report.

    Parameters
    ----------
    summaries : sequence of Summary
        The tables, in their order.

    Returns
    -------
    list of AcrossProblems
        Empty for one table and for more than `MOST`.
    """
    if not 1 < len(summaries) <= MOST:
        return []
    questions = {metric.name: metric for one in summaries for metric in one.questions}
    return [_across(metric, summaries) for metric in questions.values()]


def _across(metric: Metric, summaries: Sequence[Summary]) -> AcrossProblems:
    variants = {row.label: row.variant for summary in summaries for row in summary.rows}
    columns = pd.Index(headings(summaries))
    lines = [
        (one.title, _entries(metric, summaries, one.label)) for one in in_order(variants.values())
    ]
    limits = list(_limits(metric, summaries))
    return AcrossProblems(metric, *(_frame(found, columns) for found in (lines, limits)))


def _frame(lines: Sequence[tuple[str, Sequence[str]]], columns: pd.Index) -> pd.DataFrame:
    titles = pd.Index([title for title, _ in lines], name="method")
    return pd.DataFrame([entries for _, entries in lines], columns=columns, index=titles)


def _entries(metric: Metric, summaries: Sequence[Summary], label: str) -> list[str]:
    found = []
    for summary in summaries:
        row = next((row for row in summary.rows if row.label == label), None)
        estimate = None if row is None else row.estimates.get(metric.name)
        found.append(
            MISSING
            if estimate is None
            else interval_text(estimate.mean, estimate.ci95) + mark(summary, metric.name, label)
        )
    return found


def _limits(metric: Metric, summaries: Sequence[Summary]) -> Iterator[tuple[str, list[str]]]:
    yield "chance", [chance_text(summary, metric.name) or MISSING for summary in summaries]
    tops = [dict(zip(ceiling_titles(one), one.oracles, strict=True)) for one in summaries]
    for title in dict.fromkeys(title for own in tops for title in own):
        means = [own[title].estimates[metric.name].mean if title in own else None for own in tops]
        yield title, [interval_text(mean, None) for mean in means]


def headings(summaries: Sequence[Summary]) -> list[str]:
    """Return a short heading a table: the family, and what tells it from others of its family.

    Parameters
    ----------
    summaries : sequence of Summary
        The tables.
    """
    found = []
    for summary in summaries:
        cell, table = summary.cell, summary.table
        family = [one.cell.params for one in summaries if one.cell.family == cell.family]
        parts = [
            f"{name}={value}"
            for name, value in cell.params.items()
            if len({str(params.get(name)) for params in family}) > 1
        ]
        if len({one.table.arithmetic for one in summaries}) > 1:
            parts.append(table.arithmetic)
        if table.budget is not None:
            parts.append(budget_text(table.budget))
        found.append(" ".join([cell.family, *parts]))
    return found


def caption(summaries: Sequence[Summary]) -> str:
    """Return the sentences that a reader needs to read these tables."""
    few = min(summary.draws for summary in summaries) < FEWEST_UNITS
    interval = "" if few else " ± half of the 95% confidence interval (Student's)"
    return (
        f"Mean over problem draws{interval}. An asterisk: the best on its problem, and those not"
        " told apart from it, corrected within the problem. Each problem's own table says what was"
        " run on it."
    )
