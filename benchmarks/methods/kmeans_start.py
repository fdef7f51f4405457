"""Top-m SAE and OSAE whose atoms start at the mean directions of clusters of the data.

Spherical k-means on at most 16,384 samples, from a seed of each run's own; the encoder starts at
the atoms' transpose, as everywhere.
"""

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data
from benchmarks.methods._sae import full, sae_method, uniform
from osae_theory.sae import RunSeeds, kmeans_atoms


def _clusters(data: Data, seeds: RunSeeds) -> Float[np.ndarray, "K d"]:
    return kmeans_atoms(data.rows, data.K, seeds.initialisation)


METHODS = (
    sae_method("topk-kmeans", "top-m SAE (k-means start)", full, start=_clusters, tuned_as="topk"),
    sae_method("osae-kmeans", "OSAE (k-means start)", uniform, start=_clusters, tuned_as="osae"),
)
