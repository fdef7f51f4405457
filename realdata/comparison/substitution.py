"""Substitution: what an SAE's reconstruction loses when its atoms take another SAE's directions.

The encoder, the latents and the norms stay; a decoder row is turned into the direction of the row
that it is matched with. Where the two SAEs hold the same features the fraction of variance
unexplained (FVU) hardly rises, whatever their cosines look like; turned into rows at random it
says how much a wrong direction costs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from osae_theory.errors import InputError
from osae_theory.seeds import Axis, generator
from realdata.checkpoints.form import SparseAutoencoder
from realdata.comparison.dictionaries import Dictionary
from realdata.comparison.matches import THRESHOLD, MatchedPair
from realdata.latents.quality import run_quality
from realdata.latents.rows import Rows, read_activations, row_chunks
from realdata.latents.sparse import LatentChunk, as_sparse


@dataclass(frozen=True)
class Substitution:
    """The FVU of one SAE on activations, with its own directions and with another's.

    Attributes
    ----------
    directions_of, sae : str
        Whose directions were put into which SAE.
    shared, matched : int
        How many pairs of live rows have a cosine of at least the threshold, and how many there
        are.
    fvu : float
        Of the SAE as it is, at least 0.
    fvu_shared, fvu_all : float
        With the directions of the shared pairs, and of all pairs.
    fvu_shared_random, fvu_all_random : float
        With the same rows turned into drawn rows of the other SAE, each taken once.
    """

    directions_of: str
    sae: str
    shared: int
    matched: int
    fvu: float
    fvu_shared: float
    fvu_shared_random: float
    fvu_all: float
    fvu_all_random: float


def substitutions(
    pairs: Sequence[MatchedPair],
    activations: Path,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> list[Substitution]:
    """Substitute directions between every two SAEs, both ways.

    Parameters
    ----------
    pairs : sequence of MatchedPair
        Of SAEs with their latents on the activations. A transcoder takes part with its directions
        only: it does not reconstruct what it reads.
    activations : Path
        What these latents were computed of: a .npy file (n, d) or a folder of collected ones.
    threshold : float
        In [0, 1]: the signed cosine from which a pair counts as shared.
    seed : int
        Of the drawn rows.

    Returns
    -------
    list of Substitution
        In the order of the dictionaries whose reconstruction it is.

    Raises
    ------
    InputError
        If there are no latents, or the activations cannot be used or do not vary.
    """
    found = []
    for target in dict.fromkeys(one for pair in pairs for one in (pair.a, pair.b)):
        if not target.latents:
            raise InputError(f"nothing is known of {target.name}'s latents: expected activations")
        autoencoder = target.with_encoder
        if autoencoder.metadata.get("transcoder", False):
            continue
        rows = read_activations(activations, autoencoder, target.name)

        def fvu(
            changed: SparseAutoencoder, rows: Rows = rows, target: Dictionary = target
        ) -> float:
            return run_quality(_reconstructions(changed, target, rows)).fvu

        as_it_is = fvu(autoencoder)
        found += [
            _substitution(pair, target, as_it_is, fvu, threshold, seed)
            for pair in pairs
            if target in (pair.a, pair.b)
        ]
    return found


def substitution_frame(found: Sequence[Substitution]) -> pd.DataFrame:
    """Return one row a substitution; the columns are the fields."""
    columns = [field.name for field in fields(Substitution)]
    return pd.DataFrame([astuple(one) for one in found], columns=columns)


def _substitution(
    pair: MatchedPair,
    target: Dictionary,
    as_it_is: float,
    fvu_of: Callable[[SparseAutoencoder], float],
    threshold: float,
    seed: int,
) -> Substitution:
    source, rows, columns, cosine = pair.towards(target)
    own, other = target.decoder, source.decoder
    # The direction of a zero row is not defined, and a zero row has none to be replaced.
    live = own[rows].any(axis=1) & other[columns].any(axis=1)
    rows, columns, near = rows[live], columns[live], cosine[live] >= threshold
    drawn = generator(seed, Axis.CHOICE).permutation(np.flatnonzero(other.any(axis=1)))
    latents = target.order[rows]

    def fvu(kept: Int[np.ndarray, " n"], taken: Int[np.ndarray, " n"]) -> float:
        return fvu_of(with_directions(target.with_encoder, kept, other[taken]))

    return Substitution(
        directions_of=source.name,
        sae=target.name,
        shared=int(near.sum()),
        matched=len(rows),
        fvu=as_it_is,
        fvu_shared=fvu(latents[near], columns[near]),
        fvu_shared_random=fvu(latents[near], drawn[: int(near.sum())]),
        fvu_all=fvu(latents, columns),
        fvu_all_random=fvu(latents, drawn[: len(latents)]),
    )


def with_directions(
    autoencoder: SparseAutoencoder,
    latents: Int[np.ndarray, " n"],
    directions: Float[np.ndarray, "n d"],
) -> SparseAutoencoder:
    """Return the SAE with some decoder rows turned into other directions, their norms kept.

    Parameters
    ----------
    autoencoder : SparseAutoencoder
    latents : (n,) int
        The checkpoint's indices of the rows.
    directions : (n, d)
        In the coordinates of `SparseAutoencoder.decoder`, where norms are kept too; not zero.
    """
    rows = np.asarray(autoencoder.decoder[latents], dtype=np.float64)
    lengths, given = (_norms(values) for values in (rows, directions))
    turned = torch.from_numpy(directions.astype(np.float64) / given * lengths)
    # The map from stored rows to the coordinates of the activations is linear: undone here.
    to_activations = autoencoder.normalisation.directions(
        torch.eye(autoencoder.d, dtype=torch.float64)
    )
    stored = autoencoder.decoder_rows.clone()
    stored[torch.from_numpy(latents)] = torch.linalg.solve(to_activations, turned, left=False).to(
        stored.dtype
    )
    return replace(autoencoder, decoder_rows=stored)


def _norms(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 1"]:
    return np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


def _reconstructions(
    autoencoder: SparseAutoencoder, of: Dictionary, x: Rows
) -> Iterator[tuple[Float[np.ndarray, "_ _"], LatentChunk, Float[np.ndarray, "_ _"]]]:
    parts = row_chunks(x, autoencoder.dtype)
    for latents, (_, part) in zip(of.latents, parts, strict=True):
        dense = torch.from_numpy(as_sparse(latents).toarray()).to(autoencoder.dtype)
        yield part.numpy(), latents, autoencoder.decode(dense, part).numpy()
