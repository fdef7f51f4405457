"""The order in which each run sees the samples: its own permutations, end to end."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from osae_theory.sae.runs import RunSeeds
from osae_theory.seeds import Axis, torch_generator


class DataOrder:
    """Batches of sample indices for S runs, each from a stream of its own.

    Parameters
    ----------
    n : int
        Number of samples.
    batch_size : int
        Samples a batch; at most n.
    seeds : sequence of RunSeeds
        One for each run.
    """

    def __init__(self, n: int, batch_size: int, seeds: Sequence[RunSeeds]) -> None:
        self._n, self._batch_size = n, batch_size
        self._streams = [torch_generator(s.data_order, Axis.DATA_ORDER) for s in seeds]
        self._queue = torch.empty(len(seeds), 0, dtype=torch.long)

    def next(self) -> Int[Tensor, "S batch"]:
        """Return the next batch of each run; every sample comes once an epoch."""
        while self._queue.shape[1] < self._batch_size:
            epoch = torch.stack([torch.randperm(self._n, generator=g) for g in self._streams])
            self._queue = torch.cat([self._queue, epoch], dim=1)
        batch = self._queue[:, : self._batch_size]
        self._queue = self._queue[:, self._batch_size :]
        return batch

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs to go on from here."""
        states = torch.stack([g.get_state() for g in self._streams])
        return {"queue": self._queue.contiguous().clone(), "streams": states}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken."""
        self._queue = state["queue"].clone()
        for stream, saved in zip(self._streams, state["streams"], strict=True):
            stream.set_state(saved.clone())
