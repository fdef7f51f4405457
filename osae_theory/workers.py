"""Independent tasks spread over spawned processes, each with one thread."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, cast

import joblib

from osae_theory.threads import limited_threads

THREADS_PER_WORKER = 1


def in_workers(
    function: Callable[[Any], Any], tasks: Sequence[Any], n_workers: int
) -> Iterator[Any]:
    """Yield the results of `function` on each task, in the order in which they are done.

    With one worker, or one task, all is done in this process; with the same number of threads,
    so that results do not depend on how many workers there are.
    """
    if n_workers == 1 or len(tasks) <= 1:
        with limited_threads(THREADS_PER_WORKER):
            yield from map(function, tasks)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=THREADS_PER_WORKER):
        parallel = joblib.Parallel(n_jobs=n_workers, return_as="generator_unordered")
        yield from cast("Iterator[Any]", parallel(joblib.delayed(_do)(function, t) for t in tasks))


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
