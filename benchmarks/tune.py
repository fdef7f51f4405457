"""`python -m benchmarks.tune`: choose each method's learning rate, on draws never reported.

The protocol is written beside the rates.
"""

import argparse
import json
import shlex
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count

from benchmarks.config import PAPER_CELL, RunConfig, run_seeds
from benchmarks.engine import complete
from benchmarks.methods import METHODS, method_names
from benchmarks.methods.base import LEARNING_RATES
from benchmarks.provenance import provenance
from benchmarks.store import RunRecord, RunStore
from benchmarks.tables import write_text
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_integer
from osae_theory.files import check_writable
from osae_theory.progress import progress
from osae_theory.seeds import Axis, derived_seed

MODULE = "benchmarks.tune"
CANDIDATES = (0.003, 0.0055, 0.01, 0.018, 0.032)
N_DRAWS = 3
PROTOCOL = (
    "The protocol, the same for every method: on three tuning draws of the paper's cell, whose"
    " seeds come from an axis of their own, train one run at each candidate rate with the"
    " benchmark's budget, and take the rate with the lowest mean held-out MSE. The truth is not"
    " looked at. A rate at which any run diverges is out."
)
_MOST_WORKERS = 4096


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Choose each method's learning rate on tuning draws.", resumes=True)
    p.add_argument(
        "--methods", default=",".join(METHODS), help="comma-separated (default: every method)"
    )
    p.add_argument(
        "--steps", type=int, default=1960, help="optimiser steps of each run (default: 1960)"
    )
    p.add_argument(
        "--workers", type=int, default=cpu_count(), help="processes (default: the machine's cores)"
    )
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/tune"),
        help="folder for runs while the job is under way (default: out/tune)",
    )
    return p


def configs(methods: tuple[str, ...], n_steps: int) -> list[RunConfig]:
    """Return every run of the protocol."""
    draws = [derived_seed(0, Axis.TUNING, draw) for draw in range(N_DRAWS)]
    return [
        RunConfig(PAPER_CELL, seed, method, run_seeds(seed, 0), rate, n_steps)
        for method in methods
        for seed in draws
        for rate in CANDIDATES
    ]


def choose(records: list[RunRecord]) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Return each method's rate, and the mean held-out MSE at every candidate."""
    errors: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        # An error that is not defined is no small one.
        mse = record.scalars.get("mse")
        error = np.inf if record.status != "done" or mse is None else float(mse)
        errors[record.config.method][record.config.learning_rate].append(error)
    means = {m: {r: float(np.mean(e)) for r, e in by_rate.items()} for m, by_rate in errors.items()}
    chosen = {}
    for method, by_rate in means.items():
        best = min(by_rate, key=lambda rate: by_rate[rate])
        if not np.isfinite(by_rate[best]):
            raise InputError(f"method {method!r}: expected a candidate rate that does not diverge")
        chosen[method] = best
    table = {
        method: {f"{r:g}": e if np.isfinite(e) else None for r, e in by_rate.items()}
        for method, by_rate in means.items()
    }
    return chosen, table


def do(options: argparse.Namespace, command: list[str]) -> None:
    """Run the protocol and write the chosen rates, keeping those of methods not asked for."""
    methods = method_names(options.methods)
    check_integer("--workers", options.workers, 1, _MOST_WORKERS)
    runs = configs(methods, options.steps)
    store = RunStore(options.out / ".unfinished")
    target = Path(str(LEARNING_RATES))
    check_writable(store.folder)
    check_writable(target.parent, "the folder of the tuned rates", files=(target.name,))
    with progress(len(runs), "runs") as bar:
        records = complete(runs, store, options.workers, bar.update)
    chosen, errors = choose(records)
    known = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    document = {
        "protocol": PROTOCOL,
        "chosen": known.get("chosen", {}) | chosen,
        "heldout_mse": known.get("heldout_mse", {}) | errors,
        "provenance": provenance(command, 0, options.workers, chosen),
    }
    del document["provenance"]["learning_rates"]
    write_text(target, json.dumps(document, indent=2, allow_nan=False) + "\n")
    store.discard(runs)
    print(json.dumps(document["chosen"], indent=2))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = ["python", "-m", MODULE, *map(shlex.quote, given)]
    return run(parser(), lambda options: do(options, command), given)


if __name__ == "__main__":
    sys.exit(main())
