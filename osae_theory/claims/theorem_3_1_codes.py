"""Theorem 3.1's codes: "E(X) = Y*" does not follow, and signs are free unless codes have one.

Statement: under the theorem's hypotheses every global minimiser of L_ND has E(X) = Y* and
D = D*. Source: Wang et al. (2025), Theorem 3.1. Verdict: fails where D* is recovered; L_ND sees
Top_m(E(X)) alone. Tight: Top_m(E(X)) = Y* follows for nonnegative codes wherever D* is unique.

>>> found = THEOREM_3_1_CODES.check(1)
>>> found.confirmed, found.error
(True, 0.0)
>>> print(found.certificate["L_ND at Y*"], found.certificate["L_ND at other latents E(X)"])
1/2 1/2
>>> print(found.certificate["signs that attain it"],
...       found.certificate["signs that attain it with codes >= 0"])
4 1
"""

from fractions import Fraction
from itertools import product

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Claim, Finding, Formal, Number
from osae_theory.claims.exact import THEOREM_3_1, Instance, as_fractions, columns, meets, uniform
from osae_theory.errors import InputError
from osae_theory.minimisers.exact_rays import exact_planar_minimum
from osae_theory.minimisers.rational import survival_of


def orthonormal() -> Instance:
    """Return two orthonormal atoms, one sample each, values 2 and 1, p = (1/2,1/2)."""
    return Instance(columns((1, 0), (0, 1)), columns((2, 0), (0, 1)), uniform(2), m=1)


def other_latents() -> Shaped[np.ndarray, "K N"]:
    """Return latents that are not Y*, though their largest entries are."""
    return columns((2, 1), (Fraction(1, 2), 1))


def top_m(Z: Shaped[np.ndarray, "K N"], m: int) -> Shaped[np.ndarray, "K N"]:
    """Return Z with all but the m largest |z| of each column set to 0.

    Raises
    ------
    InputError
        If a tie leaves open which they are.
    """
    sizes = -np.sort(-np.abs(Z), axis=0)
    if m < len(Z) and (sizes[m - 1] == sizes[m]).any():
        raise InputError("latents with a tie at Top_m: expected distinct sizes there")
    return Z * (np.abs(Z) >= sizes[m - 1])


def least_with_nonnegative_codes(instance: Instance, D: Shaped[np.ndarray, "d K"]) -> Fraction:
    """Return min L_ND at D over codes >= 0, m = 1: each sample takes the slot that saves most."""
    w = survival_of(as_fractions(instance.law))
    saved = w[:, None] * np.maximum(D.T @ instance.X, 0) ** 2
    return Fraction((instance.X * instance.X).sum() - saved.max(axis=0).sum())


def refute(instance: Instance, Z: Shaped[np.ndarray, "K N"]) -> dict[str, Number]:
    """Return L_ND at Y*, at latents Z after Top_m, and over the signs of the atoms (m = 1)."""
    minimum = exact_planar_minimum(instance.D, instance.energies, instance.law).value
    flips = [as_fractions(signs) for signs in product((1, -1), repeat=instance.K)]
    signed = [instance.loss(instance.Y * s[:, None], instance.D * s) for s in flips]
    nonnegative = [least_with_nonnegative_codes(instance, instance.D * s) for s in flips]
    return {
        "min L_ND": minimum,
        "L_ND at Y*": instance.loss(),
        "L_ND at other latents E(X)": instance.loss(top_m(Z, instance.m)),
        "entries in which E(X) differs from Y*": int(np.count_nonzero(Z - instance.Y)),
        "signs that attain it": signed.count(instance.loss()),
        "signs that attain it with codes >= 0": nonnegative.count(instance.loss()),
    }


def check_instance(instance: Instance, Z: Shaped[np.ndarray, "K N"]) -> Finding:
    """Return whether Y* is a minimiser, Z another encoder's latents, and signs are free."""
    numbers = refute(instance, Z)
    minimum, at_truth, at_other, differing, signed, nonnegative = numbers.values()
    same = minimum == at_truth == at_other
    signs = signed == 2**instance.K and nonnegative == 1
    confirmed = meets(THEOREM_3_1, instance) and same and differing != 0 and signs
    return Finding(confirmed=confirmed, certificate=numbers)


def check(n_examples: int) -> Finding:
    """Verify the instance; there is nothing to draw, so `n_examples` is ignored."""
    return check_instance(orthonormal(), other_latents())


THEOREM_3_1_CODES = Claim(
    id="P2f",
    title="recovery of E(X) and of signs",
    source="Wang et al. (2025), Theorem 3.1",
    statement=(
        "If X = D* Y*, spark(D*) > 2m, Y* is nonnegative with m-sparse columns, the atoms stand in"
        " non-increasing frequency and p has full support, every global minimiser of L_ND has"
        " E(X) = Y* and D = D*."
    ),
    verdict="fails",
    evidence="exact certificate",
    story=(
        "L_ND depends on Top_m(E(X)) only: whatever E gives below the m largest entries is cut"
        " off. m = 1, D* = [e_1, e_2], X = [2 e_1, e_2], p = (1/2,1/2): E(X) = [(2,1), (1/2,1)]"
        " has Top_1(E(X)) = Y* and the same loss as Y*, 1/2, the global minimum. And"
        " (-d_j, -Y_j.) does what (d_j, Y_j.) does: all four choices of signs attain 1/2, as"
        " nothing in L_ND keeps codes nonnegative.\n"
        "Instead: where D* is recovered, Top_m(E(X)) = Y* up to signs; and with codes constrained"
        " to be nonnegative (a ReLU before Top_m) the signs are those of D*."
    ),
    check=check,
    assumptions=THEOREM_3_1,
    machine_checked_whole=True,
    machine_checked=(
        Formal(
            "Theorem31Codes.v",
            "latents_are_not_the_codes",
            "d = K = 2, m = 1: a minimiser with D = D* and E(X) other than Y*",
        ),
        Formal("Theorem31Codes.v", "signs_are_free", "a minimiser with D = -D*"),
    ),
)
