from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.contracts import Metric
from benchmarks.engine.measure import MeasureTask, PairTask, do
from benchmarks.engine.task import FitTask, code_of
from benchmarks.outcome import Measurement
from osae_theory.metrics import stability
from small_runs import outcomes, small_runs

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def three():
    """Three runs of one setting."""
    return outcomes(small_runs("osae"))


def kept(found):
    return {one.spec.id: (one.encoder, one.arrays) for one in found}


def metrics(scope):
    return tuple(name for name, one in catalogue.metrics().items() if one.scope == scope)


@pytest.mark.parametrize("method", ["osae", "truth"])
def test_a_stored_run_measured_again_gives_the_same_bits(method, three):
    found = three if method == "osae" else outcomes(small_runs(method))
    task = MeasureTask(tuple(one.spec for one in found), metrics("run"), kept(found))
    done = do(task)
    assert done.failures == ()
    assert len(done.results.measurements) == task.n_measurements
    assert list(done.results.measurements) == [
        Measurement(one.spec.id, "", name, one.values[name])
        for one in found
        for name in metrics("run")
    ]


def test_a_pair_is_measured_on_the_dictionaries_that_are_kept(three):
    ids = sorted(one.spec.id for one in three)
    lacking = ((ids[0], ids[1], "stab_pairs"), (ids[1], ids[2], "stab_pairs"))
    [first, second] = do(PairTask(three[0].spec.setting, lacking, kept(three))).results.measurements
    of = {one.spec.id: one.arrays["dictionary"] for one in three}
    assert first == Measurement(*lacking[0], stability(of[ids[0]], of[ids[1]]))
    assert second == Measurement(*lacking[1], stability(of[ids[1]], of[ids[2]]))


def test_a_fit_is_done_as_it_is_everywhere(three):
    runs = tuple(one.spec for one in three)
    found = do(FitTask(runs, code_of("toy", "osae"))).results.outcomes
    assert [one.dictionary_sha256 for one in found] == [one.dictionary_sha256 for one in three]


def test_runs_and_pairs_whose_arrays_are_not_there_are_left_out(three):
    ids = sorted(one.spec.id for one in three)
    there = {name: arrays for name, arrays in kept(three).items() if name != ids[1]}
    runs = tuple(one.spec for one in three)
    assert {run.id for run in MeasureTask(runs, ("l0",)).with_kept(there).runs} == set(there)
    lacking = tuple((a, b, "stab_pairs") for a, b in pairwise(ids))
    task = PairTask(runs[0].setting, (*lacking, (ids[0], ids[2], "stab_pairs")))
    assert task.ids == tuple(ids)
    assert task.with_kept(there).lacking == ((ids[0], ids[2], "stab_pairs"),)


def test_a_metric_that_raises_costs_no_other_value(three, monkeypatch):
    def fails(*of):
        raise ZeroDivisionError("nothing to divide")

    found = dict(catalogue.metrics())
    found["broken"] = Metric("broken", "broken", "broken", 1, of_run=fails)
    found["broken_pair"] = Metric("broken_pair", "broken", "broken", 1, of_pair=fails)
    found["endless"] = Metric("endless", "endless", "endless", 1, of_run=lambda scored: np.inf)
    monkeypatch.setattr(catalogue, "metrics", lambda: found)
    runs, there = (three[0].spec,), kept(three)
    done = do(MeasureTask(runs, ("broken", "l0", "endless"), there))
    assert done.failures == (("broken", "ZeroDivisionError: nothing to divide"),)
    assert [(one.metric, one.value) for one in done.results.measurements] == [
        ("l0", three[0].values["l0"]),
        ("endless", None),
    ]
    a, b = sorted(one.spec.id for one in three)[:2]
    pair = do(PairTask(runs[0].setting, ((a, b, "broken_pair"), (a, b, "stab_pairs")), there))
    assert [name for name, _ in pair.failures] == ["broken_pair"]
    assert [one.metric for one in pair.results.measurements] == ["stab_pairs"]


def test_arrays_that_nobody_can_read_cost_only_their_run(three):
    there = kept(three)
    first, second = (one.spec for one in three[:2])
    there[first.id] = ("an encoder of tomorrow", there[first.id][1])
    done = do(MeasureTask((first, second), ("l0", "mse"), there))
    assert [name for name, _ in done.failures] == ["l0", "mse"]
    assert "tomorrow" in done.failures[0][1]
    assert {one.run for one in done.results.measurements} == {second.id}


def test_tasks_say_how_many_values_they_measure():
    runs = small_runs()
    assert MeasureTask(tuple(runs), ("l0", "mse")).n_measurements == 6
    assert replace(PairTask(runs[0].setting, ()), lacking=(("a", "b", "x"),)).n_measurements == 1
