"""From runs that are wanted to runs that are stored: the plan, carried out by an engine.

Only this process writes to the store, as tasks come to their end; so a job that is stopped, however
it is stopped, has kept what it has finished, and the same command goes on from there.
"""

import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch

from benchmarks.engine.batch import BatchTask
from benchmarks.engine.local import CarryOut, Failure, Finished, local_engine
from benchmarks.engine.measure import Done, MeasureTask, PairTask, Task, do
from benchmarks.engine.plan import Plan, pair_task, plan
from benchmarks.engine.shards import Shard
from benchmarks.engine.task import FitTask
from benchmarks.outcome import FINISHED, STATUSES, Outcome, Results
from benchmarks.spec import RunSpec, Setting
from benchmarks.store import Store
from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.provenance import device_kind, dictionary_sha256

ENGINES = ("local", "ray")
_MOST_LINES = 20
_UNKEPT = (
    "cannot be measured further, for want of their arrays: only --force, which trains them anew,"
    " gives the metrics that they or their pairs lack"
)


@dataclass(frozen=True)
class Summary:
    """What a job has done.

    Attributes
    ----------
    wanted : int
        Runs that were asked for.
    found : int
        Those that were finished before, or cannot be run on their problem.
    statuses : mapping of str to int
        Runs tried by this job, by what became of them.
    measurements : int
        Values of metrics measured on runs, or pairs of runs, that were stored.
    failures : tuple of str
        Runs that ended in an error or a timeout and values that could not be measured, a line a
        reason, the most frequent first. The same command tries them again.
    notes : tuple of str
        Likewise what is as it is: runs that diverged, that cannot be run, or that lack metrics
        but are not kept.
    """

    wanted: int
    found: int
    statuses: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    measurements: int = 0
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What became of the runs."""
        parts = [f"{self.found} found", *(f"{n} {status}" for status, n in self.statuses.items())]
        return f"{_counted(self.wanted, 'run')}: {', '.join(parts)}."


def complete(
    wanted: Sequence[RunSpec],
    store: Store,
    *,
    n_workers: int,
    device: str = "cpu",
    engine: str = "local",
    address: str | None = None,
    gpu_share: float = 1.0,
    timeout: float | None = None,
    shard: Shard | None = None,
    force: bool = False,
    together: int | None = None,
    mixed_devices: bool = False,
    on_progress: Callable[[int], object] | None = None,
) -> Summary:
    """Fit and measure what the store lacks of the wanted runs, and keep it there.

    Parameters
    ----------
    wanted : sequence of RunSpec
        The runs.
    store : Store
        Where finished runs are found and kept.
    n_workers : int
        Worker processes, at least 1; one without a timeout works in this process. With a Ray
        cluster that is there already (`address`), the cluster's size counts instead.
    device : str
        Torch device.
    engine : {"local", "ray"}
        Where the work is done. The numbers do not depend on it.
    address : str, optional
        Of a Ray cluster; by default Ray starts one on this machine.
    gpu_share : float
        The share of a GPU that one task of Ray is given where `device` is one, above 0.
    timeout : float, optional
        Seconds that a run may take, above 0; runs that are fitted together have as much time
        together as they would have one after the other.
    shard : Shard, optional
        Do only what belongs to it.
    force : bool
        Do all wanted runs again; what is there is replaced as they are done.
    together : int, optional
        Most runs that are trained in one program, at least 1; see `benchmarks.engine.plan.plan`.
    mixed_devices : bool
        Whether runs that are missing may be trained on another kind of device than those that are
        there. Otherwise that is refused: in fast arithmetic they would not be the same numbers.
    on_progress : callable, optional
        Called with the number of runs that have just been found or done.

    Raises
    ------
    InputError
        If a value is out of range, there is no Ray cluster at the address, or runs that are there
        were trained on another kind of device.
    JobError
        If the code is changed while the job starts, or no worker can be started.
    """
    check_integer("workers", n_workers, 1)
    check_choice("engine", engine, ENGINES)
    check_real("gpu share", gpu_share, above=0)
    if timeout is not None:
        check_real("timeout", timeout, above=0)
    if together is not None:
        check_integer("runs in one program", together, 1)
    todo = plan(
        wanted,
        store,
        force=force,
        shard=shard,
        n_workers=n_workers,
        device=device,
        together=together,
    )
    if not mixed_devices:
        _check_devices(todo, store, device)
    if force:
        store.supersede([run.id for task in todo.fits for run in task.runs])
    job = _Job(todo, store, timeout, on_progress or (lambda n: None))
    share = gpu_share if device != "cpu" else 0.0
    with _engine(engine, min(n_workers, todo.n_tasks), address, share, timeout) as carry_out:
        job.work(carry_out)
    return job.summary()


def _check_devices(todo: Plan, store: Store, device: str) -> None:
    """Raise InputError if runs are to be trained on another kind of device than those there."""
    found = {run.id for run in (*todo.done, *todo.diverged)}
    if not found or not todo.fits:
        return
    kind = torch.device(device).type
    others = Counter(
        there
        for run, (name, backend) in store.devices().items()
        if run in found and (there := device_kind(name, backend)) not in (None, kind)
    )
    if others:
        there = ", ".join(f"{n} on {name}" for name, n in others.items())
        raise InputError(
            f"device {device!r}: of the runs asked for, {there} were trained before: expected the"
            " same kind of device, as another computes other bits; a folder of its own; or"
            " --mixed-devices, to have both in one table"
        )


def _engine(
    engine: str, n_workers: int, address: str | None, gpu_share: float, timeout: float | None
) -> AbstractContextManager[CarryOut]:
    # Nothing to do needs no cluster either.
    if engine == "local" or n_workers == 0:
        return local_engine(n_workers, isolated=timeout is not None)
    # Imported here: it needs the extra `ray`.
    from benchmarks.engine.ray_engine import ray_engine

    return ray_engine(address, n_workers, gpu_share)


class _Job:
    """A plan under way, and the tally of what has come of it."""

    def __init__(
        self,
        todo: Plan,
        store: Store,
        timeout: float | None,
        on_progress: Callable[[int], object],
    ) -> None:
        self._todo, self._store, self._timeout = todo, store, timeout
        self._on_progress = on_progress
        self._statuses: Counter[str] = Counter()
        self._measurements = 0
        self._failures: Counter[tuple[str, str]] = Counter()
        self._notes: Counter[tuple[str, str]] = Counter()
        self._unkept = {run.id for run in todo.unkept}
        # How many runs of a setting are still to come, which are done, and which of these now.
        self._open = Counter(run.setting for task in todo.fits for run in task.runs)
        self._done: dict[Setting, list[str]] = defaultdict(list)
        for run in todo.done:
            if run.setting in self._open:
                self._done[run.setting].append(run.id)
        self._fresh: set[str] = set()
        self._dictionaries: dict[str, str] = {}
        self._ready: deque[PairTask] = deque()

    def work(self, carry_out: CarryOut) -> None:
        """Do all tasks, and keep what comes of them."""
        self._on_progress(self._todo.n_found)
        # The last pairs are known when the last runs are stored.
        for tasks in (self._tasks(), self._pairs()):
            with closing(carry_out(do, tasks, self._limit)) as batches:
                for batch in batches:
                    self._keep(batch)

    def summary(self) -> Summary:
        """Return what has been done."""
        notes = Counter(self._notes)
        for one in self._todo.skipped:
            notes["run", f"of {one.setting.variant} skipped: {one.reason}"] += one.n_runs
        if self._unkept:
            notes["run", _UNKEPT] = len(self._unkept)
        return Summary(
            self._todo.n_runs,
            self._todo.n_found,
            MappingProxyType({s: n for s in STATUSES if (n := self._statuses[s])}),
            self._measurements,
            _lines(self._failures),
            _lines(notes),
        )

    def _tasks(self) -> Iterator[Task]:
        """Yield what stored runs lack, then the fits, and between them the pairs that are ready."""
        yield from self._loaded(self._todo.measures)
        yield from self._loaded(self._todo.pairs)
        for task in self._todo.fits:
            yield from self._pairs()
            yield task

    def _pairs(self) -> Iterator[Task]:
        while self._ready:
            yield from self._loaded([self._ready.popleft()])

    def _loaded(self, tasks: Iterable[MeasureTask | PairTask]) -> Iterator[Task]:
        """Yield tasks with the arrays that they need, read when their turn has come."""
        for task in tasks:
            found = {name: self._arrays(name) for name in task.ids}
            kept = {name: arrays for name, arrays in found.items() if arrays is not None}
            self._unkept |= found.keys() - kept.keys()
            loaded = task.with_kept(kept)
            if loaded.n_measurements:
                yield loaded

    def _arrays(self, name: str) -> tuple[str, dict[str, np.ndarray]] | None:
        """Return a run's arrays, if they are those of the training that counts."""
        found = self._store.arrays(name)
        if found is None:
            return None
        if name not in self._dictionaries:
            self._dictionaries.update(self._store.dictionaries())
        if dictionary_sha256(found[1]["dictionary"]) == self._dictionaries.get(name):
            return found
        warnings.warn(
            f"the arrays of run {name} are of another training than its numbers: what is measured"
            " of it stands, but nothing more can be",
            RuntimeWarning,
            stacklevel=2,
        )
        return None

    def _limit(self, task: Task) -> float | None:
        if self._timeout is None:
            return None
        return self._timeout * len(task.lacking if isinstance(task, PairTask) else task.runs)

    def _keep(self, batch: Sequence[Finished]) -> None:
        """Store what tasks gave, then count it."""
        found = [_done(finished, self._timeout) for finished in batch]
        outcomes = [outcome for one in found for outcome in one.results.outcomes]
        measurements = [value for one in found for value in one.results.measurements]
        self._store.add(Results(outcomes, measurements))
        self._measurements += len(measurements)
        for name, why in (failure for one in found for failure in one.failures):
            self._failures["value", f"of {name} not measured: {why}"] += 1
        for outcome in outcomes:
            self._count(outcome)
        self._on_progress(len(outcomes))

    def _count(self, outcome: Outcome) -> None:
        setting = outcome.spec.setting
        self._statuses[outcome.status] += 1
        if outcome.status == "done":
            self._done[setting].append(outcome.spec.id)
            self._fresh.add(outcome.spec.id)
            self._dictionaries[outcome.spec.id] = outcome.dictionary_sha256
            for name, why in outcome.unmeasured.items():
                self._failures["value", f"of {name} not measured: {why}"] += 1
        else:
            why = f"of {setting.variant} ended as {outcome.status}: {outcome.reason}"
            known = self._notes if outcome.status in FINISHED else self._failures
            known["run", why] += 1
        self._open[setting] -= 1
        if not self._open[setting]:
            # Pairs of runs that were there before have tasks of their own.
            task = pair_task(
                setting,
                self._done.pop(setting, []),
                lambda run, other, metric: not self._fresh.isdisjoint((run, other)),
            )
            self._ready.extend([] if task is None else [task])


def _done(finished: Finished, timeout: float | None) -> Done:
    """Return what a task gave; where it failed, what is to be stored and said of that."""
    task, result = finished.task, finished.result
    if not isinstance(result, Failure):
        return result
    if isinstance(task, FitTask | BatchTask):
        late = result.status == "timeout"
        why = f"no result in {timeout:g} s a run" if late else result.reason
        return Done(
            Results(
                [
                    Outcome(run, result.status, why, code=part.code)
                    for part in task.parts
                    for run in part.runs
                ]
            )
        )
    if isinstance(task, MeasureTask):
        return Done(Results(), tuple((m, result.reason) for _ in task.runs for m in task.metrics))
    return Done(Results(), tuple((metric, result.reason) for _, _, metric in task.lacking))


def _lines(reasons: Counter[tuple[str, str]]) -> tuple[str, ...]:
    """Return counted reasons as sentences, the most frequent first, and not too many."""
    lines = [f"{_counted(n, unit)} {text}" for (unit, text), n in reasons.most_common()]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"and {_counted(len(lines) - _MOST_LINES, 'further reason')}"]
    return tuple(lines)


def _counted(n: int, unit: str) -> str:
    return f"{n} {unit}{'s' * (n != 1)}"
