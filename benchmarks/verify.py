"""`python -m benchmarks.verify DIR`: train runs of a results folder again and compare their bits.

A store holds, for each run, all that decided it, the sha256 of its dictionary, and the machine
and versions that made it. The same runs are trained here, and the hashes compared. Runs whose bits
are promised to nobody, of the arithmetic "fast" or of a method that is not portable, are left out.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from joblib import cpu_count

from benchmarks import catalogue
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.outcome import Outcome
from benchmarks.spec import RunSpec
from benchmarks.store import Store
from osae_theory.command_line import Parser, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.provenance import Provenance
from osae_theory.seeds import Axis, generator
from osae_theory.workers import in_workers

MODULE = "benchmarks.verify"
EXIT_DIFFERENT = 1


@dataclass(frozen=True)
class StoredRun:
    """One run of a store.

    Attributes
    ----------
    spec : RunSpec
        What was run.
    sha256 : str
        Of its dictionary.
    provenance : mapping
        What made it: commit, processor, system, versions, backend.
    """

    spec: RunSpec
    sha256: str
    provenance: Mapping[str, Any]

    def __str__(self) -> str:
        setting = self.spec.setting
        return (
            f"{setting.variant}, problem {setting.case.problem_seed}, initialisation"
            f" {self.spec.seeds.initialisation} ({setting.case.cell})"
        )


def stored_runs(folder: Path) -> list[StoredRun]:
    """Return the finished runs of a store whose methods are known.

    Raises
    ------
    InputError
        If the folder is no store, or a run in it cannot be read or is of an unknown method or
        family.
    """
    frames = Store.at(folder).frames(vectors=False)
    origins = frames.provenance.set_index("run")
    names = [field.name for field in fields(Provenance)]
    done = frames.runs[frames.runs["status"].eq("done")]
    found = []
    for row in done.to_dict("records"):
        spec = RunSpec.read(str(row["text"]))
        check_choice("method", spec.setting.method, catalogue.methods())
        check_choice("problem family", spec.setting.case.family, catalogue.families())
        sha256 = str(row["dictionary_sha256"])
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise InputError(f"run {row['run']}: {sha256[:12]!r} is no sha256 of a dictionary")
        origin = origins.loc[row["run"]] if row["run"] in origins.index else {}
        found.append(StoredRun(spec, sha256, {n: _plain(origin.get(n)) for n in names}))
    return found


def is_promised(spec: RunSpec) -> bool:
    """Return whether a run's bits are the same on any machine."""
    setting = spec.setting
    return setting.arithmetic == "portable" and catalogue.methods()[setting.method].portable


def _plain(value: Any) -> Any:
    """Return a cell of a table as a plain value; what is missing is None."""
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def chosen(runs: Sequence[StoredRun], n: int | None, seed: int) -> list[StoredRun]:
    """Return `n` of the runs, drawn by a seed and spread over problems and methods; None is all."""
    if n is None:
        return list(runs)
    rng = generator(seed, Axis.CHOICE)
    groups: dict[tuple[str, str], list[StoredRun]] = defaultdict(list)
    for place in rng.permutation(len(runs)):
        setting = runs[place].spec.setting
        groups[setting.case.cell, setting.variant].append(runs[place])
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
    p.add_argument("folder", type=Path, metavar="DIR", help="a store that benchmarks.toy wrote")
    p.add_argument("--runs", type=int, default=5, help="how many runs (default: 5)")
    p.add_argument("--all", action="store_true", help="every run, in place of --runs")
    p.add_argument("--seed", type=int, default=0, help="decides which runs (default: 0)")
    p.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    p.add_argument(
        "--workers", type=int, default=cpu_count(), help="processes (default: the machine's cores)"
    )
    return p


def verify(options: argparse.Namespace) -> bool:
    """Train the chosen runs again, print what agrees, and return whether all do."""
    check_integer("--runs", options.runs, 1)
    check_integer("--seed", options.seed, 0)
    check_integer("--workers", options.workers, 1)
    check_device(options.device)
    done = stored_runs(options.folder)
    runs = [stored for stored in done if is_promised(stored.spec)]
    if not runs:
        raise InputError(
            f"{str(options.folder)!r}: expected at least one run that is done, in portable"
            " arithmetic and of a method that is portable"
        )
    if len(runs) < len(done):
        print(f"{len(done) - len(runs)} runs are of an arithmetic or a method without such bits")
    asked = chosen(runs, None if options.all else options.runs, options.seed)
    by_id = {stored.spec.id: stored for stored in asked}
    print(f"{len(asked)} of {len(runs)} runs of {options.folder} are trained again", flush=True)
    agreeing = 0
    tasks = [_task(stored.spec, options.device) for stored in asked]
    for [outcome] in in_workers(run_task, tasks, options.workers):
        agreeing += _report(by_id[outcome.spec.id], outcome)
    print(f"{agreeing} of {len(asked)} agree bit for bit")
    return agreeing == len(asked)


def _task(spec: RunSpec, device: str) -> FitTask:
    return FitTask((spec,), code_of(spec.setting.case.family, spec.setting.method), device)


def _report(stored: StoredRun, outcome: Outcome) -> bool:
    """Print how one run came out again; return whether it agrees."""
    found = outcome.dictionary_sha256
    if found == stored.sha256:
        print(f"agrees   {stored}: {stored.sha256[:12]}", flush=True)
        return True
    what = f"{found[:12]} now" if outcome.status == "done" else f"{outcome.status} now"
    print(f"differs  {stored}: {stored.sha256[:12]} then, {what}")
    now = {} if outcome.provenance is None else asdict(outcome.provenance)
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
