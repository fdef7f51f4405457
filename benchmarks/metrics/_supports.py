"""Where latents and the true atoms matched with them are active, for several metrics."""

import numpy as np
from jaxtyping import Bool, Float

from benchmarks.contracts import Scored, padded
from osae_theory.metrics import Detection, detection

Supports = tuple[Bool[np.ndarray, "width N"], Bool[np.ndarray, "width N"]]


def matched_supports(scored: Scored, codes: Float[np.ndarray, "K N"]) -> Supports:
    """Return where true atoms, and the latents matched with them, are active in held-out samples.

    A row is a latent and its match; where one has none, the other's row is False.

    Parameters
    ----------
    scored : Scored
        The run.
    codes : array of shape (K, N)
        Codes of the held-out samples for its dictionary.
    """
    mu = scored.matching.permutation
    truth, found = (padded((rows != 0).T, len(mu)).T for rows in (scored.heldout.codes, codes))
    return truth[mu], found


def detected(scored: Scored) -> Detection:
    """Return precision, recall and F1 of the latents, each as a detector of its matched atom.

    Over pairs of a latent and a true atom that is active in some held-out sample; a latent that
    is never active there counts 0.
    """
    truth, found = matched_supports(scored, scored.codes)
    return detection(truth[: len(scored.codes)], found[: len(scored.codes)])
