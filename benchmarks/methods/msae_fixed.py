"""Fixed Matryoshka SAE: mass on five nested group ends, fixed in advance.

The paper does not give the toy's groups. Ours end at ceil(K i / 5) with equal weights; the
variant's ends double up to K.
"""

from benchmarks.contracts import Params
from benchmarks.methods._sae import sae_method
from osae_theory.prefixes import PrefixLaw, equal_group_ends, geometric_group_ends

N_GROUPS = 5


def _equal(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.groups(K, equal_group_ends(K, N_GROUPS))


def _doubling(K: int, params: Params) -> PrefixLaw:
    return PrefixLaw.groups(K, geometric_group_ends(K, N_GROUPS))


METHODS = (
    sae_method("msae-fixed", "Fixed MSAE", _equal),
    sae_method("msae-fixed-doubling", "Fixed MSAE (doubling)", _doubling, tuned_as="msae-fixed"),
)
