"""U2: how many samples, on which supports, make the dictionary of X = D* Y* unique.

Statement. spark(D*) > 2m (infinite for independent atoms), m < K, Y* has m-sparse columns, and
either (a) more than (m - 1) binom(K, m) samples in general position on each of the K cyclic
supports {i, ..., i+m-1} (Garfinkle & Hillar 2019), or (b) m + 1 samples on each of the
binom(K, m) supports, any m of a support and any m + 1 that do not share one independent (Aharon,
Elad & Bruckstein 2006). Then every factorisation of X with K atoms and m-sparse codes is
D*, Y* up to signed permutation.

Source: the literature; claim U2. Verdict: holds. Not known to be tight in the number of
samples; but N <= K never do (unless m = 1: then one an atom does, and none fewer), and supports
that do not tell two atoms apart never do, whatever N.

>>> finding = UNIQUE_DICTIONARY.check(1)
>>> finding.confirmed, finding.certificate["(K, m) = (5, 2): placings of the cyclic spans"]
(True, 120)
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Assumption, Claim, Finding
from osae_theory.claims.exact import as_fractions, columns, rank, spark
from osae_theory.problems import SparseCodingProblem
from osae_theory.uniqueness import garfinkle_hillar, sufficient_conditions

Support = frozenset[int]
SIZES = ((3, 2), (4, 2), (5, 2), (6, 2), (4, 3), (5, 3))
_MOST_ATOMS_ALL = 5


def cyclic_supports(K: int, m: int) -> list[Support]:
    """Return the K cyclic intervals of m atoms."""
    return [frozenset((i + step) % K for step in range(m)) for i in range(K)]


def all_supports(K: int, m: int) -> list[Support]:
    """Return all m-subsets of the atoms."""
    return [frozenset(s) for s in combinations(range(K), m)]


def placings(supports: Sequence[Support], K: int, m: int) -> list[tuple[Support, ...]]:
    """Return every way to name the true spans by m-subsets of an alternative's K atoms.

    If span(D_S) is spanned by the atoms pi(S) of an alternative for every S, then for every
    family, since spark(D) > 2m, |intersection of the pi(S)| <= dim of the spans' intersection =
    |intersection of the S|. Exhaustive search with this condition on all families.
    """
    found: list[tuple[Support, ...]] = []
    choices = all_supports(K, m)

    def place(chosen: list[Support], meets: list[tuple[Support, Support]]) -> None:
        if len(chosen) == len(supports):
            found.append(tuple(chosen))
            return
        true = supports[len(chosen)]
        for choice in choices:
            new = [(true & s, choice & c) for s, c in meets]
            if all(len(c) <= len(s) for s, c in new):
                # Families that meet in nothing on the alternative's side constrain no more.
                kept = {pair for pair in new if pair[1]}
                place([*chosen, choice], [*dict.fromkeys([*meets, (true, choice), *kept])])

    place([], [])
    return found


def are_relabellings(
    found: Sequence[tuple[Support, ...]], supports: Sequence[Support], K: int
) -> bool:
    """Return whether each placing identifies the atoms: a permutation carries S to pi(S)."""
    for placing in found:
        images = []
        for atom in range(K):
            holding = [c for s, c in zip(supports, placing, strict=True) if atom in s]
            images.append(frozenset.intersection(*holding))
        if any(len(image) != 1 for image in images) or len(set(images)) < K:
            return False
    return True


def cyclic_instance(
    n_samples: int = 11,
) -> tuple[Shaped[np.ndarray, "4 5"], Shaped[np.ndarray, "5 N"]]:
    """Return N1's D* (spark 5) and codes (1, t), t = 1..n, on each pair of the cycle, m = 2."""
    D = columns(*np.eye(4, dtype=int).tolist(), [Fraction(1, 2)] * 4)
    codes = np.zeros((5, 5 * n_samples), dtype=int)
    for i in range(5):
        samples = np.arange(n_samples) + i * n_samples
        codes[i, samples] = 1
        codes[(i + 1) % 5, samples] = 1 + np.arange(n_samples)
    return D, as_fractions(codes.tolist())


def _general_position(Y: np.ndarray, m: int) -> bool:
    """Return whether any m samples with the same support have independent codes, exactly."""
    active = Y.T != 0
    for support in np.unique(active, axis=0):
        codes = Y[support][:, (active == support).all(axis=1)]
        if any(rank(codes[:, c]) < m for c in map(list, combinations(range(codes.shape[1]), m))):
            return False
    return True


def samples_as_atoms() -> bool:
    """Return whether N = K 2-sparse samples have a 1-sparse factorisation that is not D*, Y*."""
    D, Y = cyclic_instance(1)
    X = D @ Y
    different = all(rank(np.column_stack([x, atom])) == 2 for x in X.T for atom in D.T)
    return different and spark(D) > 4 and X.shape[1] == D.shape[1]


