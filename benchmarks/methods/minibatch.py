"""Online dictionary learning of scikit-learn: an l1 penalty on codes, a batch of samples a step.

It learns with nonnegative codes of a lasso by coordinate descent, from random samples on, with the
penalty of its authors, 1.2 / sqrt(d) for samples of norm 1. At measurement codes come by
nonnegative orthogonal matching pursuit, as those of its relatives do. Its bits are those of the
machine's BLAS: it is not portable. Mairal, Bach, Ponce and Sapiro (2010), "Online learning for
matrix factorization and sparse coding", JMLR 11.
"""

import math
import warnings

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning

from benchmarks.contracts import Data, Fit, Method
from benchmarks.methods._pursuit import (
    SIGNED,
    each_run,
    is_signed,
    random_samples,
    scaled,
    too_few_samples,
)
from benchmarks.parameters import Parameter
from benchmarks.spec import Budget
from osae_theory.sae import RunSeeds
from osae_theory.seeds import Axis, generator

PENALTY = Parameter(
    "penalty",
    "real",
    "weight of a code's l1 norm times sqrt(d) over the samples' root mean square norm, above 0",
    default=1.2,
    above=0,
)


def _atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    rows = data.rows.astype(np.float64)
    rows /= np.sqrt(np.mean(np.add.reduce(rows * rows, axis=1)))
    penalty = float(how.params["penalty"]) / math.sqrt(rows.shape[1])
    learner = MiniBatchDictionaryLearning(
        data.K,
        alpha=penalty,  # pyright: ignore[reportArgumentType]
        fit_algorithm="cd",
        batch_size=how.budget.batch_size,
        dict_init=random_samples(data, own),
        positive_code=not is_signed(how.params),
        random_state=own.initialisation,
    )
    rng = generator(own.data_order, Axis.DATA_ORDER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(how.budget.amount):
            learner.partial_fit(rows[rng.integers(len(rows), size=how.budget.batch_size)])
    return scaled(np.asarray(learner.components_))


METHOD = Method(
    "minibatch",
    "online dictionary learning",
    each_run(_atoms),
    (SIGNED, PENALTY),
    budget=Budget("steps", 1000, 256),
    skip=too_few_samples,
    portable=False,
)
