"""What is to be done: the runs that are wanted, less what the store holds, as tasks.

A plan is a value that looks at the store and changes nothing; the same store gives the same plan.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, groupby, pairwise
from operator import attrgetter

from benchmarks import catalogue
from benchmarks.engine.batch import BatchTask, batched
from benchmarks.engine.measure import MeasureTask, PairTask
from benchmarks.engine.shards import Shard
from benchmarks.engine.task import FitTask, code_of
from benchmarks.outcome import FINISHED
from benchmarks.spec import Case, RunSpec, Setting
from benchmarks.store import Store
from benchmarks.store.arrays import arrays_file
from osae_theory.errors import check_choice

# Runs fitted together: more would gain little on a CPU, and lose more when interrupted.
RUNS_PER_TASK = 3
# Runs measured again together: drawing their problem takes longer than measuring one of them.
_RUNS_PER_MEASURE_TASK = 20


@dataclass(frozen=True)
class Skipped:
    """Runs that are not done, because their method cannot be run on their problem.

    Attributes
    ----------
    setting : Setting
        What they share.
    n_runs : int
        How many.
    reason : str
        Why.
    """

    setting: Setting
    n_runs: int
    reason: str


@dataclass(frozen=True, eq=False)
class Plan:
    """What a job finds and what it has to do.

    Attributes
    ----------
    done, diverged : tuple of RunSpec
        Wanted runs that are finished.
    failed : tuple of RunSpec
        Wanted runs that have ended in an error or a timeout before; they are tried again.
    missing : tuple of RunSpec
        Wanted runs that nobody has tried.
    skipped : tuple of Skipped
        Wanted runs that cannot be run.
    fits : tuple of FitTask or BatchTask
        The failed and the missing runs.
    measures : tuple of MeasureTask
        Metrics that runs in `done` lack, such as those added since.
    pairs : tuple of PairTask
        Metrics that pairs of runs in `done` lack.
    unkept : tuple of RunSpec
        Runs in `done` that lack a metric, of their own or of a pair, but whose arrays are not
        kept: nothing but training them anew can give it.
    n_workers : int
        How many workers it was made for.
    store : Store or None
        What it was made from.
    """

    done: tuple[RunSpec, ...]
    diverged: tuple[RunSpec, ...]
    failed: tuple[RunSpec, ...]
    missing: tuple[RunSpec, ...]
    skipped: tuple[Skipped, ...]
    fits: tuple[FitTask | BatchTask, ...]
    measures: tuple[MeasureTask, ...]
    pairs: tuple[PairTask, ...]
    unkept: tuple[RunSpec, ...]
    n_workers: int
    store: Store | None

    @property
    def n_found(self) -> int:
        """How many wanted runs need no fitting."""
        skipped = sum(one.n_runs for one in self.skipped)
        return len(self.done) + len(self.diverged) + skipped

    @property
    def n_runs(self) -> int:
        """How many runs are wanted."""
        return self.n_found + len(self.failed) + len(self.missing)

    @property
    def n_tasks(self) -> int:
        """How many tasks there are."""
        return len(self.fits) + len(self.measures) + len(self.pairs)


def plan(
    wanted: Iterable[RunSpec],
    store: Store | None,
    *,
    force: bool = False,
    shard: Shard | None = None,
    n_workers: int = 1,
    device: str = "cpu",
    together: int | None = None,
) -> Plan:
    """Return what has to be done to have the wanted runs in a store.

    Parameters
    ----------
    wanted : iterable of RunSpec
        A run that is there twice counts once.
    store : Store, optional
        What is there already; None where nothing is.
    force : bool
        Do everything again, whatever is there.
    shard : Shard, optional
        Leave out what belongs to other shards.
    n_workers : int
        How many workers there will be: runs of one setting are divided among them where some
        would be idle. The runs' numbers do not depend on it.
    device : str
        Torch device.
    together : int, optional
        Most runs that are trained in one program, of whatever draws they are, and of whatever
        methods whose trainings allow it; by default only runs of one setting are.

    Raises
    ------
    InputError
        If a method or problem family is unknown.
    """
    settings = _by_setting(wanted, shard)
    statuses = {} if force or store is None else store.statuses()
    done: list[list[RunSpec]] = []
    diverged: list[RunSpec] = []
    unfinished: list[list[RunSpec]] = []
    skipped: list[Skipped] = []
    skip_reason = _skip_reasons()
    for setting, runs in settings.items():
        by_status: dict[str | None, list[RunSpec]] = defaultdict(list)
        for name, run in runs.items():
            by_status[statuses.get(name)].append(run)
        done += filter(None, [by_status["done"]])
        diverged += by_status["diverged"]
        left = [run for name, run in runs.items() if statuses.get(name) not in FINISHED]
        if left and (reason := skip_reason(setting)) is not None:
            skipped.append(Skipped(setting, len(left), reason))
        elif left:
            unfinished.append(left)
    failed = [run for runs in unfinished for run in runs if run.id in statuses]
    missing = [run for runs in unfinished for run in runs if run.id not in statuses]
    share = -(-(len(failed) + len(missing)) // n_workers)
    size = min(share, RUNS_PER_TASK if together is None else together)
    measures, pairs, unkept = ((), (), ()) if store is None else _lacking(done, store)
    return Plan(
        done=tuple(run for runs in done for run in runs),
        diverged=tuple(diverged),
        failed=tuple(failed),
        missing=tuple(missing),
        skipped=tuple(skipped),
        fits=tuple(_fits(unfinished, {run.id for run in failed}, size, device, together)),
        measures=measures,
        pairs=pairs,
        unkept=unkept,
        n_workers=n_workers,
        store=store,
    )


def pair_task(
    setting: Setting, ids: Iterable[str], lacks: Callable[[str, str, str], bool]
) -> PairTask | None:
    """Return the pairs of a setting's finished runs that lack a metric; None if there are none.

    Parameters
    ----------
    setting : Setting
        What the runs share.
    ids : iterable of str
        The runs.
    lacks : callable
        Says of two ids in ascending order and a metric's name whether it is to be measured.
    """
    metrics = _names("pair")
    lacking = tuple(
        (run, other, metric)
        for run, other in combinations(sorted(ids), 2)
        for metric in metrics
        if lacks(run, other, metric)
    )
    return PairTask(setting, lacking) if lacking else None


def _by_setting(
    wanted: Iterable[RunSpec], shard: Shard | None
) -> dict[Setting, dict[str, RunSpec]]:
    """Return the wanted runs of a shard by setting and id, in the order in which they come."""
    found: dict[Setting, dict[str, RunSpec]] = {}
    for setting, runs in groupby(wanted, attrgetter("setting")):
        if setting in found or shard is None or shard.holds(setting):
            found.setdefault(setting, {}).update((run.id, run) for run in runs)
    return found


def _skip_reasons() -> Callable[[Setting], str | None]:
    """Return `catalogue.skip_reason`, asked once for all draws and budgets."""
    known: dict[tuple[object, ...], str | None] = {}

    def reason(setting: Setting) -> str | None:
        case = setting.case
        key = (case.family, case.params, setting.method, setting.params)
        if key not in known:
            check_choice("method", setting.method, catalogue.methods())
            check_choice("problem family", case.family, catalogue.families())
            known[key] = catalogue.skip_reason(setting)
        return known[key]

    return reason


def _fits(
    unfinished: Sequence[Sequence[RunSpec]],
    failed: Collection[str],
    size: int,
    device: str,
    together: int | None,
) -> Iterator[FitTask | BatchTask]:
    code = cache(code_of)
    among_others: list[FitTask] = []
    for runs in unfinished:
        setting = runs[0].setting
        state = code(setting.case.family, setting.method)
        # What has failed before may do so again: it takes no others with it.
        fresh = [run for run in runs if run.id not in failed]
        alone = [[run] for run in runs if run.id in failed]
        tasks = [FitTask(tuple(some), state, device) for some in _divided(fresh, size)]
        if together is None:
            yield from tasks
        else:
            among_others += tasks
        yield from (FitTask(tuple(some), state, device) for some in alone)
    yield from batched(among_others, max(size, 1))


def _divided(runs: Sequence[RunSpec], size: int) -> list[Sequence[RunSpec]]:
    """Divide runs into parts of at most `size`, as even as can be."""
    n_parts = -(-len(runs) // size) if runs else 0
    ends = [len(runs) * part // n_parts for part in range(n_parts + 1)] if n_parts else [0]
    return [runs[start:end] for start, end in pairwise(ends)]


def _lacking(
    done: Sequence[Sequence[RunSpec]], store: Store
) -> tuple[tuple[MeasureTask, ...], tuple[PairTask, ...], tuple[RunSpec, ...]]:
    """Return what finished runs, given by setting, lack; and which of them nobody can measure."""
    if not done:
        return (), (), ()
    measured = store.measured()
    names = _names("run")
    together: dict[tuple[Case, tuple[str, ...]], list[RunSpec]] = defaultdict(list)
    pairs: list[PairTask] = []
    unkept: dict[str, RunSpec] = {}

    def kept(run: RunSpec) -> bool:
        if run.id not in unkept and not arrays_file(store.folder, run.id).is_file():
            unkept[run.id] = run
        return run.id not in unkept

    for runs in done:
        setting = runs[0].setting
        for run in runs:
            lack = tuple(name for name in names if (run.id, "", name) not in measured)
            if lack and kept(run):
                together[setting.case, lack].append(run)
        task = pair_task(setting, [run.id for run in runs], lambda *one: one not in measured)
        if task is not None:
            there = {run.id for run in runs if run.id in task.ids and kept(run)}
            lacking = tuple(one for one in task.lacking if there.issuperset(one[:2]))
            pairs += [replace(task, lacking=lacking)] if lacking else []
    measures = tuple(
        MeasureTask(tuple(part), lack)
        for (_, lack), runs in together.items()
        for part in _divided(runs, _RUNS_PER_MEASURE_TASK)
    )
    return measures, tuple(pairs), tuple(unkept.values())


def _names(scope: str) -> list[str]:
    return [metric.name for metric in catalogue.metrics().values() if metric.scope == scope]
