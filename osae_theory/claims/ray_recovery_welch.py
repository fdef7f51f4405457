"""T3c: no named law meets mu < p_K with an overcomplete dictionary, so T3 needs another law.

Statement. If K > d then mu(D*) >= sqrt((K - d) / (d (K - 1))) > 1/K (Welch), and every law that
does not increase has p_K <= 1/K. So for uniform, Zipf and geometric laws T3 never applies to an
overcomplete dictionary. Where all atoms are used with equal energies (D*, Y*) is in no order a
minimiser of L_ND, and for d >= 2 the minimisers are not exactly D*.

Source: claim T3c. Verdict: holds. Tight: Welch's bound is attained by equiangular tight frames,
and p_K = 1/K by the uniform law. D* with another encoder than Y* can be among the minimisers, if
it leaves some slot to no sample; the claim once said that it cannot.

>>> finding = RAY_RECOVERY_WELCH.check(100)
>>> finding.confirmed, finding.error
(True, 0.0)
>>> print(finding.certificate["least (Welch bound)^2 K^2 for d < K <= 200"])
40000/39601
>>> for name in ("three in a fan", "e_1 twice"):
...     print(finding.certificate[name + ": L_ND at (D*, Y*), least over orders"],
...           finding.certificate[name + ": L_ND at D*, least over orders and encoders"],
...           finding.certificate[name + ": min L_ND"])
1 98/625 98/625
1 1/3 1/3
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Assumption, Claim, Finding, Formal, Number
from osae_theory.claims.exact import FULL_SUPPORT, Instance, Law, as_fractions, columns, uniform
from osae_theory.claims.lemma_3_1 import merged_point
from osae_theory.errors import check_integer
from osae_theory.minimisers.exact_encoders import BestEncoder
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.minimisers.rational import rational_unit_vector

OVERCOMPLETE = Assumption("K > d", lambda instance: instance.K > instance.D.shape[0])
NON_INCREASING = Assumption(
    "P(l = j) does not increase with j, as for uniform, Zipf and geometric laws",
    lambda instance: all(a >= b for a, b in pairwise(instance.law)),
)
ONE_SPARSE = Assumption(
    "every sample uses exactly one atom",
    lambda instance: bool((np.count_nonzero(instance.Y, axis=0) == 1).all()),
)
EQUAL_ENERGIES = Assumption(
    "all atoms have the same energy, not 0",
    lambda instance: len(set(instance.energies)) == 1 and instance.energies[0] > 0,
)
TWO_DIMENSIONS = Assumption(
    "d >= 2 (for the dictionaries; not for (D*, Y*))", lambda instance: instance.D.shape[0] >= 2
)


def welch_squared(d: int, K: int) -> Fraction:
    """Return the square of Welch's bound, (K - d) / (d (K - 1)), for K > d."""
    return Fraction(K - d, d * (K - 1))


def named_laws(K: int) -> dict[str, Law]:
    """Return exact uniform, Zipf and geometric laws on {1..K}."""
    weights = {
        "zipf(1)": [Fraction(1, j) for j in range(1, K + 1)],
        "geometric(9/10)": [Fraction(9, 10) ** j for j in range(K)],
        "geometric(1/2)": [Fraction(1, 2) ** j for j in range(K)],
    }
    return {"uniform": uniform(K)} | {
        name: tuple(x / sum(row) for x in row) for name, row in weights.items()
    }


def three_in_a_fan() -> Instance:
    """Return (1,0), (24/25, 7/25), (24/25, -7/25), one sample on each, p uniform.

    All samples on (1,0), in slot 1, is a minimiser: D* is one of the minimisers' dictionaries.
    """
    a, b = Fraction(24, 25), Fraction(7, 25)
    D = columns((1, 0), (a, b), (a, -b))
    return Instance(D, as_fractions(np.eye(3, dtype=int)), uniform(3), 1)


def repeated_atom() -> Instance:
    """Return (1,0), (1,0), (0,1), one sample on each, p uniform: two atoms are parallel."""
    D = columns((1, 0), (1, 0), (0, 1))
    return Instance(D, as_fractions(np.eye(3, dtype=int)), uniform(3), 1)


def one_dimension() -> Instance:
    """Return two atoms of R^1, which are the same up to sign, one sample on each, p uniform."""
    return Instance(columns((1,), (-1,)), as_fractions(np.eye(2, dtype=int)), uniform(2), 1)


def draw_overcomplete(rng: np.random.Generator) -> Instance:
    """Return rational atoms, K = d + 1 or d + 2, one sample of norm 1 on each, and a named law.

    Every fourth time or so the last atom is parallel to the first; d is 1 now and then.
    """
    d = int(rng.choice([1, 2, 2, 3, 3]))
    K = d + int(rng.integers(1, 3))
    atoms = [rational_unit_vector(v, denominator=8) for v in rng.standard_normal((K, d))]
    if rng.random() < 1 / 4:
        atoms[-1] = int(rng.choice([-1, 1])) * atoms[0]
    laws = list(named_laws(K).values())
    law = laws[int(rng.integers(len(laws)))]
    return Instance(np.array(atoms, dtype=object).T, as_fractions(np.eye(K, dtype=int)), law, 1)


