"""The linear case: nested dropout's unique minimiser is the PCA basis in descending order.

Statement: for a linear autoencoder with K <= d latents and D^T D = I, p of full support and
sigma_1 > ... > sigma_K > sigma_{K+1}, the first K principal directions in order are the unique
minimiser of L_ND, up to sign. Source: Wang et al. (2025), section 2.2, after Rippel et al. (2014).
Verdict: holds, without D^T D = I and for any encoder. Tight: an equal pair of singular values, or
a prefix that is never drawn, leaves its plane free (T1).

>>> found = LINEAR_CASE.check(100)
>>> found.confirmed, found.error < 1e-10
(True, True)
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.minimisers.losses import nested_loss, pair_weights
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import gaussian_columns, haar_basis, unit_columns
from osae_theory.seeds import Axis, generator

ROUNDING = 1e-10  # relative to ||X||^2
SEPARATION = 1e-9  # singular values nearer than this, relative to the first, count as equal

Instance = tuple[Float[np.ndarray, "d N"], int, PrefixLaw]


def squared_singular_values(X: Float[np.ndarray, "d N"], length: int) -> Float[np.ndarray, " n"]:
    """Return sigma_1^2, ..., sigma_length^2 of X; 0 beyond min(d, N)."""
    values = np.linalg.svd(X, compute_uv=False) ** 2
    return np.append(values, np.zeros(max(0, length - values.size)))[:length]


def principal_directions(X: Float[np.ndarray, "d N"], K: int) -> Float[np.ndarray, "d K"]:
    """Return the first K left singular vectors of X."""
    return np.linalg.svd(X)[0][:, :K]


def eckart_young(X: Float[np.ndarray, "d N"], law: PrefixLaw) -> float:
    """Return sum_l p_l sum_{i>l} sigma_i^2, below which no (D, E) can be."""
    values = squared_singular_values(X, max(*X.shape, law.K + 1))
    return float(law.probabilities @ (values.sum() - values.cumsum()[: law.K]))


def least_loss(X: Float[np.ndarray, "d N"], D: Float[np.ndarray, "d K"], law: PrefixLaw) -> float:
    """Return min over E of L_ND at D, by the normal equations (W o G) Y = diag(w) D^T X."""
    system = pair_weights(law.survival) * (D.T @ D)
    Y = np.linalg.solve(system, law.survival[:, None] * (D.T @ X))
    return nested_loss(X, Y, D, law)


def growth_bound(X: Float[np.ndarray, "d N"], D: Float[np.ndarray, "d K"], law: PrefixLaw) -> float:
    """Return sum_l p_l (sigma_l^2 - sigma_{l+1}^2) ||P_l - Q_l||_F^2 / 2, a bound of the excess.

    P_l and Q_l project on the first l principal directions and on the first l atoms. What l
    atoms miss of the variance is at least the gap times half the squared distance; the bound
    is 0 only if all spans agree, that is, if D is the PCA basis in order, up to sign.
    """
    K = D.shape[1]
    values = squared_singular_values(X, K + 1)
    U, Q = principal_directions(X, K), np.linalg.qr(D)[0]
    overlaps = ((U.T @ Q) ** 2).cumsum(axis=0).cumsum(axis=1).diagonal()
    distances = np.arange(1, K + 1) - overlaps
    return float(law.probabilities @ (-np.diff(values) * distances))


def draw(rng: np.random.Generator) -> Instance:
    """Return random data, K <= d, and a law of full support."""
    d = int(rng.integers(2, 7))
    N, K = int(rng.integers(d, 12)), int(rng.integers(1, d + 1))
    weights = rng.uniform(0.05, 1.0, K)
    X = rng.standard_normal((d, N)) * rng.uniform(0.2, 2.0, (d, 1))
    return X, K, PrefixLaw(weights / weights.sum())


def rivals(instance: Instance, rng: np.random.Generator) -> list[Float[np.ndarray, "d K"]]:
    """Return other dictionaries: random, orthonormal, PCA's reversed, and PCA's perturbed."""
    X, K, _ = instance
    d, U = len(X), principal_directions(X, K)
    near = unit_columns(U + 10.0 ** rng.uniform(-4, 0) * rng.standard_normal((d, K)))
    return [gaussian_columns(d, K, rng), haar_basis(d, rng)[:, :K], U[:, ::-1], near]


def shortfalls(instance: Instance, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return, relative to ||X||^2, PCA's distance from the bound and its rivals' margins.

    Returns
    -------
    tuple of float
        |L_ND of PCA - bound|; the least excess of a rival over the bound; the least of excess
        less `growth_bound`. The last two are not negative if the claim holds.
    """
    X, K, law = instance
    size, bound = float((X * X).sum()), eckart_young(X, law)
    pca = abs(least_loss(X, principal_directions(X, K), law) - bound) / size
    others = rivals(instance, rng)
    excess = [(least_loss(X, D, law) - bound) / size for D in others]
    growth = [growth_bound(X, D, law) / size for D in others]
    return pca, min(excess), min(e - g for e, g in zip(excess, growth, strict=True))


