"""`python -m benchmarks.verify DIR`: train runs of a results folder again and compare their bits.

A folder that `benchmarks.toy` wrote holds, for each run, all that decided it, the sha256 of its
dictionary, and the machine and versions that made it. The same runs are trained here, and the
hashes compared.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count

from benchmarks.config import Cell, RunConfig
from benchmarks.engine import run_task
from benchmarks.methods import METHODS
from benchmarks.store import RunRecord
from osae_theory.command_line import Parser, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.sae import RunSeeds
from osae_theory.seeds import Axis, generator
from osae_theory.workers import in_workers

MODULE = "benchmarks.verify"
EXIT_DIFFERENT = 1
_WHOLE = ("d", "K", "m", "N", "problem_seed", "initialisation_seed", "data_order_seed")
_WHOLE += ("prefix_seed", "n_steps", "batch_size")
_REAL = ("alpha", "learning_rate")
_TEXT = ("method", "device", "arithmetic", "status", "dictionary_sha256", "provenance")


@dataclass(frozen=True)
class StoredRun:
    """One run of a results folder.

    Attributes
    ----------
    config : RunConfig
        What was run.
    sha256 : str
        Of its dictionary.
    provenance : mapping
        What made it: commit, processor, system, versions, backend.
    """

    config: RunConfig
    sha256: str
    provenance: Mapping[str, Any]

    def __str__(self) -> str:
        seeds = self.config.seeds
        return (
            f"{self.config.method}, problem {self.config.problem_seed}, initialisation"
            f" {seeds.initialisation} ({self.config.cell})"
        )


def stored_runs(folder: Path) -> list[StoredRun]:
    """Return the finished runs of a results folder, or of a grid's folders below it.

    Raises
    ------
    InputError
        If there is no table of runs, it cannot be read, it lacks what a run needs, or its runs
        have no hashes.
    """
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r}: expected a folder that benchmarks.toy wrote")
    own = folder / "runs.parquet"
    files = [own] if own.is_file() else sorted(folder.glob("*/runs.parquet"))
    if not files:
        raise InputError(f"{str(folder)!r} holds no runs.parquet: expected a folder of results")
    return [stored for file in files for stored in _runs_of(file)]


def _runs_of(file: Path) -> list[StoredRun]:
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(file)!r} cannot be read: expected a table of runs") from error
    if "dictionary_sha256" not in frame:
        raise InputError(
            f"{str(file)!r} has no hashes of its dictionaries (column dictionary_sha256):"
            " expected results of this version of benchmarks.toy, or a later one"
        )
    missing = [name for name in (*_WHOLE, *_REAL, *_TEXT) if name not in frame]
    if missing:
        raise InputError(f"{str(file)!r} has no column {missing[0]!r}: expected a table of runs")
    done = frame[frame["status"] == "done"]
    return [_stored(file, row) for row in done.to_dict("records")]


def _stored(file: Path, row: Mapping[Any, Any]) -> StoredRun:
    try:
        whole = {name: _whole(row[name]) for name in _WHOLE}
        real = {name: float(row[name]) for name in _REAL}
        text = {name: str(row[name]) for name in _TEXT}
        provenance = json.loads(text["provenance"])
        if not re.fullmatch("[0-9a-f]{64}", text["dictionary_sha256"]):
            raise ValueError(f"{text['dictionary_sha256'][:12]!r} is no sha256")
    except (TypeError, ValueError) as error:
        raise InputError(f"{str(file)!r} holds a run that cannot be read: {error}") from error
    check_choice("method", text["method"], METHODS)
    config = RunConfig(
        cell=Cell(whole["d"], whole["K"], whole["m"], whole["N"], real["alpha"]),
        problem_seed=whole["problem_seed"],
        method=text["method"],
        seeds=RunSeeds(
            whole["initialisation_seed"], whole["data_order_seed"], whole["prefix_seed"]
        ),
        learning_rate=real["learning_rate"],
        n_steps=whole["n_steps"],
        batch_size=whole["batch_size"],
        device=text["device"],
        arithmetic=text["arithmetic"],
    )
    return StoredRun(config, text["dictionary_sha256"], provenance)


def _whole(value: Any) -> int:
    if value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def chosen(runs: Sequence[StoredRun], n: int | None, seed: int) -> list[StoredRun]:
    """Return `n` of the runs, drawn by a seed and spread over cells and methods; None is all."""
    if n is None:
        return list(runs)
    rng = generator(seed, Axis.CHOICE)
    groups: dict[tuple[Cell, str], list[StoredRun]] = defaultdict(list)
    for place in rng.permutation(len(runs)):
        groups[runs[place].config.cell, runs[place].config.method].append(runs[place])
    # One of each group, then a second of each, and so on.
    ranked = [(turn, stored) for group in groups.values() for turn, stored in enumerate(group)]
    return [stored for _, stored in sorted(ranked, key=lambda pair: pair[0])][:n]


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one line for each entry of two provenances that differs."""
    return [
        f"{name}: {then.get(name)} then, {now.get(name)} now"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Train runs of a results folder again and compare their dictionaries' bits.")
    p.add_argument("folder", type=Path, metavar="DIR", help="a folder that benchmarks.toy wrote")
    p.add_argument("--runs", type=int, default=5, help="how many runs (default: 5)")
    p.add_argument("--all", action="store_true", help="every run, in place of --runs")
    p.add_argument("--seed", type=int, default=0, help="decides which runs (default: 0)")
    p.add_argument(
        "--workers", type=int, default=cpu_count(), help="processes (default: the machine's cores)"
    )
    return p


def verify(options: argparse.Namespace) -> bool:
    """Train the chosen runs again, print what agrees, and return whether all do."""
    check_integer("--runs", options.runs, 1)
    check_integer("--seed", options.seed, 0)
    check_integer("--workers", options.workers, 1)
    runs = stored_runs(options.folder)
    if not runs:
        raise InputError(f"{str(options.folder)!r}: expected at least one run that is done")
    asked = chosen(runs, None if options.all else options.runs, options.seed)
    for device in dict.fromkeys(stored.config.device for stored in asked):
        check_device(device)
    by_config = {stored.config: stored for stored in asked}
    print(f"{len(asked)} of {len(runs)} runs of {options.folder} are trained again", flush=True)
    agreeing = 0
    tasks = [[stored.config] for stored in asked]
    for [record] in in_workers(run_task, tasks, options.workers):
        agreeing += _report(by_config[record.config], record)
    print(f"{agreeing} of {len(asked)} agree bit for bit")
    return agreeing == len(asked)


def _report(stored: StoredRun, record: RunRecord) -> bool:
    """Print how one run came out again; return whether it agrees."""
    found = record.scalars.get("dictionary_sha256")
    if found == stored.sha256:
        print(f"agrees   {stored}: {stored.sha256[:12]}", flush=True)
        return True
    what = f"{str(found)[:12]} now" if record.status == "done" else f"{record.status} now"
    print(f"differs  {stored}: {stored.sha256[:12]} then, {what}")
    now = {} if record.provenance is None else asdict(record.provenance)
    lines = differences(stored.provenance, now) or ["same versions and machine"]
    print("\n".join(f"         {line}" for line in lines), flush=True)
    return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 where all agree, 1 where some do not."""
    given = sys.argv[1:] if arguments is None else arguments
    agreed: list[bool] = []
    code = run(parser(), lambda options: agreed.append(verify(options)), given)
    return code if code or agreed == [True] else EXIT_DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
