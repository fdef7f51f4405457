"""Measurements of runs that are stored: metrics that came later, and pairs of runs.

And the one function by which an engine does a task of whatever kind.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from benchmarks import catalogue
from benchmarks.contracts import Scored
from benchmarks.engine.batch import BatchTask, run_batch
from benchmarks.engine.task import FitTask, defined, run_task
from benchmarks.kept import fitted_from
from benchmarks.outcome import Measurement, Results
from benchmarks.spec import Case, RunSpec, Setting
from osae_theory.errors import described
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER

# A run's encoder's kind and its arrays, as a store gives them.
Kept = tuple[str, Mapping[str, np.ndarray]]


def _nothing() -> "MappingProxyType[str, Kept]":
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class MeasureTask:
    """Stored runs on one problem draw, and metrics that they lack.

    Attributes
    ----------
    runs : tuple of RunSpec
        At least one; all of one case.
    metrics : tuple of str
        Names of metrics of runs.
    kept : mapping of str to (str, mapping)
        By the runs' ids, what they are kept as; empty in a plan.
    """

    runs: tuple[RunSpec, ...]
    metrics: tuple[str, ...]
    kept: Mapping[str, Kept] = field(default_factory=_nothing)

    @property
    def case(self) -> Case:
        """The problem draw."""
        return self.runs[0].setting.case

    @property
    def n_measurements(self) -> int:
        """How many values are to be measured."""
        return len(self.runs) * len(self.metrics)

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs whose arrays are needed."""
        return tuple(run.id for run in self.runs)

    def with_kept(self, kept: Mapping[str, Kept]) -> "MeasureTask":
        """Return the task for those runs whose arrays are there."""
        return replace(self, runs=tuple(r for r in self.runs if r.id in kept), kept=kept)


@dataclass(frozen=True, eq=False)
class PairTask:
    """Pairs of stored runs of one setting, and the metrics of pairs that they lack.

    Attributes
    ----------
    setting : Setting
        What all the runs share.
    lacking : tuple of (str, str, str)
        Two ids in ascending order, and a metric's name.
    kept : mapping of str to (str, mapping)
        By the runs' ids, what they are kept as; empty in a plan.
    """

    setting: Setting
    lacking: tuple[tuple[str, str, str], ...]
    kept: Mapping[str, Kept] = field(default_factory=_nothing)

    @property
    def n_measurements(self) -> int:
        """How many values are to be measured."""
        return len(self.lacking)

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs whose arrays are needed."""
        return tuple(sorted({id for pair in self.lacking for id in pair[:2]}))

    def with_kept(self, kept: Mapping[str, Kept]) -> "PairTask":
        """Return the task for those pairs whose arrays are there."""
        there = tuple(one for one in self.lacking if one[0] in kept and one[1] in kept)
        return replace(self, lacking=there, kept=kept)


Task = FitTask | BatchTask | MeasureTask | PairTask


@dataclass(frozen=True, eq=False)
class Done:
    """What came of a task: results, and why measurements are missing, each by a metric's name."""

    results: Results
    failures: tuple[tuple[str, str], ...] = ()


def do(task: Task) -> Done:
    """Do a task, with one intra-op thread.

    Raises
    ------
    JobError
        As `benchmarks.engine.task.run_task`.
    """
    if isinstance(task, FitTask):
        return Done(Results(outcomes=run_task(task)))
    if isinstance(task, BatchTask):
        return Done(Results(outcomes=run_batch(task)))
    with limited_threads(THREADS_PER_WORKER):
        tried = list(_measured(task) if isinstance(task, MeasureTask) else _paired(task))
    return Done(
        Results(measurements=[one for one in tried if isinstance(one, Measurement)]),
        tuple(one for one in tried if not isinstance(one, Measurement)),
    )


def _measured(task: MeasureTask) -> "Iterator[Measurement | tuple[str, str]]":
    spec = catalogue.problem_spec(task.case)
    problem = spec.draw()
    heldout = spec.draw("heldout", catalogue.families()[task.case.family].n_heldout)
    for run in task.runs:
        try:
            fitted = fitted_from(*task.kept[run.id])
        except Exception as error:
            yield from ((name, described(error)) for name in task.metrics)
            continue
        scored = Scored(fitted, problem, heldout, run.seeds.initialisation)
        for name in task.metrics:
            of_run = catalogue.metrics()[name].of_run
            assert of_run is not None
            yield _value(run.id, "", name, of_run, [scored])


def _paired(task: PairTask) -> "Iterator[Measurement | tuple[str, str]]":
    for run, other, name in task.lacking:
        of_pair = catalogue.metrics()[name].of_pair
        assert of_pair is not None
        dictionaries = [task.kept[id][1]["dictionary"] for id in (run, other)]
        yield _value(run, other, name, of_pair, dictionaries)


def _value(
    run: str, other: str, name: str, measure: Callable[..., float], of: Sequence[object]
) -> "Measurement | tuple[str, str]":
    """Return a measurement; where the metric raises, its name and why."""
    try:
        return Measurement(run, other, name, defined(measure(*of)))
    except Exception as error:
        return name, described(error)
