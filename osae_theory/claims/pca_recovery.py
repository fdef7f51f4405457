"""T1, the linear case of section 2.2: when L_ND has PCA, in order, as its one minimiser.

Statement. m = K <= d (Top_m does not bind), d >= 2, unit-norm atoms, a law of full support;
sigma_i the singular values of X, 0 for i > min(d,N). Up to signs, the first K principal
directions in descending order are the only minimiser of L_ND if and only if
sigma_1 > ... > sigma_K > sigma_{K+1}.

Source: paper, section 2.2 (Rippel et al. 2014), without their D^T D = I; claim T1. Verdict:
holds. Tight: each equality has a second minimiser. For X = diag(2,1,1), K = 2, uniform law,
d_2 = e_2 and d_2 = (0,3/5,4/5) are both minimisers. (In d = 1 there is one direction only, so
X = 0 has one minimiser up to sign although sigma_1 = sigma_2.) How far from it a point can be:

    L_ND(D,Y) - min L_ND >= sum_l p_l (1 - sigma_{l+1} / sigma_l) ||D Lambda_l Y - X_l||^2,

with X_l the best approximation of rank l; equal for K = 1, D = u_2, Y = sigma_1 v_2^T.

>>> finding = PCA_RECOVERY.check(10)
>>> finding.confirmed, finding.certificate["X = diag(2,1,1): L_ND of the second minimiser"]
(True, Fraction(3, 2))
"""

from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import ortho_group

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.claims.exact import as_fractions, columns, nested_loss, uniform
from osae_theory.minimisers.losses import prefix_losses
from osae_theory.minimisers.pca import eckart_young, pca_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems.geometry import unit_columns
from osae_theory.seeds import Axis, generator

_SLACK = 1e-11


def random_law(K: int, rng: np.random.Generator) -> PrefixLaw:
    """Return a law of full support on {1..K}, from nearly uniform to very uneven."""
    p = rng.dirichlet(np.full(K, rng.choice([0.3, 1.0, 10.0]))) + 1e-4
    return PrefixLaw(p / p.sum())


def distance_bound(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    law: PrefixLaw,
) -> float:
    """Return sum_l p_l (1 - sigma_{l+1} / sigma_l) ||D Lambda_l Y - X_l||_F^2, for sigma_l > 0."""
    left, sigma, right = np.linalg.svd(X, full_matrices=False)
    spectrum = np.append(sigma, np.zeros(law.K + 1))
    total = 0.0
    for length, p in enumerate(law.probabilities, start=1):
        if spectrum[length - 1] > 0:
            best = (left[:, :length] * sigma[:length]) @ right[:length]
            off = np.linalg.norm(D[:, :length] @ Y[:length] - best) ** 2
            total += p * (1 - spectrum[length] / spectrum[length - 1]) * off
    return float(total)


def _spectral_data(sigma: Float[np.ndarray, " r"], d: int, N: int, rng: Any) -> np.ndarray:
    """Return X of shape (d, N) with the given singular values."""
    r = len(sigma)
    left, right = ortho_group.rvs(d, random_state=rng), ortho_group.rvs(N, random_state=rng)
    return (left[:, :r] * sigma) @ right[:, :r].T


def _distinct(seed: int) -> tuple[float, float, bool]:
    """Return the least slack of the bound, the value's error, and whether PCA is called unique."""
    rng = generator(seed, Axis.VALUES)
    K, extra, more = int(rng.integers(1, 5)), int(rng.integers(0, 3)), int(rng.integers(0, 3))
    d, N = max(2, K + extra), max(2, K + more)
    sigma = np.sort(rng.uniform(0.1, 1, min(d, N)))[::-1].cumprod()
    X, law = _spectral_data(sigma, d, N, rng), random_law(K, rng)
    least = eckart_young(sigma, law)
    pca = pca_minimiser(X, K, law)
    slacks = []
    for size in (1e-6, 1e-3, 0.1, 1.0, 10.0):
        D = unit_columns(pca.dictionary + size * rng.standard_normal((d, K)))
        for Y in (D.T @ X, pca.codes + size * rng.standard_normal((K, N)), _best_codes(X, D, law)):
            loss = float(law.probabilities @ prefix_losses(X, Y, D))
            slacks.append((loss - least - distance_bound(X, Y, D, law)) / (1 + loss))
    return min(slacks), abs(pca.loss - least), bool(pca.unique)


def _best_codes(X: np.ndarray, D: np.ndarray, law: PrefixLaw) -> np.ndarray:
    w = law.survival
    return np.linalg.solve(np.minimum.outer(w, w) * (D.T @ D), w[:, None] * (D.T @ X))


