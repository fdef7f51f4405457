"""What a report has beside its tables of results, each as text for readers and as plain values.

Variants against their bases, methods at equal time and at equal error, and rounding as a factor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks import catalogue
from benchmarks.analysis.ablations import ablations, variants_of_bases
from benchmarks.analysis.arithmetics import Rounding
from benchmarks.analysis.budgets import (
    AMOUNT,
    ERROR,
    MEASURED,
    PLAIN,
    QUANTITIES,
    TIME,
    Equal,
    Reached,
)
from benchmarks.analysis.comparisons import Comparison
from benchmarks.analysis.names import budget_text, metric_named
from benchmarks.analysis.summary import Summary
from benchmarks.report.rounding import MISSING, interval_text
from benchmarks.report.tables import cell_fields, json_comparison, scope_text, table_fields
from benchmarks.spec import Budget
from osae_theory.metrics.comparisons import NOT_TOLD_APART, TOO_FEW
from osae_theory.metrics.intervals import FEWEST_UNITS

ABLATIONS, EQUAL_TIME, EQUAL_ERROR = "ablations", "equal_time", "equal_error"
ROUNDING = "rounding"
NAMES = (ABLATIONS, EQUAL_TIME, EQUAL_ERROR, ROUNDING)


@dataclass(frozen=True, eq=False)
class Analysis:
    """One table that stands beside the tables of results.

    Attributes
    ----------
    name : str
        Of its files.
    title : str
        What it shows, for the page.
    table : pandas.DataFrame
        All as text.
    caption : str
        What a reader needs to know.
    fields : mapping of str to value
        What its rows have in common: the problem, and what else tells it from others.
    rows : sequence of mapping
        Plain values, an interval in one field that ends in 95.
    """

    name: str
    title: str
    table: pd.DataFrame
    caption: str
    fields: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


# One change at a time.


def ablation_analysis(summary: Summary) -> Analysis | None:
    """Return a table's variants against their bases; None where it has none."""
    found = ablations(summary)
    if not found:
        return None
    by_pair: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in found:
        by_pair.setdefault((one.variant, one.other), {})[one.metric] = one
    titles = {row.label: row.title for row in summary.rows}
    shown = list(summary.questions)
    lines = [
        [
            titles[own],
            titles[base],
            *(_difference_text(by_metric[m.name]) for m in shown),
            _span(one.difference.n for one in by_metric.values()),
        ]
        for (own, base), by_metric in by_pair.items()
    ]
    columns = ["variant", "minus", *(metric.title for metric in shown), "draws"]
    return Analysis(
        ABLATIONS,
        "One change at a time",
        pd.DataFrame(lines, columns=pd.Index(columns)),
        _ablation_caption(summary),
        table_fields(summary),
        [json_comparison(summary, one) for one in found],
    )


def _difference_text(one: Comparison) -> str:
    text = interval_text(one.difference.mean, one.difference.ci95)
    return text if one.word in (NOT_TOLD_APART, TOO_FEW) else f"{text}, {one.word}"


def _ablation_caption(summary: Summary) -> str:
    n = len(variants_of_bases(summary))
    return (
        f"{summary.cell.title}; {scope_text(summary)}. Each variant is its base with one thing"
        " changed, at the same tuned values and budget. Mean difference over draws ± half of"
        " its 95% confidence interval (Student's, of the differences within draws); higher,"
        " lower or level at 5%, else not told apart, after Holm's correction for the"
        f" {n} difference{'s' * (n != 1)} of this table in one measurement."
    )


# At equal time, at equal error.


def equal_analysis(one: Equal) -> Analysis:
    """Return what methods reach at a target."""
    names = [name for name in (AMOUNT, TIME, ERROR, *MEASURED) if name != one.held]
    lines = [
        [
            row.variant.title,
            *(_reached_text(row, name) for name in names),
            f"{row.within} of {row.draws}" if row.draws else "0",
            _range_text(row),
        ]
        for row in one.rows
    ]
    headings = {AMOUNT: "budget", TIME: "seconds a run"}
    titles = [headings.get(name) or metric_named(name).title for name in names]
    of = headings.get(one.held) or metric_named(one.held).title
    columns = ["method", *titles, "draws within", f"its range of {of}"]
    kind = "time" if one.held == TIME else "held-out error"
    return Analysis(
        EQUAL_TIME if one.held == TIME else EQUAL_ERROR,
        f"At equal {kind}: {one.cell.title}"
        + ("" if one.arithmetic == "portable" else f"; {one.arithmetic} arithmetic"),
        pd.DataFrame(lines, columns=pd.Index(columns)),
        _equal_caption(one),
        {**cell_fields(one.cell), "arithmetic": one.arithmetic},
        [_equal_row(one, row) for row in one.rows],
    )


