"""Finished runs on disk while a job is under way.

A job that is interrupted finds its finished runs again; a job that ends removes them, so
that the same command trains everything anew and can be compared with the last time.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import benchmarks
import osae_theory
from benchmarks.config import RunConfig
from osae_theory.files import write_atomically

Scalar = float | int | str | None


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
        Its measurements; None where one is not defined.
    arrays : mapping of str to array
        "dictionary" (d, K) and "permutation" (K,): the matched true index of each atom; and
        "energy_order" and "frequency_order" (K,): its latents by falling energy, frequency.
    """

    config: RunConfig
    status: str
    scalars: Mapping[str, Scalar]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RunStore:
    """A folder of finished runs, one safetensors file each, named by what was run."""

    folder: Path

    def path(self, config: RunConfig) -> Path:
        """Return the file of a run: a hash of its configuration and of the code's state."""
        return self.folder / f"{config.key(code_fingerprint())}.safetensors"

    def load(self, config: RunConfig) -> RunRecord | None:
        """Return a finished run, or None if it is not there whole."""
        path = self.path(config)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError:
            return None
        return RunRecord(config, metadata["status"], json.loads(metadata["scalars"]), arrays)

    def save(self, record: RunRecord) -> None:
        """Write one finished run, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(array) for name, array in record.arrays.items()}
        metadata = {"status": record.status, "scalars": json.dumps(dict(record.scalars))}
        write_atomically(
            self.path(record.config), lambda path: save_file(arrays, path, metadata=metadata)
        )

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def code_fingerprint() -> str:
    """Return a hash of the sources and libraries that decide a run's numbers."""
    digest = hashlib.sha256()
    for package in (osae_theory, benchmarks):
        root = Path(package.__path__[0])
        for file in sorted([*root.rglob("*.py"), *root.rglob("*.json")]):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    for library in ("numba", "numpy", "scipy", "torch"):
        digest.update(version(library).encode())
    return digest.hexdigest()
