"""The linear case of section 2.2: with m = K <= d, the minimisers of L_ND are PCA's (T1)."""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers.losses import check_data, check_law, nested_loss
from osae_theory.minimisers.results import Minimiser
from osae_theory.prefixes import PrefixLaw

_EPS = float(np.finfo(np.float64).eps)


@at_the_door
def pca_minimiser(X: Float[np.ndarray, "d N"], K: int, law: PrefixLaw) -> Minimiser:
    """Return a global minimiser of L_ND when sparsity does not bind, m = K <= d.

    The first K principal directions in descending order, with Y = D^T X, attain the
    Eckart-Young bound at every prefix at once, so

        min L_ND = sum_l p_l sum_{i>l} sigma_i(X)^2

    for every law. The minimiser is unique up to sign if and only if the law has full support
    and sigma_1 > ... > sigma_K > sigma_{K+1}, with sigma_i = 0 for i > min(d, N); in one
    dimension there is nothing but the sign to choose, so d = 1 is unique for X = 0 too.

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data.
    K : int
        Atoms, 1 <= K <= d.
    law : PrefixLaw
        Law on {1..K}.

    Returns
    -------
    Minimiser
        Its certificate's error bounds the rounding, and its details give the residual (the
        difference of the loss at the point from the formula) and the least gap between
        neighbouring singular values. Gaps below max(d, N) eps sigma_1 count as none.

    Raises
    ------
    InputError
        If X is empty or not finite, K is not in 1..d, or the law is not on K atoms.

    Notes
    -----
    claim T1 (docs/theory.md); Rippel, Gelbart & Adams (2014); Eckart & Young (1936).
    """
    check_data(X)
    check_integer("K", K, 1)
    d, n = X.shape
    if d < K:
        raise InputError(f"K = {K}: expected at most d = {d}; T1 is about K <= d only")
    check_law(law, K)
    directions, sigma, _ = linalg.svd(X, full_matrices=True)
    D = directions[:, :K]
    Y = D.T @ X
    loss = nested_loss(X, Y, D, law)
    value = eckart_young(sigma, law)
    spectrum = np.append(sigma, np.zeros(K + 1))[: K + 1]
    gap = float(np.min(-np.diff(spectrum)))
    distinct = gap > max(d, n) * _EPS * float(sigma[0])
    residual = abs(loss - value)
    certificate = Certificate(
        quantity="min L_ND (m = K <= d)",
        value=value,
        kind="value",
        method="Eckart-Young at every prefix, attained by the principal directions (T1)",
        error=residual + 4 * max(d, n) * _EPS * float(sigma @ sigma),
        details={
            "residual": f"{residual:.3g}",
            "least gap of singular values": f"{gap:.6g}",
            "law has full support": str(law.has_full_support),
        },
    )
    unique = d == 1 or (distinct and law.has_full_support)
    return Minimiser(D, Y, loss, bool(unique), certificate)


def eckart_young(sigma: Float[np.ndarray, " r"], law: PrefixLaw) -> float:
    """Return sum_l p_l sum_{i>l} sigma_i^2 for singular values in descending order."""
    tails = np.zeros(law.K + 1 + sigma.size)
    tails[: sigma.size] = np.cumsum(sigma[::-1] ** 2)[::-1]
    return float(law.probabilities @ tails[1 : law.K + 1])
