from dataclasses import replace

import pytest

from benchmarks.contracts import Shape
from benchmarks.engine.costs import expected_costs, modelled_seconds, plan_table
from benchmarks.engine.plan import plan
from benchmarks.outcome import Outcome, Results
from benchmarks.spec import Budget
from benchmarks.store import Store
from small_runs import small_runs, small_setting

LARGE = {"d": 80, "K": 100, "m": 5, "N": 100_000}


@pytest.fixture
def store(tmp_path):
    return Store.at(tmp_path / "store", create=True)


def timed(store, runs, seconds, status="done"):
    store.add(Results([Outcome(run, status, seconds=seconds) for run in runs]))


def costs(runs, store):
    return expected_costs(plan(runs, store))


def test_runs_take_what_runs_of_their_kind_took_whatever_their_draw(store):
    before = small_runs(n=3)
    for run, seconds in zip(before, (10, 20, 400), strict=True):
        timed(store, [run], seconds)
    found = costs(small_runs(n=4, problem_seed=1), store)
    assert found.core_seconds == pytest.approx(80, rel=1e-2)
    assert found.bases == {"measured": 4}


def test_runs_of_another_size_are_scaled_from_runs_of_their_method(store):
    here, there = small_setting(), small_setting(problem=LARGE)
    timed(store, small_runs(n=1), 10.0)
    found = costs(small_runs(n=1, problem=LARGE), store)
    shape = Shape(80, 100, 5, 100_000)
    ratio = modelled_seconds(shape, there.budget) / modelled_seconds(
        Shape(6, 8, 2, 400), here.budget
    )
    assert found.core_seconds == pytest.approx(10 * ratio, rel=0.1)
    assert found.bases == {"scaled": 1}


def test_failed_runs_and_other_methods_say_nothing_of_time(store):
    timed(store, small_runs("osae", 1), 1e6)
    timed(store, small_runs("topk", 1), 1e6, "diverged")
    assert costs(small_runs("topk", 1, problem_seed=1), store).bases == {"modelled": 1}


def test_the_model_knows_the_papers_run_in_its_order_of_magnitude():
    paper = Shape(80, 100, 5, 100_000)
    assert 0.5 < modelled_seconds(paper, Budget()) < 50
    twice = replace(Budget(), amount=2 * Budget().amount)
    assert modelled_seconds(paper, twice) == pytest.approx(2 * modelled_seconds(paper, Budget()))
    assert modelled_seconds(paper, Budget("iterations", 5, 0)) == pytest.approx(
        5 * modelled_seconds(paper, Budget("none", 0, 0))
    )


def test_disk_is_that_of_dictionaries_encoders_and_rows(store):
    found = costs(small_runs(n=2, problem=LARGE), store)
    assert found.disk_bytes == pytest.approx(2 * 8000 * 12, rel=0.1)


def test_tables_are_one_a_problem_with_a_row_a_method(store):
    runs = [
        run
        for draw in (0, 1)
        for method in ("topk", "osae")
        for problem in (None, LARGE)
        for run in small_runs(method, 2, problem=problem, problem_seed=draw)
    ]
    found = costs(runs, store)
    assert (found.tables, found.rows) == (2, 4)


def test_the_table_says_what_is_there_what_is_missing_and_what_it_costs(store):
    runs = small_runs(n=5)
    timed(store, runs[:1], 1800.0)
    timed(store, runs[1:2], 1.0, "diverged")
    timed(store, runs[2:3], 1.0, "timeout")
    lines = plan_table(plan(runs, store, n_workers=2)).splitlines()
    rows = {line[:17].strip(): line[17:].split(maxsplit=1) for line in lines}
    assert rows["runs"] == ["5"]
    assert rows["done"] == ["1"]
    assert rows["diverged"] == ["1", "not tried again"]
    assert rows["failed before"] == ["1", "tried again"]
    assert rows["missing"] == ["2"]
    assert rows["core-hours"] == ["1.5", "3 took as long before"]
    assert rows["hours"] == ["0.75", "with 2 workers"]
    assert rows["tables"] == ["1", "with 1 rows in all"]


def test_a_plan_with_nothing_to_do_costs_nothing(store):
    runs = small_runs("truth", 1)
    timed(store, runs, 1.0)
    found = costs(runs, store)
    assert (found.core_seconds, found.disk_bytes, found.bases) == (0, 0, {})
