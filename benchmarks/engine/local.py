"""Tasks carried out on this machine, in spawned processes: what befalls one costs no other.

A task that raises, runs past its time, or takes its process with it is a failure with a reason;
its process is replaced, and the others go on.
"""

import importlib
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol, runtime_checkable

from osae_theory.errors import JobError, described
from osae_theory.workers import interrupts_held, spawned_pool

_EVERY_SECONDS = 0.05
# Which of this process's children is new is seen by comparing before with after.
_SPAWNING = threading.Lock()
_END = object()


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result.

    Attributes
    ----------
    status : str
        "timeout" or "error".
    reason : str
        In one line.
    """

    status: Literal["timeout", "error"]
    reason: str


@dataclass(frozen=True, eq=False)
class Finished:
    """A task that has come to an end.

    Attributes
    ----------
    task : object
        The task.
    result : object
        What came of it; a `Failure` if nothing did.
    """

    task: Any
    result: Any


@runtime_checkable
class CarryOut(Protocol):
    """What carries out tasks: on this machine, or elsewhere."""

    def __call__(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        limit: Callable[[Any], float | None],
    ) -> Generator[list[Finished], None, None]:
        """Yield what comes of `function` on each task, in the order in which they end.

        Parameters
        ----------
        function : callable
            Of a module, so that another process finds it.
        tasks : iterable
            The next is taken when there is somebody to do it, one at a time, perhaps by another
            thread.
        limit : callable
            Gives the seconds that a task may take; None for any.

        Raises
        ------
        JobError
            If a task raises it: no further task is begun, and what is under way is yielded
            first.
        """
        ...


@contextmanager
def local_engine(n_workers: int, isolated: bool = True) -> Iterator[CarryOut]:
    """Give what carries out tasks in processes of this machine, which end with the block.

    Parameters
    ----------
    n_workers : int
        How many; each is spawned when there is a task for it.
    isolated : bool
        Whether one worker is a process of its own too. Otherwise tasks are done in this process,
        and `limit` says nothing.
    """
    if n_workers <= 1 and not isolated:
        yield _here
        return
    workers = [Worker() for _ in range(n_workers)]
    try:
        yield partial(_in_workers, workers)
    finally:
        for worker in workers:
            worker.end()


class Worker:
    """A spawned process that does one task at a time, and is replaced when it is lost."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None

    def do(self, function: Callable[[Any], Any], task: Any, limit: float | None) -> Any:
        """Return what comes of a task, or a `Failure`.

        Raises
        ------
        JobError
            If the task raises it, or no process can be started.
        """
        if self._pool is None:
            self._start(function)
        try:
            found = self._submit(attempt, function, task).result(limit)
        except TimeoutError:
            self.end()
            return Failure("timeout", f"no result in {limit:g} s")
        except BrokenProcessPool:
            return Failure("error", _fate(self.end()))
        except Exception as error:  # a task or a result that cannot be sent
            return Failure("error", described(error))
        return raised(found)

    def kill(self) -> None:
        """End the process at once, also from another thread than the one that waits for it."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> int | None:
        """End the process, if there is one, and return its exit code."""
        pool, process = self._pool, self._process
        self._pool = self._process = None
        if process is not None:
            process.kill()  # whatever it may still be doing is for nobody
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        return None if process is None else process.exitcode

    def _start(self, function: Callable[[Any], Any]) -> None:
        with _SPAWNING:
            others = set(multiprocessing.active_children())
            self._pool = spawned_pool(1)
            ready = self._submit(_ready, function.__module__)
            self._process = next(iter(set(multiprocessing.active_children()) - others), None)
        # A task's time does not begin before its process is there and has imported what it does.
        try:
            trouble = ready.result()
        except BrokenProcessPool:
            trouble = _fate(self.end())
        if trouble:
            self.end()
            raise JobError(
                f"a worker process could not start ({trouble}): the same command goes on with"
                " the runs that are finished"
            )

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        assert self._pool is not None
        with interrupts_held():
            return self._pool.submit(function, *arguments)


def _ready(module: str) -> str:
    """Import a module and return why that cannot be done; empty if it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return described(error)
    return ""


@dataclass(frozen=True)
class _Stop:
    """A JobError on its way from another process."""

    message: str


def attempt(function: Callable[[Any], Any], task: Any) -> Any:
    """Return what comes of a task; what it raises becomes a value that can be sent."""
    try:
        return function(task)
    except JobError as error:
        return _Stop(str(error))
    except (Exception, SystemExit) as error:
        return Failure("error", described(error))


def raised(found: Any) -> Any:
    """Return what `attempt` gave; raise the JobError that it may be."""
    if isinstance(found, _Stop):
        raise JobError(found.message)
    return found


def _fate(exit_code: int | None) -> str:
    if exit_code is None:
        return "its process was lost"
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code}"
    number = -exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    perhaps = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{perhaps}"


def _here(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    limit: Callable[[Any], float | None],
) -> Generator[list[Finished], None, None]:
    for task in tasks:
        yield [Finished(task, raised(attempt(function, task)))]


class _Round:
    """One set of tasks, which several threads take and whose results one thread reads."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        limit: Callable[[Any], float | None],
    ) -> None:
        self.results: queue.Queue[Any] = queue.Queue()
        self.stopping = threading.Event()
        self._function, self._tasks, self._limit = function, iter(tasks), limit
        self._taking = threading.Lock()

    def serve(self, worker: Worker) -> None:
        """Have a worker do one task after the other, as long as there are any."""
        try:
            while (task := self._take()) is not _END:
                found = worker.do(self._function, task, self._limit(task))
                self.results.put(Finished(task, found))
        except BaseException as error:
            self.stopping.set()
            self.results.put(error)
        finally:
            self.results.put(_END)

    def waiting(self) -> list[Any]:
        """Wait for something to come, and return all that is there."""
        found = [self.results.get()]
        while not self.results.empty():
            found.append(self.results.get())
        return found

    def _take(self) -> Any:
        with self._taking:
            return _END if self.stopping.is_set() else next(self._tasks, _END)


def _in_workers(
    workers: Sequence[Worker],
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    limit: Callable[[Any], float | None],
) -> Generator[list[Finished], None, None]:
    current = _Round(function, tasks, limit)
    threads = [threading.Thread(target=current.serve, args=(worker,)) for worker in workers]
    n_serving, failure = len(threads), None
    try:
        for thread in threads:
            thread.start()
        while n_serving:
            found = current.waiting()
            n_serving -= sum(one is _END for one in found)
            failure = failure or next((e for e in found if isinstance(e, BaseException)), None)
            if batch := [one for one in found if isinstance(one, Finished)]:
                yield batch
    except BaseException:
        # Interrupted, or nobody wants the rest: whoever still works, works for nothing.
        current.stopping.set()
        _end_all(workers, threads)
        raise
    for thread in threads:
        thread.join()
    if failure is not None:
        raise failure


def _end_all(workers: Sequence[Worker], threads: Sequence[threading.Thread]) -> None:
    """Kill what workers do until nobody waits for them any more; one may be about to start."""
    while any(thread.is_alive() for thread in threads):
        for worker in workers:
            worker.kill()
        time.sleep(_EVERY_SECONDS)
