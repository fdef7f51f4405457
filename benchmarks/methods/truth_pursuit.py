"""The true dictionary with codes by pursuit, as an oracle: what is lost by the codes alone."""

from collections.abc import Sequence

import numpy as np

from benchmarks.contracts import Data, Fit, Fitted, Method, as_many_as_true
from benchmarks.methods._pursuit import SIGNED, pursued
from benchmarks.spec import Budget
from osae_theory.errors import InputError
from osae_theory.sae import RunSeeds


def _fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
    if data.truth is None:
        raise InputError("the truth was not given: expected data of a problem with known truth")
    atoms = np.ascontiguousarray(data.truth.dictionary.T)
    return [pursued(atoms, data, how.params) for _ in seeds]


METHOD = Method(
    "truth-pursuit",
    "the true atoms, pursued",
    _fit,
    (SIGNED,),
    sees="truth",
    budget=Budget("none", 0, 0),
    deterministic=True,
    skip=as_many_as_true,
)
