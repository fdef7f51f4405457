"""How many threads compute: torch, BLAS and the compiled kernels, set together in one place.

The kernels of `osae_theory.sae.kernels` run on as many threads as torch does, in a pool that
sleeps when idle: numba's own pool is never started, so that no two pools compete.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import threadpool_limits

from osae_theory.errors import check_integer


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch, BLAS and the kernels use `count` threads inside a `with` block.

    Raises
    ------
    InputError
        If `count` is not a whole number of at least 1.
    """
    check_integer("threads", count, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def in_parallel(tasks: Sequence[Callable[[], object]]) -> None:
    """Do independent tasks on torch's number of threads; the first error raised is raised.

    Worth it only for tasks that release the interpreter's lock and write to disjoint memory.
    """
    n_threads = min(torch.get_num_threads(), len(tasks))
    if n_threads <= 1:
        _do(tasks)
        return
    pool = _pool(os.getpid(), n_threads - 1)
    others = [pool.submit(_do, tasks[t::n_threads]) for t in range(1, n_threads)]
    try:
        _do(tasks[::n_threads])
    finally:
        for other in others:
            other.result()


def _do(tasks: Sequence[Callable[[], object]]) -> None:
    for task in tasks:
        task()


@cache
def _pool(process: int, size: int) -> ThreadPoolExecutor:
    """Return this process's pool: a forked child must not use its parent's threads."""
    return ThreadPoolExecutor(size, thread_name_prefix="osae-kernel")
