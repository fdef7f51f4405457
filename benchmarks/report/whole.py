"""A report as a whole: what all its parts are made of, and what its page says of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from benchmarks.analysis.names import Variant, in_order, unknown_note
from benchmarks.analysis.ranks import Ranking
from benchmarks.analysis.study import Study
from benchmarks.analysis.summary import Summary
from benchmarks.analysis.variance import variance_shares
from benchmarks.outcome import STATUSES
from benchmarks.report import page as html
from benchmarks.report import problems
from benchmarks.report.problems import across_problems
from benchmarks.report.tables import rank_caption, rank_table
from benchmarks.store import Frames


@dataclass(frozen=True, eq=False)
class Report:
    """What all parts of a report are made of.

    Attributes
    ----------
    study : Study
        The store's runs.
    summaries : sequence of Summary
        Of all tables, in the order of cells.
    order : sequence of int
        The places of the detailed ones, the one that stands first before the others.
    frames : Frames
        The store.
    commands : sequence of str
        What made the report, and the runs where that is known.
    """

    study: Study
    summaries: Sequence[Summary]
    order: Sequence[int]
    frames: Frames
    commands: Sequence[str]

    @property
    def detailed(self) -> list[Summary]:
        """The tables that have a place on the page, the first one first."""
        return [self.summaries[place] for place in self.order]

    @property
    def variants(self) -> list[Variant]:
        """All competitors, in the order of tables."""
        found = {row.label: row.variant for summary in self.summaries for row in summary.rows}
        return in_order(found.values())

    @cached_property
    def shares(self) -> pd.DataFrame:
        """How the variance of every measurement divides: see `variance_shares`."""
        return variance_shares(self.study)

    @property
    def grid(self) -> list[Summary]:
        """The tables of the kind that there are most of: those that one figure can show."""
        kinds: dict[object, list[Summary]] = {}
        for summary in self.summaries:
            kinds.setdefault(summary.table.kind, []).append(summary)
        return max(kinds.values(), key=len)

    @property
    def source(self) -> str:
        """What a table was made by, in Markdown."""
        made, *trained = (f"`{command}`" for command in self.commands)
        return f"Made by {made}{', after ' if trained else ''}{', '.join(trained)}."


def page_of(
    report: Report,
    ranked: Sequence[Ranking],
    sections: Sequence[html.Section],
    pictures: Sequence[html.Picture],
    absent: Sequence[str],
) -> html.Page:
    """Return what the page shows.

    Parameters
    ----------
    report : Report
        The whole.
    ranked : sequence of Ranking
        Empty where there is one table.
    sections : sequence of Section
        One a detailed table.
    pictures : sequence of Picture
        Those over all tables.
    absent : sequence of str
        Why a figure is not there, a sentence each.
    """
    ranks = rank_table(ranked)
    overview = None if ranks.empty else html.of_frame(ranks.rename_axis("method"), index=True)
    several = len(report.summaries) > 1
    return html.Page(
        title="Benchmark report: " + ", ".join(_families(report)),
        lead=_lead(report),
        notes=list(_notes(report)),
        sections=sections,
        overview=overview,
        overview_caption="" if overview is None else rank_caption(ranked),
        problems=[html.problem_grid(one) for one in across_problems(report.summaries)],
        problems_caption=problems.caption(report.summaries),
        cells=html.cell_grid(report.detailed) if several else None,
        pictures=pictures,
        absent=absent,
        failures=html.failure_grid(report.study),
        scatter=html.scatter(report.detailed, report.variants),
        commands=report.commands,
    )


def _families(report: Report) -> list[str]:
    return list(dict.fromkeys(summary.cell.family_title for summary in report.summaries))


def _lead(report: Report) -> str:
    counts = report.study.runs["status"].astype(str).value_counts()
    cells = {summary.cell.label for summary in report.summaries}
    states = ", ".join(f"{counts[s]:,} {s}" for s in STATUSES if s in counts)
    n, methods = len(report.study.runs), len(report.variants)
    return (
        f"{n:,} run{'s' * (n != 1)} of {methods} method{'s' * (methods != 1)} on {len(cells):,}"
        f" problem{'s' * (len(cells) != 1)}: {states}."
    )


def _notes(report: Report) -> Iterator[str]:
    cells = [summary.cell for summary in report.summaries]
    variants = [one.variant for table in report.study.tables for one in table.settings]
    unknown = unknown_note(
        cells, {one.label: one for one in variants}.values(), report.study.metrics
    )
    if unknown:
        yield unknown
    if report.study.lacking:
        titles = {metric.name: metric.title for metric in report.study.metrics}
        parts = [f"{titles[name]} ({n:,})" for name, n in report.study.lacking.items()]
        yield (
            f"Not measured in some finished runs or pairs: {', '.join(parts)}. The command that"
            " trained them measures what is missing without training again."
        )
    mixed = sum(bool(summary.mixtures) for summary in report.summaries)
    if mixed and len(report.summaries) > 1:
        yield (
            f"In {mixed} of {len(report.summaries)} tables, runs were not all made by one state of"
            " the code on one kind of processor: each says so below."
        )
    n, most = len(report.summaries), len(report.detailed)
    if n > most:
        yield (
            f"This page has {most} of {n:,} tables, the first by the problems' parameters; the"
            " others are in grid.csv and grid_comparisons.csv, without bootstrap intervals."
        )
    if 1 < len(report.grid) < n:
        yield (
            f"Ranks and figures over cells are of the {len(report.grid)} tables of one problem"
            " family, arithmetic and budget that are the most."
        )