def closest_pair(D: Shaped[np.ndarray, "d K"]) -> tuple[Fraction, tuple[int, int]]:
    """Return the cosine of largest modulus of two atoms, exactly, and the pair."""
    pairs = combinations(range(D.shape[1]), 2)
    return max((((D[:, i] * D[:, j]).sum(), (i, j)) for i, j in pairs), key=_modulus)


def _modulus(found: tuple[Fraction, tuple[int, int]]) -> Fraction:
    return abs(found[0])


def saved_by_merging(instance: Instance) -> Fraction:
    """Return by how much L_ND falls from D* when its closest pair goes into slot 1 together."""
    D, K = instance.D, instance.K
    cosine, (i, j) = closest_pair(D)
    rest = [k for k in range(K) if k not in (i, j)]
    slots = {k: place for place, k in enumerate(rest, start=1)} | {i: 0, j: 0}
    bisector = D[:, i] + (1 if cosine >= 0 else -1) * D[:, j]
    directions = np.column_stack([bisector, *(D[:, k] for k in rest)])
    merged, _ = merged_point(
        instance.X, directions, tuple(slots[k] for k in range(K)), instance.law
    )
    return instance.loss() - merged


@dataclass(frozen=True)
class Numbers:
    """An instance with equal energies against both halves of the claim, in exact arithmetic.

    Attributes
    ----------
    coherence, last : Fraction
        mu(D*), the largest |cosine|, and p_K.
    saved : Fraction
        By how much merging the closest pair lowers L_ND from (D*, Y*), the same in every order.
    at_truth : Fraction
        The least L_ND at D*, over all orders and all encoders.
    merged : Fraction
        L_ND with the closest pair merged.
    idle : bool
        Whether the best encoder at D* leaves a slot to no sample.
    beyond_welch : bool
        Whether mu^2 is at least Welch's bound and p_K <= 1/K < mu.
    """

    coherence: Fraction
    last: Fraction
    saved: Fraction
    at_truth: Fraction
    merged: Fraction
    idle: bool
    beyond_welch: bool

    @property
    def true_codes_lose(self) -> bool:
        """Whether (D*, Y*) is in no order a minimiser: merging saves mu - p_K > 0."""
        return self.beyond_welch and self.saved == self.coherence - self.last > 0

    @property
    def minimisers_differ(self) -> bool:
        """Whether the minimisers are not exactly D*, d >= 2.

        D* with its best encoder either is beaten, or has a slot that serves no sample, and then
        any atom there will do.
        """
        return self.merged < self.at_truth or self.idle

    @property
    def encoder_hides_it(self) -> bool:
        """Whether merging the closest pair is no better than the best encoder at D*."""
        return self.merged >= self.at_truth


def compare(instance: Instance) -> Numbers:
    """Return an instance's numbers; one sample of norm 1 on each atom, m = 1."""
    d, K = instance.D.shape
    mu, last = abs(closest_pair(instance.D)[0]), instance.law[-1]
    saved = saved_by_merging(instance)
    best = instance.least_at_truth()
    return Numbers(
        coherence=mu,
        last=last,
        saved=saved,
        at_truth=best.loss,
        merged=instance.loss() - saved,
        idle=not (best.codes != 0).any(axis=1).all(),
        beyond_welch=welch_squared(d, K) <= mu * mu and last <= Fraction(1, K) < mu,
    )


@dataclass(frozen=True)
class PrintedForm:
    """An instance in the plane against "D* is in no order a minimiser of L_ND".

    Attributes
    ----------
    true_codes : Fraction
        L_ND at (D*, Y*), the same in every order.
    at_truth : BestEncoder
        The least L_ND at D*, over all orders and all encoders.
    minimum : int, float or Fraction
        min L_ND over all dictionaries.
    """

    true_codes: Fraction
    at_truth: BestEncoder
    minimum: int | float | Fraction

    @property
    def is_refuted(self) -> bool:
        """Whether D* attains the minimum with another encoder than Y*."""
        return self.at_truth.loss == self.minimum < self.true_codes

    def certificate(self, name: str) -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"{name}: L_ND at (D*, Y*), least over orders": self.true_codes,
            f"{name}: L_ND at D*, least over orders and encoders": self.at_truth.loss,
            f"{name}: min L_ND": self.minimum,
            f"{name}: orders of D* that attain it": self.at_truth.n_optimal,
        }


