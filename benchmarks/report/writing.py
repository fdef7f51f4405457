"""A whole report: which files it has, and their way into its folder in one step."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.analysis.arithmetics import PORTABLE, roundings
from benchmarks.analysis.budgets import at_equal
from benchmarks.analysis.improvement import as_rows, improvements
from benchmarks.analysis.names import Cell
from benchmarks.analysis.ranks import Ranking, rankings
from benchmarks.analysis.study import Study, Table, study
from benchmarks.analysis.summary import MOST_DETAILED, Summary, summarised
from benchmarks.files import save_figure
from benchmarks.report import analyses, problems
from benchmarks.report import page as html
from benchmarks.report.analyses import Analysis
from benchmarks.report.figures import (
    all_methods,
    heat_map,
    matched_pairs,
    pareto,
    ranks,
    recovery,
    sweep,
    told_apart,
    tuning,
)
from benchmarks.report.flat import pair_frame, run_frame
from benchmarks.report.latex import latex
from benchmarks.report.markdown import markdown, markdown_table
from benchmarks.report.paper import is_papers_cell
from benchmarks.report.problems import AcrossProblems, across_problems
from benchmarks.report.tables import (
    answered,
    caption,
    comparison_caption,
    comparison_table,
    flat,
    flat_frame,
    json_comparison,
    json_row,
    rank_caption,
    rank_table,
    reading_table,
    table_fields,
)
from benchmarks.report.whole import Report, page_of
from benchmarks.store import Frames
from osae_theory.errors import InputError
from osae_theory.files import check_writable, refused_by_system
from osae_theory.folders import replace_folder

INDEX = "index.html"
CELLS, FIGURES = "cells", "figures"
# Tables with figures of their own: the first ones, since one takes longer than a hundred tables.
MOST_DRAWN = 12
# Has methods down, where there are too many for a table in Markdown that has them across.
METHODS = "methods.md"
_DRAWN = (all_methods.NAME, matched_pairs.NAME, pareto.NAME)
_TABLE_FILES = (METHODS, "table.md", "table.tex", "table.csv", "comparisons.md", "comparisons.csv")
_GRID_FILES = ("grid.csv", "grid_comparisons.csv", "ranks.md", "ranks.csv")
PROBLEMS = f"{problems.NAME}.md"
_FILES = ("variance.csv", "improvement.csv", "runs.parquet", "pairs.parquet")


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
    report = Report(found, summaries, order, frames, commands)
    with refused_by_system(folder):
        replace_folder(folder, lambda new: _fill(new, report))
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
    ours = {INDEX, CELLS, FIGURES, PROBLEMS, *_TABLE_FILES, *_GRID_FILES, *_FILES}
    ours |= {f"{name}.{kind}" for name in analyses.NAMES for kind in ("md", "csv")}
    ours |= {f"{name}.{kind}" for name in _DRAWN for kind in _KINDS}
    others = sorted({entry.name for entry in folder.iterdir()} - ours)
    if others:
        raise InputError(
            f"{folder} holds {others[0]}: expected a new folder, or that of an earlier report"
        )


def _fill(folder: Path, report: Report) -> None:
    several = len(report.summaries) > 1
    names = _folder_names(report.detailed)
    pictures: dict[int, list[html.Picture]] = {}
    absent: list[str] = []
    ablations: dict[int, Analysis] = {}
    for place, (summary, name) in enumerate(zip(report.detailed, names, strict=True)):
        own = folder / CELLS / name if several else folder
        own.mkdir(parents=True, exist_ok=True)
        _write_table(own, report, summary)
        changes = analyses.ablation_analysis(summary)
        if changes is not None:
            ablations[place] = changes
            _write_analysis(own, report, changes)
        if place < MOST_DRAWN:
            drawn = list(_table_figures(report, summary))
            pictures[place] = list(_saved(own, drawn))
            if not several:
                absent += [figure for _, _, figure in drawn if isinstance(figure, str)]
    ranked = rankings(report.grid) if several else []
    over_cells = list(_grid_figures(report, ranked)) if several else []
    shown = list(_saved(folder / FIGURES, over_cells))
    tuned = list(_tuning_figure(report))
    chosen = list(_saved(folder / FIGURES, tuned))
    absent += [figure for _, _, figure in [*over_cells, *tuned] if isinstance(figure, str)]
    if len(report.detailed) > MOST_DRAWN:
        absent.append(f"tables after the first {MOST_DRAWN} have no figures of their own")
    if several:
        _write_grid(folder, report, ranked)
    over_tables = list(_over_tables(folder / CELLS, report, names)) if several else []
    _write_analyses(folder, report)
    sections = [
        html.section(
            report.study, summary, report.shares, pictures.get(place, []), ablations.get(place)
        )
        for place, summary in enumerate(report.detailed)
    ]
    page = page_of(report, ranked, sections, shown, absent)
    text = html.render(replace(page, tuning=chosen, analyses=over_tables))
    (folder / INDEX).write_text(text, encoding="utf-8")


def _folder_names(summaries: Sequence[Summary]) -> list[str]:
    """Return a name a table; those that some file system would confuse are numbered."""
    found: list[str] = []
    for summary in summaries:
        found.append(_new_name(summary.table.slug, found))
    return found


def _new_name(name: str, taken: Sequence[str]) -> str:
    """Return a name that no file system takes for one of the others: with a number, if need be."""
    lower = {one.lower() for one in taken}
    new, n = name, 2
    while new.lower() in lower:
        new, n = f"{name}_{n}", n + 1
    return new


# One table.


def _write_table(folder: Path, report: Report, summary: Summary) -> None:
    table, text = reading_table(summary), caption(summary)
    pairs, pairs_text = comparison_table(summary), comparison_caption(summary)
    fields = table_fields(summary)
    rows = [json_row(summary, row) for row in summary.rows]
    compared = [json_comparison(summary, one) for one in answered(summary)]
    for name, content in (
        ("table.md", markdown(table, text, report.source)),
        ("table.tex", latex(table, text, report.source, summary.table.slug)),
        ("table.csv", flat_frame(fields, rows).to_csv(index=False)),
        ("comparisons.md", markdown(pairs, pairs_text, report.source, index=False)),
        ("comparisons.csv", flat_frame(fields, compared).to_csv(index=False)),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    if len(summary.rows) > all_methods.MOST_MARKED:
        grid = html.result_grid(summary)
        down = pd.DataFrame([*grid.rows, *grid.foot], columns=pd.Index(grid.columns))
        content = markdown(down, caption(summary, False), report.source, index=False)
        (folder / METHODS).write_text(content, encoding="utf-8")


def _write_analysis(folder: Path, report: Report, one: Analysis) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (f"{one.name}.md", markdown(one.table, one.caption, report.source, index=False)),
        (f"{one.name}.csv", flat_frame(one.fields, one.rows).to_csv(index=False)),
    ):
        (folder / name).write_text(content, encoding="utf-8")


def _over_tables(folder: Path, report: Report, names: Sequence[str]) -> Iterator[Analysis]:
    """Write and yield what stands across the tables of one cell: its budgets, its arithmetics.

    Their folder is that of the cell's one table, where it has one, or else one of their own.
    """
    taken = list(names)
    folders = {
        (summary.cell.label, summary.table.arithmetic): name
        for summary, name in zip(report.detailed, names, strict=True)
        if summary.table.budget is None
    }

    def write(cell: Cell, arithmetic: str, found: Analysis) -> Analysis:
        if (cell.label, arithmetic) not in folders:
            taken.append(_new_name(Table(cell, arithmetic, None, ()).slug, taken))
            folders[cell.label, arithmetic] = taken[-1]
        _write_analysis(folder / folders[cell.label, arithmetic], report, found)
        return found

    shown = {summary.cell.label for summary in report.detailed}
    for one in at_equal(report.study):
        if one.cell.label in shown:
            yield write(one.cell, one.arithmetic, analyses.equal_analysis(one))
    for label, several in roundings(report.study, report.shares).items():
        if label in shown:
            yield write(several[0].cell, PORTABLE, analyses.rounding_analysis(several))


# A figure's name, its title on the page, and itself or why it is not there.
_Drawn = tuple[str, str, Figure | str]
_KINDS = ("png", "pdf")


def _table_figures(report: Report, summary: Summary) -> Iterator[_Drawn]:
    if len(summary.rows) > all_methods.MOST_MARKED:
        title = "All methods, the best recovery on top"
        yield all_methods.NAME, title, all_methods.draw(summary)
        return
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


def _tuning_figure(report: Report) -> Iterator[_Drawn]:
    title = (
        "What the tuning tried for each method, and what it chose. A run has the chosen values"
        " unless it was given others"
    )
    yield tuning.NAME, title, tuning.draw(tuning.tuned(report.variants))


def _saved(folder: Path, drawn: Sequence[_Drawn]) -> Iterator[html.Picture]:
    for name, title, figure in drawn:
        if isinstance(figure, str):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for kind in _KINDS:
            save_figure(figure, folder / f"{name}.{kind}")
            figure.set_layout_engine("none")  # laid out by now: no need to do so again
        yield html.Picture.of(title, (folder / f"{name}.png").read_bytes())


# All tables.


def _grid_figures(report: Report, ranked: Sequence[Ranking]) -> Iterator[_Drawn]:
    grid, variants = report.grid, report.variants
    if ranked:
        yield ranks.NAME, "Mean ranks over cells", ranks.draw(ranked, variants)
        yield told_apart.NAME, "Methods that are told apart", told_apart.draw(ranked, variants)
    yield recovery.NAME, "Recovery against samples", recovery.draw(grid, variants)
    yield sweep.NAME, "Along one parameter of the problem", sweep.draw(grid, variants)
    for metric in grid[0].questions:
        title = f"{metric.title} over cells"
        yield heat_map.name(metric), title, heat_map.draw(metric, grid, variants)


def _write_grid(folder: Path, report: Report, ranked: Sequence[Ranking]) -> None:
    rows = [
        flat_frame(table_fields(summary), [json_row(summary, row) for row in summary.rows])
        for summary in report.summaries
    ]
    compared = [
        flat_frame(
            table_fields(summary), [json_comparison(summary, one) for one in answered(summary)]
        )
        for summary in report.summaries
    ]
    text = markdown(rank_table(ranked), rank_caption(ranked), report.source)
    across = across_problems(report.summaries)
    if across:
        (folder / PROBLEMS).write_text(_problems(report, across), encoding="utf-8")
    for name, content in (
        ("grid.csv", pd.concat(rows).to_csv(index=False)),
        ("grid_comparisons.csv", pd.concat(compared).to_csv(index=False)),
        ("ranks.csv", pd.DataFrame(_rank_rows(ranked)).to_csv(index=False)),
        ("ranks.md", text),
    ):
        (folder / name).write_text(content, encoding="utf-8")


def _problems(report: Report, across: Sequence[AcrossProblems]) -> str:
    tables = [
        f"## {one.metric.title}\n\n{markdown_table(pd.concat([one.table, one.limits]))}"
        for one in across
    ]
    return "\n\n".join([*tables, problems.caption(report.summaries), report.source]) + "\n"


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


def _write_analyses(folder: Path, report: Report) -> None:
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


def _variance(report: Report) -> pd.DataFrame:
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
    shares = report.shares.reset_index()
    return settings.merge(shares, left_index=True, right_on="setting").drop(columns="setting")