def turned_pairs() -> bool:
    """Return whether disjoint pairs, 100 samples each, leave D* free: atoms turn in their plane."""
    turn = columns((Fraction(3, 5), Fraction(4, 5)), (Fraction(-4, 5), Fraction(3, 5)))
    D = columns(*np.eye(4, dtype=int).tolist())
    Y = np.zeros((4, 200), dtype=object)
    for plane, samples in ((slice(0, 2), slice(0, 100)), (slice(2, 4), slice(100, 200))):
        Y[plane, samples] = np.array([[1] * 100, range(1, 101)], dtype=object)
    D_other, Y_other = D.copy(), Y.copy()
    D_other[:, :2], Y_other[:2] = D[:, :2] @ turn, turn.T @ Y[:2]
    same_data = bool((D_other @ Y_other == D @ Y).all())
    sparse = np.count_nonzero(Y_other, axis=0).max() == 2
    return same_data and sparse and bool((D_other[:, 0] != D[:, 0]).any()) and spark(D) > 4


def _check(n_examples: int) -> Finding:
    del n_examples
    certificate: dict[str, Any] = {}
    confirmed = True
    for K, m in SIZES:
        families = {"cyclic": cyclic_supports(K, m)}
        if K <= _MOST_ATOMS_ALL:
            families["all"] = all_supports(K, m)
        for name, supports in families.items():
            found = placings(supports, K, m)
            right = are_relabellings(found, supports, K) and len(found) == math.factorial(K)
            confirmed = confirmed and right
            certificate[f"(K, m) = ({K}, {m}): placings of the {name} spans"] = len(found)
    D, Y = cyclic_instance()
    needed = (2 - 1) * math.comb(5, 2)
    met = spark(D) > 4 and _general_position(Y, 2) and Y.shape[1] == 5 * (needed + 1)
    certificate["N1's D*: spark"] = spark(D)
    certificate["N1's D*: samples a pair, more than (m - 1) binom(K, m) = 10"] = needed + 1
    agrees = garfinkle_hillar(D.tolist(), Y.tolist()).met
    fewer, free = samples_as_atoms(), turned_pairs()
    certificate["other dictionaries found: N = K samples; disjoint pairs"] = fewer + free
    return Finding(bool(confirmed and met and agrees and fewer and free), certificate, 0.0, 1)


def is_certified_unique(problem: SparseCodingProblem) -> bool:
    """Return whether some known condition makes the m-sparse factorisation D* Y* unique.

    False leaves the question open. See `osae_theory.uniqueness.sufficient_conditions`.
    """
    return any(finding.met for finding in sufficient_conditions(problem))


UNIQUE_DICTIONARY = Claim(
    id="U2",
    title="Enough samples: one dictionary",
    source="Aharon, Elad & Bruckstein (2006); Garfinkle & Hillar (2019)",
    statement=(
        "If spark(D*) > 2m, m < K, and there are (a) more than (m - 1) binom(K, m) samples in "
        "general position (any m of a support independent) on each of the K cyclic supports "
        "{i, ..., i+m-1}, or (b) m + 1 on each support, any m of "
        "a support and any m + 1 that do not share one independent, then X = D* Y* has one "
        "m-sparse factorisation with K atoms, up to signed permutation."
    ),
    verdict="holds",
    evidence="small cases",
    story=(
        "(a) By pigeonhole m samples of each support share one of an alternative's binom(K, m) "
        "supports, so it spans the same space. (b) m + 1 samples that share an alternative support "
        "have rank m, so they share a true one; there are as many of either, so all spans are "
        "matched. Spans meet in the spans of common atoms (spark > 2m), and m atoms that span one "
        "are independent, so alternative supports never meet in more atoms than the true ones do. "
        "The search through all placings under that rule leaves the K! relabellings: for m = 2 "
        "with K = 3 to 6 and m = 3 with K = 4, 5, and for (b) up to K = 5. "
        "Conversely K samples are their own dictionary, with 1-sparse codes; and on disjoint "
        "supports the atoms of one can be turned within their span."
    ),
    check=_check,
    assumptions=(
        Assumption(
            "spark and samples meet a known condition (instance: SparseCodingProblem)",
            is_certified_unique,
        ),
        Assumption("there is no noise", lambda problem: problem.noise is None),
    ),
    references=(
        "Aharon, Elad & Bruckstein (2006), On the uniqueness of overcomplete dictionaries",
        "Hillar & Sommer (2015), arXiv 1106.3616",
        "Garfinkle & Hillar (2019), arXiv 1606.06997",
    ),
)
