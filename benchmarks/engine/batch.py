"""Runs of several methods and draws trained in one program: hundreds of them on a GPU.

What such runs have in common is what the trainer must have in common: the problem's sizes, and a
configuration that does not differ. Problems and random numbers are drawn on the CPU, so that the
data have the same bits as those of runs alone, and runs are measured one by one. Out of memory, a
batch is halved, and goes on.
"""

import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from benchmarks import catalogue
from benchmarks.contracts import Data, Fit, Fitted, Part
from benchmarks.engine.task import FitTask, data_for, failed, outcome_of, prepared
from benchmarks.outcome import Outcome
from benchmarks.spec import Case, RunSpec, Setting
from benchmarks.training.together import train_together
from osae_theory.devices import is_out_of_memory, release
from osae_theory.errors import InputError, described
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER


@dataclass(frozen=True)
class BatchTask:
    """Runs of several settings, to be trained in one program.

    Attributes
    ----------
    parts : tuple of FitTask
        At least one, of one device and one `key_of`; those of one case stand together.
    """

    parts: tuple[FitTask, ...]

    @property
    def runs(self) -> tuple[RunSpec, ...]:
        """All runs of all parts."""
        return tuple(run for part in self.parts for run in part.runs)


_Unit = tuple[FitTask, RunSpec]


@dataclass(frozen=True, eq=False)
class _Tried:
    """What training a run gave: a fit, None if it diverged, or why it failed."""

    fit: Fitted | None
    reason: str
    seconds: float


def key_of(setting: Setting, device: str) -> Hashable | None:
    """Return what runs share that can train in one program; None where a method trains alone."""
    found = catalogue.variant_of(setting)
    recipe = found.method.recipe
    if recipe is None:
        return None
    how = Fit(found.values, setting.budget, device, setting.arithmetic)
    try:
        shared = recipe.shared(*catalogue.learned(setting.case), how)
    except InputError:  # that is the run's outcome, when it is tried
        return None
    return None if shared is None else (setting.case.family, setting.case.params, shared)


def batched(fits: Iterable[FitTask], most: int) -> Iterator[FitTask | BatchTask]:
    """Yield tasks of at most `most` runs that train in one program, as few as can be.

    Parameters
    ----------
    fits : iterable of FitTask
        Of at most `most` runs each.
    most : int
        Runs in one program, at least 1.
    """
    groups: dict[Hashable, list[FitTask]] = defaultdict(list)
    for task in fits:
        key = key_of(task.setting, task.device)
        if key is None:
            yield task
        else:
            groups[key].append(task)
    for tasks in groups.values():
        # A problem is drawn once for all methods of a batch.
        tasks.sort(key=lambda task: task.setting.case.problem_seed)
        batch: list[FitTask] = []
        for task in tasks:
            if sum(len(one.runs) for one in batch) + len(task.runs) > most:
                yield BatchTask(tuple(batch))
                batch = []
            batch.append(task)
        yield BatchTask(tuple(batch))


def run_batch(task: BatchTask) -> list[Outcome]:
    """Fit and measure a batch's runs; what fails is an outcome, not an exception.

    Warns where memory does not suffice for as many runs in one program: they are then trained in
    parts of half as many.

    Raises
    ------
    JobError
        If this process has imported other code than the job began with.
    """
    outcomes: list[Outcome] = []
    ready: list[FitTask] = []
    with limited_threads(THREADS_PER_WORKER), redirect_stdout(sys.stderr):
        for part in task.parts:
            wrong = prepared(part)
            outcomes += wrong
            ready += [] if wrong else [part]
        tried = _trained(ready)
        for case, parts in groupby(ready, lambda part: part.setting.case):
            outcomes += _measured(case, list(parts), tried)
    return outcomes


def _trained(parts: Sequence[FitTask]) -> Mapping[RunSpec, _Tried]:
    """Train all runs, as many in one program as memory allows."""
    units = [(part, run) for part in parts for run in part.runs]
    tried: dict[RunSpec, _Tried] = {}
    most = len(units)
    while len(tried) < len(units):
        now = units[len(tried) : len(tried) + most]
        started = time.perf_counter()
        fits, reason, full = _attempt(now)
        if reason:
            release(torch.device(now[0][0].device))
        if full and len(now) > 1:
            most = len(now) // 2
            warnings.warn(
                f"out of memory with {len(now)} runs in one program: they go on, {most} at a time",
                RuntimeWarning,
                stacklevel=2,
            )
            continue
        seconds = (time.perf_counter() - started) / len(now)
        for (_, run), fit in zip(now, fits, strict=True):
            tried[run] = _Tried(fit, reason, seconds)
    return tried


def _attempt(units: Sequence[_Unit]) -> tuple[Sequence[Fitted | None], str, bool]:
    """Return each run's fit; why there is none, and whether that is for want of memory."""
    try:
        fits = [fit for fits in train_together(list(_parts(units))) for fit in fits]
    except Exception as error:
        return [None] * len(units), described(error), is_out_of_memory(error)
    return fits, "", False


def _parts(units: Sequence[_Unit]) -> Iterator[Part]:
    """Yield what is to be trained, a setting's runs together."""
    data = _data(units)
    for setting, some in groupby(units, lambda unit: unit[0].setting):
        found = catalogue.variant_of(setting)
        assert found.method.recipe is not None
        together = list(some)
        how = Fit(found.values, setting.budget, together[0][0].device, setting.arithmetic)
        seeds = [run.seeds for _, run in together]
        yield Part(found.method.recipe, data[setting], how, seeds)


def _data(units: Sequence[_Unit]) -> dict[Setting, Data]:
    """Return what each setting's method may see; methods on one draw share its rows."""
    found: dict[Setting, Data] = {}
    for case, some in groupby((part.setting for part, _ in units), lambda setting: setting.case):
        problem = catalogue.problem_spec(case).draw()
        rows, _, _ = problem.rows(np.float32)
        for setting in dict.fromkeys(some):
            method = catalogue.methods()[setting.method]
            found[setting] = data_for(method, problem, catalogue.learned(case), rows)
    return found


def _measured(
    case: Case, parts: Sequence[FitTask], tried: Mapping[RunSpec, _Tried]
) -> Iterator[Outcome]:
    """Draw a problem again and measure on it what was trained."""
    spec = catalogue.problem_spec(case)
    problem = spec.draw()
    heldout = spec.draw("heldout", catalogue.families()[case.family].n_heldout)
    for part in parts:
        for run in part.runs:
            one = tried[run]
            if one.reason:
                yield from failed(replace(part, runs=(run,)), one.reason)
            else:
                yield outcome_of(part, run, one.fit, problem, heldout, one.seconds)
