"""PCA: the leading directions of the data, not centred, by falling energy.

Each is turned so that the data's mean points along it, and codes come by nonnegative orthogonal
matching pursuit. Its bits are those of the machine's LAPACK: it is not portable.
"""

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Method, Params, Shape
from benchmarks.methods._pursuit import SIGNED, each_run
from benchmarks.spec import Budget
from osae_theory.portable import matmul
from osae_theory.sae import RunSeeds


def _atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    columns = np.ascontiguousarray(data.rows.T, dtype=np.float64)
    _, directions = np.linalg.eigh(matmul(columns, np.ascontiguousarray(columns.T)))
    atoms = directions[:, ::-1][:, : data.K].T
    along = np.add.reduce(atoms * np.add.reduce(columns, axis=1), axis=1)
    return np.where(along[:, None] < 0, -atoms, atoms)


def _skip(params: Params, shape: Shape) -> str | None:
    return "K > d: there are at most d principal directions" if shape.K > shape.d else None


METHOD = Method(
    "pca",
    "PCA",
    each_run(_atoms),
    (SIGNED,),
    budget=Budget("none", 0, 0),
    deterministic=True,
    skip=_skip,
    portable=False,
)
