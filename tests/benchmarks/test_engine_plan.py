import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.contracts import Metric
from benchmarks.engine.plan import Skipped, pair_task, plan
from benchmarks.engine.shards import Shard
from benchmarks.engine.task import code_of
from benchmarks.outcome import Measurement, Outcome, Results
from benchmarks.spec import Budget
from benchmarks.store import Store
from osae_theory.errors import InputError
from small_runs import small_runs, small_setting


@pytest.fixture
def store(tmp_path):
    return Store.at(tmp_path / "store", create=True)


def outcome(run, status="done"):
    """Return an outcome that nobody trained, with all measurements."""
    if status != "done":
        return Outcome(run, status, "for a test")
    values = {name: 0.5 for name, one in catalogue.metrics().items() if one.scope == "run"}
    return Outcome(run, values=values, status="done", arrays=ARRAYS, encoder="top-m")


ARRAYS = {"dictionary": np.eye(3)}


def added(store, runs, status="done"):
    store.add(Results([outcome(run, status) for run in runs]))


def pairs_added(store, runs):
    task = pair_task(runs[0].setting, [run.id for run in runs], lambda *one: True)
    store.add(Results(measurements=[Measurement(*one, 0.5) for one in task.lacking]))


def fits(found):
    return [list(task.runs) for task in found.fits]


def test_an_empty_store_lacks_everything_and_runs_of_one_setting_go_together(store):
    runs = small_runs("topk", 3) + small_runs("osae", 3)
    found = plan([*runs, *runs], store)
    assert list(found.missing) == runs
    assert fits(found) == [runs[:3], runs[3:]]
    assert found.fits[0].code == code_of("toy", "topk")
    assert (found.n_runs, found.n_found, found.n_tasks) == (6, 0, 2)
    assert (found.done, found.failed, found.skipped, found.measures, found.pairs) == ((),) * 5


def test_no_more_than_three_runs_are_fitted_together_and_as_evenly_as_can_be(store):
    runs = small_runs("topk", 7)
    assert [len(part) for part in fits(plan(runs, store))] == [2, 2, 3]


@pytest.mark.parametrize(
    ("n_workers", "sizes"), [(1, [2, 2]), (2, [2, 2]), (3, [2, 2]), (4, [1] * 4), (9, [1] * 4)]
)
def test_runs_of_one_setting_are_divided_only_where_workers_would_be_idle(store, n_workers, sizes):
    runs = small_runs(n=2) + small_runs(n=2, problem_seed=1)
    found = plan(runs, store, n_workers=n_workers)
    assert [len(part) for part in fits(found)] == sizes
    assert [run for part in fits(found) for run in part] == runs


@pytest.mark.parametrize(
    "change",
    [
        {"case": catalogue.case_of("toy", {"d": 6, "K": 8, "m": 2, "N": 400, "alpha": 1.1}, 0)},
        {"case": catalogue.case_of("toy", {"d": 6, "K": 8, "m": 2, "N": 400}, 1)},
        {"method": "osae"},
        {"params": (("lr", 0.02),)},
        {"budget": Budget("steps", 31, 100)},
        {"budget": Budget("steps", 30, 99)},
        {"arithmetic": "fast"},
    ],
)
def test_runs_that_differ_in_more_than_seeds_are_not_fitted_together(store, change):
    run, other = small_runs(n=2)
    changed = replace(other, setting=replace(other.setting, **change))
    assert fits(plan([run, other], store)) == [[run, other]]
    assert fits(plan([run, changed], store)) == [[run], [changed]]


def test_finished_runs_are_left_and_failed_ones_are_tried_again_each_alone(store):
    done, diverged, late, wrong, *new = runs = small_runs(n=7)
    added(store, [done])
    for run, status in ((diverged, "diverged"), (late, "timeout"), (wrong, "error")):
        added(store, [run], status)
    found = plan(runs, store)
    assert (found.done, found.diverged) == ((done,), (diverged,))
    assert (found.failed, found.missing) == ((late, wrong), tuple(new))
    assert fits(found) == [new, [late], [wrong]]
    assert found.n_found == 2


def test_force_wants_everything_again(store):
    runs = small_runs()
    added(store, runs)
    pairs_added(store, runs)
    assert plan(runs, store).n_tasks == 0
    assert fits(plan(runs, store, force=True)) == [runs]


