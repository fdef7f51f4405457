"""Fixed Matryoshka SAE: mass on five nested group ends, fixed in advance.

The paper does not give the toy's groups. Ours end at ceil(K i / 5) with equal weights; the
variant's ends double up to K.
"""

from benchmarks.methods.base import SAEMethod
from osae_theory.prefixes import PrefixLaw, equal_group_ends, geometric_group_ends

N_GROUPS = 5


def _equal(K: int) -> PrefixLaw:
    return PrefixLaw.groups(K, equal_group_ends(K, N_GROUPS))


def _doubling(K: int) -> PrefixLaw:
    return PrefixLaw.groups(K, geometric_group_ends(K, N_GROUPS))


MSAE_FIXED = SAEMethod("msae-fixed", "Fixed MSAE", _equal)
MSAE_FIXED_DOUBLING = SAEMethod("msae-fixed-doubling", "Fixed MSAE (doubling)", _doubling)
