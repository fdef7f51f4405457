import os
import signal
import subprocess
import sys
import threading

import pytest

import light_tasks
from benchmarks.engine.local import Failure, local_engine
from light_tasks import alive, wait_until
from osae_theory.errors import JobError


def no_limit(task):
    return None


def results(function, tasks, n_workers, isolated=True, limit=no_limit):
    with local_engine(n_workers, isolated) as carry_out:
        return [
            (finished.task, finished.result)
            for batch in carry_out(function, tasks, limit)
            for finished in batch
        ]


@pytest.mark.parametrize(("n_workers", "isolated"), [(1, False), (1, True), (2, True)])
def test_every_task_is_done_once_by_any_number_of_workers(n_workers, isolated):
    found = results(light_tasks.square, range(5), n_workers, isolated)
    assert sorted(found) == [(x, x * x) for x in range(5)]


def test_one_worker_without_a_limit_is_this_process():
    assert results(light_tasks.own_id, [0], 1, isolated=False) == [(0, os.getpid())]
    [(_, other)] = results(light_tasks.own_id, [0], 1)
    assert other != os.getpid()
    assert not alive(other)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_task_that_raises_is_a_failure_with_one_line_and_the_others_are_done(isolated):
    found = dict(results(light_tasks.negative_raises, [1, -1, 2], 1, isolated))
    assert found == {1: 1, -1: Failure("error", "ValueError: -1 is negative"), 2: 2}


def test_what_ends_a_worker_costs_only_its_task_and_is_said():
    orders = ["go", "die", "on", "exit", "and", "quit", "still", "lambda", "there"]
    found = dict(results(light_tasks.obeys, orders, 2))
    assert found["die"] == Failure(
        "error", "its process was ended by SIGKILL, perhaps for want of memory"
    )
    assert found["exit"] == Failure("error", "its process ended with exit code 3")
    assert found["quit"] == Failure("error", "SystemExit: enough")
    assert found["lambda"].status == "error"
    assert "pickle" in found["lambda"].reason
    assert all(found[order] == order for order in orders[::2])


def test_a_task_past_its_time_is_a_failure_and_its_worker_is_replaced(tmp_path):
    tasks = [str(tmp_path), 3.0]
    found = dict(
        results(
            light_tasks.waits_or_squares, tasks, 1, limit=lambda t: 1 if t == tasks[0] else None
        )
    )
    assert found == {tasks[0]: Failure("timeout", "no result in 1 s"), 3.0: 9.0}
    [mark] = tmp_path.iterdir()
    assert not alive(int(mark.name))


def test_a_job_error_of_a_task_ends_the_job_after_what_is_under_way():
    done = []

    def work(carry_out):
        for batch in carry_out(light_tasks.two_stops_the_job, [1, 2, 3, 4, 5, 6], no_limit):
            done.extend(finished.result for finished in batch)

    with local_engine(2) as carry_out, pytest.raises(JobError, match=r"^stop here$"):
        work(carry_out)
    assert 1 in done
    assert 6 not in done


def test_workers_whose_results_nobody_wants_any_more_are_ended(tmp_path):
    with local_engine(2) as carry_out:
        tasks = [2.0, str(tmp_path), str(tmp_path)]
        batches = carry_out(light_tasks.waits_or_squares, tasks, no_limit)
        assert next(batches)[0].result == 4.0
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        batches.close()
        assert not any(alive(int(mark.name)) for mark in tmp_path.iterdir())


def test_workers_stay_from_one_set_of_tasks_to_the_next():
    with local_engine(1) as carry_out:
        first, second = (
            next(carry_out(light_tasks.own_id, [0], no_limit))[0].result for _ in range(2)
        )
        assert first == second
        assert alive(first)
    assert not alive(first)


def test_there_are_no_more_processes_than_tasks():
    before = threading.active_count()
    found = {process for _, process in results(light_tasks.own_id, range(2), 8)}
    assert len(found) <= 2
    assert threading.active_count() == before


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def tasks():
        for x in range(10):
            taken.append(x)
            yield x

    with local_engine(1, isolated=False) as carry_out:
        for n, _ in enumerate(carry_out(light_tasks.square, tasks(), no_limit), 1):
            assert len(taken) == n


def test_an_exception_of_the_source_of_tasks_is_the_jobs():
    def tasks():
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        results(light_tasks.square, tasks(), 2)


def test_a_worker_that_cannot_start_is_the_jobs_error_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "not_for_workers.py").write_text(
        "import multiprocessing\n"
        "if multiprocessing.parent_process() is not None:\n"
        "    raise ImportError('only for parents')\n"
        "def same(x):\n"
        "    return x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import not_for_workers

    with pytest.raises(JobError, match=r"could not start \(ImportError: only for parents\)"):
        results(not_for_workers.same, [1], 1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_stopped_leaves_no_worker(tmp_path, number):
    job = subprocess.Popen(
        [sys.executable, light_tasks.__file__, tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    # Ctrl-C reaches all processes of a terminal; it is for the first of them.
    if number == signal.SIGINT:
        os.killpg(job.pid, number)
    else:
        job.send_signal(number)
    assert job.wait() != 0
    wait_until(lambda: not any(alive(int(mark.name)) for mark in tmp_path.iterdir()))
