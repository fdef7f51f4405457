"""A small problem in the image of SynthSAEBench: what language models' features are said to be.

After Chanin & Garriga-Alonso (2026), arXiv 2602.14687, and the configuration they publish for
SynthSAEBench-16k (16,384 atoms of dimension 768). Here as there:

- rates fall by a Zipf law of exponent 1/2 from 0.4 to 0.0005, and average values from 5 to 4 with
  the atom's number; their deviations are |1/2 + g / 2|, g normal;
- the first atoms are roots of trees; a child fires only where its parent does, siblings exclude
  each other, and a child's value is in proportion to its parent's;
- atoms are proposed through a Gaussian copula of low rank, a quarter of whose variance is common
  on average, and with probabilities that make up for what the trees take away;
- atoms are random, many more than dimensions, and pushed apart a little;
- a constant vector of length 1/2 is added.

Other than there: rank 4 in place of 25; values below 0 are reflected and not cut off; the pushing
apart is plain gradient descent; trees are refused whose siblings would have to fire more often
than their parent (there, only 34 of 59 atoms a sample are left). Without correlation the rates
are a few per cent off those of the Zipf law, in its order.

A method learns K atoms and may use as many a sample as fire on average, rounded. A sample without
an atom is the constant vector.
"""

import math
from functools import partial

import numpy as np

from benchmarks.contracts import Family, Params
from benchmarks.families._small import D, K, N, titled
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.portable import standard_normal
from osae_theory.problems import (
    ForestSupports,
    LinkedValues,
    ProblemSpec,
    SpreadDictionary,
    compensated,
    families_of,
    forest_parents,
)
from osae_theory.seeds import Axis, generator

MOST, LEAST = 0.4, 5e-4
MEANS = (5.0, 4.0)
RANK = 4
# No atom is explained by the common factors but for this share of its variance.
OWN = 0.01
_LOADINGS, _DEVIATIONS = 1, 2

PARAMETERS = (
    D,
    K,
    N,
    Parameter("roots", "integer", "trees, at least 1", default=4, at_least=1),
    Parameter("branching", "integer", "children of an atom, at least 1", default=3, at_least=1),
    Parameter("depth", "integer", "levels below the roots; 0 is no trees", default=2, at_least=0),
    Parameter(
        "correlation",
        "real",
        "share of the variance behind an atom that is common, on average",
        default=0.25,
        at_least=0,
        at_most=1 - OWN,
    ),
    Parameter("bias", "real", "length of the constant vector", default=0.5, at_least=0),
)


def base_rates(K: int) -> tuple[float, ...]:
    """Return the rates of the Zipf law, from MOST to LEAST."""
    powers = 1 / np.sqrt(np.arange(1.0, K + 1))
    span = powers[0] - powers[-1] if K > 1 else 1.0
    return tuple((LEAST + (MOST - LEAST) * ((powers - powers[-1]) / span)).tolist())


def parents_of(params: Params) -> tuple[int, ...]:
    """Return the parent of each atom, -1 for none.

    Raises
    ------
    InputError
        If there are siblings whose rates sum to more than their parent's.
    """
    K, roots, branching, depth = (int(params[k]) for k in ("K", "roots", "branching", "depth"))
    rates, parents = base_rates(K), forest_parents(K, roots, branching, depth)
    for parent, children in families_of(parents):
        total = math.fsum(rates[j] for j in children)
        if total > rates[parent]:
            raise InputError(
                f"branching = {branching}: expected fewer, for the children of atom {parent + 1}"
                f" fire in {total:.3g} of the samples, one at a time, and it in {rates[parent]:.3g}"
            )
    return parents


def _learned(params: Params) -> tuple[int, int]:
    K = int(params["K"])
    parents = parents_of(params)
    forest = ForestSupports(compensated(base_rates(K), parents), ((0.0,),) * K, parents)
    return K, max(1, round(math.fsum(forest.rates())))


def _loadings(K: int, correlation: float, seed: int) -> tuple[tuple[float, ...], ...]:
    normal = standard_normal(generator(seed, Axis.LAWS, _LOADINGS), (K, RANK))
    loadings = normal * math.sqrt(correlation / RANK)
    most = max(math.fsum(row) for row in loadings * loadings)
    if most > 1 - OWN:
        loadings *= math.sqrt((1 - OWN) / most)
    return tuple(map(tuple, loadings.tolist()))


def _spec(params: Params, seed: int) -> ProblemSpec:
    d, K, N = (int(params[name]) for name in ("d", "K", "N"))
    parents = parents_of(params)
    proposed = compensated(base_rates(K), parents)
    deviations = np.abs(0.5 + 0.5 * standard_normal(generator(seed, Axis.LAWS, _DEVIATIONS), K))
    means = np.linspace(*MEANS, K)
    return ProblemSpec(
        SpreadDictionary(d, K),
        ForestSupports(proposed, _loadings(K, float(params["correlation"]), seed), parents),
        LinkedValues(tuple(means.tolist()), tuple(deviations.tolist()), parents),
        N,
        seed=seed,
        bias=float(params["bias"]),
    )


FAMILY = Family(
    "synth-sae",
    "after SynthSAEBench",
    PARAMETERS,
    _spec,
    describe=partial(titled, "after SynthSAEBench"),
    learned=_learned,
)
