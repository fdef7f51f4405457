"""Lemma 3.1, "any minimiser of L_ND also minimises L_K": false, with exact counterexamples.

Statement: let (D, E) minimise the nested-dropout loss L_ND, p of full support, over unit-norm
D and any E; then it minimises the full-prefix loss L_K. Source: Wang et al. (2025), Lemma 3.1.
Verdict: fails at d = K = 2, m = 1, where nothing is smaller, for two atoms at cosine 3/5. For
two atoms, c < 1, it fails exactly when p_2 (1 - (1 - p_2) rho) <= c^2: the condition is tight.

>>> found = LEMMA_3_1.check(100)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["L_ND at every minimiser of L_K"], found.certificate["min L_ND"])
1/2 2/5
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations, product
from math import sqrt

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import (
    FULL_SUPPORT,
    UNIT_NORM,
    Instance,
    Law,
    as_fractions,
    columns,
    rank,
    squared_norm,
    uniform,
)
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers.exact_rays import exact_planar_minimum

_MARGIN = Fraction(1, 10**9)  # far above the rounding of the threshold's floating point


def two_atoms() -> Instance:
    """Return the counterexample: (1,0) and (3/5,4/5), one sample on each, p = (1/2,1/2)."""
    D = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)))
    return Instance(D, as_fractions(np.eye(2, dtype=int)), uniform(2), m=1)


def three_atoms() -> Instance:
    """Return the overcomplete one: (1,0), (3/5,4/5), (0,1), one sample on each, p uniform."""
    D = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)), (0, 1))
    return Instance(D, as_fractions(np.eye(3, dtype=int)), uniform(3), m=1)


def full_loss_minimisers(
    instance: Instance,
) -> Iterator[tuple[Shaped[np.ndarray, "d K"], Shaped[np.ndarray, "K N"]]]:
    """Yield every minimiser (D, Y) of L_K, for K unit samples that are pairwise not parallel.

    L_K is 0 at (D*, Y*), so at a minimiser each sample lies on an atom (m = 1), different
    samples on different atoms: D is D* with columns permuted and signed, whatever E is.

    Raises
    ------
    InputError
        If m is not 1, or the samples are not D* itself, pairwise independent.
    """
    X, K = instance.X, instance.K
    alone = X.shape[1] == K and all(
        rank(X[:, list(pair)]) == 2 for pair in combinations(range(K), 2)
    )
    if instance.m != 1 or not alone or not (instance.D == X).all():
        raise InputError("instance: expected m = 1 and X = D*, atoms pairwise not parallel")
    for order in permutations(range(K)):
        for signs in product((1, -1), repeat=K):
            flips = as_fractions(signs)
            yield instance.D[:, list(order)] * flips, instance.Y[list(order)] * flips[:, None]


def merged_point(
    X: Shaped[np.ndarray, "d N"],
    directions: Shaped[np.ndarray, "d J"],
    slots: tuple[int, ...],
    law: Law,
) -> tuple[Fraction, Fraction]:
    """Return L_ND with sample n in slot slots[n], and ||R y_j^T||^2 summed over the slots.

    Atom j lies along directions[:, j], of any length: only its projector is used, so that
    neither atoms nor codes, which can be irrational, are needed.
    """
    loss, moved = Fraction(0), Fraction(0)
    fits = np.zeros_like(X)
    for j, u in enumerate(directions.T):
        projector = np.multiply.outer(u, u) / (u @ u)
        used = [n for n, slot in enumerate(slots) if slot == j]
        fits[:, used] = projector @ X[:, used]
        # y_j d_j^T is what the atom contributes, and d_j has norm 1.
        moved += squared_norm((X - fits)[:, used] @ fits[:, used].T)
    for length, p in enumerate(law, start=1):
        kept = np.array([slot < length for slot in slots])
        loss += p * squared_norm(X - fits * kept)
    return loss, moved


@dataclass(frozen=True)
class Numbers:
    """L_ND over argmin L_K, and at its own minimum.

    Attributes
    ----------
    at_full : Fraction
        L_ND at every minimiser of L_K.
    minimum : int, float or Fraction
        min L_ND.
    attained : Fraction
        L_ND with the closest pair merged.
    moved : Fraction
        sum_j ||R* y_j^T||^2 there, along which the printed proof moves an atom.
    """

    at_full: Fraction
    minimum: int | float | Fraction
    attained: Fraction
    moved: Fraction

    @property
    def is_refutation(self) -> bool:
        """Whether they refute the lemma and show where its proof breaks."""
        return self.attained == self.minimum < self.at_full and self.moved == 0

    def certificate(self, prefix: str = "") -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"{prefix}L_ND at every minimiser of L_K": self.at_full,
            f"{prefix}min L_ND": self.minimum,
            f"{prefix}L_ND with the closest pair merged": self.attained,
            f"{prefix}sum_j ||R* y_j^T||^2 there": self.moved,
        }


def refute(
    instance: Instance, directions: Shaped[np.ndarray, "d J"], slots: tuple[int, ...]
) -> Numbers:
    """Return L_ND over argmin L_K, the global minimum, and a point that attains it.

    Raises
    ------
    InputError
        If the minimisers of L_K differ in order: then there is no one value.
    """
    X = instance.X
    at_full = {instance.loss(Y, D) for D, Y in full_loss_minimisers(instance)}
    if len(at_full) != 1:
        raise InputError(f"L_ND over argmin L_K takes {len(at_full)} values: expected one")
    minimum = exact_planar_minimum(X, [1] * instance.K, instance.law).value
    return Numbers(at_full.pop(), minimum, *merged_point(X, directions, slots, instance.law))


def lemma_fails(
    atoms: Shaped[np.ndarray, "2 2"], energies: tuple[Fraction, Fraction], p_2: Fraction
) -> bool:
    """Return whether some minimiser of L_ND merges two rays (m = 1), decided exactly.

    Apart they cost (1 - p_2) min(e), merged the lesser eigenvalue of e_1 P_1 + e_2 P_2: it is
    at most t unless that matrix less t I is positive definite.

    Raises
    ------
    InputError
        If the atoms are parallel: then the data have one ray, and the lemma holds.
    """
    if rank(atoms) < 2:
        raise InputError("two parallel atoms: expected a cosine of modulus less than 1")
    moment = (atoms * as_fractions(energies)) @ atoms.T
    apart = (1 - p_2) * min(energies)
    (a, b), (c, d) = moment - apart * as_fractions(np.eye(2, dtype=int))
    return not (a > 0 and a * d - b * c > 0)


def threshold(cosine: float, rho: float) -> float:
    """Return the p_2 up to which the lemma fails, for rho = e_2/e_1 in (0, 1]."""
    return (-(1 - rho) + sqrt((1 - rho) ** 2 + 4 * rho * cosine**2)) / (2 * rho)


def family_disagreements(n_examples: int) -> int:
    """Return on how many random rational pairs of rays the condition, or the threshold, errs."""
    rng = np.random.default_rng(31)
    wrong = 0
    for _ in range(n_examples):
        t, p_2 = (Fraction(int(rng.integers(1, 40)), 40) for _ in range(2))
        c, s = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        values = rng.integers(1, 6, size=(2, 3))
        energies = sorted((Fraction(int(v @ v)) for v in values), reverse=True)
        pair, rho = (energies[0], energies[1]), energies[1] / energies[0]
        atoms = columns((1, 0), (c, s))
        exact = p_2 * (1 - (1 - p_2) * rho) <= c * c
        limit = Fraction(threshold(float(c), float(rho)))
        wrong += not (
            lemma_fails(atoms, pair, p_2) == exact
            and lemma_fails(atoms, pair, limit - _MARGIN)
            and not lemma_fails(atoms, pair, limit + _MARGIN)
            and c * c <= limit + _MARGIN
            and limit <= c + _MARGIN
        )
    return wrong


def check(n_examples: int) -> Finding:
    """Verify both counterexamples, and the condition of the two-atom family on examples."""
    check_integer("n_examples", n_examples, 1)
    two = refute(two_atoms(), columns((2, 1)), (0, 0))
    three = refute(three_atoms(), columns((1, 3), (1, 0)), (1, 0, 0))
    wrong = family_disagreements(n_examples)
    return Finding(
        confirmed=two.is_refutation and three.is_refutation and wrong == 0,
        certificate={
            **two.certificate(),
            **three.certificate("overcomplete: "),
            "two-atom instances that disagree with the condition": wrong,
        },
        n_examples=n_examples,
    )


LEMMA_3_1 = Claim(
    id="P1",
    title="minimisers of L_ND minimise L_K",
    source="Wang et al. (2025), Lemma 3.1",
    statement=(
        "Any (D, E) that minimises L_ND, for a law of full support, over unit-norm D and any E,"
        " also minimises L_K."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "d = K = 2, m = 1, D* = [(1,0), (3/5,4/5)], X = D*, p = (1/2,1/2). L_K = 0 puts each"
        " sample on its own atom, so D is D* up to order and sign, and the sample in slot 2 is"
        " lost half the time: L_ND = 1/2. Both samples on one atom along (2,1) cost"
        " 2 - 8/5 = 2/5, which is the least over all maps of samples to slots; but L_K = 2/5"
        " there. Overcomplete: D* = [(1,0), (3/5,4/5), (0,1)], p uniform, 1 against 8/15.\n"
        "The printed proof moves d_K along v = R* y_K^T. Where the codes are free, v = 0 at a"
        " minimiser: only the full prefix sees d_K, so d_K is a principal direction of what it"
        " explains, and nothing is left to move along.\n"
        "Instead: for two atoms of energies e_1 >= e_2 > 0, rho = e_2/e_1, at cosine +-c,"
        " 0 <= c < 1, m = 1, the lemma fails if and only if p_2 (1 - (1 - p_2) rho) <= c^2, for"
        " rho = 1 if and only if p_2 <= c; for c = 1 there is one ray, and both losses vanish with"
        " it in slot 1. In general p_K times the excess of L_K is at most what the minimiser"
        " of L_ND saves on the shorter prefixes (T2); the lemma holds where one point minimises"
        " every prefix, as in the linear case m = K <= d (T1)."
    ),
    check=check,
    assumptions=(UNIT_NORM, FULL_SUPPORT),
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Lemma31.v", "lemma_3_1_is_false_for_two_atoms", "Lemma 3.1 fails at d = K = 2, m = 1"
        ),
        Formal("Lemma31.v", "lemma_3_1_is_false", "Lemma 3.1 as printed is false"),
        Formal(
            "Lemma31Overcomplete.v",
            "lemma_3_1_is_false_overcomplete",
            "Lemma 3.1 fails at d = 2, K = 3, m = 1",
        ),
        Formal(
            "TwoAtoms.v",
            "lemma_3_1_fails_for_two_atoms_iff",
            "two atoms at cosine c, a sample on each: it fails iff p_2 (1 - (1 - p_2) rho) <= c^2",
        ),
        Formal("TwoAtoms.v", "condition_as_a_threshold", "that condition as an upper bound on p_2"),
    ),
)