def printed_form(
    instance: Instance, rays: Shaped[np.ndarray, "2 R"], energies: list[int]
) -> PrintedForm:
    """Return the numbers; the rays of the data are given apart, as D* may have parallel atoms."""
    return PrintedForm(
        true_codes=instance.loss(),
        at_truth=instance.least_at_truth(),
        minimum=exact_planar_minimum(rays, energies, instance.law).value,
    )


def check(n_examples: int) -> Finding:
    """Verify Welch > 1/K in integers for K <= 200, and merge on n_examples / 10 exact instances."""
    check_integer("n_examples", n_examples, 1)
    rng = np.random.default_rng(35)
    drawn = [draw_overcomplete(rng) for _ in range(max(1, n_examples // 10))]
    found = [(instance, compare(instance)) for instance in drawn]
    lost = sum(numbers.true_codes_lose for _, numbers in found)
    spread = [numbers for instance, numbers in found if TWO_DIMENSIONS.test(instance)]
    ratio = min(welch_squared(d, K) * K * K for K in range(2, 201) for d in range(1, K))
    fan = printed_form(three_in_a_fan(), three_in_a_fan().D, [1, 1, 1])
    twice = printed_form(repeated_atom(), columns((1, 0), (0, 1)), [2, 1])
    return Finding(
        confirmed=ratio > 1
        and lost == len(drawn)
        and all(numbers.minimisers_differ for numbers in spread)
        and fan.is_refuted
        and twice.is_refuted,
        certificate={
            "least (Welch bound)^2 K^2 for d < K <= 200": ratio,
            **fan.certificate("three in a fan"),
            **twice.certificate("e_1 twice"),
            "exact overcomplete instances, equal energies": len(drawn),
            "of which merging the closest pair saves mu - p_K > 0": lost,
            "instances with d >= 2": len(spread),
            "of which the minimisers are not exactly D*": sum(n.minimisers_differ for n in spread),
            "of which D* with its best encoder is no worse than merging": sum(
                n.encoder_hides_it for n in spread
            ),
        },
        n_examples=len(drawn),
    )


RAY_RECOVERY_WELCH = Claim(
    id="T3c",
    title="T3 and overcomplete dictionaries",
    source="this project",
    statement=(
        "If K > d, mu(D*) >= sqrt((K - d) / (d (K - 1))) > 1/K, and a law that does not increase"
        " has p_K <= 1/K: with such a law T3 never applies. If moreover m = 1, the law has full"
        " support and all atoms are used with the same energy, (D*, Y*) is in no order a minimiser"
        " of L_ND, and for d >= 2 the minimisers are not exactly D*."
    ),
    verdict="holds",
    evidence="exact certificate",
    story=(
        "K^2 (K - d) >= K^2 > (K - 1)^2 >= d (K - 1) for d < K, which is Welch's bound above 1/K."
        " The least of K numbers that sum to 1 is at most 1/K, and it is the last if they do not"
        " increase. So mu > p_K, and by T3b's merging of the closest pair, parallel atoms included,"
        " L_ND falls from (D*, Y*) by mu - p_K a unit of energy. By T3e some minimiser maps rays"
        " whole to slots. If each slot has a ray, that is (D*, Y*) in some order, which is none;"
        " so a slot is left to no sample, and for d >= 2 any atom there will do.\n"
        "D* itself, with another encoder than Y*, can be one of the minimisers: for"
        " D* = X = [(1,0), (24/25,7/25), (24/25,-7/25)], p uniform, all samples on (1,0) in slot 1"
        " give 98/625, the least over the 27 maps of samples to slots, and slots 2 and 3 are free,"
        " so the orders 1 2 3 and 1 3 2 attain it; for D* = (e_1, e_1, e_2) the minimum 1/3 has"
        " both samples on e_1 in slot 1, e_2 in slot 2 and slot 3 free. For d = 1 every dictionary"
        " is D* up to signs. Every random instance is compared with the best encoder at D* in all"
        " its orders.\n"
        "Distinct energies may still be recovered (T3d, B1): mu < p_K is then not necessary."
        " Otherwise recovery needs a law with its mass on the last prefix."
    ),
    check=check,
    assumptions=(
        OVERCOMPLETE,
        ONE_SPARSE,
        FULL_SUPPORT,
        NON_INCREASING,
        EQUAL_ENERGIES,
        TWO_DIMENSIONS,
    ),
    references=("Welch (1974)",),
    machine_checked=(
        Formal("RayWelch.v", "welch_bound", "(K - d) <= d (K - 1) mu^2 for any d, K"),
        Formal(
            "RayWelch.v",
            "no_non_increasing_law_exceeds_the_coherence",
            "so p_K < mu for every law that does not increase, K > d",
        ),
        Formal(
            "RayWelch.v",
            "truth_can_be_a_minimiser",
            "with equal energies D* can be a minimiser, with another encoder than Y*",
        ),
    ),
)