def _reached_text(row: Reached, name: str) -> str:
    found = row.estimates[name]
    if name != AMOUNT:
        return interval_text(found.mean, found.ci95)
    return MISSING if found.mean is None else f"{found.mean:,.0f} {row.unit}"


def _range_text(row: Reached) -> str:
    if row.low is None or row.high is None:
        return "no run is done"
    ends = f"{row.low:.3g} to {row.high:.3g}"
    return ends if row.within else f"{ends}: the target is outside"


def _equal_caption(one: Equal) -> str:
    what = "seconds of a run" if one.held == TIME else "held-out MSE"
    if one.rule == "largest":
        target = f"the largest {what} that a method has in that draw at its largest budget"
    else:
        target = f"the {what} of the plain top-m SAE in that draw at {_budget_text(one.budget)}"
    targets = list(one.targets.values())
    half = " ± half of the 95% confidence interval" if len(targets) >= FEWEST_UNITS else ""
    return (
        f"{one.cell.title}; {one.arithmetic} arithmetic. In each draw the target is {target}:"
        f" {sum(targets) / len(targets):.3g} on average, {min(targets):.3g} to"
        f" {max(targets):.3g} over draws. Between its budgets a"
        " method's values are interpolated linearly, seconds, errors and budgets by their"
        " logarithms; beyond them nothing is said. A draw in which the target is outside a"
        " method's range is left out: rows with other draws are not of the same problems."
        f" Mean over draws{half}. Time is of this machine:"
        f" {', '.join(one.processors) or 'one that is not known'}."
    )


def _budget_text(budget: Budget | None) -> str:
    if budget is None:
        return MISSING
    standard = budget == catalogue.methods()[PLAIN].budget
    return budget_text(budget) + ("" if standard else ", its largest here")


def _equal_row(one: Equal, row: Reached) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "held": one.held,
        "rule": one.rule,
        "target_mean": sum(one.targets.values()) / len(one.targets),
        "method": row.variant.method,
        "variant": row.variant.label,
        "unit": row.unit,
        "budgets": " ".join(str(amount) for amount in row.budgets),
        "draws": row.draws,
        "draws_within": row.within,
        "range_low": row.low,
        "range_high": row.high,
    }
    for name in QUANTITIES:
        found = row.estimates[name]
        fields |= {f"{name}_mean": found.mean, f"{name}_std": found.std, f"{name}_ci95": found.ci95}
    return fields


# Rounding as a factor.


def rounding_analysis(found: Sequence[Rounding]) -> Analysis:
    """Return what the arithmetic changes on one cell.

    Parameters
    ----------
    found : sequence of Rounding
        All of one cell, at least one.
    """
    cell = found[0].cell
    shown = [one for one in found if one.metric.question]
    several = len({(one.budget.unit, one.budget.amount) for one in shown}) > 1
    lines = [
        [
            one.variant.title,
            *([budget_text(one.budget) or MISSING] if several else []),
            one.metric.title,
            interval_text(one.over_draws.mean, one.over_draws.ci95),
            _plain(one.std),
            _plain(one.seeds_std),
            _plain(one.ratio),
            f"{one.runs}",
            f"{one.over_draws.n}",
        ]
        for one in shown
    ]
    columns = ["method", *(["budget"] if several else []), "measurement", "fast minus portable"]
    columns += ["deviation over runs", "deviation between seeds", "ratio", "runs", "draws"]
    return Analysis(
        ROUNDING,
        f"Rounding as a factor: {cell.title}",
        pd.DataFrame(lines, columns=pd.Index(columns)),
        (
            f"{cell.title}. The same runs, with the same seeds, under fast and under portable"
            " arithmetic, which differ in rounding alone: the mean over draws of fast minus"
            " portable ± half of its 95% confidence interval; the standard deviation over runs"
            " of these differences; that between seeds within draws, under portable arithmetic;"
            " and the ratio of the two. It is 0 if rounding does nothing, and 1.41 if it moves a"
            " run as far as another seed does. Runs that are done under both."
        ),
        cell_fields(cell),
        [_rounding_row(one) for one in found],
    )


def _rounding_row(one: Rounding) -> dict[str, Any]:
    return {
        "method": one.variant.method,
        "variant": one.variant.label,
        "unit": one.budget.unit,
        "amount": one.budget.amount,
        "batch_size": one.budget.batch_size,
        "measurement": one.metric.name,
        "pairs": one.pairs,
        "runs": one.runs,
        "draws": one.over_draws.n,
        "difference_mean": one.mean,
        "difference_std": one.std,
        "difference_draws_mean": one.over_draws.mean,
        "difference_draws_ci95": one.over_draws.ci95,
        "seeds_std": one.seeds_std,
        "ratio": one.ratio,
    }


def _plain(value: float | None) -> str:
    if value is None:
        return MISSING
    return "0" if value == 0 else f"{value:.2g}"


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
