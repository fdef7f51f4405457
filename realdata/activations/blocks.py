"""Activations a block of contexts at a time: read from a store, or computed when needed.

Training on blocks goes through a text block by block and shuffles inside each, so that a text
whose activations fit on no disk can be trained on. A block holds the same bits from either.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from osae_theory.errors import InputError, check_integer
from realdata.activations.store import ActivationStore

# Contexts of a block unless told otherwise: 65,024 positions in contexts of 128 tokens.
BLOCK = 512


@runtime_checkable
class Blocks(Protocol):
    """Standardised activations by block, the blocks in the order of the contexts."""

    @property
    def size(self) -> int:
        """Contexts of a block; the last may have fewer."""
        ...

    @property
    def n(self) -> int:
        """How many blocks there are."""
        ...

    @property
    def d(self) -> int:
        """The width of an activation."""
        ...

    def read(self, number: int) -> Float32[np.ndarray, "rows d"]:
        """Return the activations of a block, from 0 to n - 1, in their order."""
        ...


@dataclass(frozen=True, eq=False)
class StoreBlocks:
    """The blocks of a store.

    Attributes
    ----------
    store : ActivationStore
        What is read.
    size : int
        Contexts of a block: a multiple of the contexts of the store's shards.

    Raises
    ------
    InputError
        If `size` is no such multiple.
    """

    store: ActivationStore
    size: int

    def __post_init__(self) -> None:
        check_block(self.size, self.store.settings.shard)

    @property
    def n(self) -> int:
        """How many blocks there are."""
        return -(-self.store.n_shards // self._shards)

    @property
    def d(self) -> int:
        """The width of an activation."""
        return self.store.d

    @property
    def _shards(self) -> int:
        return self.size // self.store.settings.shard

    def read(self, number: int) -> Float32[np.ndarray, "rows d"]:
        """Return the activations of a block, from 0 to n - 1, in their order."""
        first = number * self._shards
        numbers = range(first, min(first + self._shards, self.store.n_shards))
        return np.concatenate([self.store.shard(each) for each in numbers])


def check_block(size: int, shard: int) -> None:
    """Raise InputError unless a block of `size` contexts is a multiple of a shard's."""
    check_integer("block", size, 1)
    if size % shard:
        raise InputError(f"block = {size}: expected a multiple of {shard}, the contexts of a shard")


class Pass:
    """A way through blocks, again and again, that several trainings follow together.

    Visit v is to block v modulo their number. The blocks to come are read in a thread of their
    own while the trainings compute. Close it when done.

    Parameters
    ----------
    blocks : Blocks
        What is gone through.
    ahead : int
        Blocks that are read before they are asked for.
    """

    def __init__(self, blocks: Blocks, ahead: int = 2) -> None:
        check_integer("ahead", ahead, 1)
        self.blocks, self._ahead = blocks, ahead
        self._held: dict[int, np.ndarray] = {}
        self._coming: Generator[tuple[int, np.ndarray], None, None] | None = None

    def at(self, visit: int) -> Float32[np.ndarray, "rows d"]:
        """Return the block of a visit: any from the first that was asked for and not let go."""
        if self._coming is None:
            self._coming = _prefetched(self.blocks, visit, self._ahead)
        while visit not in self._held:
            number, rows = next(self._coming)
            self._held[number] = rows
        return self._held[visit]

    def let_go(self, visit: int) -> None:
        """Drop the blocks of all visits before this one: nobody will ask for them again."""
        for number in [number for number in self._held if number < visit]:
            del self._held[number]

    def close(self) -> None:
        """Read no further."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None
        self._held.clear()


def _prefetched(
    blocks: Blocks, first: int, ahead: int
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield (visit, block) from a first visit on, without end."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="osae-blocks")
    coming: deque[Future[np.ndarray]] = deque()
    try:
        empty = 0
        for visit in count(first):
            while len(coming) < ahead:
                coming.append(executor.submit(blocks.read, (visit + len(coming)) % blocks.n))
            rows = coming.popleft().result()
            # Or a text without a single activation would be gone through for ever.
            empty = 0 if len(rows) else empty + 1
            if empty == blocks.n:
                raise InputError("no activation is within the norm limit: expected at least one")
            yield visit, rows
    finally:
        executor.shutdown(cancel_futures=True)
