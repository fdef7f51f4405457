"""Where models are kept on disk, whether there is room, and what a file's bytes hash to."""

import hashlib
import os
import shutil
from pathlib import Path

from osae_theory.errors import InputError
from realdata.models.libraries import SETUP, library

CACHE_VARIABLE = "OSAE_CACHE"


def cache_folder(cache: Path | None = None) -> Path:
    """Return where prepared models are kept.

    It is `cache` if given, else the environment variable OSAE_CACHE, else the user's cache
    folder as the platform has it.
    """
    if cache is not None:
        return cache
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    platformdirs = library("platformdirs", "the cache folder", f"{SETUP}, or set {CACHE_VARIABLE}")
    return platformdirs.user_cache_path("osae-theory")


def check_disk(folder: Path, n_bytes: int, what: str) -> None:
    """Raise InputError unless the disk that `folder` is or will be on has `n_bytes` free."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < n_bytes:
        raise InputError(
            f"{folder} has {free / 1e9:.2f} GB free: expected {n_bytes / 1e9:.2f} GB for {what}"
        )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
