"""Energy against frequency: the rarer an atom, the larger its values.

The toy model, with the values of atom j scaled like j^(alpha conflict), and all by one factor that
leaves a sample about as much energy as the toy's. Without conflict the most
frequent atoms have the most energy, the mean square of their codes. With it the energies fall
about like j^(-alpha (1 - 2 conflict)): at 1/2 they are about level, and from 1/2 on they rise with
j, so that at 1 the order by energy is the order by frequency reversed.

The true order, of which Ord speaks, is by frequency at any conflict. So the sign of a method's Ord
says which of the two it orders by: where the energies rise, an order by energy has an Ord of -1.
"""

import math
from functools import partial

import numpy as np

from benchmarks.contracts import Family, Params
from benchmarks.families._small import ALPHA, SHAPE, sizes, titled
from benchmarks.parameters import Parameter
from osae_theory.portable import exp, log
from osae_theory.problems import (
    GaussianDictionary,
    HalfNormalValues,
    ProblemSpec,
    ZipfSupports,
)

CONFLICT = Parameter(
    "conflict",
    "real",
    "from 0, energies ordered as frequencies, to 1, energies in the reverse order",
    default=1.0,
    at_least=0,
    at_most=1,
)


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, m, N = sizes(params)
    alpha, conflict = float(params["alpha"]), float(params["conflict"])
    logarithms = log(np.arange(1.0, K + 1))
    weights, scale = exp(-alpha * logarithms), exp(alpha * conflict * logarithms)
    scale *= math.sqrt(math.fsum(weights) / math.fsum(weights * scale * scale))
    return ProblemSpec(
        GaussianDictionary(d, K),
        ZipfSupports(m, alpha),
        HalfNormalValues(tuple(scale.tolist())),
        N,
        seed=seed,
    )


FAMILY = Family(
    "conflict",
    "energy against frequency",
    (*SHAPE, ALPHA, CONFLICT),
    _spec,
    describe=partial(titled, "energy against frequency"),
)
