"""A whole report: which files it has, and their way into its folder in one step."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.analysis.improvement import as_rows, improvements
from benchmarks.analysis.names import Variant, in_order, unknown_note
from benchmarks.analysis.ranks import Ranking, rankings
from benchmarks.analysis.study import Study, study
from benchmarks.analysis.summary import MOST_DETAILED, Summary, summarised
from benchmarks.analysis.variance import variance_shares
from benchmarks.outcome import STATUSES
from benchmarks.report import page as html
from benchmarks.report.figures import (
    heat_map,
    matched_pairs,
    pareto,
    ranks,
    recovery,
    told_apart,
)
from benchmarks.report.figures.style import save
from benchmarks.report.flat import pair_frame, run_frame
from benchmarks.report.latex import latex
from benchmarks.report.markdown import markdown
from benchmarks.report.paper import is_papers_cell
from benchmarks.report.tables import (
    answered,
    caption,
    comparison_caption,
    comparison_table,
    flat,
    json_comparison,
    json_row,
    rank_caption,
    rank_table,
    reading_table,
    table_fields,
)
from benchmarks.store import Frames
from osae_theory.errors import InputError
from osae_theory.files import (
    check_writable,
    nearest_folder,
    refused_by_system,
    scratch_folder,
)

INDEX = "index.html"
CELLS, FIGURES = "cells", "figures"
# Tables with figures of their own: the first ones, since one takes longer than a hundred tables.
MOST_DRAWN = 12
_TABLE_FILES = ("table.md", "table.tex", "table.csv", "comparisons.md", "comparisons.csv")
_GRID_FILES = ("grid.csv", "grid_comparisons.csv", "ranks.md", "ranks.csv")
_FILES = ("variance.csv", "improvement.csv", "runs.parquet", "pairs.parquet")


@dataclass(frozen=True, eq=False)
class _Report:
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


def write(
    frames: Frames, folder: Path, command: str | None = None, source: Path | None = None
) -> list[Summary]:
    """Write a store's tables, figures and page; return what the tables say.

    Parameters
    ----------
    frames : Frames
        The store's tables.
    folder : Path
        Where to: a new folder, or that of an earlier report, which is replaced in one step.
    command : str, optional
        The command that trained, where it is known.
    source : Path, optional
        The store's folder, for the command that is said to have made the report; by default the
        folder above.

    Raises
    ------
    InputError
        If the store holds no run or a value that its metric cannot have, or the folder is a
        file, holds something else, or cannot be written to.
    """
    _check_ours(folder)
    found = study(frames)
    order = _order(found)
    summaries = summarised(found, order)
    commands = [_own_command(folder, source), *([] if command is None else [command])]
    report = _Report(found, summaries, order, frames, commands)
    with refused_by_system(folder):
        _replace(folder, report)
    return summaries


def _order(found: Study) -> list[int]:
    """Return the places of the tables that are detailed: the paper's cell first, if it is there."""
    places = range(len(found.tables))
    first = [place for place in places if is_papers_cell(found.tables[place].cell)]
    return list(dict.fromkeys([*first, *places]))[:MOST_DETAILED]


def _own_command(folder: Path, source: Path | None) -> str:
    store = folder.parent if source is None else source
    other = [] if folder == store / "report" else ["--out", str(folder)]
    return shlex.join(["python", "-m", "benchmarks.report", str(store), *other])


def _check_ours(folder: Path) -> None:
    """Raise InputError where something stands in a report's place that is none."""
    check_writable(folder)
    if not folder.exists():
        return
    ours = {INDEX, CELLS, FIGURES, *_TABLE_FILES, *_GRID_FILES, *_FILES}
    ours |= {f"{name}.{kind}" for name in (matched_pairs.NAME, pareto.NAME) for kind in _KINDS}
    others = sorted({entry.name for entry in folder.iterdir()} - ours)
    if others:
        raise InputError(
            f"{folder} holds {others[0]}: expected a new folder, or that of an earlier report"
        )


def _replace(folder: Path, report: _Report) -> None:
    target = Path(os.path.realpath(folder))
    with scratch_folder(nearest_folder(target.parent)) as scratch:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        _fill(new, report)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.replace(old)
        try:
            new.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise


