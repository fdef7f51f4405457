"""Spherical k-means: centroids as atoms, with codes by nonnegative orthogonal matching pursuit.

It starts from random samples. Where codes are signed, cosines count in absolute value.
"""

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Method
from benchmarks.methods._pursuit import (
    SIGNED,
    each_run,
    is_signed,
    random_samples,
    scaled,
    too_few_samples,
)
from benchmarks.spec import Budget
from osae_theory.sae import RunSeeds
from osae_theory.sae.kmeans import spherical_kmeans


def _atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    return spherical_kmeans(
        scaled(data.rows),
        random_samples(data, own),
        how.budget.amount,
        signed=is_signed(how.params),
    )


METHOD = Method(
    "kmeans",
    "spherical k-means",
    each_run(_atoms),
    (SIGNED,),
    budget=Budget("iterations", 50, 0),
    skip=too_few_samples,
)
