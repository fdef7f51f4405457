"""Identity I1: the nested-dropout loss L_ND without a loop over prefixes, and its minimisers exist.

Statement. With W_jk = w_max(j,k), G = D^T D and C = Y Y^T, for every law and all codes,
L_ND = ||X||^2 - 2 sum_j w_j <d_j, X Y_j.> + <W o G, C>. If the law has full support and the
atoms have unit norm, lambda_min(W o G) >= lambda_min(W) >= min p / 4, the codes of a minimiser
obey ||z|| <= 2 ||x|| / sqrt(min p), and argmin L_ND is not empty.

Source: claim I1, whose ||z|| <= 4 sqrt(m) ||x|| / min p this bound implies. Verdict: holds.
Tight: the uniform law has lambda_min(W) = min p / (4 cos^2(pi / (2 K + 1))), so no constant above
1/4 will do; equal atoms have W o G = W. The bound on codes is an upper one.

>>> finding = IDENTITY_GRAM.check(10)
>>> finding.confirmed, finding.certificate["largest |loop over prefixes - Gram form|"]
(True, Fraction(0, 1))
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped

from osae_theory.claims.base import Assumption, Claim, Finding, Formal, fewer
from osae_theory.objectives import (
    nested_dropout_loss,
    nested_dropout_loss_gram,
    nested_dropout_loss_loop,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import UNIT_NORM_TOLERANCE, gaussian_columns
from osae_theory.seeds import Axis, generator

_SLACK = 1e-12
Instance = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def integer_instance(rng: np.random.Generator, *, full_support: bool = False) -> Instance:
    """Return small (X, Y, D, p), object arrays: whole numbers, and Fractions of sum 1 for p."""
    d, K, N = (int(size) for size in rng.integers(1, (5, 6, 4)))
    X, Y, D = (rng.integers(-3, 4, size).astype(object) for size in ((d, N), (K, N), (d, K)))
    weights = rng.integers(1 if full_support else 0, 6, K)
    weights[-1] += not weights.any()
    return X, Y, D, np.array([Fraction(int(v), int(weights.sum())) for v in weights])


def survival_weights(p: Shaped[np.ndarray, " K"]) -> Shaped[np.ndarray, " K"]:
    """Return w_j = P(l >= j), exact if p is."""
    return p[::-1].cumsum()[::-1]


def pair_weights(w: Shaped[np.ndarray, " K"]) -> Shaped[np.ndarray, "K K"]:
    """Return W_jk = w_max(j,k), the probability that a prefix keeps both atoms."""
    return np.minimum(w[:, None], w[None, :])


def loss_by_prefixes(
    X: Shaped[np.ndarray, "d N"],
    Y: Shaped[np.ndarray, "K N"],
    D: Shaped[np.ndarray, "d K"],
    p: Shaped[np.ndarray, " K"],
) -> Any:
    """Return L_ND = sum_l p_l ||X - D Lambda_l Y||_F^2 as defined (paper, section 2.2)."""
    residuals = [X - D[:, :length] @ Y[:length] for length in range(1, len(p) + 1)]
    return sum(q * (r * r).sum() for q, r in zip(p, residuals, strict=True))


def loss_by_gram(
    X: Shaped[np.ndarray, "d N"],
    Y: Shaped[np.ndarray, "K N"],
    D: Shaped[np.ndarray, "d K"],
    p: Shaped[np.ndarray, " K"],
) -> Any:
    """Return L_ND by the identity."""
    w = survival_weights(p)
    linear = (w * (D * (X @ Y.T)).sum(axis=0)).sum()
    return (X * X).sum() - 2 * linear + (pair_weights(w) * (D.T @ D) * (Y @ Y.T)).sum()


def inverse_pair_weights(p: Shaped[np.ndarray, " K"]) -> Shaped[np.ndarray, "K K"]:
    """Return W^-1, tridiagonal: W = U diag(p) U^T with U the upper triangle of ones."""
    K = len(p)
    difference = np.eye(K, dtype=int).astype(object) - np.eye(K, k=1, dtype=int).astype(object)
    return difference.T @ ((1 / p)[:, None] * difference)


def optimal_codes(
    x: Float[np.ndarray, " d"], D: Float[np.ndarray, "d m"], W: Float[np.ndarray, "m m"]
) -> Float[np.ndarray, " m"]:
    """Return the codes of one sample that minimise L_ND on m given atoms, with their weights."""
    return np.linalg.solve(W * (D.T @ D), np.diagonal(W) * (D.T @ x))


def _exact(seed: int) -> tuple[Fraction, bool, float]:
    """Return the identity's defect, whether min p / 4 is proved, and the training code's error."""
    X, Y, D, p = integer_instance(generator(seed, Axis.VALUES))
    loss = loss_by_prefixes(X, Y, D, p)
    arrays = [torch.from_numpy(a.astype(np.float64)) for a in (X.T, Y.T, D.T, survival_weights(p))]
    forms = (nested_dropout_loss_loop, nested_dropout_loss_gram, nested_dropout_loss)
    scale = 1 + float((X * X).sum() + (np.abs(D) @ np.abs(Y) ** 2).sum())
    off = max(abs(float(form(*arrays)) - float(loss)) for form in forms) / scale
    full = integer_instance(generator(seed, Axis.PREFIXES), full_support=True)[3]
    inverse = inverse_pair_weights(full)
    product = pair_weights(survival_weights(full)) @ inverse
    # Gershgorin: no eigenvalue of W^-1 is above its largest absolute row sum.
    proved = np.abs(inverse).sum(axis=1).max() <= 4 / full.min()
    inverted = (product == np.eye(len(full), dtype=int)).all()
    return abs(loss - loss_by_gram(X, Y, D, p)), bool(proved and inverted), off


def _bounds(seed: int) -> tuple[float, float, float]:
    """Return lambda_min(W o G) - lambda_min(W), the codes' share of their bound, and coercivity."""
    rng = generator(seed, Axis.DICTIONARY)
    K, d = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    p = rng.dirichlet(np.full(K, rng.choice([0.3, 1.0, 10.0]))) + 1e-6
    law = PrefixLaw(p / p.sum())
    D = gaussian_columns(d, K, rng)
    D[:, rng.random(K) < 0.5] = D[:, :1]
    W = pair_weights(law.survival)
    schur = np.linalg.eigvalsh(W * (D.T @ D))[0] - np.linalg.eigvalsh(W)[0]
    m = int(rng.integers(1, K + 1))
    support = np.sort(rng.choice(K, m, replace=False))
    x = rng.standard_normal(d)
    W_S, D_S = W[np.ix_(support, support)], D[:, support]
    bound = 2 * np.linalg.norm(x) / math.sqrt(law.probabilities.min())
    share = np.linalg.norm(optimal_codes(x, D_S, W_S)) / bound
    z = rng.standard_normal(m)
    z *= 2.001 * bound / np.linalg.norm(z)
    above = z @ (W_S * (D_S.T @ D_S)) @ z - 2 * (np.diagonal(W_S) * z) @ (D_S.T @ x)
    return float(schur), float(share), float(above)


