"""Tasks carried out by a Ray cluster; what a lost node had under way is done by another.

A node does a task as this machine would (`benchmarks.engine.local.Worker`): so a method that
crashes or runs past its time is the same failure everywhere. Nodes need this project, at the same
path, and nothing else: only this process reads and writes the store.
"""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.discovery import EXTRA
from benchmarks.engine.local import CarryOut, Failure, Finished, Worker, attempt, raised
from osae_theory.errors import InputError, JobError, in_one_line, shown

# A node is lost now and then; a task that has taken this many with it is at fault.
_LOST_NODES_PER_TASK = 5
# Tasks under way for each that can be done at once: a node that is done finds the next one there.
_TASKS_AHEAD = 2
_ANSWER_SECONDS = 10.0


@contextmanager
def ray_engine(
    address: str | None = None, n_workers: int = 1, gpu_share: float = 0.0
) -> Iterator[CarryOut]:
    """Give what carries out tasks on a Ray cluster, which is left with the block.

    Parameters
    ----------
    address : str, optional
        Of a cluster that is there, such as "10.0.0.1:6379" or "auto"; by default one is started
        on this machine, and ended.
    n_workers : int
        Tasks done at once by a cluster that is started here; any other says itself how many
        processors it has.
    gpu_share : float
        The share of a GPU that each task is given; 0 where tasks need none.

    Raises
    ------
    InputError
        If there is no cluster at the address.
    ModuleNotFoundError
        If Ray is not installed: it is this project's extra `ray`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray  # pyright: ignore[reportMissingImports]

    if address is not None:
        _check_somebody_is_at(address)
    options: dict[str, Any] = {"address": address}
    if address is None:  # a cluster of somebody else's on this machine is none of ours
        options = {"address": "local", "num_cpus": n_workers, "include_dashboard": False}
    try:
        ray.init(
            **options,
            runtime_env={"env_vars": _environment()},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise JobError(f"Ray could not start on this machine ({in_one_line(error)})") from error
        raise _refused(address, error) from error
    try:
        remote = ray.remote(_on_node).options(
            num_cpus=1, num_gpus=gpu_share, max_retries=_LOST_NODES_PER_TASK
        )
        yield partial(_carried_out, ray, remote, gpu_share)
    finally:
        ray.shutdown()


def _check_somebody_is_at(address: str) -> None:
    """Raise InputError if nobody answers, which Ray would find out after minutes of messages."""
    if address == "auto":  # Ray looks for what was started on this machine, and says so at once
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _refused(address, error) from error


def _refused(address: str, error: Exception) -> InputError:
    return InputError(
        f"--address {shown(address)}: expected that of a Ray cluster, such as auto or HOST:6379"
        f" ({in_one_line(error)})"
    )


def _carried_out(
    ray: Any,
    remote: Any,
    gpu_share: float,
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    limit: Callable[[Any], float | None],
) -> Generator[list[Finished], None, None]:
    waiting = iter(tasks)
    under_way: dict[Any, Any] = {}
    stop: JobError | None = None
    while True:
        if stop is None:
            room = max(0, _TASKS_AHEAD * _places(ray, gpu_share) - len(under_way))
            for task in islice(waiting, room):
                under_way[remote.remote(function, task, limit(task))] = task
        if not under_way:
            break
        # One that is done is enough; whatever else is done by then comes with it.
        ray.wait(list(under_way), num_returns=1)
        ready, _ = ray.wait(list(under_way), num_returns=len(under_way), timeout=0)
        batch = []
        for reference in ready:
            task = under_way.pop(reference)
            try:
                batch.append(Finished(task, raised(_found(ray, reference))))
            except JobError as error:
                stop = stop or error
        if batch:
            yield batch
    if stop is not None:
        raise stop


def _found(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise JobError(
            f"a node of the cluster cannot do its work ({in_one_line(error.cause)}): expected this"
            " project at the same path, with the same libraries, on all of them"
        ) from error
    except ray.exceptions.RayError:
        return Failure("error", f"{_LOST_NODES_PER_TASK + 1} nodes or their processes were lost")


def _places(ray: Any, gpu_share: float) -> int:
    """Return how many tasks the cluster can do at once, as it is now."""
    there = ray.cluster_resources()
    places = there.get("CPU", 0.0)
    if gpu_share:
        places = min(places, there.get("GPU", 0.0) / gpu_share)
    return max(1, int(places))


def _on_node(function: Callable[[Any], Any], task: Any, limit: float | None) -> Any:
    return attempt(lambda given: _worker().do(function, given, limit), task)


@cache
def _worker() -> Worker:
    """Return the worker of this process of Ray's, which does many tasks one after the other."""
    return Worker()


def _environment() -> dict[str, str]:
    """Return what tells processes on other nodes where the code is."""
    home = str(Path(str(benchmarks.__file__)).resolve().parents[1])
    search = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    extra = os.environ.get(EXTRA)
    return {"PYTHONPATH": search, **({EXTRA: str(Path(extra).resolve())} if extra else {})}
