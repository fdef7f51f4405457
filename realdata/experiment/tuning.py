"""The learning rate of each method, chosen by one protocol (PROTOCOL) on text of its own."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from osae_theory.errors import InputError
from osae_theory.files import check_writable, write_atomically
from osae_theory.seeds import Axis, derived_seed, generator
from osae_theory.workers import in_workers
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.experiment.jobs import WIDE, WIDE_METHOD, budget_of
from realdata.experiment.presets import Preset
from realdata.experiment.provenance import code_fingerprint, versions
from realdata.experiment.stores import data_hash
from realdata.latents.quality import run_quality
from realdata.training.methods import LEARNING_RATES, METHODS
from realdata.training.rows import RowsInMemory
from realdata.training.trainer import (
    Job,
    RunSpec,
    origin_of,
    run_record,
    snapshot_folder,
    train,
)

CANDIDATES = (0.0006, 0.0012, 0.0025, 0.005, 0.01, 0.02, 0.04)
_HELD_OUT = 0.1
# Written beside the rates: no docstring, which `python -OO` removes.
PROTOCOL = (
    "The protocol, the same for every method: a tenth of the documents of the first corpus's "
    "training part is held out; on the others one run is trained at each candidate rate, with the "
    "experiment's budget and a seed of an axis of its own; the rate with the lowest FVU at m on "
    "the held-out tenth is taken. The evaluation part, on which results are reported, is not "
    "looked at. A rate at which a run diverges is out."
)
# Runs trained together.
_TOGETHER = 3


@dataclass(frozen=True)
class TuningTask:
    """Candidates of one method, or of the wide SAE, trained together."""

    name: str
    job: Job
    store: Path


def check_own_rates(methods: Sequence[str]) -> None:
    """Raise InputError for a method that has the learning rate of another one."""
    for method in methods:
        base = METHODS[method].tuned_as
        if base:
            raise InputError(f"method {method!r} has the learning rate of {base!r}: tune that one")


def tune(
    preset: Preset, methods: Sequence[str], store: ActivationStore, folder: Path, n_workers: int
) -> dict[str, dict[float, float | None]]:
    """Return the held-out FVU at each candidate rate, None where a run diverged.

    Of each method, and of the wide SAE, under the name "wide", if the preset has one.

    Parameters
    ----------
    preset : Preset
        Budget and dictionary.
    methods : sequence of str
        Names in `realdata.training.methods.METHODS`.
    store : ActivationStore
        The training part of the first corpus.
    folder : Path
        Where finished runs are kept: an interrupted tuning goes on with them.
    n_workers : int
        Processes.
    """
    names = [*methods, *([WIDE] if preset.wide else [])]
    tasks = [
        TuningTask(
            name, _job(preset, name, store, folder, CANDIDATES[i : i + _TOGETHER]), store.folder
        )
        for name in names
        for i in range(0, len(CANDIDATES), _TOGETHER)
    ]
    found: dict[str, dict[float, float | None]] = {name: {} for name in names}
    for name, errors in in_workers(tune_task, tasks, n_workers):
        found[name] |= errors
    return {name: dict(sorted(errors.items())) for name, errors in found.items()}


def tune_task(task: TuningTask) -> tuple[str, dict[float, float | None]]:
    """Train one task's runs; return its name, and the held-out FVU by rate."""
    store, job = ActivationStore.open(task.store), task.job
    out = held_out(store)
    rows = store.read_all()
    train(job, RowsInMemory(rows[~out]), store.standardisation)
    return task.name, {
        run.learning_rate: _heldout_fvu(job.folder / run.name, store, out) for run in job.runs
    }


def held_out(store: ActivationStore) -> Bool[np.ndarray, " n"]:
    """Return which activations are of the documents that tuning holds out."""
    drawn = generator(0, Axis.TUNING).random(len(store.documents)) < _HELD_OUT
    return drawn[store.places(np.arange(store.n)).document]


def choose(errors: Mapping[str, Mapping[float, float | None]]) -> dict[str, float]:
    """Return each method's rate of the lowest error; of equal ones the lower.

    Raises InputError if a method has no rate that does not diverge.
    """
    chosen = {}
    for method, by_rate in errors.items():
        known = {rate: error for rate, error in by_rate.items() if error is not None}
        if not known:
            raise InputError(f"method {method!r}: expected a candidate rate that does not diverge")
        chosen[method] = min(known, key=lambda rate: (known[rate], rate))
    return chosen


def check_target() -> None:
    """Raise InputError unless the rates' file can be written: an installed package's may not."""
    target = Path(str(LEARNING_RATES))
    check_writable(target.parent, "the folder of the tuned rates", [target.name])


def write_rates(
    preset: str, errors: Mapping[str, Mapping[float, float | None]], command: str
) -> dict[str, float]:
    """Write the chosen rates of a preset, keeping those of methods that were not asked for.

    Each method's stand with the command that found them, and its versions.
    """
    target = Path(str(LEARNING_RATES))
    known = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    old = known.get(preset, {})
    chosen = choose(errors)
    table = {method: {f"{r:g}": e for r, e in row.items()} for method, row in errors.items()}
    known["protocol"] = PROTOCOL
    known[preset] = {
        "chosen": old.get("chosen", {}) | chosen,
        "heldout_fvu": old.get("heldout_fvu", {}) | table,
        "made_by": old.get("made_by", {})
        | {method: {"command": command, "versions": versions()} for method in errors},
    }
    text = json.dumps(known, indent=2, allow_nan=False) + "\n"
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
    return chosen


def _job(
    preset: Preset, name: str, store: ActivationStore, folder: Path, rates: Sequence[float]
) -> Job:
    method = WIDE_METHOD if name == WIDE else name
    seed = derived_seed(0, Axis.TUNING)
    K = preset.wide if name == WIDE else preset.K
    budget = replace(budget_of(preset), K=K, snapshots=(0.0, 1.0), block=0)
    identity = (budget, _HELD_OUT, data_hash(store), code_fingerprint())
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:10]
    return Job(
        method=method,
        runs=tuple(RunSpec(f"rate-{rate:g}", seed, rate) for rate in rates),
        budget=budget,
        folder=folder / f"{preset.name}-{name}-{digest}",
        origin=origin_of(store, method),
    )


def _heldout_fvu(run: Path, store: ActivationStore, out: np.ndarray) -> float | None:
    record = run_record(run)
    if record["diverged"]:
        return None
    sae = load(str(snapshot_folder(run, record["snapshots"][-1]["tokens"])))
    fitted = store.standardisation
    rows = np.flatnonzero(out)
    pieces = np.array_split(rows, max(len(rows) // 4096, 1))

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for piece in pieces:
            x = torch.from_numpy(store.rows(piece, raw=True))
            latents = sae.encode(x)
            rebuilt = sae.decode(latents, x)
            yield fitted.apply(x.numpy()), latents.numpy(), fitted.apply(rebuilt.numpy())

    return run_quality(chunks()).fvu