def _sharpness(K: int) -> tuple[float, float]:
    """Return 4 lambda_min(W) / min p of the uniform law, and how far that is from the formula."""
    ratio = 4 * K * float(np.linalg.eigvalsh(pair_weights(PrefixLaw.uniform(K).survival))[0])
    return ratio, abs(ratio - 1 / math.cos(math.pi / (2 * K + 1)) ** 2)


def _check(n_examples: int) -> Finding:
    n_examples = fewer(n_examples, 4)
    defects, proved, off = zip(*map(_exact, range(n_examples)), strict=True)
    schur, shares, above = zip(*map(_bounds, range(n_examples)), strict=True)
    sharpness, formula_error = zip(*map(_sharpness, range(1, 41)), strict=True)
    error = max(*off, *formula_error, -min(schur), 0.0)
    confirmed = max(defects) == 0 and all(proved) and max(shares) <= 1 and min(above) > 0
    return Finding(
        confirmed=bool(confirmed and error <= _SLACK),
        certificate={
            "largest |loop over prefixes - Gram form|": max(defects),
            "laws with lambda_min(W) >= min p / 4 proved exactly": sum(proved),
            "smallest lambda_min(W o G) - lambda_min(W)": min(schur),
            "largest ||z|| / (2 ||x|| / sqrt(min p))": max(shares),
            "4 lambda_min(W) / min p, uniform law, K = 40": sharpness[-1],
            "largest relative error of osae_theory.objectives": max(off),
        },
        error=error,
        n_examples=n_examples,
    )


def _unit_columns(instance: Any) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(instance[0], axis=0) - 1) <= UNIT_NORM_TOLERANCE))


IDENTITY_GRAM = Claim(
    id="I1",
    title="L_ND in Gram form; its minimisers exist",
    source="this project",
    statement=(
        "With W_jk = w_max(j,k), L_ND = ||X||^2 - 2 sum_j w_j <d_j, X Y_j.> + <W o G, C> for every "
        "law and all codes. With "
        "full support and unit atoms, lambda_min(W o G) >= lambda_min(W) >= min p / 4, codes of a "
        "minimiser obey ||z|| <= 2 ||x|| / sqrt(min p), and argmin L_ND is not empty."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "Expand the squares: atoms j and k meet in the prefixes l >= max(j,k), of mass w_max(j,k). "
        "W = U diag(p) U^T with U the upper triangle of ones, so W^-1 is tridiagonal with absolute "
        "row sums at most 4 / min p: Gershgorin gives lambda_min(W) >= min p / 4. Schur's product "
        "of W - lambda_min(W) I with G, whose diagonal is 1, is semidefinite, hence "
        "lambda_min(W o G) >= lambda_min(W). On a support S the best codes solve "
        "(W o G)_SS z = (w o D^T x)_S, so their loss is ||x||^2 - z^T (W o G)_SS z >= 0, hence "
        "||z||^2 min p / 4 <= ||x||^2. Codes of more than twice that norm lose more than z = 0, so "
        "the search is over a compact set. Without full support it is not: see P5."
    ),
    check=_check,
    assumptions=(
        Assumption("(bounds only; instance (D, law)) the atoms have unit norm", _unit_columns),
        Assumption(
            "(bounds only; instance (D, law)) the law has full support",
            lambda instance: instance[1].has_full_support,
        ),
    ),
    references=("Schur (1911), Bemerkungen zur Theorie der beschränkten Bilinearformen",),
    machine_checked=(
        Formal(
            "IdentityGram.v",
            "nested_loss_in_gram_form",
            "L_ND in Gram form, for every law and all codes",
        ),
    ),
)
