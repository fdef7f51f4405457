"""Hungarian matching of the atoms of two dictionaries, on which Stab and Ord are read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from osae_theory.errors import InputError, check_finite, check_integer, check_real
from osae_theory.metrics.permutations import orderedness_of_permutation


@dataclass(frozen=True, eq=False)
class Matching:
    """A one-to-one matching of K atoms (or latents) with K others.

    Attributes
    ----------
    permutation : (K,) int
        mu: the index, in the second dictionary, of the atom matched to each of the first.
    similarities : (K,) float
        The similarity of each pair, with its sign, in [-1, 1] for cosines and correlations.
    absolute : bool
        Whether the matching maximised the sum of |similarity| rather than of similarity.
    """

    permutation: Int[np.ndarray, " K"]
    similarities: Float[np.ndarray, " K"]
    absolute: bool

    @property
    def stability(self) -> float:
        """Stab: the mean similarity of the pairs, or the mean |similarity| if `absolute`.

        Its level for unrelated dictionaries is not 0: see `chance_stability`.
        """
        values = np.abs(self.similarities) if self.absolute else self.similarities
        return float(values.mean())

    @property
    def orderedness(self) -> float:
        """Ord: Spearman's correlation of the index with the matched index; NaN for one pair.

        Junk pairs count as much as true ones: see `recovered_orderedness`.
        """
        return orderedness_of_permutation(self.permutation)

    def recovered(self, threshold: float = 0.9) -> Bool[np.ndarray, " K"]:
        """Return which pairs have |similarity| >= threshold, also when matched with signs.

        Raises InputError unless `threshold` lies in [0, 1].
        """
        check_real("threshold", threshold, at_least=0.0, at_most=1.0)
        return np.abs(self.similarities) >= threshold

    def recovered_share(self, threshold: float = 0.9) -> float:
        """Return the share, in [0, 1], of the pairs that are `recovered`."""
        return float(self.recovered(threshold).mean())

    def recovered_orderedness(self, threshold: float = 0.9) -> float:
        """Return Ord over the `recovered` pairs alone, both sides ranked again from 1.

        NaN when fewer than two pairs are recovered.
        """
        matched = self.permutation[self.recovered(threshold)]
        return orderedness_of_permutation(np.argsort(np.argsort(matched)))


def unit_columns(D: Float[np.ndarray, "d K"]) -> Float[np.ndarray, "d K"]:
    """Return the columns of `D`, which is finite, at norm 1 in float64; zero columns stay zero."""
    columns = np.asarray(D, dtype=np.float64)
    # Dividing by the largest entry first keeps the squares of very large or very small
    # entries inside float64's range.
    peaks = np.abs(columns).max(axis=0, initial=0.0)
    scaled = columns / np.where(peaks > 0, peaks, 1.0)
    norms = np.linalg.norm(scaled, axis=0)
    return scaled / np.where(norms > 0, norms, 1.0)


def cosines(
    D: Float[np.ndarray, "d K"], E: Float[np.ndarray, "d_other K_other"]
) -> Float[np.ndarray, "K K_other"]:
    """Return the cosine of every atom of `D` with every atom of `E`.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns; the columns are normalised here. An atom of norm
        zero has cosine 0 with every atom, itself included.

    Returns
    -------
    (K, K') float64
        In [-1, 1].

    Raises
    ------
    InputError
        If the atoms differ in length, or an entry is NaN or infinite.
    """
    if D.shape[0] != E.shape[0]:
        raise InputError(
            f"E has atoms of length {E.shape[0]}: expected {D.shape[0]}, the length of D's atoms"
        )
    check_finite("D", D)
    check_finite("E", E)
    # Rounding can carry a product of unit vectors just past 1.
    return np.clip(unit_columns(D).T @ unit_columns(E), -1.0, 1.0)


def common_width(width: int, other: int, prefix: int | None) -> int:
    """Return how many atoms of each side to match: the prefix, or the one width of both.

    Raises InputError if `prefix` is not a whole number in 1..min(width, other), or if there
    is none and the widths differ or are zero.
    """
    if prefix is None:
        if width != other:
            raise InputError(
                f"the widths {width} and {other} differ: "
                f"give a prefix of at most {min(width, other)} to match the first atoms of each"
            )
        check_integer("width", width, 1)
        return width
    check_integer("prefix", prefix, 1)
    if prefix > min(width, other):
        raise InputError(
            f"prefix = {prefix}: expected at most {min(width, other)}, "
            f"the smaller of the widths {width} and {other}"
        )
    return int(prefix)


def match_similarities(
    S: Float[np.ndarray, "K K_other"], absolute: bool = False, prefix: int | None = None
) -> Matching:
    """Match the rows of a similarity matrix one to one with its columns.

    Parameters
    ----------
    S : (K, K')
        Similarities, larger is nearer; square unless a prefix is given.
    absolute : bool
        Maximise the sum of |similarity| instead of the sum of similarity.
    prefix : int, optional
        Match only the first `prefix` rows with the first `prefix` columns.

    Returns
    -------
    Matching
        The maximum, in float64. Of several maxima it is the one that
        `scipy.optimize.linear_sum_assignment` finds, always the same for the same `S`.

    Raises
    ------
    InputError
        If an entry is NaN or infinite, the prefix exceeds a side, or there is no prefix and
        the sides differ.
    """
    width = common_width(S.shape[0], S.shape[1], prefix)
    check_finite("S", S)
    similarities = np.asarray(S[:width, :width], dtype=np.float64)
    scores = np.abs(similarities) if absolute else similarities
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return Matching(columns, similarities[rows, columns], absolute)


def match(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d_other K_other"],
    absolute: bool = False,
    prefix: int | None = None,
) -> Matching:
    """Match the atoms of two dictionaries by the greatest sum of cosines.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm (see `cosines`); of one width unless a
        prefix is given.
    absolute : bool
        Match on |cosine|. The paper's Stab and Ord match on the signed cosine.
    prefix : int, optional
        Take the first `prefix` atoms of both dictionaries and match them anew.

    Returns
    -------
    Matching
        Ties are broken as in `match_similarities`.

    Raises
    ------
    InputError
        If the atoms differ in length, an entry is NaN or infinite, the prefix exceeds a
        width, or there is no prefix and the widths differ.

    Notes
    -----
    Source: Wang et al. (2025), definition of Stab: max over permutations P of
    (1/K) tr(D^T P D'), and its truncation to prefixes.
    """
    width = common_width(D.shape[1], E.shape[1], prefix)
    return match_similarities(cosines(D[:, :width], E[:, :width]), absolute)
