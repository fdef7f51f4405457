"""What a plan costs before it is carried out: core-hours, disk, and the size of its tables.

From what finished runs of the store took, where there are any; else from a model of a training
step whose constants are one machine's, and so right in their order of magnitude only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, groupby
from statistics import median
from types import MappingProxyType

import numpy as np
from tabulate import tabulate

from benchmarks import catalogue
from benchmarks.contracts import Shape
from benchmarks.engine.plan import Plan
from benchmarks.outcome import VECTORS
from benchmarks.spec import Budget, Case, RunSpec, Setting
from benchmarks.store import Store

# Seconds on one core of an Intel Xeon with AVX-512. A sample of a step costs so much, and more for
# each dimension and each weight; fitted to seven shapes of the toy from (32, 40) to (160, 640).
_PER_SAMPLE = 7.9e-7
_PER_DIMENSION = 1.2e-8
_PER_WEIGHT = 7.4e-11
# Drawing a sample, for each atom; and measuring a run on it, for each weight.
_PER_DRAWN = 4.4e-8
_PER_MEASURED = 4e-10
# Bytes of a run in the store's parts besides its vectors, and of the heads of its arrays' file.
_ROW_BYTES = 300
_HEAD_BYTES = 500
# Which of a run's properties decide how long it takes; the draw and the seeds do not.
_COLUMNS = ["cell", "variant", "unit", "amount", "batch_size", "arithmetic"]
# Lines that say nothing where there are none.
_IF_ANY = ("values to add", "  out of reach")
_BASES = MappingProxyType(
    {
        "measured": "took as long before",
        "scaled": "from other runs of their methods",
        "modelled": "from a model, right in its order of magnitude",
    }
)


@dataclass(frozen=True)
class Costs:
    """What is expected of a plan.

    Attributes
    ----------
    core_seconds : float
        Of fitting and measuring, all together.
    bases : mapping of str to int
        Runs by where their seconds come from: "measured", "scaled" or "modelled".
    disk_bytes : int
        What the runs will add to the store, arrays and parts.
    tables, rows : int
        Tables, one a problem, and rows, one a method on a problem, once all is done.
    """

    core_seconds: float
    bases: Mapping[str, int]
    disk_bytes: int
    tables: int
    rows: int


def modelled_seconds(shape: Shape, budget: Budget) -> float:
    """Return what fitting one run takes by the model, in core-seconds.

    Parameters
    ----------
    shape : Shape
        The problem's sizes.
    budget : Budget
        The method's. Iterations go over all samples; a method without a budget counts as one.
    """
    samples = shape.N
    if budget.unit == "steps":
        samples = budget.amount * budget.batch_size
    elif budget.unit == "iterations":
        samples = budget.amount * shape.N
    weights = shape.d * shape.K
    return samples * (_PER_SAMPLE + _PER_DIMENSION * shape.d + _PER_WEIGHT * weights)


def expected_costs(todo: Plan) -> Costs:
    """Return what a plan's tasks will cost, and how large the tables will be."""
    found = _Timings.of(todo.store) if todo.store and todo.fits else _Timings({}, {})
    of_kind: dict[tuple[object, ...], tuple[float, str, int]] = {}
    seconds, disk, bases = 0.0, 0, Counter[str]()
    for task in (part for fit in todo.fits for part in fit.parts):
        n, kind = len(task.runs), _kind(task.setting)
        if kind not in of_kind:
            size = _bytes(catalogue.shape_of(task.setting.case))
            of_kind[kind] = (*found.seconds(task.setting), size)
        fit, basis, size = of_kind[kind]
        seconds, disk = seconds + n * fit, disk + n * size
        bases[basis] += n
    measuring = cache(_measuring)
    for task in (*(part for fit in todo.fits for part in fit.parts), *todo.measures):
        case = task.runs[0].setting.case
        seconds += measuring(replace(case, problem_seed=0), len(task.runs))
    rows = {_kind(setting) for setting in _settings(todo)}
    return Costs(
        core_seconds=seconds,
        bases=MappingProxyType(dict(bases)),
        disk_bytes=disk,
        tables=len({kind[:2] for kind in rows}),
        rows=len(rows),
    )


