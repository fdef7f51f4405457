import subprocess
import sys
import threading

import pytest
import torch

from osae_theory import threads
from osae_theory.errors import InputError
from osae_theory.threads import in_parallel, limited_threads


@pytest.fixture(params=["team", "pool"])
def way(request, monkeypatch):
    """The threads of torch's OpenMP, and the pool where there is none."""
    if request.param == "pool":
        monkeypatch.setattr(threads, "_openmp", lambda: None)
    return request.param


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [0, 1, 7])
def test_every_task_is_done_once(way, count, n_tasks):
    done = []
    with limited_threads(count):
        in_parallel([lambda i=i: done.append(i) for i in range(n_tasks)])
    assert sorted(done) == list(range(n_tasks))


def test_tasks_run_at_the_same_time(way):
    together = threading.Barrier(2, timeout=600)  # so that a failure does not hang
    with limited_threads(2):
        in_parallel([together.wait, together.wait])
    assert not together.broken


def test_little_work_stays_on_this_thread(way):
    seen = set()
    with limited_threads(2):
        in_parallel([lambda: seen.add(threading.get_ident())] * 8, work=100)
    assert seen == {threading.get_ident()}


def test_an_error_in_any_task_is_raised(way):
    def fails():
        raise IndexError("beyond the end")

    with limited_threads(2):
        for tasks in ([fails, int, int], [int, fails, int]):
            with pytest.raises(IndexError, match="beyond the end"):
                in_parallel(tasks)


def test_the_number_of_threads_is_restored_even_after_an_error():
    before = torch.get_num_threads()
    seen = []

    def fails():
        with limited_threads(before + 2):
            seen.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert seen == [before + 2]
    assert torch.get_num_threads() == before
    with pytest.raises(InputError, match="threads = 0"), limited_threads(0):
        pass


def test_threads_work_in_a_forked_child_too():
    program = """
import os, torch
from osae_theory import threads
torch.set_num_threads(2)
threads._openmp = lambda: None
done = []
threads.in_parallel([lambda: done.append(1)] * 4)
child = os.fork()
if child == 0:
    threads.in_parallel([lambda: done.append(1)] * 4)
    os._exit(0 if len(done) == 8 else 1)
raise SystemExit(os.waitpid(child, 0)[1] != 0 or len(done) != 4)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
