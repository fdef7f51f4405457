"""Orderedness of a pair of dictionaries: the paper's Ord."""

import numpy as np
from jaxtyping import Float

from osae_theory.doors import at_the_door
from osae_theory.metrics.matching import match
from osae_theory.metrics.permutations import orderedness_of_permutation

__all__ = ["orderedness", "orderedness_of_permutation"]


@at_the_door
def orderedness(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d_other K_other"],
    absolute: bool = False,
    prefix: int | None = None,
) -> float:
    """Return Ord(D, E), Spearman's correlation of the live atoms' indices with the matched ones.

    Pairs with a zero atom are left out: `match` says which share, takes other dead latents too,
    and breaks ties by a seed of its own.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns (for rows: `match_rows`); of one width unless a prefix
        is given.
    absolute : bool
        Match on |cosine| instead of the paper's signed cosine.
    prefix : int, optional
        Take the first `prefix` atoms of both and match them anew.

    Returns
    -------
    float
        In [-1, 1]; NaN for fewer than two live pairs. Unrelated dictionaries score 0 on average.

    Raises
    ------
    InputError
        As `match`.

    Notes
    -----
    Source: Wang et al. (2025), definition of Ord.
    """
    return match(D, E, absolute, prefix).orderedness
