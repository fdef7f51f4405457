"""Independent tasks spread over spawned processes, each with one thread.

A worker never outlives the process that asked for it, nor the work: the pool is closed when
the tasks are done, and a worker watches its parent from its first moment on, by a pipe that
was there before it was.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.reduction import ForkingPickler
from types import MappingProxyType
from typing import Any

from osae_theory.errors import JobError

THREADS_PER_WORKER = 1


def _read_only(values: dict[Any, Any]) -> "MappingProxyType[Any, Any]":
    return MappingProxyType(values)


# Frozen values hold read-only mappings, which Python does not send to another process by itself.
ForkingPickler.register(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))


def in_workers(
    function: Callable[[Any], Any], tasks: Sequence[Any], n_workers: int
) -> Generator[Any, None, None]:
    """Yield the results of `function` on each task, in the order in which they are done.

    With one worker, or one task, all is done in this process; with the same number of threads,
    so that results do not depend on how many workers there are. There are never more workers
    than tasks.

    Raises
    ------
    JobError
        If a worker is killed. As with any exception of a task: no further task is begun, and
        what is under way is finished and yielded first.
    """
    n_processes = min(n_workers, len(tasks))
    if n_processes <= 1:
        from osae_theory.threads import limited_threads

        with limited_threads(THREADS_PER_WORKER):
            yield from map(function, tasks)
        return
    others = set(multiprocessing.active_children())
    pool = spawned_pool(n_processes)
    try:
        with interrupts_held():
            futures = [pool.submit(_do, function, task) for task in tasks]
        yield from _results(futures)
    except BaseException:
        # Interrupted, or nobody wants the rest: whoever still works, works for nothing.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown()


def spawned_pool(n_processes: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes that end when this process does, however it ends.

    Submit to it inside `interrupts_held`: that is when its processes start.
    """
    return ProcessPoolExecutor(
        n_processes, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Start processes in which Ctrl-C is blocked: their parent hears it, and ends them."""
    # It unblocks interrupts when it starts: so it starts first.
    resource_tracker.ensure_running()
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _results(futures: Sequence[Future[Any]]) -> Iterator[Any]:
    failure: Exception | None = None
    for future in as_completed(futures):
        try:
            found = future.result()
        except CancelledError:
            continue
        except Exception as error:
            if failure is None:
                failure = error
                for other in futures:
                    other.cancel()
            continue
        yield found
    if isinstance(failure, BrokenProcessPool):
        raise JobError(
            "a worker process was killed, perhaps for want of memory: the same command goes on"
            " with the runs that are finished"
        ) from failure
    if failure is not None:
        raise failure


def _do(function: Callable[[Any], Any], task: Any) -> Any:
    # Imported here: it brings torch, and a worker watches its parent before that.
    from osae_theory.threads import limited_threads

    with limited_threads(THREADS_PER_WORKER):
        return function(task)


def _begin() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
