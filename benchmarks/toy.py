"""`python -m benchmarks.toy`: compare methods on the paper's toy model, where the truth is known.

Command line only: it turns options into runs, and finished runs into tables and a figure.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count

from benchmarks import figures, tables
from benchmarks.config import PAPER_CELL, Cell, RunConfig, run_seeds
from benchmarks.engine import complete
from benchmarks.grid import PRESETS
from benchmarks.methods import METHODS, PAPER_METHODS, method_names, tuned_learning_rate
from benchmarks.provenance import provenance
from benchmarks.store import RunRecord, RunStore
from benchmarks.summary import chance_level, summarise
from osae_theory.command_line import Parser, number, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import check_writable
from osae_theory.progress import progress

MODULE = "benchmarks.toy"
_DEFAULT_OUT = Path("out/toy")
_UNFINISHED = ".unfinished"
_MOST_SEEDS = 10_000
_MOST_WORKERS = 4096
_CELL_FILES = ("table.md", "table.tex", "table.csv", "runs.parquet", "pairs.parquet")
_CELL_FILES += ("matched_pairs.png",)


@dataclass(frozen=True)
class Job:
    """What a command line asks for, checked."""

    cells: tuple[Cell, ...]
    grid: str | None
    methods: tuple[str, ...]
    learning_rates: tuple[float, ...]
    n_seeds: int
    seed: int
    n_steps: int
    batch_size: int
    device: str
    n_workers: int
    out: Path

    def folder(self, cell: Cell) -> Path:
        """Return where the results of one cell go."""
        return self.out if self.grid is None else self.out / cell.slug

    def configs(self, cell: Cell) -> list[RunConfig]:
        """Return the runs of one cell: each method's, seed by seed."""
        return [
            RunConfig(
                cell,
                self.seed,
                method,
                run_seeds(self.seed, index),
                rate,
                self.n_steps,
                self.batch_size,
                self.device,
            )
            for method, rate in zip(self.methods, self.learning_rates, strict=True)
            for index in range(self.n_seeds)
        ]


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
    p.add_argument("--seeds", type=int, default=10, help="runs of each method (default: 10)")
    p.add_argument(
        "--seed", type=int, default=0, metavar="BASE", help="problem draw and seeds (default: 0)"
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
    check_integer("--seeds", options.seeds, 1, _MOST_SEEDS)
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
        n_seeds=options.seeds,
        seed=options.seed,
        n_steps=options.steps,
        batch_size=options.batch_size,
        device=options.device,
        n_workers=options.workers if options.device == "cpu" else 1,
        out=_DEFAULT_OUT / own_name if options.out is None else options.out,
    )
    for cell in job.cells:
        job.configs(cell)
        check_writable(job.folder(cell), files=_CELL_FILES)
    check_writable(job.out, files=("result.json", "grid.csv"))
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
    all_configs = [config for cell in job.cells for config in job.configs(cell)]
    with progress(len(all_configs), "runs") as bar:
        all_records = complete(all_configs, store, job.n_workers, bar.update)
    by_cell = {cell: [r for r in all_records if r.config.cell == cell] for cell in job.cells}
    documents, texts = [], []
    for cell, records in by_cell.items():
        document, text = _write_cell(cell, records, job.folder(cell), origin)
        documents.append(document)
        texts.append(text)
    if job.grid is None:
        document = documents[0] | {"provenance": origin}
    else:
        document = {"grid": job.grid, "cells": documents, "provenance": origin}
        frames = [
            tables.row_frame(cell, found["rows"])
            for cell, found in zip(job.cells, documents, strict=True)
        ]
        tables.write_text(job.out / "grid.csv", pd.concat(frames).to_csv(index=False))
    tables.write_text(job.out / "result.json", json.dumps(document, indent=2, allow_nan=False))
    store.discard(all_configs)
    # All is on disk: a reader of what is printed may go away.
    if as_json:
        print(json.dumps(document, allow_nan=False))
    else:
        print(*texts, f"Written to {job.out}", sep="\n")


def _write_cell(
    cell: Cell, records: list[RunRecord], folder: Path, origin: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Write a cell's files; return its document and its table as text."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = chance_level(cell)
    rows = summarise(records, chance)
    plain_rows = [tables.json_row(row, chance) for row in rows]
    table, text = tables.reading_table(cell, rows, chance), tables.caption(cell, chance)
    source = f"\nMade by `{origin['command']}`.\n"
    tables.write_text(folder / "table.md", tables.markdown(table, text) + source)
    tables.write_text(folder / "table.tex", tables.latex(table, text))
    tables.write_text(folder / "table.csv", tables.row_frame(cell, plain_rows).to_csv(index=False))
    tables.write_parquet(folder / "runs.parquet", tables.run_frame(records, chance))
    tables.write_parquet(folder / "pairs.parquet", tables.pair_frame(records))
    figures.save(figures.matched_pairs(records), folder / "matched_pairs.png")
    document = {
        "cell": {"d": cell.d, "K": cell.K, "m": cell.m, "N": cell.N, "alpha": cell.alpha},
        "rows": plain_rows,
    }
    return document, tables.markdown(table, text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = ["python", "-m", MODULE, *map(shlex.quote, given)]
    return run(parser(), lambda options: do(job_of(options), command, options.json), given)


if __name__ == "__main__":
    sys.exit(main())
