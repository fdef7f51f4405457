"""`python -m benchmarks.toy`: compare methods on the paper's toy model, where the truth is known.

Command line only: it turns options into runs, has those trained that the store lacks, and has
tables and figures made of what the store holds.
"""

import argparse
import json
import shlex
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from joblib import cpu_count

from benchmarks import catalogue, report
from benchmarks.contracts import Params
from benchmarks.engine.costs import plan_table
from benchmarks.engine.plan import plan
from benchmarks.engine.run import ENGINES, complete
from benchmarks.engine.shards import Shard
from benchmarks.parameters import Value, selector
from benchmarks.presets._toy import PAPER_CELL, PAPER_METHODS
from benchmarks.provenance import provenance
from benchmarks.report.tables import document
from benchmarks.report.terminal import terminal_table
from benchmarks.spec import RunSpec, Setting, draw_seed
from benchmarks.store import Store
from benchmarks.tuning_cells import TUNED_AT, TUNING_CELLS
from osae_theory.command_line import Parser, number, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, JobError, check_choice, check_integer, check_real
from osae_theory.files import check_writable
from osae_theory.progress import progress
from osae_theory.sae.kernels import ARITHMETICS, backend_for
from osae_theory.sae.kernels.backend import torch_in_place

MODULE = "benchmarks.toy"
CEILING = "truth"
REPORT = "report"
PUBLISHED_DRAWS = 20
_DEFAULT_OUT = Path("out/toy")
_QUICK = (5, 2)
_MOST_SEEDS = 10_000
_MOST_RUNS = 100_000  # of a method, in each cell
_MOST_WORKERS = 4096
_LONGEST_TIMEOUT = 1e6  # seconds
_TOGETHER_ON_GPU = 256
_MOST_TOGETHER = 10_000


@dataclass(frozen=True)
class Job:
    """What a command line asks for, checked.

    Attributes
    ----------
    runs : tuple of RunSpec
        All that is wanted, the ceiling's included.
    name : str
        Of the folder in `out/toy`, where no other is given.
    grid : str or None
        The preset.
    seed : int
        What draws and runs were derived from.
    """

    runs: tuple[RunSpec, ...]
    name: str
    grid: str | None
    seed: int


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(
        MODULE,
        "Compare dictionary-learning methods where the true dictionary is known.",
        resumes=True,
    )
    _add_what(p.add_argument_group("what is compared"))
    _add_how(p.add_argument_group("how it is done; the numbers do not depend on it"))
    return p


def _add_what(what: argparse._ArgumentGroup) -> None:
    c = PAPER_CELL
    what.add_argument(
        "--cell",
        nargs=4,
        type=int,
        metavar=("D", "K", "M", "N"),
        help="a toy problem's dimension, atoms, sparsity, training samples (default: the paper's,"
        f" {c['d']} {c['K']} {c['m']} {c['N']})",
    )
    what.add_argument("--alpha", type=number, help="Zipf exponent of its supports (default: 1.2)")
    what.add_argument(
        "--problem",
        metavar="FAMILY[...]",
        help="a problem of any family in place of --cell, such as 'toy[d=16,K=20,m=2,N=20000]':"
        f" {', '.join(catalogue.families())}",
    )
    what.add_argument(
        "--grid",
        nargs="?",
        const="default",
        metavar="PRESET",
        help="a named study in place of one problem: " + ", ".join(catalogue.presets()),
    )
    what.add_argument(
        "--methods",
        help=f"comma-separated, with settings where wanted, such as 'osae-zipf[alpha=1]': of"
        f" {', '.join(catalogue.methods())} (default: {', '.join(PAPER_METHODS)}, or the preset's)",
    )
    what.add_argument(
        "--draws",
        type=int,
        help=f"problem draws, the units of all intervals (default: {_QUICK[0]}, a quick look, or"
        f" the preset's; published tables have {PUBLISHED_DRAWS})",
    )
    what.add_argument(
        "--seeds",
        type=int,
        help=f"runs of each method on each draw (default: {_QUICK[1]}, or the preset's)",
    )
    what.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="BASE",
        help="selects the draws and the runs' seeds (default: 0)",
    )
    what.add_argument(
        "--steps", type=int, help="optimiser steps of each run (default: the method's, or preset's)"
    )
    what.add_argument(
        "--lr", type=number, help="learning rate of every method that has one (default: as tuned)"
    )
    what.add_argument(
        "--tuned-by",
        default=catalogue.TUNED_BY[0],
        help="error: tuned values as chosen by held-out error; recovery: those that recovered most"
        " of the truth on the tuning draws, an upper bound (default: error)",
    )
    what.add_argument(
        "--tuned-at",
        default=TUNED_AT,
        help=f"tuned values as chosen on the tuning draws of this cell: {', '.join(TUNING_CELLS)}"
        f" (default: {TUNED_AT})",
    )
    what.add_argument(
        "--batch-size", type=int, help="samples a step (default: the method's; at most N)"
    )
    what.add_argument(
        "--arithmetic",
        default=ARITHMETICS[0],
        help="portable: the same bits on every processor; fast: this machine's linear algebra"
        " (default: portable)",
    )


