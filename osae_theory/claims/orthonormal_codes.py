"""T8: orthonormal atoms and uncorrelated codes, where L_ND does give D* back, by energy.

Statement. D* has orthonormal columns, C = Y* Y*^T is diagonal, the energies e_j = C_jj are
distinct and positive. Then for every law of full support and every m that Y* obeys, the
minimiser of L_ND is, up to signs, D* in descending order of energy, and
min L_ND = sum_j (1 - w_j) e_j with e sorted.

Source: claim T8. Verdict: holds. Tight: two equal energies, or an unused atom, free a
direction (T1), and where C is not diagonal the principal directions, not D*, are best. Order
by frequency is not the minimiser's. For m >= 2 such data are an exception, of measure zero in the
samples' scales (B).

>>> finding = ORTHONORMAL_CODES.check(5)
>>> finding.confirmed, finding.certificate["min L_ND"]
(True, Fraction(52, 3))
>>> finding.certificate["L_ND of D* by frequency"]
Fraction(224, 3)
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from scipy.stats import ortho_group

from osae_theory.claims.base import Assumption, Claim, Finding
from osae_theory.claims.exact import columns, nested_loss, uniform
from osae_theory.claims.pca_recovery import random_law
from osae_theory.errors import check_integer
from osae_theory.metrics.ordering import energies, order_by_energy
from osae_theory.minimisers.losses import nested_loss as float_loss
from osae_theory.minimisers.pca import pca_minimiser
from osae_theory.seeds import Axis, generator

_SLACK = 1e-9
_ROTATION = columns(
    (Fraction(3, 5), Fraction(4, 5), 0), (Fraction(4, 5), Fraction(-3, 5), 0), (0, 0, 1)
)
_PAIRS = (((0, 1), (1, 2)), ((0, 1), (1, 1)), ((1, 2), (1, 5)))
_SAMPLES = _PAIRS + (((0,), (1,)),) * 3
"""Supports and absolute values: frequencies 14, 12, 4 and energies 14, 24, 100 (all signs)."""


def signed_codes(
    K: int, samples: Sequence[tuple[tuple[int, ...], tuple[Any, ...]]]
) -> Shaped[np.ndarray, "K N"]:
    """Return codes with every choice of signs of the given values on the given supports.

    Over the signs the products of two different atoms cancel, so C is diagonal.
    """
    rows = []
    for support, values in samples:
        for signs in product((1, -1), repeat=len(support)):
            row = np.zeros(K, dtype=object)
            row[list(support)] = [sign * v for sign, v in zip(signs, values, strict=True)]
            rows.append(row)
    return np.array(rows, dtype=object).T


def exact_instance(
    Y: Shaped[np.ndarray, "3 N"] | None = None,
) -> tuple[Fraction, Fraction, Fraction, bool]:
    """Return L_ND by energy, by frequency, the least, and whether D* is PCA's basis, exactly.

    d = K = 3, m = 2, uniform law. D* is PCA's basis if X X^T D* = D* diag(e).
    """
    codes = signed_codes(3, _SAMPLES) if Y is None else Y
    X, law = _ROTATION @ codes, uniform(3)
    e = (codes * codes).sum(axis=1)
    by_energy = np.argsort(-e.astype(float), kind="stable")
    by_frequency = np.argsort(-np.count_nonzero(codes, axis=1), kind="stable")
    losses = [nested_loss(X, codes[o], _ROTATION[:, o], law) for o in (by_energy, by_frequency)]
    tail = [Fraction(sum(e[by_energy][length:])) for length in (1, 2, 3)]
    least = sum((p * t for p, t in zip(law, tail, strict=True)), start=Fraction(0))
    diagonal = bool((X @ X.T @ _ROTATION == _ROTATION * e).all()) and len(set(e)) == 3
    return losses[0], losses[1], least, diagonal


def random_instance(
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "d K"], Float[np.ndarray, "K N"], int]:
    """Return D*, Y* that meet the assumptions, the energies apart by a tenth or more, and m."""
    K = int(rng.integers(2, 6))
    m, d = int(rng.integers(1, min(K, 3) + 1)), K + int(rng.integers(3))
    supports = [s for s in combinations(range(K), m) if rng.random() < 0.7]
    supports += [tuple((j + i) % K for i in range(m)) for j in range(K)]
    samples = [(s, tuple(rng.uniform(0.5, 2, m))) for s in supports]
    Y = signed_codes(K, samples).astype(np.float64)
    target = rng.permutation(np.cumprod(rng.uniform(1.1, 2, K)))
    Y *= np.sqrt(target / energies(Y))[:, None]
    D = ortho_group.rvs(d, random_state=rng)[:, :K]
    return D, Y, m


def _example(seed: int) -> tuple[float, float, bool]:
    """Return the relative error of the value, the worst 1 - |cosine|, and whether it is unique."""
    rng = generator(seed, Axis.DICTIONARY)
    D, Y, _ = random_instance(rng)
    law = random_law(D.shape[1], rng)
    order = order_by_energy(Y)
    D, Y, X = D[:, order], Y[order], D @ Y
    e = energies(Y)
    value = float((1 - law.survival) @ e)
    pca = pca_minimiser(X, len(e), law)
    off = max(abs(float_loss(X, Y, D, law) - value), abs(pca.loss - value)) / e.sum()
    cosines = np.abs((D * pca.dictionary).sum(axis=0))
    return float(off), float(1 - cosines.min()), bool(pca.unique)


def _check(n_examples: int) -> Finding:
    check_integer("n_examples", n_examples, 1)
    off, apart, unique = zip(*map(_example, range(n_examples)), strict=True)
    by_energy, by_frequency, least, diagonal = exact_instance()
    error = max(*off, *apart, 0.0)
    exact = diagonal and by_energy == least and by_frequency > least
    return Finding(
        confirmed=bool(exact and all(unique) and error <= _SLACK),
        certificate={
            "min L_ND": least,
            "L_ND of D* by energy": by_energy,
            "L_ND of D* by frequency": by_frequency,
            "largest relative error of sum_j (1 - w_j) e_j": max(off),
            "largest 1 - |cosine| of a minimiser's atom to D*": max(apart),
        },
        error=error,
        n_examples=n_examples,
    )


def _orthonormal(D: Float[np.ndarray, "d K"]) -> bool:
    return bool(np.allclose(D.T @ D, np.eye(D.shape[1]), rtol=0, atol=1e-10))


def _uncorrelated(Y: Float[np.ndarray, "K N"]) -> bool:
    C = Y @ Y.T
    return bool(np.abs(C - np.diag(np.diag(C))).max() <= 1e-10 * C.max())


def _distinct_energies(Y: Float[np.ndarray, "K N"]) -> bool:
    e = np.sort(energies(Y))
    return bool(e[0] > 0 and (np.diff(e) > 1e-10 * e[-1]).all())


ORTHONORMAL_CODES = Claim(
    id="T8",
    title="Orthonormal atoms, uncorrelated codes",
    source="this project",
    statement=(
        "If D* has orthonormal columns, Y* Y*^T is diagonal and the energies are distinct and "
        "positive, then for every law of full support and every m that Y* obeys the minimiser of "
        "L_ND is unique up to signs: D* in descending order of energy."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "X X^T = D* C D*^T: the principal directions are D* and the squared singular values the "
        "energies, so by T1 (D*, Y*) in order of energy is the only minimiser over all codes. It "
        "is m-sparse, hence also the only one over m-sparse codes. Order by frequency is another "
        "one: with energies 14, 24, 100 at frequencies 14, 12, 4 it costs 224/3 instead of 52/3. "
        "Where some sample uses two atoms, data with Y* Y*^T diagonal are an exception: for any "
        "law of full support almost every choice of the samples' scales loses D* (B)."
    ),
    check=_check,
    assumptions=(
        Assumption(
            "D* is orthonormal (instance (problem, law))", lambda i: _orthonormal(i[0].dictionary)
        ),
        Assumption("Y* Y*^T is diagonal", lambda i: _uncorrelated(i[0].codes)),
        Assumption("energies are distinct and positive", lambda i: _distinct_energies(i[0].codes)),
        Assumption("the law has full support", lambda i: i[1].has_full_support),
    ),
)
