import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from osae_theory.errors import JobError
from osae_theory.workers import in_workers

# What workers import: they cannot find a function of a test file.
HELPERS = """
import os, signal, sys, time
from pathlib import Path

def square(x):
    return x * x

def pid(x):
    time.sleep(0.2)
    return os.getpid()

def odd_fails(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    time.sleep(0.5)
    return x

def two_kills_its_worker(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

def marks_and_waits(folder):
    Path(folder, str(os.getpid())).touch()
    while True:
        time.sleep(0.05)
"""


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    folder = tmp_path / "helpers"
    folder.mkdir()
    (folder / "worker_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("worker_helpers", None)
    import worker_helpers

    yield worker_helpers
    del sys.modules["worker_helpers"]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for is at an end.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition):
    """Wait for what must come; a machine may be slow, but not for ten minutes."""
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_task_is_done_whatever_the_number_of_workers(helpers):
    for n_workers in (1, 2):
        assert sorted(in_workers(helpers.square, range(5), n_workers)) == [0, 1, 4, 9, 16]


def test_frozen_values_with_read_only_mappings_travel_to_workers(helpers):
    from types import MappingProxyType

    tasks = [MappingProxyType({"x": x}) for x in range(2)]
    assert sorted(in_workers(dict, tasks, 2), key=str) == [{"x": 0}, {"x": 1}]


def test_there_are_no_more_workers_than_tasks_and_none_stays(helpers):
    found = set(in_workers(helpers.pid, range(2), 10))
    assert os.getpid() not in found
    assert 1 <= len(found) <= 2
    assert not any(map(alive, found))


def test_the_exception_of_a_task_comes_after_what_is_finished(helpers):
    results = in_workers(helpers.odd_fails, [1, 2], 2)
    assert next(results) == 2
    with pytest.raises(ValueError, match="1 is odd"):
        next(results)


def test_a_killed_worker_is_said_with_how_to_go_on(helpers):
    with pytest.raises(JobError, match=r"was killed.* same command goes on"):
        list(in_workers(helpers.two_kills_its_worker, [2, 2], 2))


def test_workers_whose_results_nobody_wants_any_more_are_ended(helpers, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "0").touch()
    # The first task is done at once; the second never is.
    results = in_workers(_first_then_wait(helpers, marks), [None, str(marks)], 2)
    next(results)
    wait_until(lambda: len(list(marks.iterdir())) == 2)
    results.close()
    started = [int(mark.name) for mark in marks.iterdir() if mark.name != "0"]
    wait_until(lambda: not any(alive(process) for process in started))


def _first_then_wait(helpers, marks):
    source = Path(helpers.__file__)
    source.write_text(
        source.read_text()
        + "\ndef first_then_wait(x):\n    return x if x is None else marks_and_waits(x)\n"
    )
    exec(compile(source.read_text(), str(source), "exec"), helpers.__dict__)
    return helpers.first_then_wait


PARENT = """
import sys
from worker_helpers import marks_and_waits
from osae_theory.workers import in_workers
if __name__ == "__main__":
    print("started", flush=True)
    list(in_workers(marks_and_waits, [sys.argv[1]] * 2, 2))
"""


def started(tmp_path, helpers):
    """Start a parent of two workers in a session of its own; return it and the workers' marks."""
    marks, script = tmp_path / "marks", tmp_path / "parent.py"
    marks.mkdir()
    script.write_text(PARENT)
    search = os.pathsep.join([str(Path(helpers.__file__).parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, script, marks],
        env=os.environ | {"PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return process, marks


def session_of(pid):
    """Return the processes that live in a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)


@needs_proc
def test_a_parent_that_dies_while_its_workers_start_leaves_none(tmp_path, helpers):
    process, marks = started(tmp_path, helpers)
    # Parent, resource tracker, and two workers that have yet to import anything.
    wait_until(lambda: len(session_of(process.pid)) >= 4)
    assert list(marks.iterdir()) == []
    process.terminate()
    process.wait()
    wait_until(lambda: not session_of(process.pid))


@needs_proc
def test_a_parent_that_dies_while_its_workers_work_leaves_none(tmp_path, helpers):
    process, marks = started(tmp_path, helpers)
    wait_until(lambda: len(list(marks.iterdir())) == 2)
    process.kill()
    process.wait()
    wait_until(lambda: not session_of(process.pid))


@needs_proc
def test_an_interrupt_of_all_ends_all(tmp_path, helpers):
    process, marks = started(tmp_path, helpers)
    wait_until(lambda: len(list(marks.iterdir())) == 2)
    os.killpg(process.pid, signal.SIGINT)
    process.wait()
    wait_until(lambda: not session_of(process.pid))
