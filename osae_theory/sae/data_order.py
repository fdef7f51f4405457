"""The order in which each run sees the samples: its own permutations, end to end."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from osae_theory.sae.runs import RunSeeds
from osae_theory.seeds import Axis, generator


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
        self._streams = [generator(s.data_order, Axis.DATA_ORDER) for s in seeds]
        self._queue = torch.empty(len(seeds), 0, dtype=torch.long)

    def next(self) -> Int[Tensor, "S batch"]:
        """Return the next batch of each run; every sample comes once an epoch."""
        while self._queue.shape[1] < self._batch_size:
            epoch = np.stack([stream.permutation(self._n) for stream in self._streams])
            self._queue = torch.cat([self._queue, torch.from_numpy(epoch)], dim=1)
        batch = self._queue[:, : self._batch_size]
        self._queue = self._queue[:, self._batch_size :]
        return batch

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs to go on from here."""
        return {"queue": self._queue.contiguous().clone(), "streams": saved_streams(self._streams)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken."""
        self._queue = state["queue"].clone()
        restore_streams(self._streams, state["streams"])


def rows_at(
    x: Float[Tensor, "sets N d"], sets: Sequence[int], places: Int[Tensor, "S n"]
) -> Float[Tensor, "S n d"]:
    """Return samples of S runs, each from its own of several data sets.

    Parameters
    ----------
    x : tensor of shape (sets, N, d)
        Data sets of one size, as rows.
    sets : sequence of S int
        Which of them is each run's.
    places : tensor of int, shape (S, n)
        Which of its samples.
    """
    first = x.shape[1] * torch.tensor(sets, dtype=torch.long)[:, None]
    found = x.flatten(end_dim=1).index_select(0, (places + first).flatten().to(x.device))
    return found.view(*places.shape, x.shape[2])


def saved_streams(streams: Sequence[np.random.Generator]) -> UInt8[Tensor, " bytes"]:
    """Return where random streams stand, as bytes that `restore_streams` takes."""
    states = json.dumps([stream.bit_generator.state for stream in streams])
    return torch.tensor(list(states.encode()), dtype=torch.uint8)


def restore_streams(streams: Sequence[np.random.Generator], saved: UInt8[Tensor, " bytes"]) -> None:
    """Set random streams to where `saved_streams` found as many of their kind."""
    for stream, state in zip(streams, json.loads(bytes(saved.tolist())), strict=True):
        stream.bit_generator.state = state
