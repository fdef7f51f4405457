"""Random Matryoshka SAE: prefixes drawn anew each step, five with equal weights.

Four are distinct and uniform on 1..K-1, the fifth is K; the variant draws all five from
1..K. Where K is too small for that many, all there are.
"""

from benchmarks.contracts import Params
from benchmarks.methods._sae import sae_method
from osae_theory.prefixes import RandomPrefixes

N_PREFIXES = 5


def _with_full(K: int, params: Params) -> RandomPrefixes:
    return RandomPrefixes(K, min(N_PREFIXES - 1, K - 1), include_full=True)


def _without_full(K: int, params: Params) -> RandomPrefixes:
    return RandomPrefixes(K, min(N_PREFIXES, K), include_full=False)


METHODS = (
    sae_method("msae-random", "Random MSAE", _with_full),
    sae_method(
        "msae-random-free", "Random MSAE (K not always)", _without_full, tuned_as="msae-random"
    ),
)
