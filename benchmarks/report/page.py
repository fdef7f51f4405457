"""The report as one HTML page: nothing is loaded from elsewhere, and it opens from a file.

All that comes from a store is escaped. Tables are there without scripts; a script sorts and
filters them, and draws the scatter.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from benchmarks.analysis.improvement import improvements
from benchmarks.analysis.names import Variant, budget_text
from benchmarks.analysis.study import Study
from benchmarks.analysis.summary import Row, Summary
from benchmarks.contracts import Metric
from benchmarks.report.analyses import Analysis
from benchmarks.report.figures.style import marks
from benchmarks.report.problems import AcrossProblems
from benchmarks.report.rounding import MISSING, interval_text
from benchmarks.report.tables import (
    caption,
    ceiling_titles,
    chance_text,
    comparison_caption,
    comparison_table,
    mark,
    published_figures,
    reading_table,
    runs_text,
)
from osae_theory.metrics.intervals import Estimate

TEMPLATE = "page.html.jinja"
# Digits of the scatter's points: more than a pixel.
_DIGITS = 5
_MOST_REASONS = 50
_ORIGIN = ("code", "commit", "dirty", "package", "processor", "system", "python", "numpy")
_ORIGIN += ("torch", "numba", "scipy", "backend", "triton", "device")


@dataclass(frozen=True)
class Grid:
    """A table as the page shows it: all text.

    Attributes
    ----------
    columns : sequence of str
        Headings; the first column is the rows' heading.
    rows : sequence of sequence of str
        What can be sorted and filtered.
    foot : sequence of sequence of str
        Lines that stay at the bottom, such as the chance level.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Picture:
    """A figure on the page: its caption, and the PNG in base64."""

    title: str
    data: str

    @classmethod
    def of(cls, title: str, png: bytes) -> "Picture":
        """Return the picture of a PNG file's bytes."""
        return cls(title, base64.b64encode(png).decode())


@dataclass(frozen=True)
class Section:
    """One table of results with all that belongs to it.

    Attributes
    ----------
    name, title : str
        For links, and for readers.
    result, everything, comparisons : Grid
        The main measurements, all of them, and all pairs of methods.
    caption, comparison_caption : str
        What a reader needs to know.
    improvements, variances : Grid
        In how many draws one method is better than another, and how much of each measurement's
        variance lies between draws; without rows where there is nothing to say.
    configuration, origins : Grid
        What each method is, and what trained its runs.
    pictures : sequence of Picture
        Its figures.
    ablations : Analysis or None
        Variants against their bases, where it has some.
    """

    name: str
    title: str
    result: Grid
    everything: Grid
    comparisons: Grid
    caption: str
    comparison_caption: str
    improvements: Grid
    variances: Grid
    configuration: Grid
    origins: Grid
    pictures: Sequence[Picture]
    ablations: Analysis | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page says.

    Attributes
    ----------
    title, lead : str
        What is compared, and how much of it there is.
    notes : sequence of str
        What a reader must know of the store, a sentence each.
    sections : sequence of Section
        The tables; the one that stands first is the first.
    overview : Grid or None
        Mean ranks over cells, where there are several.
    overview_caption : str
        What a reader needs to know of them.
    problems : sequence of (str, Grid)
        Each measurement of all methods on all problems, by its title; empty for one problem.
    problems_caption : str
        What a reader needs to know of them.
    cells : Grid or None
        One line a cell and method, where there are several.
    pictures : sequence of Picture
        Figures over cells.
    absent : sequence of str
        Why figures are not there, a sentence each.
    failures : Grid
        Runs that are not done, by reason.
    scatter : mapping
        What the scatter draws; see `scatter`.
    commands : sequence of str
        What made the page, and the runs where that is known.
    tuning : sequence of Picture
        How the tuned values were chosen, as a figure.
    analyses : sequence of Analysis
        What stands across the tables of one cell.
    """

    title: str
    lead: str
    notes: Sequence[str]
    sections: Sequence[Section]
    overview: Grid | None
    overview_caption: str
    problems: Sequence[tuple[str, Grid]]
    problems_caption: str
    cells: Grid | None
    pictures: Sequence[Picture]
    absent: Sequence[str]
    failures: Grid
    scatter: Mapping[str, Any]
    commands: Sequence[str]
    tuning: Sequence[Picture] = ()
    analyses: Sequence[Analysis] = ()


def render(page: Page) -> str:
    """Return the page as HTML in one piece."""
    environment = Environment(
        loader=PackageLoader("benchmarks.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = files("benchmarks.report")
    style, script, citation = (
        package.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js", "citation.bib")
    )
    return environment.get_template(TEMPLATE).render(
        page=page, style=style, script=script, citation=citation, of_frame=of_frame
    )


def section(
    found: Study,
    summary: Summary,
    shares: pd.DataFrame,
    pictures: Sequence[Picture],
    ablations: Analysis | None = None,
) -> Section:
    """Return a table of results with all that belongs to it.

    Parameters
    ----------
    found : Study
        All runs.
    summary : Summary
        The table.
    shares : pandas.DataFrame
        What `benchmarks.analysis.variance.variance_shares` gives for all runs.
    pictures : sequence of Picture
        The table's figures.
    ablations : Analysis, optional
        Its variants against their bases.
    """
    return Section(
        name=summary.table.slug,
        title=table_title(summary),
        result=result_grid(summary),
        everything=of_frame(reading_table(summary).rename_axis("measurement"), index=True),
        comparisons=of_frame(comparison_table(summary)),
        caption=caption(summary, deviations=False),
        comparison_caption=comparison_caption(summary),
        improvements=_improvements(summary),
        variances=_variances(summary, shares),
        configuration=_configuration(summary),
        origins=_origins(found, summary),
        pictures=pictures,
        ablations=ablations,
    )


def table_title(summary: Summary) -> str:
    """Return what a table is of, with what tells it from others of its cell."""
    parts = [summary.cell.title]
    if summary.table.arithmetic != "portable":
        parts.append(f"{summary.table.arithmetic} arithmetic")
    if summary.table.budget is not None:
        parts.append(budget_text(summary.table.budget))
    return "; ".join(parts)


def shown_metrics(summary: Summary) -> list[Metric]:
    """Return the measurements of the main table: questions, and those of pairs with a margin."""
    return [m for m in summary.metrics if m.question or (m.of_pair and m.margin is not None)]


def result_grid(summary: Summary) -> Grid:
    """Return the main table: methods down, so that they can be sorted by a measurement."""
    shown = shown_metrics(summary)
    rows = [
        [row.title, *(_entry(summary, row, metric) for metric in shown), runs_text(row)]
        for row in summary.rows
    ]
    foot = [["by chance", *(chance_text(summary, m.name) or "" for m in shown), ""]]
    foot += [
        [title, *(interval_text(top.estimates[m.name].mean, None) for m in shown), runs_text(top)]
        for title, top in zip(ceiling_titles(summary), summary.oracles, strict=True)
    ]
    for place, row in enumerate(summary.rows):
        pairs = [published_figures(summary, metric.name) for metric in shown]
        if any(found and found[place] for found in pairs):
            texts = [f"{p[0]:#.3g}" if (p := f[place] if f else None) else "" for f in pairs]
            foot.append([f"the paper's {row.title}", *texts, ""])
    return Grid(["method", *(metric.title for metric in shown), "runs"], rows, foot)


def problem_grid(one: AcrossProblems) -> tuple[str, Grid]:
    """Return a measurement's title, and its table over all problems."""
    table = of_frame(one.table, index=True)
    foot = of_frame(one.limits, index=True)
    return one.metric.title, Grid(table.columns, table.rows, foot.rows)


