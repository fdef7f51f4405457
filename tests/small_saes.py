"""Checkpoints with drawn decoders, and drawn latents, for the tests of what compares SAEs."""

import numpy as np

from realdata.consistency.collection import Checkpoint
from realdata.latents.sparse import SparseLatents


def drawn_latents(n, K, m, seed):
    """Sparse latents with some padding, and the same dense."""
    rng = np.random.default_rng(seed)
    indices = np.argsort(rng.random((n, K)), axis=1)[:, :m]
    values = rng.exponential(size=(n, m)) * (rng.random((n, m)) < 0.8)
    dense = np.zeros((n, K))
    np.put_along_axis(dense, indices, values, axis=1)
    return SparseLatents(indices, values.astype(np.float32), K), dense.astype(np.float32)


def cut(latents, size):
    """The same latents in chunks of so many samples."""
    rows = range(0, len(latents.indices), size)
    return [
        SparseLatents(latents.indices[i : i + size], latents.values[i : i + size], latents.K)
        for i in rows
    ]


def checkpoint(seed=0, method="osae", dataset="docs", tokens=100, K=8, d=5, **fields):
    """A checkpoint whose decoder is drawn from its label, unless it is given."""
    rng = np.random.default_rng([seed, len(method), len(dataset), tokens])
    decoder = rng.standard_normal((K, d)).astype(np.float32)
    return Checkpoint(method, seed, dataset, tokens, fields.pop("decoder", decoder), **fields)
