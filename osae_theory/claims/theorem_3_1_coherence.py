"""Theorem 3.1 and coherence: two atoms that are close are merged, though spark(D*) > 2m.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support: then every global minimiser of L_ND has D = D*.
Source: Wang et al. (2025), Theorem 3.1. Verdict: fails at m = 1 with equal frequencies and equal
energies, so order is not to blame. Tight: with equal energies recovery holds if and only if
mu < p_K (T3b), which no uniform law allows once K > d (T3c).

>>> found = THEOREM_3_1_COHERENCE.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> for prefix in ("", "overcomplete: "):
...     at_truth = found.certificate[prefix + "L_ND at D*, least over orders and encoders"]
...     print(at_truth, found.certificate[prefix + "min L_ND"])
1/2 2/5
52/75 8/15
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import THEOREM_3_1, Instance, columns, meets
from osae_theory.claims.lemma_3_1 import merged_point, three_atoms, two_atoms
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.uniqueness.coherence import coherence_certificate


@dataclass(frozen=True)
class Numbers:
    """What coherence costs: L_ND at D* and at the global minimum.

    Attributes
    ----------
    at_truth : Fraction
        The least L_ND at D*, over all orders and all encoders.
    at_true_codes : Fraction
        L_ND at (D*, Y*), the same in every order: the samples are unit vectors, one an atom.
    minimum : int, float or Fraction
        min L_ND over all dictionaries.
    merged : Fraction
        L_ND with the closest pair on one atom.
    coherence, last : number
        mu(D*) and p_K.
    """

    at_truth: Fraction
    at_true_codes: Fraction
    minimum: int | float | Fraction
    merged: Fraction
    coherence: int | float | Fraction
    last: Fraction

    @property
    def is_refutation(self) -> bool:
        """Whether the merged point is a minimiser and no encoder attains as much at D*."""
        return self.merged == self.minimum < self.at_truth and self.coherence >= self.last

    def certificate(self, prefix: str) -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"{prefix}L_ND at D*, least over orders and encoders": self.at_truth,
            f"{prefix}L_ND at (D*, Y*)": self.at_true_codes,
            f"{prefix}min L_ND": self.minimum,
            f"{prefix}L_ND with the closest pair merged": self.merged,
            f"{prefix}mu(D*)": self.coherence,
            f"{prefix}p_K": self.last,
        }


def refute(
    instance: Instance, directions: Shaped[np.ndarray, "d J"], slots: tuple[int, ...]
) -> Numbers:
    """Return L_ND at D* and at the point with sample n on directions[:, slots[n]] (m = 1)."""
    return Numbers(
        at_truth=instance.least_at_truth().loss,
        at_true_codes=instance.loss(),
        minimum=exact_planar_minimum(instance.X, [1] * instance.K, instance.law).value,
        merged=merged_point(instance.X, directions, slots, instance.law)[0],
        coherence=coherence_certificate(instance.D.tolist()).value,
        last=instance.law[-1],
    )


def check_instances(two: Instance, three: Instance) -> Finding:
    """Return whether merging atoms 1, 2 of `two`, and 2, 3 of `three`, beats D* in any order."""
    found = {
        "": (two, refute(two, columns((2, 1)), (0, 0))),
        "overcomplete: ": (three, refute(three, columns((1, 3), (1, 0)), (1, 0, 0))),
    }
    confirmed, certificate = True, {}
    for prefix, (instance, numbers) in found.items():
        certificate |= numbers.certificate(prefix)
        equal = len(set(instance.energies)) == 1
        confirmed = confirmed and meets(THEOREM_3_1, instance) and equal and numbers.is_refutation
    return Finding(confirmed=confirmed, certificate=certificate)


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
        " p = (1/2,1/2). In either order and with any encoder L_ND is at least 1/2 at D*. One atom"
        " along (2,1) that serves both samples gives the global minimum, 2/5: the first slot is"
        " never dropped, and mu = 3/5 exceeds p_K. Overcomplete: D* = [(1,0), (3/5,4/5), (0,1)],"
        " p uniform: 1 at (D*, Y*), 52/75 at D* with the best order and encoder, which puts atom 2"
        " first with two samples on it, and 8/15 with atoms 2 and 3 merged along (1,3).\n"
        "Instead: if m = 1, every atom is used and mu < p_K, the minimisers are D* sorted by"
        " energy (T3); with equal energies mu < p_K is also necessary (T3b). By Welch's bound no"
        " non-increasing law meets it once K > d (T3c)."
    ),
    check=check,
    assumptions=THEOREM_3_1,
    references=("Welch (1974), IEEE Trans. Inf. Theory 20(3)",),
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Theorem31Coherence.v",
            "coherent_atoms_are_never_recovered",
            "at d = K = 2, m = 1: no minimiser has atoms of D* only, in any order",
        ),
        Formal(
            "Theorem31Coherence.v",
            "coherent_atoms_are_never_recovered_overcomplete",
            "the same at d = 2, K = 3, m = 1",
        ),
    ),
)
