"""The nested-dropout loss L_ND and its gradients at theory's door, for columns in float64.

`osae_theory.objectives` holds the same formulas for rows, in torch, as training needs them.
"""

import numpy as np
from jaxtyping import Float

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import check_dictionary


@at_the_door
def nested_loss(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    law: PrefixLaw,
) -> float:
    """Return L_ND = sum_l p_l ||X - D Lambda_l Y||_F^2.

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data.
    Y : Float[np.ndarray, "K N"]
        Codes after Top_m; this function selects nothing.
    D : Float[np.ndarray, "d K"]
        Dictionary with unit-norm columns.
    law : PrefixLaw
        Law of the prefix length, on {1..K}.

    Raises
    ------
    InputError
        If an array is not finite, a column of D is not of unit norm, or the law is not on
        as many atoms as D has.

    Notes
    -----
    Section 2.2 of the paper. Prefix by prefix, so every term is a sum of squares and nothing
    cancels near zero residual.
    """
    check_data(X)
    check_finite("codes", Y)
    check_dictionary(D)
    check_law(law, D.shape[1])
    return float(law.probabilities @ prefix_losses(X, Y, D))


@at_the_door
def prefix_losses(
    X: Float[np.ndarray, "d N"], Y: Float[np.ndarray, "K N"], D: Float[np.ndarray, "d K"]
) -> Float[np.ndarray, " K"]:
    """Return L_1, ..., L_K, with L_l = ||X - D Lambda_l Y||_F^2 (section 2.2 of the paper)."""
    residual = X
    losses = np.empty(D.shape[1])
    for j in range(D.shape[1]):
        residual = residual - np.outer(D[:, j], Y[j])
        losses[j] = np.vdot(residual, residual)
    return losses


def pair_weights(survival: Float[np.ndarray, " K"]) -> Float[np.ndarray, "K K"]:
    """Return W with W_jk = w_max(j,k), the probability that a prefix keeps both atoms."""
    return np.minimum(survival[:, None], survival[None, :])


@at_the_door
def gradients(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    law: PrefixLaw,
) -> tuple[Float[np.ndarray, "d K"], Float[np.ndarray, "K N"]]:
    """Return the gradients of L_ND in D (not projected on the spheres' tangents) and in Y.

    Parameters are those of `nested_loss`. By identity I1,
    grad_D = 2 (D (W o C) - X Y^T diag(w)) and grad_Y = 2 ((W o G) Y - diag(w) D^T X).
    """
    w = law.survival
    W = pair_weights(w)
    grad_D = 2 * (D @ (W * (Y @ Y.T)) - (X @ Y.T) * w)
    grad_Y = 2 * ((W * (D.T @ D)) @ Y - w[:, None] * (D.T @ X))
    return grad_D, grad_Y


@at_the_door
def stationarity(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    law: PrefixLaw,
) -> tuple[float, float]:
    """Return how far (D, Y) is from stationary, its supports kept fixed.

    Returns
    -------
    tuple of float
        Frobenius norms of the gradient in D along the tangents of the unit spheres, and of
        the gradient in the nonzero entries of Y. Parameters are those of `nested_loss`.
    """
    grad_D, grad_Y = gradients(X, Y, D, law)
    tangent = grad_D - D * (D * grad_D).sum(axis=0)
    return float(np.linalg.norm(tangent)), float(np.linalg.norm(grad_Y[Y != 0]))


def check_data(X: np.ndarray) -> None:
    """Raise InputError unless X is finite with at least one row and column."""
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(f"data of shape {X.shape}: expected two axes (d, N), neither empty")
    check_finite("data", X)


def check_law(law: PrefixLaw, K: int) -> None:
    """Raise InputError unless `law` is a law on {1..K}."""
    if law.K != K:
        raise InputError(f"prefix law on {law.K} atoms: expected one on K = {K}")


def check_sparsity(m: int, K: int) -> None:
    """Raise InputError unless `m` is a whole number in 1..K."""
    check_integer("m", m, 1)
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K} atoms a sample")
