"""A trained SAE's dictionary, refined without its encoder: pursuit and least squares in turn.

The SAE is trained as its own method is, with that method's tuned values; then its atoms are refined
on all training samples (`osae_theory.pursuit.refine`) and keep their order. Codes come by
nonnegative orthogonal matching pursuit, the SAE's encoder is not used.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.contracts import Data, Fit, Fitted, Method
from benchmarks.methods import osae, osae_exact, topk
from benchmarks.methods._pursuit import SIGNED, is_signed, pursued, scaled
from benchmarks.parameters import Parameter
from osae_theory.pursuit import refine
from osae_theory.sae import RunSeeds

ITERATIONS = Parameter(
    "iterations", "integer", "most iterations of the refinement, at least 1", default=25, at_least=1
)
UPDATE = Parameter(
    "update",
    "choice",
    "how atoms follow from codes, mod or ksvd",
    default="mod",
    choices=("mod", "ksvd"),
)


def refined(base: Method) -> Method:
    """Return a method that refines the dictionaries of another one.

    Parameters
    ----------
    base : Method
        What trains; it has a budget in steps.
    """

    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        return [
            None if trained is None else _refined(trained, data, how)
            for trained in base.fit(data, how, seeds)
        ]

    return Method(
        f"{base.name}-refined",
        base.title_as("refined"),
        fit,
        (ITERATIONS, UPDATE, SIGNED, *base.parameters),
        budget=base.budget,
        skip=base.skip,
        portable=base.portable,
        tuned_as=base.name,
    )


def _refined(trained: Fitted, data: Data, how: Fit) -> Fitted:
    found = refine(
        data.rows,
        scaled(np.ascontiguousarray(trained.dictionary.T)),
        data.m,
        iterations=int(how.params["iterations"]),
        update=str(how.params["update"]),
        signed=is_signed(how.params),
    )
    return pursued(found.atoms, data, how.params)


METHODS = tuple(
    refined(method)
    for method in (*topk.METHODS, *osae.METHODS, *osae_exact.METHODS)
    if method.name in ("topk", "osae", "osae-exact")
)
