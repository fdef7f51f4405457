"""Theorem 3.1 and coherence: two atoms that are close are merged, though spark(D*) > 2m.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support: then every global minimiser of L_ND has D = D*.
Source: Wang et al. (2025), Theorem 3.1. Verdict: fails at m = 1 with equal frequencies and equal
energies, so order is not to blame. Tight: with equal energies recovery holds if and only if
mu < p_K (T3b), which no uniform law allows once K > d (T3c).

>>> found = THEOREM_3_1_COHERENCE.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["L_ND at D*"], found.certificate["min L_ND"])
1/2 2/5
"""

from osae_theory.claims.base import Claim, Finding
from osae_theory.claims.exact import THEOREM_3_1, Instance, columns, meets
from osae_theory.claims.lemma_3_1 import merged_point, three_atoms, two_atoms
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.uniqueness.coherence import coherence_certificate


def check_instances(two: Instance, three: Instance) -> Finding:
    """Return whether merging atoms 1, 2 of `two`, and 2, 3 of `three`, beats D* in any order.

    Both have one unit sample on each atom, so that every order of D* has the same L_ND.
    """
    merged = (
        merged_point(two.X, columns((2, 1)), (0, 0), two.law)[0],
        merged_point(three.X, columns((1, 3), (1, 0)), (1, 0, 0), three.law)[0],
    )
    confirmed, certificate = True, {}
    for prefix, instance, attained in zip(
        ("", "overcomplete: "), (two, three), merged, strict=True
    ):
        mu = coherence_certificate(instance.D.tolist()).value
        minimum = exact_planar_minimum(instance.X, [1] * instance.K, instance.law).value
        certificate |= {
            f"{prefix}L_ND at D*": instance.loss(),
            f"{prefix}min L_ND": minimum,
            f"{prefix}L_ND with the closest pair merged": attained,
            f"{prefix}mu(D*)": mu,
            f"{prefix}p_K": instance.law[-1],
        }
        confirmed &= meets(THEOREM_3_1, instance) and len(set(instance.energies)) == 1
        confirmed &= mu >= instance.law[-1] and attained == minimum < instance.loss()
    return Finding(confirmed=bool(confirmed), certificate=certificate)


def check(n_examples: int) -> Finding:
    """Verify both instances; there is nothing to draw, so `n_examples` is ignored."""
    return check_instances(two_atoms(), three_atoms())


THEOREM_3_1_COHERENCE = Claim(
    id="P2b",
    title="recovery of coherent atoms",
    source="Wang et al. (2025), Theorem 3.1",
    statement=(
        "If X = D* Y*, spark(D*) > 2m, Y* is nonnegative with m-sparse columns, the atoms stand in"
        " non-increasing frequency and p has full support, every global minimiser of L_ND has"
        " D = D*."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "m = 1, D* = [(1,0), (3/5,4/5)], spark 3, each atom used once with value 1,"
        " p = (1/2,1/2). In either order L_ND = 1/2 at D*. One atom along (2,1) that serves both"
        " samples gives the global minimum, 2/5: the first slot is never dropped, and mu = 3/5"
        " exceeds p_K. Overcomplete: D* = [(1,0), (3/5,4/5), (0,1)], p uniform: 1 at D*, 8/15 with"
        " atoms 2 and 3 merged along (1,3).\n"
        "Instead: if m = 1, every atom is used and mu < p_K, the minimisers are D* sorted by"
        " energy (T3); with equal energies mu < p_K is also necessary (T3b). By Welch's bound no"
        " non-increasing law meets it once K > d (T3c)."
    ),
    check=check,
    assumptions=THEOREM_3_1,
    references=("Welch (1974), IEEE Trans. Inf. Theory 20(3)",),
)
