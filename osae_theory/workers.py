"""Independent tasks spread over spawned processes, each with one thread."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import joblib

from osae_theory.threads import limited_threads

THREADS_PER_WORKER = 1
_INTERRUPTED = threading.Event()


def in_workers(
    function: Callable[[Any], Any], tasks: Sequence[Any], n_workers: int
) -> Iterator[Any]:
    """Yield the results of `function` on each task, in the order in which they are done.

    With one worker, or one task, all is done in this process; with the same number of threads,
    so that results do not depend on how many workers there are.

    Raises KeyboardInterrupt between two tasks after an interrupt that went unseen, within
    `remembered_interrupts`.
    """
    if n_workers == 1 or len(tasks) <= 1:
        with limited_threads(THREADS_PER_WORKER):
            for task in tasks:
                _stop_if_interrupted()
                yield function(task)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=THREADS_PER_WORKER):
        parallel = joblib.Parallel(n_jobs=n_workers, return_as="generator_unordered")
        done = parallel(joblib.delayed(_do)(function, task) for task in tasks)
        for found in cast("Iterator[Any]", done):
            _stop_if_interrupted()
            yield found


@contextmanager
def remembered_interrupts() -> Iterator[None]:
    """Remember Ctrl-C, so that `in_workers` stops even where its exception was lost.

    An interrupt is raised wherever Python happens to be: inside a destructor, or a callback
    from C, it is printed and forgotten.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return

    def remember(number: int, frame: object) -> None:
        _INTERRUPTED.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _INTERRUPTED.clear()


def _stop_if_interrupted() -> None:
    if _INTERRUPTED.is_set():
        raise KeyboardInterrupt


def _do(function: Callable[[Any], Any], task: Any) -> Any:
    _die_with_parent()
    with limited_threads(THREADS_PER_WORKER):
        return function(task)


@cache
def _die_with_parent() -> None:
    """Watch the parent process once a second: a killed job leaves no worker behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
