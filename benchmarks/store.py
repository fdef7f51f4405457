"""Finished runs on disk while a job is under way.

A job that is interrupted finds its finished runs again; a job that ends removes its own, and
no other's, so that the same command trains everything anew and can be compared with the last
time.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

import benchmarks
import osae_theory
from benchmarks.config import RunConfig
from osae_theory.errors import InputError
from osae_theory.files import write_atomically
from osae_theory.provenance import Provenance

Scalar = float | int | str | None
STATUSES = ("done", "diverged")
_FORMAT = "osae-run 2"


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One finished run.

    Attributes
    ----------
    config : RunConfig
        What was run.
    status : str
        "done" or "diverged".
    scalars : mapping of str to number, str or None
        Its measurements; None where one is not defined. "dictionary_sha256" names the bits of
        the dictionary (`osae_theory.provenance.dictionary_sha256`).
    arrays : mapping of str to array
        "dictionary" (d, K) and "permutation" (K,): the matched true index of each atom; and
        "energy_order" and "frequency_order" (K,): its latents by falling energy, frequency.
    provenance : Provenance or None
        The code and the machine that trained it; None where that is not known.
    """

    config: RunConfig
    status: str
    scalars: Mapping[str, Scalar]
    arrays: Mapping[str, np.ndarray]
    provenance: Provenance | None = None


@dataclass(frozen=True)
class RunStore:
    """A folder of finished runs, one safetensors file each, named by what was run.

    A file holds a sha256 of its content and of what was run: a damaged file, or the copy of
    another run's, is not taken for the run.
    """

    folder: Path

    def path(self, config: RunConfig) -> Path:
        """Return the file of a run: a hash of its configuration, and one of the code's state."""
        return self.folder / f"{config.key()}-{code_fingerprint()[:24]}.safetensors"

    def load(self, config: RunConfig) -> RunRecord | None:
        """Return a finished run, or None if it is not there whole.

        Warns where a file is there that cannot be believed: the run is then trained anew.

        Raises
        ------
        InputError
            If something stands in the file's place that is not a file.
        """
        path = self.path(config)
        if not path.is_file():
            if path.is_dir():
                raise InputError(f"{str(path)!r}: expected a finished run's file, not a folder")
            return None
        try:
            return _record(config, path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            warnings.warn(
                f"{path} is damaged ({type(error).__name__}: {str(error)[:80]}); the run is"
                " trained anew",
                RuntimeWarning,
                stacklevel=2,
            )
            return None

    def save(self, record: RunRecord) -> None:
        """Write one finished run, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = _bytes(record)
        write_atomically(self.path(record.config), lambda path: path.write_bytes(content))

    def discard(self, configs: Iterable[RunConfig]) -> None:
        """Remove these runs' files, whatever code made them, and the folder if nothing is left."""
        for config in configs:
            for path in self.folder.glob(f"{config.key()}-*.safetensors"):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # other jobs have runs in it, or it is gone
            self.folder.rmdir()


def _bytes(record: RunRecord) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in record.arrays.items()}
    origin = None if record.provenance is None else asdict(record.provenance)
    content = {
        "format": _FORMAT,
        "identity": _identity(record.config),
        "status": record.status,
        "scalars": dict(record.scalars),
        "provenance": origin,
    }
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return save(arrays, {"content": text, "sha256": _digest(text, arrays)})


def _record(config: RunConfig, data: bytes) -> RunRecord:
    """Return the record that a file's bytes hold; raise where they are not what was written."""
    arrays = load(data)
    metadata = _metadata(data)
    content: dict[str, Any] = json.loads(metadata["content"])
    if metadata["sha256"] != _digest(metadata["content"], arrays):
        raise ValueError("its content is not what its checksum says")
    if content["format"] != _FORMAT or content["identity"] != _identity(config):
        raise ValueError("it is the file of another run")
    if content["status"] not in STATUSES:
        raise ValueError(f"its status is {content['status']!r}")
    origin = content["provenance"]
    return RunRecord(
        config,
        content["status"],
        content["scalars"],
        arrays,
        None if origin is None else Provenance(**origin),
    )


def _metadata(data: bytes) -> dict[str, str]:
    """Return what stands beside the arrays in a safetensors file, whose form `load` has checked."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def _identity(config: RunConfig) -> dict[str, Any]:
    return {"config": asdict(config), "code": code_fingerprint()}


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@cache
def code_fingerprint() -> str:
    """Return a hash of the sources and libraries that decide a run's numbers."""
    return fingerprint_now()


def fingerprint_now() -> str:
    """Return `code_fingerprint` as the files are now, not as they were when first asked for."""
    digest = hashlib.sha256()
    for package in (osae_theory, benchmarks):
        root = Path(package.__path__[0])
        for file in sorted([*root.rglob("*.py"), *root.rglob("*.json")]):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    for library in ("numba", "numpy", "scipy", "torch"):
        digest.update(version(library).encode())
    return digest.hexdigest()
