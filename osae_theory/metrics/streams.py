"""Activation-stream versions of the metrics, Stab_Z and Ord_Z: correlation replaces the cosine."""

import math

import numpy as np
from jaxtyping import Bool, Float

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.metrics.matching import (
    Liveness,
    Matching,
    both_alive,
    common_width,
    match_similarities,
    unit_columns,
    unit_products,
)


@at_the_door
def live_latents(Z: Float[np.ndarray, "K N"]) -> Bool[np.ndarray, " K"]:
    """Return which rows of `Z` are not constant, as a dead latent's is; N is at least 1."""
    return (Z != Z[:, :1]).any(axis=1)


def _standardised(Z: Float[np.ndarray, "K N"]) -> Float[np.ndarray, "N K"]:
    """Return each row of `Z` centred and at norm 1, as a column; constant rows as zeros."""
    # One layout, so that means are taken in one order.
    samples = np.ascontiguousarray(Z.T, dtype=np.float64)
    peaks = np.abs(samples).max(axis=0, initial=0.0)
    # At a peak of exactly 1 a constant row has an exact mean, so that nothing is left of it
    # once centred; unscaled, its rounding error would be blown up to norm 1.
    scaled = samples / np.where(peaks > 0, peaks, 1.0)
    return unit_columns(scaled - scaled.mean(axis=0))


@at_the_door
def activation_correlations(
    Z: Float[np.ndarray, "K N"], W: Float[np.ndarray, "K_other N_other"]
) -> Float[np.ndarray, "K K_other"]:
    """Return the Pearson correlation of every latent of `Z` with every latent of `W`.

    Parameters
    ----------
    Z, W : (K, N) and (K', N)
        Activations of two models on the same N >= 2 samples in the same order, one row a
        latent. A constant row, such as a dead latent, has correlation 0 with every row,
        itself included.

    Returns
    -------
    (K, K') float64
        In [-1, 1].

    Raises
    ------
    InputError
        If the numbers of samples differ or are below 2, or an entry is NaN or infinite.
    """
    if Z.shape[1] != W.shape[1]:
        raise InputError(f"W has {W.shape[1]} samples: expected {Z.shape[1]}, the samples of Z")
    check_integer("the number of samples", Z.shape[1], 2)
    check_finite("Z", Z)
    check_finite("W", W)
    return unit_products(_standardised(Z), _standardised(W))


@at_the_door
def match_activations(
    Z: Float[np.ndarray, "K N"],
    W: Float[np.ndarray, "K_other N_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
    tie_seed: int = 0,
) -> Matching:
    """Match the latents of two models by the greatest sum of activation correlations.

    Parameters
    ----------
    Z, W : (K, N) and (K', N)
        As in `activation_correlations`; of one width unless a prefix is given.
    absolute : bool
        Match on |correlation|.
    prefix : int, optional
        Take the first `prefix` latents of both models and match them anew.
    live : pair of (K,) and (K',) bool, optional
        Which latents are alive: only pairs of two live ones enter Ord_Z. All by default;
        constant rows never.
    tie_seed : int
        As in `osae_theory.metrics.match_similarities`.

    Returns
    -------
    Matching
        Its `stability` is Stab_Z and its `orderedness` Ord_Z.

    Raises
    ------
    InputError
        As `activation_correlations`; also if the prefix exceeds a width, or there is no
        prefix and the widths differ, or `live` does not fit the widths.

    Notes
    -----
    Source: Wang et al. (2025), activation-stream versions of Stab and Ord.
    """
    width = common_width(Z.shape[0], W.shape[0], prefix)
    S = activation_correlations(Z[:width], W[:width])
    alive = both_alive(live, live_latents(Z), live_latents(W))
    return match_similarities(
        S, absolute, live=(alive[0][:width], alive[1][:width]), tie_seed=tie_seed
    )


@at_the_door
def mean_correlation(Z: Float[np.ndarray, "K N"], W: Float[np.ndarray, "K_other N_other"]) -> float:
    """Return the mean correlation coefficient (MCC) of two sets of activations.

    The latents of the one are matched with those of the other by the greatest sum of
    |correlation|; the mean is over as many pairs as the side with fewer streams that vary has.

    Parameters
    ----------
    Z, W : (K, N) and (K', N)
        As in `activation_correlations`; the numbers of latents may differ. For the MCC of a fit,
        its activations and the true codes: streams of `W` that are constant are left out, those
        of `Z` count 0 where they leave too few for all of `W`.

    Returns
    -------
    float
        In [0, 1]; 1 if and only if each varying stream of the smaller side is, up to scale, sign
        and offset, one of the other. NaN if no stream of `W` varies, or `Z` has none.

    Raises
    ------
    InputError
        As `activation_correlations`.

    Notes
    -----
    Source: Hyvarinen & Morioka (2016), "Unsupervised feature extraction by time-contrastive
    learning and nonlinear ICA"; the usual measure of identifiability in that field.
    """
    S = np.abs(activation_correlations(Z, W))
    n_pairs = min(len(Z), int(np.count_nonzero(live_latents(W))))
    if n_pairs == 0:
        return math.nan
    width = max(S.shape)
    padded = np.zeros((width, width))
    padded[: S.shape[0], : S.shape[1]] = S
    return float(match_similarities(padded).similarities.sum() / n_pairs)
