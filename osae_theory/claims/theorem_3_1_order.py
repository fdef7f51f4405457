"""Theorem 3.1's order: the minimisers of L_ND stand by energy, not by frequency.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support: then every global minimiser of L_ND has D = D*, in
this order. Source: Wang et al. (2025), Theorem 3.1. Verdict: fails at m = 1, for an orthonormal
D* too, so neither coherence nor m >= 2 is to blame; the order it gives is that by energy (T3).

>>> found = THEOREM_3_1_ORDER.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> for name in ("orthonormal", "overcomplete"):
...     print(*(found.certificate[f"{name}: {of}"] for of in ("L_ND by frequency", "min L_ND")))
100 3/2
101/10 1/4
"""

from dataclasses import dataclass
from fractions import Fraction

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import THEOREM_3_1, Instance, columns, meets, uniform
from osae_theory.minimisers.exact_encoders import BestEncoder
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.uniqueness.coherence import coherence_certificate


def orthonormal() -> Instance:
    """Return atom 1 used 3 times with value 1, atom 2 twice with value 10; p = (1/2,1/2)."""
    Y = columns(*[(1, 0)] * 3, *[(0, 10)] * 2)
    return Instance(columns((1, 0), (0, 1)), Y, uniform(2), m=1)


def overcomplete() -> Instance:
    """Return three atoms of the plane, energies 3, 200 and 1; p = (1/20, 1/20, 9/10)."""
    D = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)), (0, 1))
    Y = columns(*[(1, 0, 0)] * 3, *[(0, 10, 0)] * 2, (0, 0, 1))
    law = (Fraction(1, 20), Fraction(1, 20), Fraction(9, 10))
    return Instance(D, Y, law, m=1)


@dataclass(frozen=True)
class Numbers:
    """L_ND at D*, over all encoders, in several orders, and its global minimum.

    Attributes
    ----------
    by_frequency, by_energy : Fraction
        The least L_ND over all encoders at D* in that order.
    minimum : int, float or Fraction
        min L_ND. For m = 1 it sends each ray to one slot whole (lambda_max is convex in how its
        energy is split), so it is over maps of rays to slots.
    best : BestEncoder
        The best of all orders of D*, over all encoders.
    coherence : number
        mu(D*).
    """

    by_frequency: Fraction
    by_energy: Fraction
    minimum: int | float | Fraction
    best: BestEncoder
    coherence: int | float | Fraction

    @property
    def is_refutation(self) -> bool:
        """Whether D* attains the minimum in one order, by energy and not by frequency."""
        attained = self.best.loss == self.minimum == self.by_energy
        return attained and self.best.n_optimal == 1 and self.by_energy < self.by_frequency

    def certificate(self, name: str) -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"{name}: L_ND by frequency": self.by_frequency,
            f"{name}: L_ND by energy": self.by_energy,
            f"{name}: min L_ND": self.minimum,
            f"{name}: orders of D* that attain it": self.best.n_optimal,
            f"{name}: best order": " ".join(str(k + 1) for k in self.best.order),
            f"{name}: mu(D*)": self.coherence,
        }


def refute(instance: Instance) -> Numbers:
    """Return what the theorem's order costs an instance (m = 1), with the best encoder."""
    energies = instance.energies
    by_energy = tuple(sorted(range(instance.K), key=lambda k: energies[k], reverse=True))
    in_order = tuple(range(instance.K))
    return Numbers(
        by_frequency=instance.least_at_truth([in_order]).loss,
        by_energy=instance.least_at_truth([by_energy]).loss,
        minimum=exact_planar_minimum(instance.D, energies, instance.law).value,
        best=instance.least_at_truth(),
        coherence=coherence_certificate(instance.D.tolist()).value,
    )


def check_instances(*instances: tuple[str, Instance]) -> Finding:
    """Return whether each instance meets the hypotheses and has its minimum by energy alone."""
    certificate: dict[str, Number] = {}
    confirmed = True
    for name, instance in instances:
        numbers = refute(instance)
        confirmed = confirmed and meets(THEOREM_3_1, instance) and numbers.is_refutation
        certificate |= numbers.certificate(name)
    return Finding(confirmed=confirmed, certificate=certificate)


def check(n_examples: int) -> Finding:
    """Verify both instances; there is nothing to draw, so `n_examples` is ignored."""
    return check_instances(("orthonormal", orthonormal()), ("overcomplete", overcomplete()))


THEOREM_3_1_ORDER = Claim(
    id="P2a",
    title="minimisers in order of frequency",
    source="Wang et al. (2025), Theorem 3.1",
    statement=(
        "If X = D* Y*, spark(D*) > 2m, Y* is nonnegative with m-sparse columns, the atoms stand in"
        " non-increasing frequency and p has full support, every global minimiser of L_ND has"
        " D = D*, in the order of frequency."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "m = 1, D* orthonormal, d = K = 2, p = (1/2,1/2): atom 1 occurs 3 times with value 1, atom"
        " 2 twice with value 10. The atom in slot 2 is lost half the time, at half its energy:"
        " with the best encoder L_ND = 100 by frequency and 3/2, the global minimum, the other way"
        " round."
        " Overcomplete: D* = [(1,0), (3/5,4/5), (0,1)], energies 3, 200, 1 on 3, 2 and 1 samples,"
        " p = (1/20,1/20,9/10): 101/10 by frequency, and the one order that attains the global"
        " minimum, 1/4, is (2,1,3); here mu = 4/5 < p_K.\n"
        "Instead: if m = 1, every atom is used and mu < p_K, the minimisers are D* sorted by"
        " energy e_j = ||Y*_j.||^2, and the order is unique if energies differ (T3). Frequency"
        " orders what a penalised loss finds (T6), or what is sorted afterwards (T7)."
    ),
    check=check,
    assumptions=THEOREM_3_1,
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Theorem31Order.v",
            "frequency_order_is_never_minimal",
            "at d = K = 2, m = 1, D* orthonormal: no minimiser of L_ND stands by frequency",
        ),
        Formal("Theorem31Order.v", "theorem_3_1_is_false", "Theorem 3.1 as printed is false"),
        Formal(
            "Theorem31OrderOvercomplete.v",
            "frequency_order_is_never_minimal_overcomplete",
            "the same at d = 2, K = 3, m = 1, where mu < p_K",
        ),
    ),
)