def _add_how(how: argparse._ArgumentGroup) -> None:
    how.add_argument(
        "--out",
        type=Path,
        help="folder of the store, which grows (default: one in out/toy, named by the problem)",
    )
    how.add_argument(
        "--plan", action="store_true", help="print what there is to do and its cost; do nothing"
    )
    how.add_argument("--force", action="store_true", help="train anew what the store holds")
    how.add_argument(
        "--workers",
        type=int,
        default=cpu_count(),
        help="processes (default: the machine's cores)",
    )
    how.add_argument(
        "--timeout", type=number, metavar="SECONDS", help="most that a run may take (default: any)"
    )
    how.add_argument(
        "--shard",
        metavar="I/N",
        help="do only the I-th of N shares: N machines with one --out share the work",
    )
    how.add_argument(
        "--engine", default=ENGINES[0], help=f"{' or '.join(ENGINES)} (default: {ENGINES[0]})"
    )
    how.add_argument("--address", help="of a Ray cluster (default: Ray starts on this machine)")
    how.add_argument(
        "--device", default="cpu", help="torch device (default: cpu, the only one run by us)"
    )
    how.add_argument(
        "--together",
        type=int,
        metavar="RUNS",
        help="most runs trained in one program, of whatever methods and draws (default: on a GPU"
        f" {_TOGETHER_ON_GPU}, else those of one method and draw)",
    )
    how.add_argument(
        "--mixed-devices",
        action="store_true",
        help="go on on another kind of device than the runs that are there were trained on",
    )
    how.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def job_of(options: argparse.Namespace) -> Job:
    """Return the job a command line asks for; raise InputError where it cannot be done."""
    preset = None
    if options.grid is not None:
        if options.cell or options.problem or options.alpha is not None:
            raise InputError(
                "--grid has its own problems: expected no --cell, --problem and --alpha with it"
            )
        check_choice("grid preset", options.grid, catalogue.presets())
        preset = catalogue.presets()[options.grid]
    problems = list(preset.problems) if preset else [_problem(options)]
    methods = ",".join(preset.methods if preset else PAPER_METHODS)
    if options.methods is not None:
        methods = options.methods
    given = {} if options.lr is None else {"lr": options.lr}
    n_draws, n_seeds = _numbers(options, (preset.draws, preset.seeds) if preset else _QUICK)
    amounts = dict(preset.budget) if preset else {}
    if options.steps is not None:
        amounts["steps"] = options.steps
    variants = catalogue.variants(methods, given, options.tuned_by, options.tuned_at)
    if CEILING not in (one.method.name for one in variants):
        variants.append(catalogue.variant(CEILING))
    runs = []
    for family, params in problems:
        catalogue.check_memory(catalogue.case_of(family, params, 0))
        for draw in range(n_draws):
            case = catalogue.case_of(family, params, draw_seed(options.seed, draw))
            for one in variants:
                budget = catalogue.budget_of(one.method, amounts, options.batch_size)
                setting = Setting(case, one.method.name, one.identity, budget, options.arithmetic)
                runs += catalogue.run_specs(setting, n_seeds)
    family, params = problems[0]
    name = f"grid-{preset.name}" if preset else catalogue.slug(catalogue.case_of(family, params, 0))
    return Job(tuple(runs), name, preset.name if preset else None, options.seed)


def _problem(options: argparse.Namespace) -> tuple[str, Params]:
    if options.problem is not None:
        if options.cell or options.alpha is not None:
            raise InputError("--problem says it all: expected no --cell and no --alpha with it")
        family, settings = selector(options.problem)
        return family, settings
    params: dict[str, Value] = dict(PAPER_CELL)
    if options.cell:
        params.update(zip(("d", "K", "m", "N"), options.cell, strict=True))
    if options.alpha is not None:
        params["alpha"] = options.alpha
    return "toy", params