def cell_grid(summaries: Sequence[Summary]) -> Grid:
    """Return one line a table and method: the cell's parameters, and the main measurements."""
    names = list(dict.fromkeys(name for s in summaries for name in s.cell.params))
    shown = list({m.name: m for s in summaries for m in shown_metrics(s)}.values())
    several = len({(s.table.arithmetic, s.table.budget) for s in summaries}) > 1
    rows = [
        [
            row.title,
            *(f"{summary.cell.params.get(name, '')}" for name in names),
            *([_how(summary)] if several else []),
            *(_entry(summary, row, metric) for metric in shown),
            f"{row.draws}",
        ]
        for summary in summaries
        for row in summary.rows
    ]
    own = ["how"] if several else []
    return Grid(["method", *names, *own, *(metric.title for metric in shown), "draws"], rows)


def failure_grid(found: Study) -> Grid:
    """Return how many runs are not done, by method, status and reason."""
    failed = found.runs[~found.runs["status"].eq("done")]
    keys = ["method", "status", "reason"]
    counts = failed[keys].astype(str).groupby(keys).size().sort_values(ascending=False)
    rows = [[*map(str, key), f"{n}"] for key, n in counts[:_MOST_REASONS].items()]  # pyright: ignore[reportArgumentType]
    others = counts[_MOST_REASONS:]
    foot = [["others", "", f"{len(others)} further reasons", f"{others.sum()}"]]
    return Grid([*keys, "runs"], rows, foot if len(others) else ())


