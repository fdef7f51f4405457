"""FastICA of scikit-learn: the columns of its mixing matrix as atoms.

Each is turned so that its source is skewed to the positive side, and codes come by nonnegative
orthogonal matching pursuit. Its bits are those of the machine's BLAS: it is not portable.
Hyvarinen and Oja (2000), "Independent component analysis: algorithms and applications", Neural
Networks 13.
"""

import warnings

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from benchmarks.contracts import Data, Fit, Method, Params, Shape
from benchmarks.methods._pursuit import SIGNED, each_run, scaled
from benchmarks.spec import Budget
from osae_theory.sae import RunSeeds


def _atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    rows = data.rows.astype(np.float64)
    ica = FastICA(
        data.K,
        whiten="unit-variance",
        max_iter=how.budget.amount,
        random_state=own.initialisation,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        sources = np.asarray(ica.fit_transform(rows))
    atoms = scaled(np.asarray(ica.mixing_).T)
    skewed = np.add.reduce(sources**3, axis=0)
    return np.where(skewed[:, None] < 0, -atoms, atoms)


def _skip(params: Params, shape: Shape) -> str | None:
    return "K > d: FastICA finds at most d sources" if shape.K > shape.d else None


METHOD = Method(
    "fastica",
    "FastICA",
    each_run(_atoms),
    (SIGNED,),
    budget=Budget("iterations", 200, 0),
    skip=_skip,
    portable=False,
)
