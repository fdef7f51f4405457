"""The files of a collection of activations, each written whole before the manifest names it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Num

from osae_theory.files import write_atomically
from realdata.activations.rounding import Rounded, restored
from realdata.activations.store import MANIFEST, manifest_hash
from realdata.models.disk import sha256_of


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
