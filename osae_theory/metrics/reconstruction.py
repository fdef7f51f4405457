"""How well data and true features are rebuilt: MSE, unexplained variance, L0, dead share, FIFR."""

import numpy as np
from jaxtyping import Float

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite
from osae_theory.metrics.matching import match, unit_columns
from osae_theory.metrics.ordering import LatentStatistics

# The paper's guard in the denominator of FIFR's r_j, in squared units of the data.
FIFR_GUARD = 1e-12


def _check_shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    """Raise InputError unless `array` has the shape that the other arguments ask for."""
    if array.shape != expected:
        raise InputError(f"{name} has shape {array.shape}: expected {expected}")


def _residual(
    X: Float[np.ndarray, "d N"], X_hat: Float[np.ndarray, "d_hat N_hat"]
) -> Float[np.ndarray, "d N"]:
    """Return X - X_hat in float64 once both are known to be finite, of one shape, and not empty."""
    _check_shape("X_hat", X_hat, X.shape)
    if X.size == 0:
        raise InputError(f"X has shape {X.shape}: expected at least one entry")
    check_finite("X", X)
    check_finite("X_hat", X_hat)
    return np.asarray(X, dtype=np.float64) - np.asarray(X_hat, dtype=np.float64)


@at_the_door
def mean_squared_error(
    X: Float[np.ndarray, "d N"], X_hat: Float[np.ndarray, "d_hat N_hat"]
) -> float:
    """Return the squared error of the reconstruction, averaged over all d N entries.

    Raises InputError if the shapes differ or are empty, or an entry is NaN or infinite.
    """
    return float(np.mean(_residual(X, X_hat) ** 2))


@at_the_door
def fraction_of_variance_unexplained(
    X: Float[np.ndarray, "d N"], X_hat: Float[np.ndarray, "d_hat N_hat"]
) -> float:
    """Return sum_i ||x_i - x_hat_i||^2 / sum_i ||x_i - mean x||^2.

    Parameters
    ----------
    X, X_hat : (d, N)
        Data and its reconstruction, samples as columns.

    Returns
    -------
    float
        At least 0; 1 for a reconstruction by the mean, above 1 for a worse one.

    Raises
    ------
    InputError
        If the shapes differ or are empty, an entry is NaN or infinite, or all samples of `X`
        are the same, so that there is no variance to explain.
    """
    residual = _residual(X, X_hat)
    data = np.asarray(X, dtype=np.float64)
    # Told by the range: identical samples minus their rounded mean need not be zero.
    if not np.ptp(data, axis=1).any():
        raise InputError("X has no variance: expected at least two different samples")
    variance = np.sum((data - data.mean(axis=1, keepdims=True)) ** 2)
    return float(np.sum(residual**2) / variance)


@at_the_door
def mean_l0(codes: Float[np.ndarray, "K N"]) -> float:
    """Return the mean number, in [0, K], of nonzero latents on a sample.

    Raises InputError if there is no sample, or an entry is NaN or infinite.
    """
    statistics = LatentStatistics.of(codes)
    return float(statistics.counts.sum() / statistics.n_samples)


@at_the_door
def dead_share(codes: Float[np.ndarray, "K N"]) -> float:
    """Return the share, in [0, 1], of the latents that are active on no sample.

    Raises InputError if there is no latent or no sample, or an entry is NaN or infinite.
    """
    if codes.shape[0] == 0:
        raise InputError(f"codes has shape {codes.shape}: expected at least one latent")
    return float(LatentStatistics.of(codes).dead.mean())


@at_the_door
def fifr_error(
    D_true: Float[np.ndarray, "d K"],
    codes_true: Float[np.ndarray, "K_true N"],
    D: Float[np.ndarray, "d_learned K_learned"],
    codes: Float[np.ndarray, "K_codes N_codes"],
    absolute: bool = True,
) -> float:
    """Return the frequency-invariant feature reconstruction error (FIFR).

    Learned atoms are matched to the true ones. With c*_ij = s*_ij a*_j the contribution of
    true feature j to sample i, and c_ij that of the matched latent, r_j is the mean of
    ||c*_ij - c_ij||^2 over the samples where feature j is active, over the same mean of
    ||c*_ij||^2 plus 1e-12; FIFR is the mean of r_j over the features that occur.

    Parameters
    ----------
    D_true, D : (d, K)
        The true and the learned dictionary, atoms as columns of any norm.
    codes_true, codes : (K, N)
        Their codes of the same N samples.
    absolute : bool
        Match on |cosine|, as the paper does, or on the signed cosine.

    Returns
    -------
    float
        At least 0; 0 if and only if every feature is rebuilt exactly wherever it is active,
        and 1 (up to the guard 1e-12) for codes that are all zero.

    Raises
    ------
    InputError
        If the shapes do not agree, an entry is NaN or infinite, or no feature occurs.

    Notes
    -----
    Source: Wang et al. (2025), after Song et al. (2025). What a latent does where its
    feature is not active does not count.
    """
    _check_shape("codes_true", codes_true, (D_true.shape[1], codes_true.shape[1]))
    _check_shape("D", D, D_true.shape)
    _check_shape("codes", codes, codes_true.shape)
    check_finite("codes_true", codes_true)
    check_finite("codes", codes)
    active = codes_true != 0
    uses = active.sum(axis=1)
    occurs = uses > 0
    if not occurs.any():
        raise InputError("codes_true is zero throughout: expected at least one feature that occurs")

    matched = match(D_true, D, absolute).permutation
    truth, true_codes = np.asarray(D_true, np.float64), np.asarray(codes_true, np.float64)
    atoms, latents = np.asarray(D, np.float64)[:, matched], np.asarray(codes, np.float64)[matched]

    # The error splits into the part of a*_j off the matched atom's line and the part along
    # it: two sums of squares, where the expanded square would cancel near zero.
    directions = unit_columns(atoms)
    along = np.sum(directions * truth, axis=0)
    lengths = np.sum(directions * atoms, axis=0)
    off_line = np.sum((truth - along * directions) ** 2, axis=0)
    on_line = np.where(active, along[:, None] * true_codes - lengths[:, None] * latents, 0.0)

    true_energies = np.sum(true_codes**2, axis=1)
    errors = off_line * true_energies + np.sum(on_line**2, axis=1)
    totals = np.sum(truth**2, axis=0) * true_energies
    ratios = (errors / np.maximum(uses, 1)) / (totals / np.maximum(uses, 1) + FIFR_GUARD)
    return float(ratios[occurs].mean())
