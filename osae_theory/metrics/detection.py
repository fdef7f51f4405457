"""Latents as detectors of features: precision, recall and F1, and overlaps of whole supports."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError


@dataclass(frozen=True)
class Detection:
    """How well latents say on which samples features are active, as means over pairs.

    Attributes
    ----------
    precision : float
        Mean share, in [0, 1], of a latent's active samples on which its feature is active too.
    recall : float
        Mean share, in [0, 1], of a feature's active samples on which its latent is active too.
    f1 : float
        Mean over pairs of the harmonic mean of the two.
    """

    precision: float
    recall: float
    f1: float


@at_the_door
def detection(
    features: Bool[np.ndarray, "pairs N"], latents: Bool[np.ndarray, "pairs N"]
) -> Detection:
    """Return precision, recall and F1 of latents, each as a detector of one feature.

    Parameters
    ----------
    features, latents : (pairs, N) bool
        On which of N samples each feature, and the latent paired with it, is active.

    Returns
    -------
    Detection
        Over the pairs whose feature is active on some sample; NaN where there is none. A latent
        that is never active counts 0 in all three, though its precision is 0/0.

    Raises
    ------
    InputError
        If the shapes differ.

    Notes
    -----
    Source: SynthSAEBench (arXiv 2602.14687), where a latent is paired with its nearest feature,
    features may be shared, and a feature that is never active counts 0.
    """
    occurs = features.any(axis=1)
    if not occurs.any():
        return Detection(math.nan, math.nan, math.nan)
    both = np.count_nonzero(features & latents, axis=1)[occurs]
    active = np.count_nonzero(features, axis=1)[occurs]
    fired = np.count_nonzero(latents, axis=1)[occurs]
    return Detection(
        float((both / np.maximum(fired, 1)).mean()),
        float((both / active).mean()),
        # 2 p r / (p + r), which has no 0/0 left.
        float((2 * both / (active + fired)).mean()),
    )


@at_the_door
def support_jaccard(
    features: Bool[np.ndarray, "pairs N"], latents: Bool[np.ndarray, "pairs N"]
) -> float:
    """Return the mean over samples of |A and B| / |A or B|, A the true support and B the found.

    Parameters
    ----------
    features, latents : (pairs, N) bool
        On which of N samples each feature, and the latent paired with it, is active. A latent
        without a feature is paired with one that is never active, and the other way round.

    Returns
    -------
    float
        In [0, 1]; 1 if and only if every support is found. Two empty supports count 1.

    Raises
    ------
    InputError
        If the shapes differ, or there is no sample.

    Notes
    -----
    Source: Jaccard (1901), similarity of two sets.
    """
    if features.shape[1] == 0:
        raise InputError(f"features has shape {features.shape}: expected at least one sample")
    both = np.count_nonzero(features & latents, axis=0)
    either = np.count_nonzero(features | latents, axis=0)
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())
