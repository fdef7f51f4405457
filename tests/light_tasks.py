"""What the tests of the engine have worker processes do; it imports little, so that they start soon."""

import os
import signal
import sys
import time
from pathlib import Path

from osae_theory.errors import JobError


def square(x):
    return x * x


def own_id(x):
    return os.getpid()


def negative_raises(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x


def two_stops_the_job(x):
    if x == 2:
        raise JobError("stop here")
    time.sleep(0.2)
    return x


def obeys(order):
    """Do what a worker is told that should not be."""
    if order == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "exit":
        os._exit(3)
    if order == "quit":
        sys.exit("enough")
    if order == "lambda":
        return lambda: None
    return order


def marks_and_waits(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(3600)


def waits_or_squares(x):
    return marks_and_waits(x) if isinstance(x, str) else x * x


def alive(pid):
    """Say whether a process runs; a zombie that nobody has waited for is at an end."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    try:
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition):
    """Wait for what must come; a machine may be slow, but not for ten minutes."""
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    # A job of two workers that never end, whose processes leave marks in a folder.
    from benchmarks.engine.local import local_engine

    with local_engine(2) as carry_out:
        list(carry_out(marks_and_waits, [sys.argv[1]] * 2, lambda task: None))