def test_what_a_method_cannot_do_is_left_with_its_reason(store, monkeypatch):
    narrow = replace(
        catalogue.methods()["topk"], skip=lambda params, shape: f"K = {shape.K}: too many for it"
    )
    monkeypatch.setattr(catalogue, "methods", lambda: {"topk": narrow})
    runs = small_runs("topk", 2) + small_runs("topk", 2, problem_seed=1)
    added(store, runs[:1])
    found = plan(runs, store)
    assert found.done == (runs[0],)
    assert found.skipped == (
        Skipped(runs[0].setting, 1, "K = 8: too many for it"),
        Skipped(runs[2].setting, 2, "K = 8: too many for it"),
    )
    assert (found.n_tasks, found.n_found, found.n_runs) == (0, 4, 4)


def test_a_metric_added_later_is_measured_on_the_runs_that_are_stored(store, monkeypatch):
    runs = small_runs("topk", 3) + small_runs("osae", 3)
    added(store, runs)
    pairs_added(store, runs[:3])
    pairs_added(store, runs[3:])
    new = Metric("new", "new", "new", 1, of_run=lambda scored: 0.0)
    extended = {**catalogue.metrics(), "new": new}
    monkeypatch.setattr(catalogue, "metrics", lambda: extended)
    [task] = plan(runs, store).measures
    assert (list(task.runs), task.metrics) == (runs, ("new",))
    assert plan(runs, store).fits == ()
    store.add(Results(measurements=[Measurement(run.id, "", "new", None) for run in runs[:2]]))
    [task] = plan(runs, store).measures
    assert list(task.runs) == runs[2:]


def test_pairs_are_of_done_runs_of_one_setting_and_only_those_not_measured(store):
    runs = small_runs(n=4)
    added(store, [*runs[:3], *small_runs(n=1, problem_seed=1)])
    added(store, runs[3:], "diverged")
    [task] = plan([*runs, *small_runs(n=1, problem_seed=1)], store).pairs
    ids = sorted(run.id for run in runs[:3])
    assert task.setting == runs[0].setting
    assert set(task.lacking) == {
        (ids[a], ids[b], name)
        for a, b in ((0, 1), (0, 2), (1, 2))
        for name, metric in catalogue.metrics().items()
        if metric.scope == "pair"
    }
    known = Measurement(ids[0], ids[2], "stab_pairs", 0.5)
    store.add(Results(measurements=[known]))
    [left] = plan(runs, store).pairs
    assert set(task.lacking) - set(left.lacking) == {(ids[0], ids[2], "stab_pairs")}
    assert set(left.lacking) < set(task.lacking)


def test_what_only_training_anew_could_measure_is_said_and_not_planned(store):
    runs = small_runs(n=3)
    added(store, runs)
    shutil.rmtree(store.folder / "arrays" / runs[0].id[:2])
    left = [run for run in runs if run.id[:2] != runs[0].id[:2]]
    found = plan(runs, store)
    assert found.unkept == tuple(run for run in runs if run not in left)
    assert {name for task in found.pairs for name in task.ids} <= {run.id for run in left}


def test_shards_share_the_work_and_pairs_stay_together(store):
    runs = [run for draw in range(12) for run in small_runs(n=2, problem_seed=draw)]
    parts = [plan(runs, store, shard=Shard(i, 3)) for i in (1, 2, 3)]
    together = [run for part in parts for run in part.missing]
    assert sorted(run.id for run in together) == sorted(run.id for run in runs)
    assert min(part.n_runs for part in parts) > 0
    for part in parts:
        seeds = [run.setting.case.problem_seed for run in part.missing]
        assert all(seeds.count(seed) == 2 for seed in seeds)


def test_a_plan_changes_nothing_and_is_the_same_twice(store):
    runs = small_runs(n=4)
    added(store, runs[:2])
    before = sorted(path.name for path in store.folder.rglob("*"))
    first, second = plan(runs, store), plan(runs, store)
    assert first.fits == second.fits
    assert [task.lacking for task in first.pairs] == [task.lacking for task in second.pairs]
    assert sorted(path.name for path in store.folder.rglob("*")) == before


def test_an_unknown_method_is_refused_by_name(store):
    run = replace(small_runs(n=1)[0], setting=replace(small_setting(), method="topq"))
    with pytest.raises(InputError, match="topq"):
        plan([run], store)