def tied_minimisers(seed: int) -> tuple[float, float]:
    """Return the relative excess of a second minimiser's L_ND, and how far its atom is turned.

    The data have sigma_i = sigma_{i+1} for one i <= K, 0 included, up to rounding.
    """
    rng = generator(seed, Axis.SUPPORTS)
    K, d = int(rng.integers(1, 5)), 6
    tie = int(rng.integers(K))
    sigma = np.arange(d, 0, -1.0)
    sigma[tie + 1] = sigma[tie]
    if seed % 3 == 0:
        sigma[tie:] = 0.0
    X, law = _spectral_data(sigma, d, 7, rng), random_law(K, rng)
    U = np.linalg.svd(X)[0]
    angle = rng.uniform(0.2, 1.3)
    turned = U.copy()
    turned[:, tie] = np.cos(angle) * U[:, tie] + np.sin(angle) * U[:, tie + 1]
    turned[:, tie + 1] = np.cos(angle) * U[:, tie + 1] - np.sin(angle) * U[:, tie]
    D = turned[:, :K]
    loss = float(law.probabilities @ prefix_losses(X, D.T @ X, D))
    away = 1 - abs(float(D[:, tie] @ U[:, tie]))
    excess = (loss - eckart_young(sigma, law)) / float(1 + sigma @ sigma)
    return excess, away


def exact_tie(X: Any = ((2, 0, 0), (0, 1, 0), (0, 0, 1))) -> tuple[Fraction, Fraction]:
    """Return L_ND, uniform law, of (e_1, e_2) and of (e_1, (0, 3/5, 4/5)) with codes D^T X."""
    data = as_fractions(X)
    dictionaries = [columns((1, 0, 0), u) for u in ((0, 1, 0), (0, Fraction(3, 5), Fraction(4, 5)))]
    first, second = (nested_loss(data, D.T @ data, D, uniform(2)) for D in dictionaries)
    return first, second


def _check(n_examples: int) -> Finding:
    n_examples = fewer(n_examples, 4)
    slacks, errors, unique = zip(*map(_distinct, range(n_examples)), strict=True)
    excess, away = zip(*map(tied_minimisers, range(n_examples)), strict=True)
    first, second = exact_tie()
    error = max(*errors, -min(slacks), *map(abs, excess), 0.0)
    confirmed = error <= _SLACK and all(unique) and min(away) > 1e-3
    return Finding(
        confirmed=bool(confirmed and first == second == Fraction(3, 2)),
        certificate={
            "least (L_ND - min L_ND - bound) / (1 + L_ND)": min(slacks),
            "largest |L_ND(PCA) - min L_ND|": max(errors),
            "largest relative excess of a second minimiser under a tie": max(excess),
            "its least 1 - |cosine| to the principal direction": min(away),
            "X = diag(2,1,1): L_ND of PCA": first,
            "X = diag(2,1,1): L_ND of the second minimiser": second,
        },
        error=error,
        n_examples=2 * n_examples,
    )


def has_distinct_spectrum(X: Float[np.ndarray, "d N"], K: int) -> bool:
    """Return whether sigma_1 > ... > sigma_K > sigma_{K+1}, up to rounding."""
    sigma = np.append(np.linalg.svd(X, compute_uv=False), np.zeros(K + 1))[: K + 1]
    return bool((-np.diff(sigma) > max(X.shape) * np.finfo(np.float64).eps * sigma[0]).all())


PCA_RECOVERY = Claim(
    id="T1",
    title="Linear case: PCA, in order",
    source="paper, section 2.2 (Rippel et al. 2014); sharpened",
    statement=(
        "m = K <= d, d >= 2, unit-norm atoms, a law of full support. Up to signs the first K "
        "principal directions in descending order are the only minimiser of L_ND if and only if "
        "sigma_1 > ... > sigma_K > sigma_{K+1}, with sigma_i = 0 for i > min(d,N)."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "PCA attains Eckart and Young's bound at every prefix at once, so a minimiser must too. "
        "For A of rank at most l, ||A - X_l||^2 - 2 <sigma_l B, A> = ||A - (X_l + sigma_l B)||^2 - "
        "sigma_l^2 ||B||^2 >= 0, where sigma_{l+1} B = X - X_l: X_l is a best approximation of "
        "rank l of X_l + sigma_l B. So ||X - A||^2 - ||X - X_l||^2 >= (1 - sigma_{l+1}/sigma_l) "
        "||A - X_l||^2, and at a minimiser D Lambda_l Y = X_l for every l: the differences give "
        "d_l y_l = sigma_l u_l v_l^T, hence d_l = +-u_l. Conversely, if sigma_i = sigma_{i+1} > 0 "
        "for an i <= K, turning u_i and u_{i+1} in their plane changes nothing; if sigma_K = 0 "
        "the last atom is free. Orthogonal atoms need not be asked for. Lemma 3.1 holds here."
    ),
    check=_check,
    assumptions=(
        Assumption("K <= d (instance (problem, law), m = K)", lambda i: i[0].K <= i[0].d),
        Assumption("d >= 2", lambda i: i[0].d >= 2),
        Assumption("the law has full support", lambda i: i[1].has_full_support),
        Assumption(
            "sigma_1 > ... > sigma_K > sigma_{K+1}",
            lambda i: has_distinct_spectrum(i[0].data, i[0].K),
        ),
    ),
    references=(
        "Rippel, Gelbart & Adams (2014), Learning ordered representations with nested dropout",
        "Eckart & Young (1936)",
    ),
)
