"""The files of a collection of activations, each written whole before the manifest names it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Num

from osae_theory.files import write_atomically
from realdata.activations.rounding import Rounded, restored
from realdata.activations.rule import Counts
from realdata.activations.standardisation import Standardisation
from realdata.activations.store import MANIFEST, manifest_hash
from realdata.models.disk import sha256_of
from realdata.text.packing import PackedText


def write_shard(
    folder: Path,
    number: int,
    x: Float32[np.ndarray, "n d"],
    places: Int[np.ndarray, "n 2"],
    centre: Float32[np.ndarray, " d"],
    precision: str = "auto",
) -> dict[str, Any]:
    """Write one shard; return its entry in the manifest.

    Parameters
    ----------
    folder : Path
        The collection's.
    number : int
        Which shard, from 0 on.
    x : (n, d) float32
        The activations.
    places : (n, 2) int
        Context and position of each.
    centre : (d,) float32
        A float16 shard holds differences to it.
    precision : str
        As in `realdata.activations.rule.CollectionSettings`.
    """
    rounded = Rounded.of(x, centre, precision)
    name = f"{number:05d}"
    entry = _write_npy(folder / f"{name}.npy", rounded.values)
    entry["max_abs"] = rounded.peak
    entry["half_error"] = rounded.error if np.isfinite(rounded.error) else None
    entry["places"] = _write_npy(folder / f"{name}.places.npy", places.astype(np.int32))
    return entry


def shard_rows(
    folder: Path, entries: Iterable[Mapping[str, Any]], centre: Float32[np.ndarray, " d"]
) -> Iterator[Float32[np.ndarray, "_ d"]]:
    """Yield the activations of shards that have any, by their entries in the manifest."""
    for entry in entries:
        stored = np.load(folder / entry["file"], mmap_mode="r", allow_pickle=False)
        if len(stored):
            yield restored(stored, centre)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an npz file."""
    write_atomically(path, lambda temporary: _save(np.savez, temporary, **arrays))


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a collection's manifest, with the hash of itself."""
    whole = {**manifest, "sha256": manifest_hash(manifest)}
    text = json.dumps(whole, indent=1, sort_keys=True)
    write_atomically(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))


def finish(
    folder: Path,
    manifest: Mapping[str, Any],
    *,
    standardisation: Standardisation,
    centre: Float32[np.ndarray, " d"],
    counts: Counts,
    text: PackedText | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> None:
    """Write what a collection has beside its shards, and last the manifest that says it is whole.

    Parameters
    ----------
    folder : Path
        The collection's, with all its shards.
    manifest : mapping
        With the shards' entries and the norm limit.
    standardisation : Standardisation
        What its readers apply.
    centre : (d,) float32
        As given to `write_shard`.
    counts : Counts
        Of the positions that were kept and dropped.
    text : PackedText, optional
        Where the activations come from, if that is known.
    decode : callable, optional
        Gives the text of token ids; needed with `text`.
    """
    none = np.empty(0, dtype=np.int32)
    contexts, document, start = none.reshape(0, 0), none, none
    names: dict[str, Any] = {"documents": [], "tokens": {}}
    if text is not None and decode is not None:
        contexts, document, start = text.contexts, text.document, text.start
        tokens = {str(token): decode([int(token)]) for token in np.unique(contexts)}
        names = {"documents": text.names, "tokens": tokens}
    fitted = {"mean": standardisation.mean, "scale": standardisation.scale, "centre": centre}
    write_npz(folder / "fitted.npz", fitted)
    arrays = {"contexts": contexts, "document": document, "start": start}
    write_npz(folder / "text.npz", arrays)
    write_atomically(
        folder / "names.json",
        lambda path: path.write_text(json.dumps(names), encoding="utf-8"),
    )
    files = {name: sha256_of(folder / name) for name in ("fitted.npz", "text.npz", "names.json")}
    write_manifest(folder, {**manifest, "files": files, "counts": asdict(counts), "complete": True})


def _write_npy(path: Path, array: Num[np.ndarray, "..."]) -> dict[str, Any]:
    write_atomically(path, lambda temporary: _save(np.save, temporary, array))
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
    }


def _save(how: Callable[..., None], path: Path, *array: np.ndarray, **arrays: np.ndarray) -> None:
    with path.open("wb") as file:
        how(file, *array, **arrays)
        file.flush()
        # The manifest names the file next: its bytes must be there first, whatever happens.
        os.fsync(file.fileno())
