"""The way from configurations to finished runs: draw, fit, measure, keep; in worker processes.

Every task trains with one intra-op thread, and tasks are spread over spawned processes, so
a run's numbers do not depend on how many workers there are, nor on its company.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import groupby

import numpy as np

from benchmarks.config import HELDOUT_SAMPLES, Cell, RunConfig, run_seeds
from benchmarks.methods import METHODS, Fitted
from benchmarks.store import RunRecord, RunStore, Scalar, code_fingerprint, fingerprint_now
from osae_theory.errors import JobError
from osae_theory.metrics import (
    LatentStatistics,
    fifr_error,
    fraction_of_variance_unexplained,
    match,
    mean_l0,
    mean_squared_error,
)
from osae_theory.portable import matmul
from osae_theory.problems import SparseCodingProblem
from osae_theory.provenance import dictionary_sha256, provenance_here
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER, in_workers

# Runs trained together: more would gain little on a CPU, and lose more when interrupted.
RUNS_PER_TASK = 3


def complete(
    configs: Sequence[RunConfig],
    store: RunStore,
    n_workers: int,
    on_progress: Callable[[int], object] | None = None,
) -> list[RunRecord]:
    """Return the record of every run, in order, training those that are not in the store.

    Parameters
    ----------
    configs : sequence of RunConfig
        The runs.
    store : RunStore
        Where finished runs are found and kept.
    n_workers : int
        Worker processes, spawned; 1 trains in this process.
    on_progress : callable, optional
        Called with the number of runs that have just been finished or found.
    """
    report = on_progress or (lambda n: None)
    code = code_fingerprint()
    found = {config: store.load(config) for config in configs}
    pending = [config for config, record in found.items() if record is None]
    report(len(found) - len(pending))
    tasks = [_Task(code, tuple(runs)) for runs in _tasks(pending, n_workers)]
    with closing(in_workers(_run, tasks, n_workers)) as results:
        for records in results:
            for record in records:
                store.save(record)
                found[record.config] = record
            report(len(records))
    records = [found[config] for config in configs]
    return [record for record in records if record is not None]


def _tasks(configs: Sequence[RunConfig], n_workers: int) -> list[list[RunConfig]]:
    """Split runs into small tasks that share a problem, a method and a budget."""
    # Whatever is added to a run's fields is shared, unless it is named here.
    own = ("seeds", "learning_rate")
    names = [field.name for field in fields(RunConfig) if field.name not in own]

    def shared(config: RunConfig) -> tuple:
        return tuple(getattr(config, name) for name in names)

    # Runs on one problem are split only where there would be too few tasks for the workers.
    size = min(-(-len(configs) // n_workers), RUNS_PER_TASK)
    tasks = []
    for _, group in groupby(configs, key=shared):
        runs = list(group)
        tasks += [runs[i : i + size] for i in range(0, len(runs), size)]
    return tasks


@dataclass(frozen=True)
class _Task:
    """Runs that are trained together, and the fingerprint of the code they are stored under."""

    code: str
    runs: tuple[RunConfig, ...]


def _run(task: _Task) -> list[RunRecord]:
    """Do a task, unless this process has imported other code than the job began with.

    Everything is imported once a run has been warmed up: if the files are then those that the
    job began with, so is what was imported.
    """
    _warm_up(task.runs[0])
    if _imported_code() != task.code:
        raise JobError(
            "the project's code was changed while the job was starting: the same command begins"
            " again with the code as it is now"
        )
    return run_task(task.runs)


@cache
def _imported_code() -> str:
    return fingerprint_now()


def _warm_up(config: RunConfig) -> None:
    """Compile what a run needs, by two steps on a few samples of its problem."""
    cell = replace(config.cell, N=min(config.cell.N, config.batch_size))
    _warmed_up(cell, config.method, config.batch_size, config.device, config.arithmetic)


@cache
def _warmed_up(cell: Cell, method: str, batch_size: int, device: str, arithmetic: str) -> None:
    run = RunConfig(cell, 0, method, run_seeds(0, 0), 1e-3, 2, batch_size, device, arithmetic)
    METHODS[method].fit(cell.spec(0).draw(), [run])


def run_task(runs: Sequence[RunConfig]) -> list[RunRecord]:
    """Fit and measure runs that share a problem, a method and a budget.

    The seconds of a record are those of the whole fit divided by its number of runs, without
    those of compiling the kernels.
    """
    first = runs[0]
    with limited_threads(THREADS_PER_WORKER):
        _warm_up(first)
        spec = first.cell.spec(first.problem_seed)
        problem = spec.draw()
        started = time.perf_counter()
        fits = METHODS[first.method].fit(problem, runs)
        seconds = (time.perf_counter() - started) / len(runs)
        heldout = spec.draw("heldout", HELDOUT_SAMPLES)
        return [
            RunRecord(
                run,
                "diverged",
                {"seconds": seconds},
                {},
                provenance_here(run.device, run.arithmetic),
            )
            if fit is None
            else _measured(run, fit, problem, heldout, seconds)
            for run, fit in zip(runs, fits, strict=True)
        ]


def _measured(
    config: RunConfig,
    fit: Fitted,
    problem: SparseCodingProblem,
    heldout: SparseCodingProblem,
    seconds: float,
) -> RunRecord:
    train_rows, _, _ = problem.rows(np.float32)
    heldout_rows, _, _ = heldout.rows(np.float32)
    latents = LatentStatistics.of(fit.encode(train_rows).T)
    codes = fit.encode(heldout_rows).T.astype(np.float64)
    reconstruction = matmul(fit.dictionary, codes)
    # Ord is over latents that are alive, matched to atoms that the samples hold.
    alive = (~latents.dead, (problem.codes != 0).any(axis=1))
    matching = match(fit.dictionary, problem.dictionary, live=alive)
    # Ties are drawn: the order before them would carry the order as trained into the sorted one.
    tie_seed = config.seeds.initialisation
    by_energy = latents.order_by_energy(tie_seed)
    by_frequency = latents.order_by_frequency(tie_seed)

    scalars: dict[str, Scalar] = {
        "stab_truth": matching.stability,
        "stab_truth_abs": match(fit.dictionary, problem.dictionary, absolute=True).stability,
        "ord_truth": _number(matching.orderedness),
        "ord_recovered": _number(matching.recovered_orderedness()),
        "recovered_share": matching.recovered_share(),
        "ord_by_frequency": _number(matching.reordered(by_frequency).orderedness),
        "ord_by_energy": _number(matching.reordered(by_energy).orderedness),
        "ord_left_out": matching.left_out,
        "mse": _number(mean_squared_error(heldout.data, reconstruction)),
        "fvu": _number(fraction_of_variance_unexplained(heldout.data, reconstruction)),
        "fifr": _number(fifr_error(heldout.dictionary, heldout.codes, fit.dictionary, codes)),
        "l0": mean_l0(codes),
        "dead_share": float(latents.dead.mean()),
        "seconds": seconds,
        "dictionary_sha256": dictionary_sha256(fit.dictionary),
    }
    arrays = {
        # As a store gives it back: BLAS may round another memory layout differently.
        "dictionary": np.ascontiguousarray(fit.dictionary),
        "permutation": matching.permutation,
        "similarities": matching.similarities,
        "energy_order": by_energy,
        "frequency_order": by_frequency,
    }
    return RunRecord(
        config, "done", scalars, arrays, provenance_here(config.device, config.arithmetic)
    )


def _number(value: float) -> Scalar:
    """Return None for NaN and infinity: a measurement that is not defined, as in JSON."""
    return float(value) if np.isfinite(value) else None
