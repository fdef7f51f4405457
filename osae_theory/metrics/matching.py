"""Hungarian matching of the atoms of two dictionaries, on which Stab and Ord are read."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer, check_real
from osae_theory.metrics.assignment import ENUMERABLE, assign, tied_assignments
from osae_theory.metrics.permutations import orderedness_of_permutation
from osae_theory.portable import matmul

# Which latents of the first side are alive, and which of the second.
Liveness = tuple[Bool[np.ndarray, " K_live"], Bool[np.ndarray, " K_other_live"]]


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
    live : (K,) bool or None
        Which pairs are alive on both sides; None: all. A zero atom, a constant stream and a
        latent that is said to be dead have no place in an order: where they stand is chance
        or convention, such as "dead latents last", which unrelated dictionaries share.
    """

    permutation: Int[np.ndarray, " K"]
    similarities: Float[np.ndarray, " K"]
    absolute: bool
    live: Bool[np.ndarray, " K"] | None = None

    @property
    def stability(self) -> float:
        """Stab: the mean similarity of all K pairs, or the mean |similarity| if `absolute`.

        A zero atom counts 0. The level of unrelated dictionaries is not 0: see
        `chance_stability`, also for dictionaries with zero atoms.
        """
        values = np.abs(self.similarities) if self.absolute else self.similarities
        return float(values.mean())

    @property
    def orderedness(self) -> float:
        """Ord: Spearman's correlation of the index with the matched index, over live pairs.

        Both sides are ranked again among the pairs that count; NaN where these are fewer than
        two. Report `left_out` beside it. Junk pairs count as much as true ones: see
        `recovered_orderedness`. Unrelated dictionaries score 0 on average, with standard
        deviation 1 / sqrt(n - 1) for n live pairs: see `chance_orderedness`.
        """
        return orderedness_of_permutation(self.permutation, self.live)

    @property
    def left_out(self) -> float:
        """The share, in [0, 1], of the pairs that Ord leaves out: dead on at least one side."""
        return 0.0 if self.live is None else float((~self.live).mean())

    def reordered(self, order: Int[np.ndarray, " K_order"]) -> "Matching":
        """Return the matching with the first side's atoms put into another order.

        Parameters
        ----------
        order : (K,) int
            The present index of the first atom, of the second, and so on, as `order_by` gives.

        Raises
        ------
        InputError
            If it is not a permutation of 0..K-1.
        """
        width = len(self.permutation)
        if not np.array_equal(np.sort(order), np.arange(width)):
            raise InputError(f"order = {order}: expected a permutation of 0..{width - 1}")
        live = None if self.live is None else self.live[order]
        return Matching(self.permutation[order], self.similarities[order], self.absolute, live)

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
        """Return Ord over the live pairs that are `recovered`, both sides ranked again from 1.

        NaN when they are fewer than two.
        """
        kept = self.recovered(threshold)
        if self.live is not None:
            kept = kept & self.live
        return orderedness_of_permutation(self.permutation, kept)


@at_the_door
def live_atoms(D: Real[np.ndarray, "d K"]) -> Bool[np.ndarray, " K"]:
    """Return which columns of `D` are not zero throughout."""
    return (D != 0).any(axis=0)


def unit_columns(D: Real[np.ndarray, "d K"]) -> Float[np.ndarray, "d K"]:
    """Return the columns of `D`, which is finite, at norm 1 in float64; zero columns stay zero."""
    # One layout, so that sums are taken in one order.
    columns = np.ascontiguousarray(D, dtype=np.float64)
    # Dividing by the largest entry first keeps the squares of very large or very small
    # entries inside float64's range.
    peaks = np.abs(columns).max(axis=0, initial=0.0)
    scaled = columns / np.where(peaks > 0, peaks, 1.0)
    norms = np.sqrt(np.sum(scaled * scaled, axis=0))
    return scaled / np.where(norms > 0, norms, 1.0)


def unit_products(
    U: Float[np.ndarray, "n K"], V: Float[np.ndarray, "n K_other"]
) -> Float[np.ndarray, "K K_other"]:
    """Return the scalar product of every column of `U` with every one of `V`, all of norm 1."""
    # Rounding can carry a product of unit vectors just past 1.
    return np.clip(matmul(U.T, V), -1.0, 1.0)


@at_the_door
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
        hint = "; for atoms as rows, match_rows" if D.shape[1] == E.shape[1] else ""
        raise InputError(
            f"E has atoms of length {E.shape[0]}: expected {D.shape[0]}, the length of D's"
            f" atoms, the columns{hint}"
        )
    check_finite("D", D)
    check_finite("E", E)
    return unit_products(unit_columns(D), unit_columns(E))


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