def check(n_examples: int) -> Finding:
    """Verify on random instances that PCA attains the bound and that rivals exceed it."""
    n_examples = fewer(n_examples, 2)
    rng = generator(14, Axis.VALUES)
    found = np.array([shortfalls(draw(rng), rng) for _ in range(n_examples)])
    pca, excess, margin = found[:, 0].max(), found[:, 1].min(), found[:, 2].min()
    return Finding(
        confirmed=bool(pca < ROUNDING and excess > -ROUNDING and margin > -ROUNDING),
        certificate={
            "largest |L_ND of PCA - Eckart-Young bound| / ||X||^2": float(pca),
            "least excess of another D over the bound / ||X||^2": float(excess),
            "least excess less its growth bound / ||X||^2": float(margin),
        },
        error=float(max(pca, -margin, 0.0)),
        n_examples=n_examples,
    )


def _falls(instance: Any) -> bool:
    X, K, _ = instance
    sigma = np.sqrt(squared_singular_values(X, K + 1))
    return bool((-np.diff(sigma) > SEPARATION * sigma[0]).all())


LINEAR_CASE = Claim(
    id="P4",
    title="the linear case is PCA",
    source="Wang et al. (2025), section 2.2, after Rippel et al. (2014)",
    statement=(
        "For a linear autoencoder with K <= d latents, D^T D = I, p of full support and distinct"
        " singular values sigma_1 > ... > sigma_K > sigma_{K+1} of X, the PCA eigenbasis in"
        " descending order is the unique minimiser of L_ND, up to sign."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "With m = K, L_l is the error of an approximation of rank l, so by Eckart-Young"
        " L_ND >= sum_l p_l sum_{i>l} sigma_i^2, and PCA attains every term at once. A minimiser"
        " must then attain each: for l = 1 the first atom is the first principal direction, and"
        " so on. By how much another D fails is bounded below by sum_l p_l (sigma_l^2 -"
        " sigma_{l+1}^2) ||P_l - Q_l||^2 / 2, with P_l, Q_l the projectors on the first l"
        " directions and atoms. Neither D^T D = I nor a linear encoder is needed (T1); that the"
        " singular values fall strictly up to sigma_{K+1} is."
    ),
    check=check,
    assumptions=(
        # Tests of a triple (X, K, law).
        Assumption("K <= d", lambda instance: instance[1] <= len(instance[0])),
        Assumption("the law has full support", lambda instance: instance[2].has_full_support),
        Assumption("sigma_1 > ... > sigma_K > sigma_{K+1}", _falls),
    ),
    references=(
        "Eckart & Young (1936), Psychometrika 1(3)",
        "Rippel, Gelbart & Adams (2014), ICML",
    ),
)
