"""How many threads compute: torch, BLAS and the compiled kernels, set together in one place.

The kernels of `osae_theory.sae.kernels` run on torch's own OpenMP threads. A second pool
would compete with the first: OpenMP's threads stay awake between torch's operations, so
that each pool finds the cores taken by the other. numba's pool is never started.
"""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from osae_theory.errors import check_integer

Task = Callable[[], object]
# Numbers touched below which waking other threads takes longer than it saves.
_WORTH_IT = 2**19


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


def in_parallel(tasks: Sequence[Task], work: int | None = None) -> None:
    """Do independent tasks on torch's number of threads; one error, if any, is raised.

    Parameters
    ----------
    tasks : sequence of callables
        They should release the interpreter's lock, and write to disjoint memory.
    work : int, optional
        Numbers that all tasks touch together: where they are few, one thread is faster.
    """
    n_threads = min(torch.get_num_threads(), len(tasks))
    if n_threads <= 1 or (work is not None and work < _WORTH_IT):
        _do(tasks)
        return
    shares = [tasks[t::n_threads] for t in range(n_threads)]
    openmp = _openmp()
    if openmp is None:
        _in_pool(shares)
    else:
        _in_team(shares, openmp)


def _do(tasks: Sequence[Task]) -> None:
    for task in tasks:
        task()


def _in_team(shares: list[Sequence[Task]], openmp: Any) -> None:
    """Give each member of an OpenMP team its shares; the team may be smaller than asked."""
    left = list(reversed(shares))
    errors: list[BaseException] = []

    def member(_: object) -> None:
        while True:
            try:
                share = left.pop()
            except IndexError:
                return
            try:
                _do(share)
            except BaseException as error:
                errors.append(error)

    openmp.GOMP_parallel(_MEMBER(member), None, len(shares), 0)
    if errors:
        raise errors[0]


_MEMBER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _openmp() -> Any:
    """Return the GNU OpenMP library that torch brings and has loaded, or None."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "GOMP_parallel"):
            library.GOMP_parallel.argtypes = [
                _MEMBER,
                ctypes.c_void_p,
                ctypes.c_uint,
                ctypes.c_uint,
            ]
            library.GOMP_parallel.restype = None
            return library
    return None


def _in_pool(shares: list[Sequence[Task]]) -> None:
    pool = _pool(os.getpid(), len(shares) - 1)
    others = [pool.submit(_do, share) for share in shares[1:]]
    try:
        _do(shares[0])
    finally:
        for other in others:
            other.result()


@cache
def _pool(process: int, size: int) -> ThreadPoolExecutor:
    """Return this process's pool: a forked child must not use its parent's threads."""
    return ThreadPoolExecutor(size, thread_name_prefix="osae-kernel")