@at_the_door
def match_similarities(
    S: Float[np.ndarray, "K K_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
    tie_seed: int = 0,
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
    live : pair of (K,) and (K',) bool, optional
        Which rows and which columns are alive: only pairs of two live ones enter Ord. By
        default those that are not zero throughout, as a zero atom and a constant stream are.
    tie_seed : int
        Decides among matchings of the same sum: see `osae_theory.metrics.assignment.assign`.

    Returns
    -------
    Matching
        The maximum, in float64; of several maxima a drawn one, always the same for the same
        `S` and seed.

    Raises
    ------
    InputError
        If an entry is NaN or infinite, the prefix exceeds a side, there is no prefix and the
        sides differ, or `live` does not fit `S`.
    """
    similarities, scores, (rows, columns) = _sound(S, absolute, prefix, live)
    matched = assign(scores, tie_seed)
    places = np.arange(len(matched))
    return Matching(matched, similarities[places, matched], absolute, rows & columns[matched])


@at_the_door
def orderedness_range(
    S: Float[np.ndarray, "K K_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
) -> tuple[float, float]:
    """Return the least and the greatest Ord among all matchings of the greatest sum.

    Parameters
    ----------
    S, absolute, prefix, live
        As in `match_similarities`; at most 8 rows and columns are matched.

    Returns
    -------
    pair of float
        Equal where the best matching is the only one; over those optima where Ord is defined,
        NaN where it is for none. Sums that differ by less than 1e-12 are equal.

    Raises
    ------
    InputError
        As `match_similarities`, or if more than 8 would be matched: the range is found by going
        through all matchings.
    """
    _, scores, (rows, columns) = _sound(S, absolute, prefix, live)
    if len(scores) > ENUMERABLE:
        raise InputError(f"{len(scores)} atoms to match: expected at most {ENUMERABLE}")
    found = [orderedness_of_permutation(mu, rows & columns[mu]) for mu in tied_assignments(scores)]
    defined = [value for value in found if not math.isnan(value)]
    return (min(defined), max(defined)) if defined else (math.nan, math.nan)


def _sound(
    S: Float[np.ndarray, "K K_other"], absolute: bool, prefix: int | None, live: Liveness | None
) -> tuple[
    Float[np.ndarray, "p p"],
    Float[np.ndarray, "p p"],
    tuple[Bool[np.ndarray, " p"], Bool[np.ndarray, " p"]],
]:
    """Return similarities, scores and liveness of what is to be matched, once they are sound."""
    width = common_width(S.shape[0], S.shape[1], prefix)
    check_finite("S", S)
    rows, columns = (live_atoms(S.T), live_atoms(S)) if live is None else live
    if (len(rows), len(columns)) != S.shape:
        raise InputError(f"live has lengths {(len(rows), len(columns))}: expected {S.shape}")
    similarities = np.asarray(S[:width, :width], dtype=np.float64)
    scores = np.abs(similarities) if absolute else similarities
    return similarities, scores, (rows[:width], columns[:width])


@at_the_door
def match(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d_other K_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
    tie_seed: int = 0,
) -> Matching:
    """Match the atoms of two dictionaries, the columns, by the greatest sum of cosines.

    Atoms are columns here, as in the paper. Where they are rows, as in scikit-learn's
    `components_` and in decoder weights, call `match_rows`, or `match_models` with the models
    themselves: where d = K nothing in the shapes tells the two apart.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm (see `cosines`); of one width unless a
        prefix is given.
    absolute : bool
        Match on |cosine|, so that atoms that differ in sign are the same.
    prefix : int, optional
        Take the first `prefix` atoms of both and match them anew.
    live : pair of (K,) and (K',) bool, optional
        Which atoms belong to latents that are ever active: only pairs of two live ones enter
        Ord. All by default; zero atoms never.
    tie_seed : int
        As in `match_similarities`.

    Returns
    -------
    Matching
        The maximum. Its `stability` is Stab and its `orderedness` Ord.

    Raises
    ------
    InputError
        If the atoms differ in length, an entry is NaN or infinite, the prefix exceeds a
        width, there is no prefix and the widths differ, or `live` does not fit the widths.

    Notes
    -----
    Source: Wang et al. (2025), definition of Stab: max over permutations P of
    (1/K) tr(D^T P D'), and its truncation to prefixes. Dead latents are left out of Ord here.
    """
    width = common_width(D.shape[1], E.shape[1], prefix)
    alive = both_alive(live, live_atoms(D), live_atoms(E))
    return match_similarities(
        cosines(D[:, :width], E[:, :width]),
        absolute,
        live=(alive[0][:width], alive[1][:width]),
        tie_seed=tie_seed,
    )


def both_alive(
    given: Liveness | None, first: Bool[np.ndarray, " K"], second: Bool[np.ndarray, " K_other"]
) -> Liveness:
    """Return which latents are alive by what is given and by what was seen of each side.

    Raises InputError if what is given has other lengths.
    """
    if given is None:
        return first, second
    lengths, expected = (len(given[0]), len(given[1])), (len(first), len(second))
    if lengths != expected:
        raise InputError(f"live has lengths {lengths}: expected {expected}, one a latent")
    return first & given[0], second & given[1]


@at_the_door
def match_rows(
    A: Float[np.ndarray, "K d"],
    B: Float[np.ndarray, "K_other d_other"],
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
    tie_seed: int = 0,
) -> Matching:
    """Match the atoms of two dictionaries that hold them as rows; otherwise as `match`.

    Parameters
    ----------
    A, B : (K, d) and (K', d)
        Atoms as rows: `components_` of scikit-learn and of `osae_theory.sae.OrderedSAE`, and
        decoder weights W_dec of SAELens and of `realdata`.
    """
    return match(A.T, B.T, absolute, prefix, live=live, tie_seed=tie_seed)


def match_models(
    first: object,
    second: object,
    absolute: bool = False,
    prefix: int | None = None,
    *,
    live: Liveness | None = None,
    tie_seed: int = 0,
) -> Matching:
    """Match the atoms of two fitted models; otherwise as `match`.

    Parameters
    ----------
    first, second : object
        Models with `components_`, (K, d): `osae_theory.sae.OrderedSAE` and the dictionary
        learners of scikit-learn.

    Raises
    ------
    InputError
        As `match`, and if a model has no two-dimensional `components_`.
    """
    A, B = (_components(name, model) for name, model in (("first", first), ("second", second)))
    return match_rows(A, B, absolute, prefix, live=live, tie_seed=tie_seed)


def _components(name: str, model: object) -> Float[np.ndarray, "K d"]:
    found = getattr(model, "components_", None)
    if not isinstance(found, np.ndarray) or found.ndim != 2:
        raise InputError(
            f"{name} is of type {type(model).__name__}: expected a fitted model whose components_"
            " is an array of one atom a row"
        )
    return found
