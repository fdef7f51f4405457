"""The arrays of single runs: a safetensors file each, which no table needs."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from osae_theory.errors import InputError, shown

FOLDER = "arrays"
SUFFIX = ".safetensors"
_FORMAT = "osae-arrays 1"
_ID = "[0-9a-f]{32}"


@dataclass(frozen=True, eq=False)
class RunArrays:
    """The arrays of one run, and whose they are.

    Attributes
    ----------
    run : str
        The run's id.
    encoder : str
        The encoder's kind.
    dictionary_sha256 : str
        Names the dictionary's bits, as in `runs`.
    generation : int
        Of the training that they are of.
    arrays : mapping of str to array
        By name; see `benchmarks.kept.stored_arrays`.
    """

    run: str
    encoder: str
    dictionary_sha256: str
    generation: int
    arrays: Mapping[str, np.ndarray]


def arrays_file(store: Path, run: str) -> Path:
    """Return where the arrays of a run stand in a store.

    Raises
    ------
    InputError
        If that is no id of a run.
    """
    if not re.fullmatch(_ID, run):
        raise InputError(f"run {shown(run)}: expected an id of 32 hexadecimal digits")
    return store / FOLDER / run[:2] / f"{run}{SUFFIX}"


def array_files(store: Path) -> Iterator[Path]:
    """Yield all that stands in the folders of a store's arrays."""
    for folder in sorted((store / FOLDER).glob("[!.]*")):
        yield from sorted(folder.glob("[!.]*")) if folder.is_dir() else [folder]


def put_arrays(store: Path, scratch: Path, found: RunArrays) -> None:
    """Write a run's arrays and put them in their place in one step.

    Where there are some already, those stay that are of a higher generation, or of the same and
    of the dictionary that counts for a run that was trained twice (`benchmarks.store.settle`).

    Parameters
    ----------
    store : Path
        The store's folder.
    scratch : Path
        A folder on the same disk for what is not whole yet.
    found : RunArrays
        What is written.
    """
    target = arrays_file(store, found.run)
    there = read_arrays(target) if target.exists() else None
    if there is not None and _precedes(there, found):
        return
    new = scratch / target.name
    new.write_bytes(_bytes(found))
    target.parent.mkdir(parents=True, exist_ok=True)
    new.replace(target)


def _precedes(there: RunArrays, new: RunArrays) -> bool:
    if there.generation != new.generation:
        return there.generation > new.generation
    return there.dictionary_sha256 < new.dictionary_sha256


def read_arrays(path: Path) -> RunArrays | None:
    """Return what a file of arrays holds, or None if it is not there or not what was written."""
    try:
        if not path.is_file():  # nothing, or a pipe, which would be waited for
            return None
        content = path.read_bytes()
        arrays = load(content)
        metadata = _metadata(content)
        said = json.loads(metadata["content"])
        if said["format"] != _FORMAT or f"{said['run']}{SUFFIX}" != path.name:
            return None
        if metadata["sha256"] != _digest(metadata["content"], arrays):
            return None
        return RunArrays(
            said["run"], said["encoder"], said["dictionary_sha256"], said["generation"], arrays
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None


def _bytes(found: RunArrays) -> bytes:
    said = {
        "format": _FORMAT,
        "run": found.run,
        "encoder": found.encoder,
        "dictionary_sha256": found.dictionary_sha256,
        "generation": found.generation,
    }
    text = json.dumps(said, sort_keys=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in found.arrays.items()}
    return save(arrays, {"content": text, "sha256": _digest(text, arrays)})


def _metadata(content: bytes) -> dict[str, str]:
    """Return what stands beside the arrays in a safetensors file, whose form `load` has checked."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
