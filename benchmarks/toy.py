"""`python -m benchmarks.toy`: compare methods on the paper's toy model, where the truth is known.

Command line only: it turns options into runs, and finished runs into tables and a figure.
"""

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count

from benchmarks import figures, tables
from benchmarks.ceiling import ceilings
from benchmarks.config import PAPER_CELL, Cell, RunConfig, draw_seed, run_seeds
from benchmarks.engine import complete
from benchmarks.grid import PRESETS
from benchmarks.methods import METHODS, PAPER_METHODS, method_names, tuned_learning_rate
from benchmarks.provenance import provenance
from benchmarks.store import RunRecord, RunStore
from benchmarks.summary import PUBLISHED_DRAWS, Summary, chance_level, summarise
from benchmarks.terminal import terminal_table
from osae_theory.command_line import Parser, number, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import check_writable
from osae_theory.progress import progress
from osae_theory.sae.kernels import ARITHMETICS

MODULE = "benchmarks.toy"
_DEFAULT_OUT = Path("out/toy")
_UNFINISHED = ".unfinished"
_MOST_SEEDS = 10_000
_MOST_RUNS = 100_000  # of a method, in each cell
_MOST_WORKERS = 4096
_CELL_FILES = ("table.md", "table.tex", "table.csv", "runs.parquet", "pairs.parquet")
_CELL_FILES += ("comparisons.md", "comparisons.csv", "matched_pairs.png")