def plan_table(todo: Plan) -> str:
    """Return a plan and its costs as text, a line each."""
    costs = expected_costs(todo)
    skipped = Counter[str]()
    for one in todo.skipped:
        skipped[f"{one.setting.variant}: {one.reason}"] += one.n_runs
    values = sum(task.n_measurements for task in [*todo.measures, *todo.pairs])
    hours = costs.core_seconds / 3600
    workers = min(todo.n_workers, max(1, todo.n_tasks))
    bases = [f"{costs.bases[name]} {text}" for name, text in _BASES.items() if name in costs.bases]
    lines: list[tuple[str, str, str]] = [
        ("runs", f"{todo.n_runs}", ""),
        ("  done", f"{len(todo.done)}", ""),
        ("  diverged", f"{len(todo.diverged)}", "not tried again" if todo.diverged else ""),
        ("  failed before", f"{len(todo.failed)}", "tried again" if todo.failed else ""),
        ("  missing", f"{len(todo.missing)}", ""),
        ("  skipped", f"{sum(skipped.values())}", ""),
        *(("", f"{n}", text) for text, n in skipped.most_common()),
        ("values to add", f"{values}", "measured on stored runs, without training"),
        ("  out of reach", f"{len(todo.unkept)}", "runs without arrays: only --force gives them"),
        ("core-hours", f"{hours:.3g}", "; ".join(bases)),
        ("hours", f"{hours / workers:.3g}", f"with {workers} worker{'s' * (workers > 1)}"),
        ("disk", _size(costs.disk_bytes), "arrays and parts"),
        ("tables", f"{costs.tables}", f"with {costs.rows} rows in all"),
    ]
    shown = [line for line in lines if line[0] not in _IF_ANY or line[1] != "0"]
    table = tabulate(shown, tablefmt="plain", disable_numparse=True, preserve_whitespace=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


@dataclass(frozen=True)
class _Timings:
    """What runs of a store took: by their kind, and against the model by their method."""

    by_kind: Mapping[tuple[object, ...], float]
    factors: Mapping[str, float]

    @classmethod
    def of(cls, store: Store) -> "_Timings":
        """Return the medians of a store's finished runs."""
        frames = store.frames(vectors=False)
        timed = frames.runs.merge(frames.provenance[["run", "seconds"]], on="run")
        timed = timed[(timed["status"] == "done") & timed["seconds"].notna()]
        by_kind: dict[tuple[object, ...], float] = {}
        ratios: dict[str, list[float]] = defaultdict(list)
        for _, runs in timed.groupby(_COLUMNS, observed=True, sort=False):
            setting = RunSpec.read(str(runs["text"].iloc[0])).setting
            seconds = float(runs["seconds"].median())
            by_kind[_kind(setting)] = seconds
            if setting.case.family in catalogue.families():
                model = modelled_seconds(catalogue.shape_of(setting.case), setting.budget)
                ratios[setting.method].append(seconds / model)
        return cls(by_kind, {method: median(found) for method, found in ratios.items()})

    def seconds(self, setting: Setting) -> tuple[float, str]:
        """Return what fitting a run of a setting takes, and what that is taken from."""
        kind = _kind(setting)
        if kind in self.by_kind:
            return self.by_kind[kind], "measured"
        model = modelled_seconds(catalogue.shape_of(setting.case), setting.budget)
        factor = self.factors.get(setting.method)
        return (model, "modelled") if factor is None else (model * factor, "scaled")


def _kind(setting: Setting) -> tuple[object, ...]:
    """Return what decides how long a run takes: neither its draw nor its seeds."""
    case = setting.case
    problem = (case.family, case.params)
    return (*problem, setting.method, setting.params, setting.budget, setting.arithmetic)


def _settings(todo: Plan) -> Iterator[Setting]:
    runs = chain(todo.done, todo.diverged, todo.failed, todo.missing)
    yield from (setting for setting, _ in groupby(run.setting for run in runs))


def _measuring(case: Case, n_runs: int) -> float:
    """Return what drawing a problem once and measuring runs on it takes, in core-seconds."""
    shape = catalogue.shape_of(case)
    samples = shape.N + catalogue.families()[case.family].n_heldout
    a_run = _PER_MEASURED * shape.d * shape.K
    return samples * (_PER_DRAWN * shape.K + n_runs * a_run)


def _bytes(shape: Shape) -> int:
    """Return what a run takes in a store: its dictionary, its encoder, its vectors, its rows."""
    weights, numbers = shape.d * shape.K, np.dtype(float).itemsize
    arrays = weights * (numbers + np.dtype(np.float32).itemsize)
    return arrays + shape.K * numbers * len(VECTORS) + _ROW_BYTES + _HEAD_BYTES


def _size(n_bytes: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
