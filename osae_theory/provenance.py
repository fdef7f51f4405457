"""Where a run's numbers come from: the code's state, the machine, the libraries that computed."""

import hashlib
import platform
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

import osae_theory
from osae_theory.sae.kernels.backend import backend_on


@dataclass(frozen=True)
class Provenance:
    """What may decide the bits of a run besides its configuration; no clock and no host.

    Attributes
    ----------
    commit : str or None
        The commit of the checkout that the code was run from; None outside a git checkout.
    dirty : bool or None
        Whether its Python files differed from that commit; None outside a git checkout.
    package : str
        This project's version.
    processor, system : str
        The processor's name, and the operating system with its C library.
    python, numpy, torch, numba, scipy : str
        Versions.
    backend : str
        What trained: "numba" or "triton" (compiled kernels), "plain" (numpy) or "torch".
    triton : str or None
        Triton's version where it can be imported.
    device : str or None
        Where it trained: "cpu", or the kind of a device and, of a GPU, its name; None of a run
        that was kept before this was noted.
    """

    commit: str | None
    dirty: bool | None
    package: str
    processor: str
    system: str
    python: str
    numpy: str
    torch: str
    numba: str
    scipy: str
    backend: str
    triton: str | None = None
    device: str | None = None

    @property
    def device_kind(self) -> str | None:
        """The kind of device that trained: "cpu", "cuda", ...; None where it is not known."""
        return device_kind(self.device, self.backend)


@cache
def provenance_here(device: str = "cpu", arithmetic: str = "portable") -> Provenance:
    """Return the provenance of what this process trains on a torch device."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "*.py")
    return Provenance(
        commit=commit,
        dirty=None if commit is None or changed is None else bool(changed),
        package=osae_theory.__version__,
        processor=processor(),
        system=platform.platform(),
        python=platform.python_version(),
        numpy=version("numpy"),
        torch=version("torch"),
        numba=_version("numba"),
        scipy=version("scipy"),
        backend=backend_on(device, arithmetic),
        triton=triton_version(),
        device=_named(torch.device(device)),
    )


def device_kind(device: str | None, backend: str | None) -> str | None:
    """Return a kind of device from a `Provenance`'s device, or from its backend where it has none.

    Torch computes on any kind: of "torch" alone none follows.
    """
    if device is not None:
        return device.split()[0]
    return {"numba": "cpu", "plain": "cpu", "triton": "cuda"}.get(backend or "")


def dictionary_sha256(dictionary: Float[np.ndarray, "d K"]) -> str:
    """Return the sha256 of a dictionary: equal for equal bits, whatever the memory layout.

    Of d and K as little-endian 64-bit integers, then the entries as little-endian float64,
    row by row.
    """
    digest = hashlib.sha256(np.array(dictionary.shape, "<i8").tobytes())
    digest.update(np.ascontiguousarray(dictionary, "<f8").tobytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    """Return what git says of the checkout that this package stands in, None outside one."""
    root = Path(osae_theory.__file__).resolve().parents[1]
    # A package that is installed below somebody's own repository is not of its commits.
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def triton_version() -> str | None:
    """Return Triton's version; None where it cannot be imported."""
    try:
        return str(import_module("triton").__version__)
    except ImportError:
        return None


def _named(device: torch.device) -> str:
    if device.type != "cuda" or not torch.cuda.is_available():
        return device.type
    return f"{device.type} {torch.cuda.get_device_name(device)}"


def processor() -> str:
    """Return the processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()