@dataclass(frozen=True)
class Job:
    """What a command line asks for, checked."""

    cells: tuple[Cell, ...]
    grid: str | None
    methods: tuple[str, ...]
    learning_rates: tuple[float, ...]
    n_draws: int
    n_seeds: int
    seed: int
    n_steps: int
    batch_size: int
    device: str
    arithmetic: str
    n_workers: int
    out: Path

    def folder(self, cell: Cell) -> Path:
        """Return where the results of one cell go."""
        return self.out if self.grid is None else self.out / cell.slug

    def configs(self, cell: Cell) -> list[RunConfig]:
        """Return the runs of one cell: draw by draw, each method's, seed by seed."""
        rates = dict(zip(self.methods, self.learning_rates, strict=True))
        return [
            RunConfig(
                cell,
                problem_seed,
                method,
                run_seeds(problem_seed, index),
                rate,
                self.n_steps,
                self.batch_size,
                self.device,
                self.arithmetic,
            )
            for problem_seed in self.problem_seeds
            for method, rate in rates.items()
            for index in range(self.n_seeds)
        ]

    @property
    def problem_seeds(self) -> list[int]:
        """The seeds of the problem draws, the same ones in every cell."""
        return [draw_seed(self.seed, draw) for draw in range(self.n_draws)]


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(
        MODULE,
        "Compare dictionary-learning methods where the true dictionary is known.",
        resumes=True,
    )
    c = PAPER_CELL
    p.add_argument(
        "--cell",
        nargs=4,
        type=int,
        metavar=("D", "K", "M", "N"),
        help="dimension, atoms, sparsity, training samples (default: the paper's,"
        f" {c.d} {c.K} {c.m} {c.N})",
    )
    p.add_argument(
        "--alpha", type=number, help=f"Zipf exponent of the supports (default: {c.alpha:g})"
    )
    p.add_argument(
        "--grid",
        nargs="?",
        const="default",
        metavar="PRESET",
        help=f"a grid of cells in place of one: {', '.join(PRESETS)}",
    )
    p.add_argument(
        "--methods",
        default=",".join(PAPER_METHODS),
        help=f"comma-separated, of {', '.join(METHODS)} (default: the first four)",
    )
    p.add_argument(
        "--draws",
        type=int,
        default=5,
        help="problem draws, the units of all intervals (default: 5, a quick look;"
        f" published tables have {PUBLISHED_DRAWS})",
    )
    p.add_argument(
        "--seeds", type=int, default=2, help="runs of each method on each draw (default: 2)"
    )
    p.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="BASE",
        help="selects the draws and the runs' seeds (default: 0)",
    )
    p.add_argument(
        "--steps", type=int, default=1960, help="optimiser steps of each run (default: 1960)"
    )
    p.add_argument(
        "--lr", type=number, help="learning rate of every method (default: each method's tuned one)"
    )
    p.add_argument(
        "--batch-size", type=int, default=1024, help="samples a step (default: 1024; at most N)"
    )
    p.add_argument(
        "--device", default="cpu", help="torch device (default: cpu, the only one run by us)"
    )
    p.add_argument(
        "--arithmetic",
        default=ARITHMETICS[0],
        help="portable: the same bits on every processor; fast: this machine's linear algebra"
        " (default: portable)",
    )
    p.add_argument(
        "--workers",
        type=int,
        default=cpu_count(),
        help="processes; the numbers do not depend on it (default: the machine's cores)",
    )
    p.add_argument(
        "--out",
        type=Path,
        help="folder for results (default: in out/toy, a folder named by the cell or the grid)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return p


def job_of(options: argparse.Namespace) -> Job:
    """Return the job a command line asks for; raise InputError where it cannot be done."""
    methods = method_names(options.methods)
    check_integer("--draws", options.draws, 1, _MOST_SEEDS)
    check_integer("--seeds", options.seeds, 1, _MOST_SEEDS)
    check_integer("--draws times --seeds", options.draws * options.seeds, 1, _MOST_RUNS)
    check_integer("--workers", options.workers, 1, _MOST_WORKERS)
    check_device(options.device)
    rates = [tuned_learning_rate(m) if options.lr is None else options.lr for m in methods]
    cells = _cells(options)
    own_name = cells[0].slug if options.grid is None else f"grid-{options.grid}"
    job = Job(
        cells=cells,
        grid=options.grid,
        methods=methods,
        learning_rates=tuple(rates),
        n_draws=options.draws,
        n_seeds=options.seeds,
        seed=options.seed,
        n_steps=options.steps,
        batch_size=options.batch_size,
        device=options.device,
        arithmetic=options.arithmetic,
        n_workers=options.workers if options.device == "cpu" else 1,
        out=_DEFAULT_OUT / own_name if options.out is None else options.out,
    )
    for cell in job.cells:
        job.configs(cell)
        check_writable(job.folder(cell), files=_CELL_FILES)
    check_writable(job.out, files=("result.json", "grid.csv", "grid_comparisons.csv"))
    check_writable(job.out / _UNFINISHED)
    return job


def _cells(options: argparse.Namespace) -> tuple[Cell, ...]:
    shape: list[int] | None = options.cell
    if options.grid is not None:
        if shape is not None or options.alpha is not None:
            raise InputError("--grid has its own cells: expected no --cell and no --alpha with it")
        check_choice("grid preset", options.grid, PRESETS)
        return PRESETS[options.grid]
    alpha = PAPER_CELL.alpha if options.alpha is None else options.alpha
    d, K, m, N = shape or (PAPER_CELL.d, PAPER_CELL.K, PAPER_CELL.m, PAPER_CELL.N)
    return (Cell(d, K, m, N, alpha),)


def do(job: Job, command: Sequence[str], as_json: bool) -> None:
    """Train what is missing, write tables and figures, and print the result."""
    origin = provenance(
        command, job.seed, job.n_workers, dict(zip(job.methods, job.learning_rates, strict=True))
    )
    store = RunStore(job.out / _UNFINISHED)
    configs = [config for cell in job.cells for config in job.configs(cell)]
    with progress(len(configs), "runs") as bar:
        records = complete(configs, store, job.n_workers, bar.update)
    summaries = _summaries(job, records)
    # All is on disk before anything is printed: a reader that goes away costs no result.
    for summary in summaries:
        runs = [record for record in records if record.config.cell == summary.cell]
        _write_cell(summary, runs, job.folder(summary.cell), origin)
    found = _document(job, summaries) | {"provenance": origin}
    tables.write_text(job.out / "result.json", json.dumps(found, indent=2, allow_nan=False))
    store.discard(configs)
    if as_json:
        print(json.dumps(found, allow_nan=False))
        return
    width = shutil.get_terminal_size().columns
    for summary in summaries:
        print(terminal_table(summary, width), end="\n\n")
    print(f"Written to {job.out}: the whole table, all pairs of methods, every run, a figure.")


def _summaries(job: Job, records: Sequence[RunRecord]) -> list[Summary]:
    draws = [(cell, seed) for cell in job.cells for seed in job.problem_seeds]
    with progress(len(draws), "ceilings", unit="draw") as bar:
        tops = ceilings(draws, job.n_workers, bar.update)
    return [
        summarise(
            [record for record in records if record.config.cell == cell],
            chance_level(cell),
            [tops[cell, seed] for seed in job.problem_seeds],
        )
        for cell in job.cells
    ]


def _document(job: Job, summaries: Sequence[Summary]) -> dict[str, Any]:
    found = [tables.document(summary) for summary in summaries]
    if job.grid is None:
        return found[0]
    for name, part in (("grid", "rows"), ("grid_comparisons", "comparisons")):
        frames = [
            tables.flat_frame(cell, one[part]) for cell, one in zip(job.cells, found, strict=True)
        ]
        tables.write_text(job.out / f"{name}.csv", pd.concat(frames).to_csv(index=False))
    return {"grid": job.grid, "cells": found}


def _write_cell(
    summary: Summary, records: Sequence[RunRecord], folder: Path, origin: Mapping[str, Any]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = tables.document(summary)
    table, text = tables.reading_table(summary), tables.caption(summary)
    pairs = tables.comparison_table(summary)
    source = f"\nMade by `{origin['command']}`.\n"
    comparisons = tables.markdown(pairs, tables.comparison_caption(summary), index=False)
    for name, content in (
        ("table.md", tables.markdown(table, text) + source),
        ("table.tex", tables.latex(table, text)),
        ("table.csv", tables.flat_frame(summary.cell, found["rows"]).to_csv(index=False)),
        ("comparisons.md", comparisons + source),
        (
            "comparisons.csv",
            tables.flat_frame(summary.cell, found["comparisons"]).to_csv(index=False),
        ),
    ):
        tables.write_text(folder / name, content)
    tables.write_parquet(folder / "runs.parquet", tables.run_frame(records, summary.chance))
    tables.write_parquet(folder / "pairs.parquet", tables.pair_frame(records))
    figures.save(figures.matched_pairs(records, summary), folder / "matched_pairs.png")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = ["python", "-m", MODULE, *map(shlex.quote, given)]
    return run(parser(), lambda options: do(job_of(options), command, options.json), given)


if __name__ == "__main__":
    sys.exit(main())
