"""`python -m benchmarks.submit check DIR`: whether runs can be added to a table.

A submission is a store that `benchmarks.toy` wrote for one of the presets, with a method of
somebody's own. What is checked is what can be checked without training: that every run is one of
the preset's problems, draws, seeds and budget, that no run is missing, and that every number is
there and in its range. `python -m benchmarks.verify DIR` then trains some of them again.
"""

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import catalogue
from benchmarks.contracts import Preset
from benchmarks.outcome import FINISHED
from benchmarks.spec import Case, RunSpec, draw_seed, run_seeds
from benchmarks.store import Frames, Store
from benchmarks.store.check import findings as damages
from osae_theory.command_line import Parser, run
from osae_theory.errors import JobError, check_choice

MODULE = "benchmarks.submit"
# Of one kind: more are counted.
_MOST_LINES = 20


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Check whether runs can be added to a published table.")
    p.add_argument("what", choices=["check"], help="check: say what is wrong, if anything")
    p.add_argument("folder", type=Path, metavar="DIR", help="a store that benchmarks.toy wrote")
    p.add_argument(
        "--preset",
        default="paper",
        help=f"whose problems, draws and seeds it has to have: {', '.join(catalogue.presets())}"
        " (default: paper)",
    )
    return p


def findings(store: Store, preset: Preset) -> list[str]:
    """Return what keeps a store's runs from standing in a preset's table, a sentence each.

    Parameters
    ----------
    store : Store
        The submission.
    preset : Preset
        Its problems, draws, seeds and budgets are those that every method gets.
    """
    found = [one.text for one in damages(store.folder) if one.wrong]
    if found:
        return found
    frames = store.frames(vectors=False)
    specs = [RunSpec.read(str(text)) for text in frames.runs["text"]]
    cases = _cases(preset)
    return [
        *_few(_outside(specs, preset, cases), "runs that are not the preset's"),
        *_missing(specs, preset, cases),
        *_few(_unfinished(frames.runs), "runs that are not done"),
        *_unmeasured(frames),
        *_out_of_range(frames.measurements),
        *_of_no_commit(frames.provenance),
    ]


def _few(found: Iterator[str], what: str) -> Iterator[str]:
    """Yield the first sentences of a kind, and how many more there are."""
    yield from islice(found, _MOST_LINES)
    left = sum(1 for _ in found)
    if left:
        yield f"and {left} more {what}"


def _cases(preset: Preset) -> dict[Case, None]:
    return {
        catalogue.case_of(family, params, draw_seed(0, draw)): None
        for family, params in preset.problems
        for draw in range(preset.draws)
    }


def _outside(specs: list[RunSpec], preset: Preset, cases: Mapping[Case, object]) -> Iterator[str]:
    """Name runs that are no part of the preset."""
    for spec in specs:
        setting, seed = spec.setting, spec.setting.case.problem_seed
        if setting.case not in cases:
            yield f"run {spec.id}: {setting.case.cell}, draw {seed}, is no problem of {preset.name}"
        elif spec.seeds not in [run_seeds(seed, index) for index in range(preset.seeds)]:
            yield f"run {spec.id}: its seeds are none of the first {preset.seeds} of its draw"
        elif setting.arithmetic != "portable":
            yield f"run {spec.id}: {setting.arithmetic} arithmetic: expected portable"
        elif setting.budget.unit == "steps":
            usual = catalogue.methods()["topk"].budget
            amount = preset.budget.get("steps", usual.amount)
            if (setting.budget.amount, setting.budget.batch_size) != (amount, usual.batch_size):
                yield (
                    f"run {spec.id}: {setting.budget.amount} steps of {setting.budget.batch_size}"
                    f" samples: expected {amount} of {usual.batch_size}, as every method gets"
                )


def _missing(specs: list[RunSpec], preset: Preset, cases: Mapping[Case, object]) -> Iterator[str]:
    """Name methods that lack runs, or that there is no file for."""
    counts = Counter((spec.setting.case, spec.setting.variant) for spec in specs)
    lacking: dict[str, int] = defaultdict(int)
    known = catalogue.methods()
    for variant in dict.fromkeys(spec.setting.variant for spec in specs):
        name = variant.partition("[")[0]
        if name not in known:
            yield (
                f"method {name!r} is not known here: expected its file beside the others, or in"
                " the folder that OSAE_BENCHMARKS names"
            )
        elif known[name].sees == "truth":
            continue
        n_seeds = 1 if name in known and known[name].deterministic else preset.seeds
        for case in cases:
            lacking[variant] += max(0, n_seeds - counts[case, variant])
    for variant, n in lacking.items():
        if n:
            yield f"{variant}: {n} runs of {preset.name} are missing"


def _unfinished(runs: pd.DataFrame) -> Iterator[str]:
    for row in runs[~runs["status"].isin(FINISHED)].itertuples():
        yield f"run {row.run} of {row.variant}: {row.status} ({row.reason}): expected done"


def _unmeasured(frames: Frames) -> Iterator[str]:
    done = set(frames.runs.loc[frames.runs["status"].eq("done"), "run"].astype(str))
    for name, metric in catalogue.metrics().items():
        if metric.scope != "run":
            continue
        rows = frames.measurements[frames.measurements["metric"].eq(name)]
        lack = len(done - set(rows["run"].astype(str)))
        if lack:
            yield f"{name}: {lack} runs have no value: the same toy command measures them"


def _out_of_range(measurements: pd.DataFrame) -> Iterator[str]:
    for name, metric in catalogue.metrics().items():
        low, high = metric.bounds
        values = measurements.loc[measurements["metric"].eq(name), "value"].to_numpy(float)
        wrong = values[(values < low) | (values > high) | np.isinf(values)]
        if wrong.size:
            limit = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
            yield f"{name} = {wrong[0]:g} in {wrong.size} rows: expected {limit}"


def _of_no_commit(provenance: pd.DataFrame) -> Iterator[str]:
    unknown = provenance["commit"].isna() | provenance["dirty"].fillna(True).astype(bool)
    if unknown.any():
        yield (
            f"{int(unknown.sum())} runs were trained by code that is no commit: expected a checkout"
            " without changes, so that anyone can run the same code"
        )


def check(options: argparse.Namespace) -> None:
    """Print what is wrong with a submission, or that nothing is."""
    check_choice("preset", options.preset, catalogue.presets())
    preset = catalogue.presets()[options.preset]
    store = Store.at(options.folder)
    found = findings(store, preset)
    if found:
        print(*found, sep="\n")
        raise JobError(f"{options.folder}: {len(found)} findings, as said above")
    print(
        f"{options.folder}: {len(store.statuses())} runs can stand beside those of {preset.name};"
        f" next: python -m benchmarks.verify {options.folder}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 where something is wrong."""
    return run(parser, check, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