def _fill(folder: Path, report: _Report) -> None:
    several = len(report.summaries) > 1
    names = _folder_names(report.detailed)
    pictures: dict[int, list[html.Picture]] = {}
    absent: list[str] = []
    for place, (summary, name) in enumerate(zip(report.detailed, names, strict=True)):
        own = folder / CELLS / name if several else folder
        own.mkdir(parents=True, exist_ok=True)
        _write_table(own, report, summary)
        if place < MOST_DRAWN:
            drawn = list(_table_figures(report, summary))
            pictures[place] = list(_saved(own, drawn))
            if not several:
                absent += [figure for _, _, figure in drawn if isinstance(figure, str)]
    ranked = rankings(report.grid) if several else []
    over_cells = list(_grid_figures(report, ranked)) if several else []
    shown = list(_saved(folder / FIGURES, over_cells))
    absent += [figure for _, _, figure in over_cells if isinstance(figure, str)]
    if len(report.detailed) > MOST_DRAWN:
        absent.append(f"tables after the first {MOST_DRAWN} have no figures of their own")
    if several:
        _write_grid(folder, report, ranked)
    _write_analyses(folder, report)
    sections = [
        html.section(report.study, summary, pictures.get(place, []))
        for place, summary in enumerate(report.detailed)
    ]
    text = html.render(_page(report, ranked, sections, shown, absent))
    (folder / INDEX).write_text(text, encoding="utf-8")


def _folder_names(summaries: Sequence[Summary]) -> list[str]:
    """Return a name a table; those that some file system would confuse are numbered."""
    found: list[str] = []
    for summary in summaries:
        name, n = summary.table.slug, 2
        while name.lower() in {one.lower() for one in found}:
            name, n = f"{summary.table.slug}_{n}", n + 1
        found.append(name)
    return found


# One table.


def _write_table(folder: Path, report: _Report, summary: Summary) -> None:
    table, text = reading_table(summary), caption(summary)
    pairs, pairs_text = comparison_table(summary), comparison_caption(summary)
    fields = table_fields(summary)
    rows = [{**fields, **flat(json_row(summary, row))} for row in summary.rows]
    compared = [{**fields, **flat(json_comparison(summary, one))} for one in answered(summary)]
    for name, content in (
        ("table.md", markdown(table, text, report.source)),
        ("table.tex", latex(table, text, report.source, summary.table.slug)),
        ("table.csv", pd.DataFrame(rows).to_csv(index=False)),
        ("comparisons.md", markdown(pairs, pairs_text, report.source, index=False)),
        ("comparisons.csv", pd.DataFrame(compared).to_csv(index=False)),
    ):
        (folder / name).write_text(content, encoding="utf-8")


# A figure's name, its title on the page, and itself or why it is not there.
_Drawn = tuple[str, str, Figure | str]
_KINDS = ("png", "pdf")


def _table_figures(report: _Report, summary: Summary) -> Iterator[_Drawn]:
    codes = {one.variant.label: one.code for one in summary.table.settings}
    runs = report.study.runs
    done = runs[runs["status"].eq("done")]
    by_label = {
        row.label: done.loc[done["setting"].eq(codes[row.label]), "run"].astype(str).tolist()
        for row in summary.rows
    }
    ids = {run for own in by_label.values() for run in own}
    vectors = report.frames.vectors
    shown = matched_pairs.matched(summary, by_label, vectors[vectors["run"].isin(ids)])
    title = (
        "Where each true atom stands in the learned order: as trained, sorted by energy, sorted"
        " by frequency"
    )
    yield matched_pairs.NAME, title, matched_pairs.draw(summary, shown)
    yield pareto.NAME, "Held-out MSE against held-out L0", pareto.draw(summary)


def _saved(folder: Path, drawn: Sequence[_Drawn]) -> Iterator[html.Picture]:
    for name, title, figure in drawn:
        if isinstance(figure, str):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for kind in _KINDS:
            save(figure, folder / f"{name}.{kind}")
            figure.set_layout_engine("none")  # laid out by now: no need to do so again
        yield html.Picture.of(title, (folder / f"{name}.png").read_bytes())


# All tables.


def _grid_figures(report: _Report, ranked: Sequence[Ranking]) -> Iterator[_Drawn]:
    grid, variants = report.grid, report.variants
    if ranked:
        yield ranks.NAME, "Mean ranks over cells", ranks.draw(ranked, variants)
        yield told_apart.NAME, "Methods that are told apart", told_apart.draw(ranked, variants)
    yield recovery.NAME, "Recovery against samples", recovery.draw(grid, variants)
    for metric in grid[0].questions:
        title = f"{metric.title} over cells"
        yield heat_map.name(metric), title, heat_map.draw(metric, grid, variants)


