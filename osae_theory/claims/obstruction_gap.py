"""How far below: no minimiser of L_K comes near min L_ND, with exact gaps beyond N1's instance.

Statement: on two instances with m = 2 and one dictionary (up to signed permutation) with
L_K = 0, every minimiser of L_K has an L_ND above min L_ND by at least a gap that is an exact
fraction. Source: this project, after N1. Verdict: holds; the gap is a lower bound, since the
point below was found by descent and rounded to rationals, and need not be a minimiser.

>>> found = OBSTRUCTION_GAP.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["least L_ND over argmin L_K (d = K = 4)"])
483/4
"""

from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Number
from osae_theory.claims.exact import columns, uniform
from osae_theory.minimisers.no_common_minimiser import cyclic_pair_codes, no_common_minimiser
from osae_theory.uniqueness.counting import counting_argument

_HALF, _NINTH = Fraction(1, 2), Fraction(1, 9)


def four_cycle() -> Shaped[np.ndarray, "d K"]:
    """Return D* = [e_1, e_2, e_3, (1,1,1,1)/2], independent."""
    return columns((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (_HALF,) * 4)


def six_cycle() -> Shaped[np.ndarray, "d K"]:
    """Return D* = [e_1, e_2, e_3, e_4, (1,1,1,1)/2, (2,4,5,6)/9], spark 5."""
    last = tuple(_NINTH * n for n in (2, 4, 5, 6))
    basis = tuple(tuple(int(i == j) for i in range(4)) for j in range(4))
    return columns(*basis, (_HALF,) * 4, last)


def gap_on_cycle(D: Shaped[np.ndarray, "d K"], n_samples: int) -> tuple[Fraction, Fraction]:
    """Return the least L_ND over argmin L_K and a certified gap of it above min L_ND.

    Parameters
    ----------
    D : array of Fractions, shape (d, K)
        True atoms, spark above 4 or independent.
    n_samples : int
        Samples on each edge (i,j) = (1,2), ..., (K-1,K), (1,K): codes y_i = 1, y_j = t for
        t = 1..n_samples.

    Returns
    -------
    tuple of two Fractions
        Both 0 where the counting argument does not prove that D is the only dictionary.
    """
    K = D.shape[1]
    edges = {(min(i, (i + 1) % K), max(i, (i + 1) % K)): n_samples for i in range(K)}
    unique = counting_argument(D.tolist(), edges).certificate
    if unique is None:
        return Fraction(0), Fraction(0)
    Y = cyclic_pair_codes((n_samples,) * K, (1,) * K)
    found = no_common_minimiser(D, Y, 2, uniform(K), unique)
    return Fraction(found.among_minimisers.loss), found.gap


def check(n_examples: int) -> Finding:
    """Work out both gaps; there is nothing to draw, so `n_examples` is ignored."""
    certificate: dict[str, Number] = {}
    gaps = []
    for name, D, n_samples in (("d = K = 4", four_cycle(), 7), ("d = 4, K = 6", six_cycle(), 16)):
        least, gap = gap_on_cycle(D, n_samples)
        gaps.append(gap)
        # The gap itself has thousands of digits: a whole number below it says as much.
        certificate |= {
            f"least L_ND over argmin L_K ({name})": least,
            f"min L_ND lies below it by more than ({name})": int(gap),
        }
    return Finding(confirmed=all(gap >= 1 for gap in gaps), certificate=certificate)


OBSTRUCTION_GAP = Claim(
    id="N2",
    title="the gap of argmin L_K above min L_ND",
    source="this project, after N1",
    statement=(
        "With m = 2, p uniform, codes y_i = 1 and y_j = t, t = 1..r, on the edges (i,j) = (1,2),"
        " (2,3), ..., (K-1,K) and (1,K): for D* = [e_1, e_2, e_3, (1,1,1,1)/2] and r = 7, and for"
        " D* = [e_1, e_2, e_3, e_4, (1,1,1,1)/2, (2,4,5,6)/9] and r = 16, no minimiser of L_K"
        " minimises L_ND, and none comes near."
    ),
    verdict="holds",
    evidence="exact certificate",
    story=(
        "By the counting argument D* is the only dictionary with L_K = 0 up to signed permutation,"
        " so the minimisers of L_K are its K! orders, and the least L_ND among them is exact:"
        " 483/4 and 7708/3 (with the closing edge the other way, y_K = 1 and y_1 = t, the first"
        " would be 441/2). Descent from many starts, rounded to unit-norm rational atoms with"
        " exact codes, gives a point far below, evaluated in fractions."
    ),
    check=check,
)
