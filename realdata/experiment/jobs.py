"""The trainings of an experiment: planned, and spread over worker processes or fed together."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

from osae_theory.errors import InputError
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER, in_workers
from realdata.activations.blocks import StoreBlocks
from realdata.activations.store import ActivationStore
from realdata.activations.stream import stream
from realdata.experiment.presets import Preset
from realdata.experiment.provenance import code_fingerprint
from realdata.experiment.stores import Stores, data_hash
from realdata.models.language import LanguageModel
from realdata.training.logs import ProgressBar
from realdata.training.rows import Rows, rows_of
from realdata.training.trainer import (
    Budget,
    Hardware,
    Job,
    RunSpec,
    is_finished,
    origin_of,
    train,
    train_together,
)

# Runs trained together: more would gain little on a CPU, and lose more when interrupted.
RUNS_PER_JOB = 3
# The SAE that is stitched into the others: its method, and its name among the learning rates,
# since a rate that suits K latents kills half of four times as many.
WIDE_METHOD, WIDE = "topk", "wide"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is run, and where.

    Attributes
    ----------
    preset : Preset
        What is collected, trained and measured.
    learning_rates : mapping of str to float
        Of each method, and of "wide" where there is a wide SAE.
    out, cache : Path
        Folders for results, and for activations and weights.
    n_workers : int
        Processes of training and evaluation, and threads of the model.
    hardware : Hardware
        Of the training.
    logs : tuple of str
        Names in `realdata.training.logs.LOGS`, besides the JSON lines.
    save_every : int
        Steps between two saved states of a training.
    command : str
        The command line, for the provenance.
    streamed : bool
        Activations of the training parts are computed when they are needed and not stored.
    """

    preset: Preset
    learning_rates: Mapping[str, float]
    out: Path
    cache: Path
    n_workers: int = 1
    hardware: Hardware = field(default_factory=Hardware)
    logs: tuple[str, ...] = ()
    save_every: int = 200
    command: str = ""
    streamed: bool = False

    def __post_init__(self) -> None:
        if self.streamed and self.preset.block == 0:
            raise InputError("block = 0: expected at least 1 where activations are streamed")


@dataclass(frozen=True)
class TrainingTask:
    """A job, and the folder of the store that it trains on."""

    job: Job
    store: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folder of each of its runs."""
        return tuple(self.job.folder / run.name for run in self.job.runs)


def budget_of(preset: Preset) -> Budget:
    """Return what all runs of a preset share."""
    shared = {name: getattr(preset, name) for name in Budget.__dataclass_fields__}
    return Budget(**shared)


def planned(experiment: Experiment, stores: Mapping[str, Stores]) -> list[TrainingTask]:
    """Return the trainings of each method on each corpus."""
    preset, rates = experiment.preset, experiment.learning_rates
    budget = budget_of(preset)
    return [
        task
        for dataset in preset.corpora
        for method in preset.methods
        for task in _tasks(experiment, stores[dataset], method, preset.seeds, budget, rates[method])
    ]


def planned_other_m(experiment: Experiment, stores: Mapping[str, Stores]) -> list[TrainingTask]:
    """Return the trainings at other numbers of active latents, on the first corpus."""
    preset, rates = experiment.preset, experiment.learning_rates
    own = stores[preset.corpora[0]]
    budget = replace(budget_of(preset), snapshots=(0.0, 1.0))
    return [
        task
        for m in preset.other_m
        for method in preset.methods
        for task in _tasks(
            experiment, own, method, preset.seeds[:1], replace(budget, m=m), rates[method]
        )
    ]


def planned_wide(experiment: Experiment, stores: Mapping[str, Stores]) -> list[TrainingTask]:
    """Return the training of the wide SAE on the first corpus, if the preset has one."""
    preset = experiment.preset
    if preset.wide == 0:
        return []
    budget = replace(budget_of(preset), K=preset.wide, snapshots=(0.0, 1.0))
    own, rate = stores[preset.corpora[0]], experiment.learning_rates[WIDE]
    # A seed of its own: a narrow SAE of the same seed would start with the wide one's first atoms.
    seed = preset.seeds[-1] + 1
    return _tasks(experiment, own, WIDE_METHOD, (seed,), budget, rate)


def _tasks(
    experiment: Experiment,
    own: Stores,
    method: str,
    seeds: Sequence[int],
    budget: Budget,
    rate: float,
) -> list[TrainingTask]:
    store = own.training
    data = [data_hash(store), *([own.streamed.token_hash] if own.streamed is not None else [])]
    identity = (method, rate, budget, experiment.hardware.precision, *data, code_fingerprint())
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:10]
    name = f"{store.folder.name}-{method}-K{budget.K}-m{budget.m}-{digest}"
    return [
        TrainingTask(
            Job(
                method=method,
                runs=tuple(
                    RunSpec(f"seed-{seed}", seed, rate) for seed in seeds[i : i + RUNS_PER_JOB]
                ),
                budget=budget,
                folder=experiment.cache / "runs" / name,
                origin=origin_of(store, method),
                save_every=experiment.save_every,
                logs=experiment.logs,
                hardware=experiment.hardware,
            ),
            store.folder,
        )
        for i in range(0, len(seeds), RUNS_PER_JOB)
    ]


def train_all(tasks: Sequence[TrainingTask], n_workers: int) -> None:
    """Train the runs that are not finished."""
    from tqdm import tqdm

    pending = [task for task in tasks if not all(map(is_finished, task.folders))]
    total, left = (sum(len(task.job.runs) for task in each) for each in (tasks, pending))
    with tqdm(total=total, initial=total - left, desc="runs", unit="run", file=sys.stderr) as bar:
        for n_runs in in_workers(train_task, pending, n_workers):
            bar.update(n_runs)


def train_task(task: TrainingTask) -> int:
    """Train one task; return its number of runs."""
    rows, store = _opened(task.store)
    block = task.job.budget.block
    train(task.job, StoreBlocks(store, block) if block else rows(), store.standardisation)
    return len(task.job.runs)


def train_streamed(
    tasks: Sequence[TrainingTask],
    stores: Mapping[str, Stores],
    model: LanguageModel,
) -> None:
    """Train the runs that are not finished, all of a corpus from one pass of the model over it.

    On one thread, beside that of the model, so that the weights are those of a stored training.
    """
    for name, own in stores.items():
        jobs = [task.job for task in tasks if task.store == own.training.folder]
        left = sum(not is_finished(job.folder / run.name) for job in jobs for run in job.runs)
        if own.streamed is None or left == 0:
            continue
        blocks = stream(model, own.streamed, own.training, jobs[0].budget.block)
        with (
            limited_threads(THREADS_PER_WORKER),
            ProgressBar(jobs[0].budget.n_steps, f"{left} runs on {name}", losses=False) as bar,
        ):
            train_together(jobs, blocks, blocks.standardisation, progress=bar)


@lru_cache(maxsize=1)
def _opened(folder: Path) -> tuple[Callable[[], Rows], ActivationStore]:
    """Return a store and what gives its rows, both kept for the next task of this process."""
    store = ActivationStore.open(folder)
    return cache(lambda: rows_of(store)), store
