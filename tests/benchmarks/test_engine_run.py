import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import engine_jobs
from benchmarks import catalogue
from benchmarks.contracts import Metric
from benchmarks.engine import task as task_module
from benchmarks.engine.plan import plan
from benchmarks.engine.run import Summary, complete
from benchmarks.engine.shards import Shard
from benchmarks.store import Store
from engine_jobs import methods_of, wanted_runs, write_methods
from light_tasks import wait_until
from osae_theory.errors import InputError, JobError
from small_runs import small_runs

pytestmark = pytest.mark.trains
METHODS = "topk,msae-random,truth"


def new_store(folder):
    return Store.at(folder, create=True)


def assert_same_frames(first, second):
    """Nothing differs but clocks and who wrote first."""
    one, other = first.frames(), second.frames()
    pd.testing.assert_frame_equal(one.runs, other.runs, check_exact=True)
    pd.testing.assert_frame_equal(one.measurements, other.measurements, check_exact=True)


def statuses(store):
    """Return what became of the runs of each method, with the reason."""
    runs = store.frames().runs.astype(str)
    return {
        (method, status, reason)
        for method, status, reason in zip(
            runs["method"], runs["status"], runs["reason"], strict=True
        )
    }


@pytest.fixture(autouse=True)
def _code_as_it_is():
    """What a test changes in this process is the code that its job begins with."""
    task_module._imported_code.cache_clear()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A store that one process has filled, and what it said of that."""
    store = new_store(tmp_path_factory.mktemp("reference"))
    progress = []
    summary = complete(wanted_runs(METHODS), store, n_workers=1, on_progress=progress.append)
    return store, summary, progress


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A folder of a user's own methods, which this process and its workers find."""
    folder = tmp_path_factory.mktemp("faulty")
    write_methods(folder)
    with methods_of(folder):
        yield folder


def of_pairs():
    return {name for name, metric in catalogue.metrics().items() if metric.scope == "pair"}


def test_a_job_stores_runs_their_measurements_and_those_of_all_pairs(reference):
    store, summary, progress = reference
    frames = store.frames()
    assert summary == Summary(14, 0, {"done": 14}, measurements=4 * 3 * len(of_pairs()))
    assert summary.sentence == "14 runs: 0 found, 14 done."
    assert progress[0] == 0
    assert sum(progress) == 14
    pairs = frames.measurements[frames.measurements["other"] != ""]
    assert (len(frames.runs), set(pairs["metric"])) == (14, of_pairs())
    assert pairs["metric"].astype(str).value_counts().eq(12).all()
    cells = frames.runs.set_index("run")["text"].str.replace(r'"seeds":\[.*?\],?', "", regex=True)
    assert (cells[pairs["run"]].to_numpy() == cells[pairs["other"]].to_numpy()).all()


def test_two_workers_and_four_shards_at_once_store_the_same_bits(reference, tmp_path):
    two = new_store(tmp_path / "two")
    complete(wanted_runs(METHODS), two, n_workers=2)
    assert_same_frames(reference[0], two)
    shared = new_store(tmp_path / "shards")

    def complete_shard(index):
        store = Store.at(shared.folder)
        return complete(wanted_runs(METHODS), store, n_workers=1, shard=Shard(index, 4))

    with ThreadPoolExecutor(4) as jobs:
        summaries = list(jobs.map(complete_shard, (3, 1, 4, 2)))
    assert sum(summary.wanted for summary in summaries) == 14
    assert sum(summary.statuses.get("done", 0) for summary in summaries) == 14
    assert_same_frames(reference[0], shared)


def test_what_is_finished_is_not_done_again(reference, monkeypatch):
    store, _, _ = reference
    monkeypatch.setattr("benchmarks.engine.measure.run_task", lambda task: pytest.fail("trained"))
    progress = []
    summary = complete(wanted_runs(METHODS), store, n_workers=1, on_progress=progress.append)
    assert summary == Summary(14, 14)
    assert progress == [14]


def test_a_run_more_adds_its_pairs_with_those_that_were_there(tmp_path):
    store = new_store(tmp_path)
    runs = small_runs(n=3)
    complete(runs[:2], store, n_workers=1)
    summary = complete(runs, store, n_workers=1)
    assert (summary.found, summary.statuses, summary.measurements) == (
        *(2, {"done": 1}),
        2 * len(of_pairs()),
    )
    assert len(store.frames().measurements.query("other != ''")) == 3 * len(of_pairs())


def test_a_metric_that_came_later_is_measured_without_training_to_the_same_bits(
    reference, tmp_path, monkeypatch
):
    full = dict(catalogue.metrics())
    store = new_store(tmp_path)
    with monkeypatch.context() as patch:
        fewer = {name: full[name] for name in full if name not in {"mse", "fifr", *of_pairs()}}
        patch.setattr(catalogue, "metrics", lambda: fewer)
        summary = complete(wanted_runs(METHODS), store, n_workers=1)
        assert summary.measurements == 0
    task_module._imported_code.cache_clear()
    monkeypatch.setattr("benchmarks.engine.measure.run_task", lambda task: pytest.fail("trained"))
    summary = complete(wanted_runs(METHODS), store, n_workers=1)
    assert (summary.found, summary.measurements) == (14, 14 * 2 + 12 * len(of_pairs()))
    assert_same_frames(reference[0], store)


