"""Supports as rows of an array: pieces that stay small, and indices filled up with -1."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

CHUNK_ENTRIES = 1 << 19


def chunks(n: int, width: int) -> Iterator[slice]:
    """Yield slices of 0..n-1 short enough for an array of `width` columns to stay small."""
    length = max(1, CHUNK_ENTRIES // width)
    for start in range(0, n, length):
        yield slice(start, min(n, start + length))


def listed(active: Bool[np.ndarray, "n K"], width: int) -> Int[np.ndarray, "n width"]:
    """Return the places of each row's True entries, ascending, filled up with -1 to `width`."""
    row, place = np.nonzero(active)
    counts = active.sum(axis=1)
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.full((len(active), width), -1, dtype=np.int64)
    found[row, column] = place
    return found