def scatter(summaries: Sequence[Summary], variants: Sequence[Variant]) -> dict[str, Any]:
    """Return what the scatter draws: for each table its draws, and for all tables their means.

    Parameters
    ----------
    summaries : sequence of Summary
        The tables of the page, the first one shown first.
    variants : sequence of Variant
        All their methods, in the order of tables.
    """
    found = marks(variants)
    places = {one.label: place for place, one in enumerate(variants)}
    metrics = [
        m
        for m in summaries[0].metrics
        if any(np.isfinite(v).any() for s in summaries for v in s.values[m.name].values())
    ]
    views = [
        {
            "title": table_title(summary),
            "unit": "a point is a problem draw: the mean of its runs",
            "points": [
                {"method": places[row.label], "name": f"draw {seed}", "values": values}
                for row in summary.rows
                for seed, values in zip(
                    summary.problem_seeds,
                    _numbers([summary.values[m.name][row.label] for m in metrics])
                    or [[]] * len(summary.problem_seeds),
                    strict=True,
                )
                if any(value is not None for value in values)
            ],
        }
        for summary in summaries
    ]
    if len(summaries) > 1:
        every = {
            "title": "all cells",
            "unit": "a point is a cell: the mean over its draws",
            "points": [
                {
                    "method": places[row.label],
                    "name": table_title(summary),
                    "values": [_number(row.estimates[m.name].mean) for m in metrics],
                }
                for summary in summaries
                for row in summary.rows
            ],
        }
        views.insert(0, every)
    return {
        "metrics": [{"name": m.name, "title": m.title} for m in metrics],
        "methods": [{"title": one.title, **asdict(found[one.label])} for one in variants],
        "views": views,
    }


def _numbers(columns: Sequence[np.ndarray]) -> list[list[float | None]]:
    if not columns:
        return []
    return [[_number(value) for value in row] for row in np.stack(columns, axis=1).tolist()]


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(f"{value:.{_DIGITS}g}")


def _entry(summary: Summary, row: Row, metric: Metric) -> str:
    found: Estimate = row.estimates[metric.name]
    return interval_text(found.mean, found.ci95) + mark(summary, metric.name, row.label)


def _how(summary: Summary) -> str:
    budget = summary.table.budget
    text = "" if budget is None else f", {budget_text(budget)}"
    return f"{summary.table.arithmetic}{text}"


def of_frame(frame: pd.DataFrame, index: bool = False) -> Grid:
    """Return a table of text as the page shows it."""
    whole = frame.reset_index() if index else frame
    return Grid([str(name) for name in whole.columns], whole.astype(str).to_numpy().tolist())


def _improvements(summary: Summary) -> Grid:
    """Return the share of draws in which a method is better: a line a pair of methods."""
    titles = {row.label: row.title for row in summary.rows}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in improvements(summary):
        pair = found.setdefault((titles[one.variant], titles[one.other]), {})
        if one.probability is not None:
            low, high = one.bootstrap95 or (None, None)
            interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
            pair[one.metric] = f"{one.probability:.2f}{interval}"
    shown = list(summary.questions)
    rows = [
        [own, other, *(texts.get(metric.name, MISSING) for metric in shown)]
        for (own, other), texts in found.items()
        if texts
    ]
    return Grid(["method", "over", *(metric.title for metric in shown)], rows)


def _variances(summary: Summary, shares: pd.DataFrame) -> Grid:
    """Return the share of the variance that lies between draws: a line a method."""
    settings = {one.variant.label: one.code for one in summary.table.settings}
    known = shares["share_between"].dropna()
    shown = list(summary.questions)
    rows = []
    for row in summary.rows:
        keys = [(settings[row.label], metric.name) for metric in shown]
        if any(key in known.index for key in keys):
            texts = [f"{known[key]:.2f}" if key in known.index else MISSING for key in keys]
            rows.append([row.title, *texts])
    return Grid(["method", *(metric.title for metric in shown)], rows)


def _configuration(summary: Summary) -> Grid:
    rows = [
        [
            row.title,
            row.label,
            ", ".join(f"{name} = {value}" for name, value in row.variant.values.items()) or MISSING,
            budget_text(row.budget) or MISSING,
            summary.table.arithmetic,
            f"{row.draws}",
            runs_text(row),
            MISSING if row.seconds is None else f"{row.seconds:.3g}",
        ]
        for row in [*summary.rows, *summary.oracles]
    ]
    columns = ["method", "selector", "parameters", "budget", "arithmetic", "draws", "runs"]
    return Grid([*columns, "seconds a run"], rows)


def _origins(found: Study, summary: Summary) -> Grid:
    """Return what trained the runs: a line for each method, code, machine and versions."""
    titles = {one.code: one.variant.title for one in summary.table.settings}
    runs = found.runs[found.runs["setting"].isin(titles)]
    columns = [name for name in _ORIGIN if name in found.origins]
    origins = found.origins.loc[runs.index, columns].astype(object).fillna("").astype(str)
    origins.insert(0, "method", runs["setting"].map(titles))
    counts = origins.groupby(list(origins.columns), sort=False).size()
    rows = [[*map(str, key), f"{n}"] for key, n in counts.items()]  # pyright: ignore[reportArgumentType]
    return Grid(["method", *columns, "runs"], rows)
