"""The true dictionary, frozen, with a learned linear encoder: what such an encoder costs at best.

An oracle. It is trained by the plain loss, as a top-m SAE; the encoder starts at the transpose. All
runs on a draw see the samples in the same order, so that one run is enough.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Fitted, as_many_as_true
from benchmarks.methods._sae import full, sae_method
from benchmarks.methods.frozen import frozen
from osae_theory.errors import InputError
from osae_theory.sae import RunSeeds


def _true_atoms(data: Data, seeds: RunSeeds) -> Float[np.ndarray, "K d"]:
    if data.truth is None:
        raise InputError("the truth was not given: expected data of a problem with known truth")
    return data.truth.dictionary.T


_TRAINED = sae_method(
    "truth-encoder",
    "the true dictionary, encoder learned",
    full,
    frozen,
    start=_true_atoms,
    tuned_as="topk",
    sees="truth",
)


def _fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
    [found] = _TRAINED.fit(data, how, [RunSeeds.same(0)])
    return [found for _ in seeds]


METHOD = replace(_TRAINED, fit=_fit, recipe=None, deterministic=True, skip=as_many_as_true)
