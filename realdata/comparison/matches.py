"""Which latent of one SAE is which of another: shared, split, or alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from pandas.arrays import IntegerArray

from osae_theory.errors import InputError, check_real
from osae_theory.metrics import cosines, match_candidates
from osae_theory.metrics.assignment import LEFT, assign
from osae_theory.metrics.candidates import nearest_atoms
from osae_theory.metrics.chance import MOST_DENSE
from osae_theory.progress import Step
from realdata.comparison.dictionaries import Dictionary
from realdata.latents.correlations import paired_correlations

THRESHOLD = 0.7
SHARED, SPLIT, ALONE = "shared", "split", "alone"


@dataclass(frozen=True, eq=False)
class MatchedPair:
    """Two SAEs whose latents are matched one to one, as far as there are as many.

    Attributes
    ----------
    a, b : Dictionary
    places_a, places_b : (n,) int
        The places, in the orders that are compared, of each pair: those of `a` in their order,
        then what `b` has left; -1 stands beside a latent that is left over.
    cosine : (n,)
        Of each pair, NaN beside a latent that is left over.
    """

    a: Dictionary
    b: Dictionary
    places_a: Int[np.ndarray, " n"]
    places_b: Int[np.ndarray, " n"]
    cosine: Float[np.ndarray, " n"]

    def towards(
        self, target: Dictionary
    ) -> tuple[Dictionary, Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return the other SAE, the places of a target's latents and their partners, the cosines.

        In the order of the target's latents, without those of either side that are left over.
        """
        own, other, source = self.places_a, self.places_b, self.b
        if target is self.b:
            own, other, source = other, own, self.a
        order = np.argsort(own)
        order = order[(own[order] != LEFT) & (other[order] != LEFT)]
        return source, own[order], other[order], self.cosine[order]


def match_pairs(
    dictionaries: Sequence[Dictionary], on_progress: Callable[[Step], None] | None = None
) -> list[MatchedPair]:
    """Match the latents of every two SAEs by the greatest sum of cosines of their decoder rows.

    Among matchings of the same sum the place of the pair decides, as in
    `realdata.comparison.compare.compare`: over all latents of two SAEs that have as many, the
    matching is the one of which Stab and Ord are told there. Where more than 4,096 are matched,
    on_progress is called as there.

    Raises
    ------
    InputError
        If atoms differ in length.
    """
    found = []
    for place, (a, b) in enumerate(combinations(dictionaries, 2)):
        if a.autoencoder.d != b.autoencoder.d:
            raise InputError(
                f"{b.name} has atoms of length {b.autoencoder.d}: expected {a.autoencoder.d}, as in"
                f" {a.name}"
            )
        report = None
        if on_progress is not None:
            most = max(a.autoencoder.K, b.autoencoder.K)
            report = partial(_tell, on_progress, f"{a.name} with {b.name}, all", most)
        found.append(MatchedPair(a, b, *matched_places(a.decoder, b.decoder, place, report)))
    return found


def _tell(on_progress: Callable[[Step], None], what: str, most: int, stage: str, done: int) -> None:
    on_progress(Step(what, done, most, stage))


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of the rows of a table of matches.

    Attributes
    ----------
    own, other : Dictionary
    places : (n,) int
        Which latent, by its place in the order that is compared, stands in each row; -1 for none.
    nearest, cosines : (K,)
        The place of the other side's nearest atom to each, and its cosine.
    """

    own: Dictionary
    other: Dictionary
    places: Int[np.ndarray, " n"]
    nearest: Int[np.ndarray, " K"]
    cosines: Float[np.ndarray, " K"]

    @property
    def there(self) -> Bool[np.ndarray, " n"]:
        return self.places != LEFT

    def latents(self) -> IntegerArray:
        """Return the checkpoint's own indices."""
        return self.whole(self.own.order[self.places])

    def nearest_latents(self) -> IntegerArray:
        """Return the other checkpoint's index of each one's nearest."""
        return self.whole(self.other.order[self.nearest[self.places]])

    def known(self, values: Float[np.ndarray, " K"]) -> Float[np.ndarray, " n"]:
        """Return a value a row, NaN where there is no latent."""
        return np.where(self.there, values[self.places], np.nan)

    def kinds(self, cosine: Float[np.ndarray, " n"], threshold: float) -> Shaped[np.ndarray, " n"]:
        """Return what became of each latent, from the cosines of the pairs."""
        near = self.cosines[self.places] >= threshold
        found = np.where(near, SPLIT, ALONE).astype(object)
        found[cosine >= threshold] = SHARED
        found[~self.there] = None
        return found

    def whole(self, values: Int[np.ndarray, " n"]) -> IntegerArray:
        """Return whole numbers, missing where there is no latent."""
        return IntegerArray(values.astype(np.int64), ~self.there)


