"""Which latent of one SAE is which of another: shared, split, or alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from pandas.arrays import IntegerArray

from osae_theory.errors import InputError, check_real
from osae_theory.metrics import cosines, match_candidates
from osae_theory.metrics.assignment import LEFT, assign
from osae_theory.metrics.chance import MOST_DENSE
from realdata.comparison.dictionaries import Dictionary
from realdata.latents.sparse import latent_correlations

THRESHOLD = 0.7
SHARED, SPLIT, ALONE = "shared", "split", "alone"


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


def matches(
    a: Dictionary, b: Dictionary, threshold: float = THRESHOLD, tie_seed: int = 0
) -> pd.DataFrame:
    """Match the latents of two SAEs one to one, and say of each what became of it.

    Parameters
    ----------
    a, b : Dictionary
        Of activations of the same width; K may differ, and then latents of the wider are left over.
    threshold : float
        In [0, 1]: the signed cosine from which two atoms count as the same feature. The default
        0.7 is ours, that of stitching.
    tie_seed : int
        Decides among matchings of the same sum.

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
        If atoms differ in length, or the threshold is outside [0, 1].
    """
    check_real("threshold", threshold, at_least=0.0, at_most=1.0)
    if a.autoencoder.d != b.autoencoder.d:
        raise InputError(
            f"{b.name} has atoms of length {b.autoencoder.d}: expected {a.autoencoder.d}, as in"
            f" {a.name}"
        )
    S = cosines(a.decoder.T, b.decoder.T)
    rows, columns = _matched(S, tie_seed)
    sides = {
        "a": _Side(a, b, rows, S.argmax(axis=1), S.max(axis=1)),
        "b": _Side(b, a, columns, S.argmax(axis=0), S.max(axis=0)),
    }
    paired = sides["a"].there & sides["b"].there
    cosine = np.where(paired, S[rows, columns], np.nan)
    table: dict[str, Any] = {"a": a.name, "b": b.name}
    table |= {f"latent_{name}": side.latents() for name, side in sides.items()}
    table |= {f"place_{name}": side.whole(side.places) for name, side in sides.items()}
    table["cosine"] = cosine
    table |= {f"kind_{name}": side.kinds(cosine, threshold) for name, side in sides.items()}
    for name, side in sides.items():
        table[f"nearest_to_{name}"] = side.nearest_latents()
        table[f"nearest_to_{name}_cosine"] = side.known(side.cosines)
    if a.latents and b.latents:
        R = latent_correlations(a.latents, b.latents, a.order, b.order)
        table["correlation"] = np.where(paired, R[rows, columns], np.nan)
        table |= {f"frequency_{n}": side.known(side.own.frequencies()) for n, side in sides.items()}
        table |= {f"energy_{n}": side.known(side.own.energies()) for n, side in sides.items()}
    return pd.DataFrame(table)


def all_matches(dictionaries: Sequence[Dictionary], threshold: float = THRESHOLD) -> pd.DataFrame:
    """Return `matches` of every pair, one below the other."""
    pairs = enumerate(combinations(dictionaries, 2))
    return pd.concat([matches(a, b, threshold, place) for place, (a, b) in pairs])


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
    A: Float[np.ndarray, "K d"], B: Float[np.ndarray, "K_other d"], tie_seed: int = 0
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Match decoder rows one to one by the greatest sum of cosines.

    Returns
    -------
    tuple of (n,) int, (n,) int and (n,) float
        The places of the rows in A and in B and the cosine of each pair; a row that is left over
        stands beside -1 and has the cosine NaN. More than 4,096 rows are matched over their
        nearest alone, by `osae_theory.metrics.match_candidates`.
    """
    if max(len(A), len(B)) > MOST_DENSE:
        return _matched_over_nearest(A, B, tie_seed)
    S = cosines(A.T, B.T)
    rows, columns = _matched(S, tie_seed)
    return rows, columns, np.where((rows != LEFT) & (columns != LEFT), S[rows, columns], np.nan)


def _matched_over_nearest(
    A: Float[np.ndarray, "K d"], B: Float[np.ndarray, "K_other d"], tie_seed: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    if len(A) > len(B):
        columns, rows, cosine = _matched_over_nearest(B, A, tie_seed)
        order = np.argsort(np.where(rows == LEFT, len(A) + columns, rows))
        return rows[order], columns[order], cosine[order]
    # Zero rows take what is left over of the wider side.
    padding = np.zeros((len(B) - len(A), A.shape[1]), dtype=A.dtype)
    found = match_candidates(np.concatenate([A, padding]).T, B.T, tie_seed=tie_seed)
    rows = np.where(np.arange(len(B)) < len(A), np.arange(len(B)), LEFT)
    return rows, found.permutation, np.where(rows == LEFT, np.nan, found.similarities)


def _matched(
    S: Float[np.ndarray, "K K_other"], tie_seed: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return the rows and columns of the matching of the greatest sum, LEFT beside what is left."""
    columns = assign(S, tie_seed)
    left = np.setdiff1d(np.arange(S.shape[1]), columns)
    rows = np.concatenate([np.arange(len(S)), np.full(len(left), LEFT)])
    return rows, np.concatenate([columns, left])
