"""E: what atoms that were not recovered cost Ord.

Statement. K latents, of which n stand for atoms at the true places i_1 < ... < i_n, in their true
order, and u = K - n for nothing. If the u stand at places drawn uniformly,

    E Ord = 12 / (K (K - 1) (n + 1)) sum_r i_r (r - (n + 1) / 2),

which is C(n, 2) / C(K, 2), the share of pairs that are recovered, where the lost atoms are the
rarest. If the u only trade places among themselves, 1 - E Ord = 12 u s^2 / (K (K^2 - 1)), s^2 the
variance of their places: (u^3 - u) / (K^3 - K) where these are consecutive.

Source: claim E. Verdict: holds. Tight: equalities.

>>> finding = LOST_ATOMS.check(1)
>>> finding.confirmed, finding.error
(True, 0.0)
>>> print(finding.certificate["K = 100: 1 - E Ord, ten rarest anywhere"])
21/110
>>> print(finding.certificate["K = 100: 1 - E Ord, ten rarest among themselves"])
1/1010
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, permutations
from math import comb

import numpy as np

from osae_theory.claims.base import Claim, Finding
from osae_theory.claims.order_from_counts import exact_orderedness
from osae_theory.errors import check_integer
from osae_theory.metrics.expected_order import (
    orderedness_with_misplaced,
    orderedness_with_shuffled,
)

MOST_ATOMS = 6
_EPS = 1e-13


def misplaced(K: int, recovered: Sequence[int]) -> Fraction:
    """Return the formula for latents of lost atoms that stand anywhere; places from 0."""
    n = len(recovered)
    total = sum((i * (r - Fraction(n + 1, 2)) for r, i in enumerate(recovered, 1)), Fraction(0))
    return 12 * total / (K * (K - 1) * (n + 1))


def shuffled(K: int, places: Sequence[int]) -> Fraction:
    """Return the formula for atoms that trade places among themselves."""
    u = len(places)
    if u == 0:
        return Fraction(1)
    spread = sum(x * x for x in places) - Fraction(sum(places) ** 2, u)
    return 1 - 12 * spread / (K * (K**2 - 1))


def arrangements(K: int, recovered: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the place of each atom, over all equally likely places of the lost atoms' latents."""
    lost = [k for k in range(K) if k not in recovered]
    for places in permutations(range(K), len(lost)):
        left = iter(place for place in range(K) if place not in places)
        stands = dict(zip(lost, places, strict=True)) | {k: next(left) for k in recovered}
        yield tuple(stands[k] for k in range(K))


def trades(K: int, places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the place of each atom, over all ways in which some trade places."""
    for order in permutations(places):
        stands = dict(zip(places, order, strict=True))
        yield tuple(stands.get(k, k) for k in range(K))


def mean_orderedness(found: Iterator[tuple[int, ...]]) -> Fraction:
    """Return the mean Ord of some arrangements, by its definition."""
    values = [exact_orderedness(places) for places in found]
    return sum(values, Fraction(0)) / len(values)


def check(n_examples: int) -> Finding:
    """Enumerate all arrangements of every set of lost atoms, K = 2..6; `n_examples` is ignored."""
    check_integer("n_examples", n_examples, 1)
    wrong = tried = 0
    for K in range(2, MOST_ATOMS + 1):
        for n in range(K + 1):
            for chosen in combinations(range(K), n):
                kept = np.isin(np.arange(K), chosen)
                anywhere, traded = misplaced(K, chosen), shuffled(K, chosen)
                right = (
                    mean_orderedness(arrangements(K, chosen)) == anywhere
                    and mean_orderedness(trades(K, chosen)) == traded
                    and abs(orderedness_with_misplaced(kept) - anywhere) < _EPS
                    and abs(orderedness_with_shuffled(kept) - traded) < _EPS
                )
                wrong, tried = wrong + (not right), tried + 1
    rarest = range(90, 100)
    spread = 1 - shuffled(100, range(63, 100, 4))
    anywhere, among = 1 - misplaced(100, range(90)), 1 - shuffled(100, rarest)
    shares = anywhere == 1 - Fraction(comb(90, 2), comb(100, 2))
    return Finding(
        confirmed=wrong == 0 and shares and among == Fraction(1, 1010) and spread == 16 * among,
        certificate={
            "sets of lost atoms, K = 2..6, where enumeration disagrees": wrong,
            "K = 100: 1 - E Ord, ten rarest anywhere": anywhere,
            "K = 100: 1 - E Ord, ten rarest among themselves": among,
            "K = 100: 1 - E Ord, atoms 64, 68, ..., 100 among themselves": spread,
        },
        n_examples=tried,
    )


LOST_ATOMS = Claim(
    id="E",
    title="what atoms that were not recovered cost Ord",
    source="this project",
    statement=(
        "K latents are matched one to one with K atoms; n of them stand for atoms at the true"
        " places i_1 < ... < i_n, in their true order, and u = K - n for nothing. (1) If the u"
        " stand at places drawn uniformly, E Ord = 12 / (K (K - 1) (n + 1)) sum_r i_r"
        " (r - (n + 1) / 2). Where the lost atoms are the u rarest that is C(n, 2) / C(K, 2), the"
        " share of the pairs that are recovered, and 1 - E Ord = u (2K - 1 - u) / (K (K - 1)); over"
        " a random set of lost atoms the mean of E Ord is (K + 1) / (n + 1) times as much. (2) If"
        " the u trade places among themselves, all others standing right, 1 - E Ord ="
        " 12 u s^2 / (K (K^2 - 1)), s^2 the variance of their places (divisor u):"
        " (u^3 - u) / (K^3 - K) where these are consecutive."
    ),
    verdict="holds",
    evidence="small cases",
    story=(
        "Ord = 12 / (K (K^2 - 1)) sum_k (k - c) (mu_k - c), c = (K + 1) / 2. (1) A lost atom's"
        " latent has a uniform place, of mean c, and adds nothing on average. The n others hold a"
        " random set of places, of which the r-th has mean r (K + 1) / (n + 1), which is"
        " c + (K + 1) / (n + 1) (r - (n + 1) / 2); and i_r = r gives (K + 1) / (n + 1) times"
        " n (n^2 - 1) / 12. A random set of lost atoms gives i_r its mean in the same way. (2) Two"
        " independent uniform draws from the places differ by 2 s^2 in mean square.\n"
        "Ten of K = 100: 21/110, about .191, if their latents stand anywhere; 1/1010, about .001,"
        " if the ten rarest only trade places; 16/1010 if those do that stand at 64, 68, ..., 100."
        " So what a few lost atoms cost hangs on where they stand more than on how many they are."
        " What trained SAEs lose is split by pairs, as C's identity allows, in"
        " results/theory/lost_order.csv."
    ),
    check=check,
)
