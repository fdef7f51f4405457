"""The truth itself, as an oracle: the true dictionary with the true codes. A table's ceiling."""

from collections.abc import Sequence

from benchmarks.contracts import Data, Fit, Fitted, Method, as_many_as_true
from benchmarks.encoders.truth import Truth
from benchmarks.spec import Budget
from osae_theory.errors import InputError
from osae_theory.sae import RunSeeds


def _fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
    if data.truth is None:
        raise InputError("the truth was not given: expected data of a problem with known truth")
    return [Fitted(data.truth.dictionary, Truth()) for _ in seeds]


METHOD = Method(
    "truth",
    "the truth",
    _fit,
    sees="truth",
    budget=Budget("none", 0, 0),
    deterministic=True,
    skip=as_many_as_true,
)