def _numbers(options: argparse.Namespace, default: tuple[int, int]) -> tuple[int, int]:
    n_draws = default[0] if options.draws is None else options.draws
    n_seeds = default[1] if options.seeds is None else options.seeds
    check_integer("--draws", n_draws, 1, _MOST_SEEDS)
    check_integer("--seeds", n_seeds, 1, _MOST_SEEDS)
    check_integer("--draws times --seeds", n_draws * n_seeds, 1, _MOST_RUNS)
    return n_draws, n_seeds


def do(options: argparse.Namespace, command: Sequence[str]) -> None:
    """Train what is missing, write tables and figures, and print the result."""
    check_integer("--workers", options.workers, 1, _MOST_WORKERS)
    check_choice("--engine", options.engine, ENGINES)
    device = check_device(options.device)
    backend_for(options.arithmetic, "auto", torch.float32, device)
    if options.together is not None:
        check_integer("--together", options.together, 1, _MOST_TOGETHER)
    elif device.type == "cuda":
        options.together = _TOGETHER_ON_GPU
    if device.type == "cuda" and (reason := torch_in_place(device)) is not None:
        warnings.warn(reason, RuntimeWarning, stacklevel=1)
    if options.timeout is not None:
        check_real("--timeout", options.timeout, above=0, at_most=_LONGEST_TIMEOUT)
    if options.address is not None and options.engine != "ray":
        raise InputError("--address is of a Ray cluster: expected --engine ray with it")
    if options.plan and options.json:
        raise InputError("--plan prints text and trains nothing: expected no --json with it")
    shard = None if options.shard is None else Shard.read(options.shard)
    job = job_of(options)
    out = _DEFAULT_OUT / job.name if options.out is None else options.out
    if options.plan:
        check_writable(out)
        store = Store.at(out) if out.exists() and any(out.iterdir()) else None
        wanted = plan(
            job.runs,
            store,
            force=options.force,
            shard=shard,
            n_workers=options.workers,
            together=options.together,
        )
        print(plan_table(wanted))
        return
    check_writable(out)
    store = Store.at(out, create=True)
    with progress(len(job.runs), "runs") as bar:
        done = complete(
            job.runs,
            store,
            n_workers=options.workers if options.device == "cpu" else 1,
            device=options.device,
            engine=options.engine,
            address=options.address,
            timeout=options.timeout,
            shard=shard,
            force=options.force,
            together=options.together,
            mixed_devices=options.mixed_devices,
            on_progress=bar.update,
        )
    for sentence in (*done.notes, *done.failures):
        warnings.warn(sentence, RuntimeWarning, stacklevel=1)
    if shard is None:
        _report(job, store, out, command, options)
    else:
        print(
            f"Share {shard.index} of {shard.n}: {done.sentence} Once all shares are done:"
            f" python -m benchmarks.report {shlex.quote(str(out))}"
        )
    if done.failures:
        raise JobError("not all runs could be done, as said above: the same command tries again")


def _report(
    job: Job, store: Store, out: Path, command: Sequence[str], options: argparse.Namespace
) -> None:
    frames = store.frames()
    # All is on disk before anything is printed: a reader that goes away costs no result.
    asked = report.write(frames, out / REPORT, " ".join(command))
    wanted = {spec.id for spec in job.runs}
    if not wanted.issuperset(frames.runs["run"]):
        asked = report.summaries(frames.only(wanted))
    documents = [document(summary) for summary in asked]
    found = documents[0] if job.grid is None and len(asked) == 1 else {"cells": documents}
    found |= {
        "grid": job.grid,
        "provenance": provenance(command, job.seed, options.workers, options.device),
    }
    if options.json:
        print(json.dumps(found, allow_nan=False))
        return
    width = shutil.get_terminal_size().columns
    for summary in asked:
        print(terminal_table(summary, width), end="\n\n")
    print(f"Kept in {out}; all that it holds, as tables, figures and a page: {out / REPORT}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = ["python", "-m", MODULE, *map(shlex.quote, given)]
    return run(parser, lambda options: do(options, command), given)


if __name__ == "__main__":
    sys.exit(main())