def _write_grid(folder: Path, report: _Report, ranked: Sequence[Ranking]) -> None:
    fields = [table_fields(summary) for summary in report.summaries]
    rows = [
        {**own, **flat(json_row(summary, row))}
        for own, summary in zip(fields, report.summaries, strict=True)
        for row in summary.rows
    ]
    compared = [
        {**own, **flat(json_comparison(summary, one))}
        for own, summary in zip(fields, report.summaries, strict=True)
        for one in answered(summary)
    ]
    text = markdown(rank_table(ranked), rank_caption(ranked), report.source)
    for name, content in (
        ("grid.csv", pd.DataFrame(rows).to_csv(index=False)),
        ("grid_comparisons.csv", pd.DataFrame(compared).to_csv(index=False)),
        ("ranks.csv", pd.DataFrame(_rank_rows(ranked)).to_csv(index=False)),
        ("ranks.md", text),
    ):
        (folder / name).write_text(content, encoding="utf-8")


def _rank_rows(ranked: Sequence[Ranking]) -> list[dict[str, object]]:
    return [
        flat(
            {
                "measurement": ranking.metric.name,
                "method": one.method,
                "variant": one.label,
                "cells": ranking.cells,
                "rank_mean": found.mean if found else None,
                "rank_ci95": found.ci95 if found else None,
                "best_in": ranking.first.get(one.label),
                "no_rank": ranking.reason,
            }
        )
        for ranking in ranked
        for one in ranking.variants
        for found in [ranking.ranks.get(one.label)]
    ]


def _write_analyses(folder: Path, report: _Report) -> None:
    better = [
        {**table_fields(summary), **flat(row)}
        for summary in report.summaries
        for row in as_rows(list(improvements(summary)))
    ]
    for name, frame in (
        ("improvement.csv", pd.DataFrame(better)),
        ("variance.csv", _variance(report)),
    ):
        (folder / name).write_text(frame.to_csv(index=False), encoding="utf-8")
    run_frame(report.study).to_parquet(folder / "runs.parquet", index=False)
    pair_frame(report.study).to_parquet(folder / "pairs.parquet", index=False)


def _variance(report: _Report) -> pd.DataFrame:
    fields = {
        one.code: {
            **table_fields(summary),
            "method": one.variant.method,
            "variant": one.variant.label,
            "unit": one.budget.unit,
            "amount": one.budget.amount,
            "batch_size": one.budget.batch_size,
        }
        for summary in report.summaries
        for one in summary.table.settings
    }
    settings = pd.DataFrame.from_dict(fields, orient="index").rename_axis("setting")
    shares = variance_shares(report.study).reset_index()
    return settings.merge(shares, left_index=True, right_on="setting").drop(columns="setting")


# The page.


def _page(
    report: _Report,
    ranked: Sequence[Ranking],
    sections: Sequence[html.Section],
    pictures: Sequence[html.Picture],
    absent: Sequence[str],
) -> html.Page:
    overview = (
        html.of_frame(rank_table(ranked).rename_axis("method"), index=True) if ranked else None
    )
    several = len(report.summaries) > 1
    return html.Page(
        title="Benchmark report: " + ", ".join(_families(report)),
        lead=_lead(report),
        notes=list(_notes(report)),
        sections=sections,
        overview=overview,
        overview_caption=rank_caption(ranked) if ranked else "",
        cells=html.cell_grid(report.detailed) if several else None,
        pictures=pictures,
        absent=absent,
        failures=html.failure_grid(report.study),
        scatter=html.scatter(report.detailed, report.variants),
        commands=report.commands,
    )


def _families(report: _Report) -> list[str]:
    return list(dict.fromkeys(summary.cell.family_title for summary in report.summaries))


def _lead(report: _Report) -> str:
    counts = report.study.runs["status"].astype(str).value_counts()
    cells = {summary.cell.label for summary in report.summaries}
    states = ", ".join(f"{counts[s]:,} {s}" for s in STATUSES if s in counts)
    n, methods = len(report.study.runs), len(report.variants)
    return (
        f"{n:,} run{'s' * (n != 1)} of {methods} method{'s' * (methods != 1)} on {len(cells):,}"
        f" problem{'s' * (len(cells) != 1)}: {states}."
    )


def _notes(report: _Report) -> Iterator[str]:
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
    if len(report.grid) < n:
        yield (
            f"Ranks and figures over cells are of the {len(report.grid)} tables of one problem"
            " family, arithmetic and budget that are the most."
        )
