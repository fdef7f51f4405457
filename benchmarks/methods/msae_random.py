"""Random Matryoshka SAE: prefixes drawn anew each step, five with equal weights.

Four are distinct and uniform on 1..K-1, the fifth is K; the variant draws all five from
1..K. Where K is too small for that many, all there are.
"""

from benchmarks.methods.base import SAEMethod
from osae_theory.prefixes import RandomPrefixes

N_PREFIXES = 5


def _with_full(K: int) -> RandomPrefixes:
    return RandomPrefixes(K, min(N_PREFIXES - 1, K - 1), include_full=True)


def _without_full(K: int) -> RandomPrefixes:
    return RandomPrefixes(K, min(N_PREFIXES, K), include_full=False)


MSAE_RANDOM = SAEMethod("msae-random", "Random MSAE", _with_full)
MSAE_RANDOM_FREE = SAEMethod("msae-random-free", "Random MSAE (K not always)", _without_full)
