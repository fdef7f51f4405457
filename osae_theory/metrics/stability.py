"""Stability of a dictionary: the paper's Stab, and Stab corrected for chance."""

import numpy as np
from jaxtyping import Float

from osae_theory.doors import at_the_door
from osae_theory.errors import check_real
from osae_theory.metrics.matching import match


@at_the_door
def stability(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d_other K_other"],
    absolute: bool = False,
    prefix: int | None = None,
) -> float:
    """Return Stab(D, E), the mean cosine of the atoms after Hungarian matching.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns (for rows: `match_rows`); of one width unless a prefix
        is given. A zero atom counts 0.
    absolute : bool
        Match on, and average, |cosine| instead of the paper's signed cosine.
    prefix : int, optional
        Take the first `prefix` atoms of both and match them anew.

    Returns
    -------
    float
        In [-1, 1], or [0, 1] if `absolute`. Unrelated dictionaries do not score 0: report
        `chance_stability` and `corrected` beside it.

    Raises
    ------
    InputError
        As `match`.

    Notes
    -----
    Source: Wang et al. (2025), definition of Stab.
    """
    return match(D, E, absolute, prefix).stability


def corrected(stab: float, chance: float) -> float:
    """Return (stab - chance) / (1 - chance): 0 at the chance level, 1 at perfect stability.

    Parameters
    ----------
    stab : float
        A stability.
    chance : float
        The level of unrelated dictionaries of the same size, prefix and sign convention, in
        [-1, 1).

    Returns
    -------
    float
        At most 1 for a stability of at most 1; below 0 under the chance level.

    Raises
    ------
    InputError
        If either is not finite, or `chance` is outside [-1, 1).

    Notes
    -----
    Source: the correction for chance of Cohen's kappa (1960), applied to Stab.
    """
    check_real("stab", stab)
    check_real("chance", chance, at_least=-1.0, below=1.0)
    return (stab - chance) / (1.0 - chance)