def matches(pair: MatchedPair, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Say of each latent of two SAEs what became of it.

    Parameters
    ----------
    pair : MatchedPair
        Of activations of the same width; K may differ, and then latents of the wider are left over.
    threshold : float
        In [0, 1]: the signed cosine from which two atoms count as the same feature. The default
        0.7 is ours, that of stitching.

    Returns
    -------
    DataFrame
        One row a matched pair, in the order of `a`, then one a latent that is left over, with
        nothing on the other side. Columns: the names a and b; latent_a and latent_b, the
        checkpoints' own indices; place_a and place_b, their places in the order that is compared,
        from 0; cosine; kind_a and kind_b; nearest_to_a, the latent of b nearest to latent_a, and
        nearest_to_a_cosine, and likewise to b; with activations also correlation, and of each side
        frequency, in [0, 1], and energy, the mean squared length of what the latent adds.

        Both kinds are "shared" where the pair's cosine reaches the threshold. Otherwise a latent
        is "split" if the other SAE has some atom as near as that, which is then matched with
        another latent: several latents for one feature. It is "alone" if there is none.

    Raises
    ------
    InputError
        If the threshold is outside [0, 1].
    """
    check_real("threshold", threshold, at_least=0.0, at_most=1.0)
    a, b, cosine = pair.a, pair.b, pair.cosine
    nearest = _nearest(a.decoder, b.decoder)
    sides = {
        "a": _Side(a, b, pair.places_a, *nearest[0]),
        "b": _Side(b, a, pair.places_b, *nearest[1]),
    }
    table: dict[str, Any] = {"a": a.name, "b": b.name}
    table |= {f"latent_{name}": side.latents() for name, side in sides.items()}
    table |= {f"place_{name}": side.whole(side.places) for name, side in sides.items()}
    table["cosine"] = cosine
    table |= {f"kind_{name}": side.kinds(cosine, threshold) for name, side in sides.items()}
    for name, side in sides.items():
        table[f"nearest_to_{name}"] = side.nearest_latents()
        table[f"nearest_to_{name}_cosine"] = side.known(side.cosines)
    if a.latents and b.latents:
        both = sides["a"].there & sides["b"].there
        own, other = a.order[pair.places_a[both]], b.order[pair.places_b[both]]
        table["correlation"] = np.full(len(cosine), np.nan)
        table["correlation"][both] = paired_correlations(a.latents, b.latents, own, other)
        table |= {f"frequency_{n}": side.known(side.own.frequencies()) for n, side in sides.items()}
        table |= {f"energy_{n}": side.known(side.own.energies()) for n, side in sides.items()}
    return pd.DataFrame(table)


def all_matches(pairs: Sequence[MatchedPair], threshold: float = THRESHOLD) -> pd.DataFrame:
    """Return `matches` of every pair, one below the other."""
    return pd.concat([matches(pair, threshold) for pair in pairs])


def sentences(table: pd.DataFrame, threshold: float = THRESHOLD) -> list[str]:
    """Return what a table of matches says, one sentence a pair."""
    found = []
    for (a, b), own in table.groupby(["a", "b"], sort=False):
        counts = {side: own[f"kind_{side}"].value_counts() for side in "ab"}
        shared = counts["a"].get(SHARED, 0)
        split, alone = ([counts[side].get(kind, 0) for side in "ab"] for kind in (SPLIT, ALONE))
        found.append(
            f"{a} with {b}: {shared} latents are shared (cosine of at least {threshold:g});"
            f" split {split[0]} and {split[1]} more, alone {alone[0]} and {alone[1]}."
        )
    return found


def matched_places(
    A: Float[np.ndarray, "K d"],
    B: Float[np.ndarray, "K_other d"],
    tie_seed: int = 0,
    on_progress: Callable[[str, int], None] | None = None,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Match decoder rows one to one by the greatest sum of cosines.

    Parameters
    ----------
    A, B : (K, d) and (K', d)
        Rows of any norm.
    tie_seed : int
        Decides among matchings of the same sum.
    on_progress : callable, optional
        Where more than 4,096 rows are matched, as in `osae_theory.metrics.match_candidates`.

    Returns
    -------
    tuple of (n,) int, (n,) int and (n,) float
        The places of the rows in A and in B and the cosine of each pair; a row that is left over
        stands beside -1 and has the cosine NaN. More than 4,096 rows are matched over their
        nearest alone, by `osae_theory.metrics.match_candidates`.
    """
    if max(len(A), len(B)) > MOST_DENSE:
        return _matched_over_nearest(A, B, tie_seed, on_progress)
    S = cosines(A.T, B.T)
    columns = assign(S, tie_seed)
    left = np.setdiff1d(np.arange(len(B)), columns)
    rows = np.concatenate([np.arange(len(A)), np.full(len(left), LEFT)])
    columns = np.concatenate([columns, left])
    return rows, columns, np.where((rows != LEFT) & (columns != LEFT), S[rows, columns], np.nan)


def _matched_over_nearest(
    A: Float[np.ndarray, "K d"],
    B: Float[np.ndarray, "K_other d"],
    tie_seed: int,
    on_progress: Callable[[str, int], None] | None,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    if len(A) > len(B):
        columns, rows, cosine = _matched_over_nearest(B, A, tie_seed, on_progress)
        order = np.argsort(np.where(rows == LEFT, len(A) + columns, rows))
        return rows[order], columns[order], cosine[order]
    # Zero rows take what is left over of the wider side.
    padding = np.zeros((len(B) - len(A), A.shape[1]), dtype=A.dtype)
    padded = np.concatenate([A, padding]).T
    found = match_candidates(padded, B.T, tie_seed=tie_seed, on_progress=on_progress)
    rows = np.where(np.arange(len(B)) < len(A), np.arange(len(B)), LEFT)
    return rows, found.permutation, np.where(rows == LEFT, np.nan, found.similarities)


def _nearest(
    A: Float[np.ndarray, "K d"], B: Float[np.ndarray, "K_other d"]
) -> tuple[
    tuple[Int[np.ndarray, " K"], Float[np.ndarray, " K"]],
    tuple[Int[np.ndarray, " K_other"], Float[np.ndarray, " K_other"]],
]:
    """Return of each row the nearest of the other side, and its cosine: of A's, then of B's."""
    if max(len(A), len(B)) > MOST_DENSE:
        return nearest_atoms(A.T, B.T), nearest_atoms(B.T, A.T)
    S = cosines(A.T, B.T)
    return (S.argmax(axis=1), S.max(axis=1)), (S.argmax(axis=0), S.max(axis=0))
