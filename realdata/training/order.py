"""The order in which a training sees activations: shuffled over all of them, or inside blocks."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor

from osae_theory.sae import DataOrder, RunSeeds
from osae_theory.seeds import Axis, generator
from realdata.activations.blocks import Pass
from realdata.training.distributed import Processes
from realdata.training.rows import Rows


class ShuffledRows:
    """Every activation once an epoch, in an order that is drawn over all of them.

    Parameters
    ----------
    rows : Rows
        The activations.
    batch_size : int
        Activations of a batch; all there are, where that is less.
    seeds : sequence of RunSeeds
        One for each run.
    processes : Processes
        Those that share each batch.
    """

    def __init__(
        self, rows: Rows, batch_size: int, seeds: Sequence[RunSeeds], processes: Processes
    ) -> None:
        self._rows = rows
        self.d, self.batch_size = rows.d, min(batch_size, rows.n)
        self._part = processes.part(self.batch_size)
        self._order = DataOrder(rows.n, self.batch_size, seeds)

    def next(self) -> Float32[np.ndarray, "S part d"]:
        """Return the next batch of each run."""
        places = self._order.next()[:, self._part].numpy()
        return self._rows.rows(places.ravel()).reshape(*places.shape, self.d)

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs to go on from here."""
        return self._order.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken; KeyError or ValueError if it cannot be."""
        self._order.restore(state)


class ShuffledBlocks:
    """Block after block, for all runs the same; inside a block each run has its own order.

    A block's order is drawn from the run's seed and the number of the visit alone, so that where
    a run stands is two whole numbers: the visit, and the activations of it that were taken.

    Parameters
    ----------
    way : Pass
        The way through the blocks, which other trainings may share.
    batch_size : int
        Activations of a batch; one at a block's end goes on in the next block.
    seeds : sequence of RunSeeds
        One for each run.
    processes : Processes
        Those that share each batch.
    """

    def __init__(
        self, way: Pass, batch_size: int, seeds: Sequence[RunSeeds], processes: Processes
    ) -> None:
        self._way, self._seeds = way, tuple(seeds)
        self.d, self.batch_size = way.blocks.d, batch_size
        self._part = processes.part(batch_size)
        self.visit, self._taken = 0, 0
        self._drawn: tuple[int, Int[np.ndarray, "S rows"]] | None = None

    def next(self) -> Float32[np.ndarray, "S part d"]:
        """Return the next batch of each run."""
        pieces, missing = [], self.batch_size
        while missing:
            rows = self._way.at(self.visit)
            places = self._order(len(rows))[:, self._taken : self._taken + missing]
            pieces.append(rows[places])
            missing -= places.shape[1]
            self._taken += places.shape[1]
            if self._taken == len(rows):
                self.visit, self._taken = self.visit + 1, 0
        return np.concatenate(pieces, axis=1)[:, self._part]

    def _order(self, n: int) -> Int[np.ndarray, "S rows"]:
        """Return each run's order of the block that is visited."""
        if self._drawn is None or self._drawn[0] != self.visit:
            # Stream 0 of this axis is that of an order over all rows.
            streams = [
                generator(seed.data_order, Axis.DATA_ORDER, self.visit + 1) for seed in self._seeds
            ]
            self._drawn = self.visit, np.stack([stream.permutation(n) for stream in streams])
        return self._drawn[1]

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs to go on from here."""
        return {"block": torch.tensor([self.visit, self._taken])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken; KeyError or ValueError if it cannot be."""
        self.visit, self._taken = (int(each) for each in state["block"].tolist())