def test_a_metric_that_fails_later_is_said_once_with_how_often(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    complete(small_runs(n=2), store, n_workers=1)

    def fails(scored):
        raise ZeroDivisionError("nothing to divide")

    extended = {**catalogue.metrics(), "broken": Metric("broken", "b", "b", 1, of_run=fails)}
    monkeypatch.setattr(catalogue, "metrics", lambda: extended)
    summary = complete(small_runs(n=2), store, n_workers=1)
    assert summary.failures == (
        "2 values of broken not measured: ZeroDivisionError: nothing to divide",
    )
    assert set(store.statuses().values()) == {"done"}


def test_force_does_everything_again_and_nothing_counts_twice(tmp_path):
    store = new_store(tmp_path)
    runs = small_runs(n=2)
    complete(runs, store, n_workers=1)
    before = store.frames()
    summary = complete(runs, store, n_workers=1, force=True)
    assert (summary.found, summary.statuses, summary.measurements) == (
        *(0, {"done": 2}),
        len(of_pairs()),
    )
    after = store.frames()
    assert set(after.runs["generation"]) == {1}
    for one, other in ((before.runs, after.runs), (before.measurements, after.measurements)):
        pd.testing.assert_frame_equal(
            one.drop(columns="generation"), other.drop(columns="generation"), check_exact=True
        )
    assert complete(runs, store, n_workers=1) == Summary(2, 2)


def test_arrays_that_are_lost_are_said_with_what_would_help(tmp_path):
    store = new_store(tmp_path)
    runs = small_runs(n=2)
    complete(runs[:1], store, n_workers=1)
    [file] = (store.folder / "arrays").rglob("*.safetensors")
    file.unlink()
    with pytest.warns(RuntimeWarning, match="not there"):
        summary = complete(runs, store, n_workers=1)
    assert summary.statuses == {"done": 1}
    [sentence] = summary.notes
    assert sentence.startswith("1 run cannot be measured further, for want of their arrays")
    assert "--force" in sentence


def test_what_methods_do_wrong_is_a_status_and_one_line_and_costs_no_other_run(faulty, tmp_path):
    store = new_store(tmp_path)
    methods = "raises,gives-nan,quits,gives-rows,gives-too-few,good"
    summary = complete(wanted_runs(methods, draws=(0,), n=2), store, n_workers=1)
    expected = "expected (d, K) = (6, 8)"
    wrong = {
        "raises": "ValueError: not for me: so it is",
        "quits": "SystemExit: I have had enough",
        "gives-nan": "the dictionary holds NaN or Inf: expected finite atoms",
        "gives-rows": f"a dictionary of shape (8, 6): {expected}",
        "gives-too-few": f"a dictionary of shape (6, 7): {expected}",
    }
    assert statuses(store) == {("good", "done", "")} | {
        (method, "error", reason) for method, reason in wrong.items()
    }
    assert summary.statuses == {"done": 2, "error": 10}
    assert set(summary.failures) == {
        f"2 runs of {method} ended as error: {reason}" for method, reason in wrong.items()
    }


def test_a_worker_that_is_killed_or_leaves_costs_only_its_task(faulty, tmp_path):
    store = new_store(tmp_path)
    wanted = wanted_runs("dies,raises,leaves,good", (0,), 1)
    summary = complete(wanted, store, n_workers=2)
    killed = "its process was ended by SIGKILL, perhaps for want of memory"
    assert statuses(store) == {
        ("dies", "error", killed),
        ("raises", "error", "ValueError: not for me: so it is"),
        ("leaves", "error", "its process ended with exit code 3"),
        ("good", "done", ""),
    }
    assert summary.sentence == "4 runs: 0 found, 1 done, 3 error."
    assert f"1 run of dies ended as error: {killed}" in summary.failures
    assert [run.id for run in plan(wanted, store).failed] == [run.id for run in wanted[:3]]


def test_a_run_past_its_time_is_a_timeout_also_with_one_worker(faulty, tmp_path):
    store = new_store(tmp_path)
    summary = complete(wanted_runs("hangs", (0,), 2), store, n_workers=1, timeout=0.5)
    assert statuses(store) == {("hangs", "timeout", "no result in 0.5 s a run")}
    assert summary.failures == ("2 runs of hangs ended as timeout: no result in 0.5 s a run",)


def test_runs_of_code_changed_since_the_job_began_are_not_kept(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    monkeypatch.setattr(task_module, "_imported_code", lambda family, method: "other")
    with pytest.raises(JobError, match="code was changed while the job was starting"):
        complete(small_runs(), store, n_workers=1)
    assert store.statuses() == {}


def test_a_job_that_is_killed_keeps_what_is_finished_and_goes_on_from_there(faulty, tmp_path):
    killed, whole = new_store(tmp_path / "killed"), new_store(tmp_path / "whole")
    methods = "good,waits"
    job = subprocess.Popen(
        [sys.executable, engine_jobs.__file__, killed.folder, methods, "1"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    # The job is held by a run that waits: all that came before is stored.
    wait_until(lambda: list(faulty.glob("*.at-work")))
    job.kill()
    job.wait()
    assert len(killed.statuses()) == 3
    (faulty / "go-on").touch()
    progress = []
    summary = complete(wanted_runs(methods), killed, n_workers=1, on_progress=progress.append)
    assert (summary.found, progress[0], sum(progress)) == (3, 3, 12)
    assert summary.statuses == {"done": 9}
    complete(wanted_runs(methods), whole, n_workers=1)
    assert_same_frames(killed, whole)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_workers": 0}, "workers = 0"),
        ({"engine": "slurm"}, "engine 'slurm' is unknown"),
        ({"timeout": 0}, "timeout = 0"),
        ({"gpu_share": -1}, "gpu share = -1"),
    ],
)
def test_a_job_that_cannot_be_is_refused_before_the_work(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        complete(small_runs(), new_store(tmp_path), **{"n_workers": 1, **wrong})
    assert not Path(tmp_path, "parts").exists()
