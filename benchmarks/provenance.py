"""Where a table comes from: the command, the versions, the machine, the threads, the seed."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from osae_theory import __version__
from osae_theory.provenance import provenance_here, triton_version
from osae_theory.workers import THREADS_PER_WORKER

_LIBRARIES = ("numba", "numpy", "scipy", "torch")


def provenance(
    command: Sequence[str], seed: int, n_workers: int, device: str = "cpu"
) -> dict[str, Any]:
    """Return what somebody needs to get the same numbers again; no clock and no host."""
    return {
        "command": " ".join(command),
        "versions": versions(),
        "origin": asdict(provenance_here(device)),
        "threads": THREADS_PER_WORKER,
        "workers": n_workers,
        "seed": seed,
    }


def versions() -> dict[str, str]:
    """Return the versions of this project, of Python and of the libraries that compute.

    Triton's is among them where it can be imported.
    """
    triton = triton_version()
    return {
        "osae_theory": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        **({} if triton is None else {"triton": triton}),
    }
