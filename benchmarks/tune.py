"""`python -m benchmarks.tune`: choose each method's tuned parameters, on draws never reported.

The protocol is written beside the values.
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count

from benchmarks import catalogue
from benchmarks.contracts import Method
from benchmarks.engine.run import complete
from benchmarks.files import write_text
from benchmarks.parameters import Items, bind, label, selectors
from benchmarks.presets._toy import PAPER_CELL
from benchmarks.provenance import provenance
from benchmarks.spec import RunSpec, Setting, tuning_seed
from benchmarks.store import Store
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import check_writable
from osae_theory.progress import progress

MODULE = "benchmarks.tune"
N_DRAWS = 3
METRIC = "mse"
PROTOCOL = (
    "The protocol, the same for every method: on three tuning draws of the paper's cell, whose"
    " seeds come from an axis of their own, train one run at each candidate value (each"
    " combination of values, where a method has several tuned parameters) with the benchmark's"
    " budget, and take the one with the lowest mean held-out MSE. The truth is not looked at. A"
    " value at which any run diverges is out."
)
_MOST_WORKERS = 4096


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Choose each method's tuned parameters on tuning draws.", resumes=True)
    p.add_argument(
        "--methods",
        default=",".join(tunable()),
        help="comma-separated (default: every method that has tuned parameters)",
    )
    p.add_argument("--steps", type=int, help="optimiser steps of each run (default: the method's)")
    p.add_argument(
        "--workers", type=int, default=cpu_count(), help="processes (default: the machine's cores)"
    )
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/tune"),
        help="folder of the store that keeps the runs (default: out/tune)",
    )
    return p


def tunable() -> list[str]:
    """Return the names of the methods that have tuned parameters of their own."""
    return [
        name
        for name, method in catalogue.methods().items()
        if method.tuned and method.tuned_as is None
    ]


def candidates(method: Method) -> list[Items]:
    """Return every combination of candidate values of a method's tuned parameters."""
    tuned = [parameter for parameter in method.parameters if parameter.tuned]
    names = [parameter.name for parameter in tuned]
    return [
        tuple(zip(names, values, strict=True))
        for values in product(*(parameter.candidates for parameter in tuned))
    ]


def runs_of(name: str, n_steps: int | None) -> dict[RunSpec, Items]:
    """Return every run of the protocol for a method, with the candidate that it tries."""
    method = catalogue.methods()[name]
    budget = catalogue.budget_of(method, {} if n_steps is None else {"steps": n_steps}, None)
    found = {}
    for candidate in candidates(method):
        identity = bind(name, method.parameters, candidate).identity
        for draw in range(N_DRAWS):
            case = catalogue.case_of("toy", PAPER_CELL, tuning_seed(draw))
            [spec] = catalogue.run_specs(Setting(case, name, identity, budget), 1)
            found[spec] = candidate
    return found


def choose(
    name: str, tried: Mapping[RunSpec, Items], errors: Mapping[str, float]
) -> tuple[Items, dict[str, float | None]]:
    """Return a method's best candidate, and the mean held-out error of every one.

    Parameters
    ----------
    name : str
        The method.
    tried : mapping of RunSpec to candidate
        The protocol's runs.
    errors : mapping of str to float
        The held-out error of each run that is done and has one, by the run's id.

    Raises
    ------
    InputError
        If there is no candidate at which every run is done.
    """
    by_candidate: dict[Items, list[float]] = defaultdict(list)
    for spec, candidate in tried.items():
        # An error that is not defined is no small one.
        by_candidate[candidate].append(errors.get(spec.id, math.inf))
    means = {candidate: float(np.mean(found)) for candidate, found in by_candidate.items()}
    best = min(means, key=lambda candidate: means[candidate])
    if not math.isfinite(means[best]):
        raise InputError(f"method {name!r}: expected a candidate at which every run is done")
    return best, {
        label("", candidate)[1:-1]: mean if math.isfinite(mean) else None
        for candidate, mean in means.items()
    }


def do(options: argparse.Namespace) -> None:
    """Run the protocol and write the chosen values, a file a method."""
    names = selectors(options.methods)
    for name in names:
        check_choice("method with tuned parameters", name, tunable())
    if len(set(names)) < len(names):
        raise InputError(f"methods {options.methods!r}: expected each method once")
    check_integer("--workers", options.workers, 1, _MOST_WORKERS)
    tried = {name: runs_of(name, options.steps) for name in names}
    for name in names:
        target = catalogue.tuned_file(name)
        check_writable(target.parent, "the folder of the tuned values", files=(target.name,))
    check_writable(options.out)
    store = Store.at(options.out, create=True)
    every = [spec for runs in tried.values() for spec in runs]
    with progress(len(every), "runs") as bar:
        complete(every, store, n_workers=options.workers, on_progress=bar.update)
    found = store.frames(vectors=False).measurements
    found = found[found["metric"].eq(METRIC) & found["value"].notna()]
    errors = dict(zip(found["run"].astype(str), found["value"].astype(float), strict=True))
    # The chosen values depend neither on the folder nor on how many worked.
    steps = [] if options.steps is None else ["--steps", str(options.steps)]
    command = ["python", "-m", MODULE, "--methods", ",".join(names), *steps]
    origin = provenance(command, 0, options.workers)
    for name in names:
        best, means = choose(name, tried[name], errors)
        _write(name, best, means, origin)
        print(label(name, best))


def _write(
    name: str, best: Items, means: Mapping[str, float | None], origin: Mapping[str, Any]
) -> None:
    document = {
        "protocol": PROTOCOL,
        "chosen": dict(best),
        "heldout_mse": dict(means),
        "provenance": dict(origin),
    }
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_text(catalogue.tuned_file(name), text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(parser, do, given)


if __name__ == "__main__":
    sys.exit(main())
