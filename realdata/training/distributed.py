"""Data-parallel processes: what a training needs to know of its fellows."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from osae_theory.errors import InputError


@dataclass(frozen=True)
class Processes:
    """The processes that train one SAE together, each on its own part of every batch.

    Attributes
    ----------
    count, rank : int
        How many there are, and which this one is, from 0.
    all_reduce : callable or None
        Sums a tensor over all of them in place; None for a process alone.
    """

    count: int = 1
    rank: int = 0
    all_reduce: Callable[[Tensor], object] | None = None

    @property
    def is_first(self) -> bool:
        """Return whether this process writes the files."""
        return self.rank == 0

    def part(self, batch_size: int) -> slice:
        """Return this process's part of a batch.

        Raises InputError unless all parts are of one size.
        """
        if batch_size % self.count:
            raise InputError(
                f"batch size {batch_size}: expected a multiple of {self.count}, the processes"
            )
        size = batch_size // self.count
        return slice(self.rank * size, (self.rank + 1) * size)


ALONE = Processes()


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun, this one alone.

    Over NCCL on GPUs, which has not been run by the authors, and over gloo elsewhere.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield ALONE
        return
    from torch import cuda, distributed

    on_gpu = device.startswith("cuda")
    if on_gpu:
        # "cuda" then means this process's own.
        cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(
            distributed.get_world_size(), distributed.get_rank(), distributed.all_reduce
        )
        # Files are there for all when the first process is done.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
