"""Theorem 3.1 and the samples: unique codes for a known D* are not a unique dictionary.

Statement: X = D* Y*, spark(D*) > 2m, Y* nonnegative with m-sparse columns, atoms by
non-increasing frequency, p of full support: then every global minimiser of L_ND has D = D*.
Source: Wang et al. (2025), Theorem 3.1. Verdict: fails for want of samples: atoms that no sample
uses are free, and atoms that are all used but on too few samples are replaced by the samples.

>>> found = THEOREM_3_1_SAMPLES.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["one sample: L_ND at another dictionary"])
0
>>> print(found.certificate["all used: L_ND at D*, least over orders and encoders"],
...       found.certificate["all used: L_ND at another dictionary"])
61/4 25/4
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import (
    THEOREM_3_1,
    Instance,
    as_fractions,
    columns,
    meets,
    prefix_losses,
    uniform,
)

Point = tuple[Shaped[np.ndarray, "d K"], Shaped[np.ndarray, "K N"]]


def one_sample() -> tuple[Instance, Point]:
    """Return three atoms of the plane with one sample, on atom 1, and another minimiser."""
    D = columns((1, 0), (Fraction(3, 5), Fraction(4, 5)), (0, 1))
    other = columns((1, 0), (Fraction(5, 13), Fraction(12, 13)), (Fraction(-4, 5), Fraction(3, 5)))
    instance = Instance(D, columns((1, 0, 0)), uniform(3), m=1)
    return instance, (other, instance.Y)


def all_used() -> tuple[Instance, Point]:
    """Return four orthonormal atoms, m = 2, all used, with two samples, and a better point.

    The better dictionary starts with the samples' own directions.
    """
    D = as_fractions(np.eye(4, dtype=int))
    Y = columns((4, 3, 0, 0), (0, 0, 4, 3))
    a, b = Fraction(4, 5), Fraction(3, 5)
    other = columns((a, b, 0, 0), (0, 0, a, b), (-b, a, 0, 0), (0, 0, -b, a))
    return Instance(D, Y, uniform(4), m=2), (other, columns((5, 0, 0, 0), (0, 5, 0, 0)))


def is_signed_permutation(D: Shaped[np.ndarray, "d K"], other: Shaped[np.ndarray, "d K"]) -> bool:
    """Return whether two exact dictionaries have the same atoms up to order and sign."""
    return {max(tuple(d), tuple(-d)) for d in D.T} == {max(tuple(d), tuple(-d)) for d in other.T}


@dataclass(frozen=True)
class Numbers:
    """L_ND at D*, in its best order and with the best encoder, and at another dictionary.

    Attributes
    ----------
    at_truth : Fraction
        The least L_ND at D*, over all orders and all encoders.
    elsewhere : Fraction
        L_ND at the other point.
    full : Fraction
        L_K there: 0 if it factorises the data too.
    """

    at_truth: Fraction
    elsewhere: Fraction
    full: Fraction

    def certificate(self, name: str) -> dict[str, Number]:
        """Return the numbers by what they are of."""
        return {
            f"{name}: L_ND at D*, least over orders and encoders": self.at_truth,
            f"{name}: L_ND at another dictionary": self.elsewhere,
            f"{name}: L_K at another dictionary": self.full,
        }


def compare(instance: Instance, point: Point) -> Numbers:
    """Return L_ND at D* and at the other point."""
    D, Y = point
    return Numbers(
        at_truth=instance.least_at_truth().loss,
        elsewhere=instance.loss(Y, D),
        full=prefix_losses(instance.X, Y, D)[-1],
    )


def is_refutation(instance: Instance, point: Point) -> bool:
    """Return whether the other point factorises X too, is no worse, and is not D*."""
    numbers = compare(instance, point)
    sparse = np.count_nonzero(point[1], axis=0).max() <= instance.m
    different = not is_signed_permutation(instance.D, point[0])
    no_worse = numbers.full == 0 and numbers.elsewhere <= numbers.at_truth
    return bool(meets(THEOREM_3_1, instance) and sparse and different and no_worse)


def check(n_examples: int) -> Finding:
    """Verify both instances; there is nothing to draw, so `n_examples` is ignored."""
    named = {"one sample": one_sample(), "all used": all_used()}
    certificate: dict[str, Number] = {}
    for name, pair in named.items():
        certificate |= compare(*pair).certificate(name)
    return Finding(
        confirmed=all(is_refutation(*pair) for pair in named.values()), certificate=certificate
    )


THEOREM_3_1_SAMPLES = Claim(
    id="P2d",
    title="recovery without enough samples",
    source="Wang et al. (2025), Theorem 3.1",
    statement=(
        "If X = D* Y*, spark(D*) > 2m, Y* is nonnegative with m-sparse columns, the atoms stand in"
        " non-increasing frequency and p has full support, then, however few the samples, every"
        " global minimiser of L_ND has D = D*."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "m = 1, three atoms, one sample, on the first: L_ND = 0, the least possible, for any"
        " second and third atom. With every atom used: D* the basis of R^4, m = 2, two samples,"
        " 4 e_1 + 3 e_2 and 4 e_3 + 3 e_4, p uniform. The dictionary that starts with the two"
        " samples' directions has L_K = 0 with one atom a sample, and L_ND = 25/4; D* has 61/4 in"
        " its best order and with the best encoder.\n"
        "Instead: spark(D*) > 2m makes the codes unique for a known D* (U1). A unique dictionary"
        " needs conditions on the samples besides: enough of them in general position on enough"
        " supports (U2), or, for m = 2, the counting argument of N1."
    ),
    check=check,
    assumptions=THEOREM_3_1,
    references=(
        "Aharon, Elad & Bruckstein (2006), Linear Algebra Appl. 416(1)",
        "Hillar & Sommer (2015), arXiv 1106.3616",
        "Garfinkle & Hillar (2019), arXiv 1606.06997",
    ),
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Theorem31Samples.v",
            "unused_atoms_are_free",
            "one sample, d = 2, K = 3, m = 1: some minimiser has an atom that is none of D*",
        ),
        Formal(
            "Theorem31Samples.v",
            "too_few_samples_never_recover",
            "every atom used, d = K = 4, m = 2: no minimiser has atoms of D* only",
        ),
    ),
)
