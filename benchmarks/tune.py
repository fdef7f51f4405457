"""`python -m benchmarks.tune`: choose each method's tuned parameters, on draws never reported.

The protocol is that of `benchmarks.tuning`; it is written beside the values.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joblib import cpu_count

from benchmarks import catalogue, tuning
from benchmarks.engine.run import complete
from benchmarks.files import write_text
from benchmarks.parameters import Items, label, selectors
from benchmarks.provenance import provenance
from benchmarks.spec import RunSpec
from benchmarks.store import Store
from benchmarks.tuning_cells import TUNED_AT, TUNING_CELLS, TuningCell
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, JobError, check_choice, check_integer
from osae_theory.files import check_writable
from osae_theory.progress import progress

MODULE = "benchmarks.tune"
_MOST_WORKERS = 4096


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Choose each method's tuned parameters on tuning draws.", resumes=True)
    p.add_argument(
        "--methods",
        default=",".join(tuning.tunable()),
        help="comma-separated (default: every method that is tuned)",
    )
    p.add_argument(
        "--at",
        default=TUNED_AT,
        help=f"the cell whose tuning draws choose: {', '.join(TUNING_CELLS)} (default: {TUNED_AT})",
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


def do(options: argparse.Namespace) -> None:
    """Run the protocol and write the chosen values, a file a method."""
    names = selectors(options.methods)
    check_choice("tuning cell", options.at, TUNING_CELLS)
    cell = TUNING_CELLS[options.at]
    for name in names:
        check_choice("method that is tuned", name, tuning.tunable())
        tuning.check_candidates(catalogue.methods()[name], cell)
    if len(set(names)) < len(names):
        raise InputError(f"methods {options.methods!r}: expected each method once")
    check_integer("--workers", options.workers, 1, _MOST_WORKERS)
    if options.steps is not None:
        check_integer("--steps", options.steps, 1)
    for name in names:
        target = catalogue.tuned_file(name, options.at)
        check_writable(target.parent, "the folder of the tuned values", files=(target.name,))
    check_writable(options.out)
    store = Store.at(options.out, create=True)
    with progress(len(names) * tuning.N_CONFIGURATIONS * tuning.N_DRAWS, "runs") as bar:

        def tried(configurations: Mapping[str, Sequence[Items]]) -> dict[str, list[tuning.Tried]]:
            return _tried(configurations, store, options, bar.update)

        methods = {name: catalogue.methods()[name] for name in names}
        found = tried({name: tuning.first_configurations(methods[name], cell) for name in names})
        best = {name: tuning.best_by_error(name, found[name]) for name in names}
        more = tried({n: tuning.second_configurations(methods[n], best[n], cell) for n in names})
    # The chosen values depend neither on the folder nor on how many worked.
    asked = [] if options.at == TUNED_AT else ["--at", options.at]
    asked += [] if options.steps is None else ["--steps", str(options.steps)]
    edges = []
    for name in names:
        every = [*found[name], *more[name]]
        chosen = tuning.best_by_error(name, every)
        edge = tuning.edge(catalogue.methods()[name], chosen, cell)
        if edge:
            edges.append(edge)
            continue
        command = ["python", "-m", MODULE, "--methods", name, *asked]
        origin = provenance(command, 0, options.workers)
        _write(name, cell, chosen, every, origin)
        print(label(name, chosen))
    if edges:
        raise JobError(
            f"chosen at the edge of its candidates: {', '.join(edges)}; nothing is written for"
            " these: give them more candidates on that side"
        )


def _tried(
    configurations: Mapping[str, Sequence[Items]],
    store: Store,
    options: argparse.Namespace,
    on_progress: Callable[[int], object],
) -> dict[str, list[tuning.Tried]]:
    """Train what a store lacks of some configurations of methods; return what came of them."""
    runs: dict[tuple[str, Items], list[RunSpec]] = {
        (name, one): tuning.runs_at(
            catalogue.methods()[name], one, options.steps, TUNING_CELLS[options.at]
        )
        for name, several in configurations.items()
        for one in several
    }
    wanted = [spec for several in runs.values() for spec in several]
    complete(wanted, store, n_workers=options.workers, on_progress=on_progress)
    table = store.frames(vectors=False).measurements
    table = table[table["metric"].isin(tuning.METRICS) & table["value"].notna()]
    keys = zip(table["run"].astype(str), table["metric"].astype(str), strict=True)
    measured = dict(zip(keys, table["value"].astype(float), strict=True))
    return {
        name: [tuning.tried(one, runs[name, one], measured) for one in several]
        for name, several in configurations.items()
    }


def _write(
    name: str,
    cell: TuningCell,
    chosen: Items,
    every: Sequence[tuning.Tried],
    origin: Mapping[str, Any],
) -> None:
    document = {
        "protocol": tuning.protocol(cell),
        "chosen": dict(chosen),
        "by_recovery": dict(tuning.best_by_recovery(every)),
        "tried": [
            {
                "values": dict(one.values),
                "mean": _defined(one.means),
                "deviation": _defined(one.deviations),
            }
            for one in every
        ],
        "provenance": dict(origin),
    }
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_text(catalogue.tuned_file(name, cell.name), text)


def _defined(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(parser, do, given)


if __name__ == "__main__":
    sys.exit(main())
