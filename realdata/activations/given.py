"""A store of activations that somebody else collected: a .npy file (n, d), with no text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from osae_theory.errors import InputError, check_choice
from osae_theory.files import check_file, check_writable, refused_by_system
from osae_theory.folders import replace_folder
from realdata.activations.rule import Counts
from realdata.activations.shards import finish, shard_rows, write_shard
from realdata.activations.standardisation import STANDARDISATIONS, fit_standardisation
from realdata.activations.store import FORMAT, ActivationStore, check_free, read_manifest
from realdata.models.disk import check_disk, sha256_of

GIVEN = "given"
_ROWS = 8192  # of a shard


def collect_given(
    path: Path,
    folder: Path,
    *,
    standardise: str = "dimension",
    model: str | None = None,
    hook: str | None = None,
    progress: bool = True,
) -> ActivationStore:
    """Make a store of the activations in a .npy file.

    Every row is kept, in the file's order: which positions to leave out is up to whoever
    collected them. The store has no text, so that nothing can be said of what latents mean.

    Parameters
    ----------
    path : Path
        A .npy file (n, d) of floating-point numbers, read in chunks.
    folder : Path
        New or empty; it appears whole or not at all. A store of the same file, made in the same
        way, is found again.
    standardise : str
        As in `realdata.activations.rule.CollectionSettings`.
    model, hook : str, optional
        Where the activations are from; checkpoints that are trained on them will say so.
    progress : bool
        Show a bar on standard error.

    Raises
    ------
    InputError
        If the file cannot be read, has another shape or kind or holds NaN or Inf, the folder
        holds anything else, or the disk is too small.
    """
    check_choice("standardise", standardise, STANDARDISATIONS)
    x = open_matrix(path)
    check_writable(folder)
    digest = sha256_of(path)
    identity = {
        "format": FORMAT,
        "model": model,
        "weights": f"{GIVEN}, sha256 {digest}",
        "hook": hook,
        "d": x.shape[1],
        "text": {
            "corpus": path.name,
            "part": GIVEN,
            "contexts": [0, 0],
            "opened": False,
            "text_hash": digest,
            "token_hash": digest,
        },
        "settings": {"standardise": standardise, "precision": "auto", "rows": _ROWS},
        "fitted_on": None,
        "n_shards": -(-len(x) // _ROWS),
    }
    if _is_there(folder, identity):
        return ActivationStore.open(folder)
    check_disk(folder, int(x.size * 4 * 1.02) + 8 * len(x), f"{len(x):,} activations")

    def fill(new: Path) -> None:
        _write(x, path, new, identity, progress)
        # That took a while, and what stands there is about to be replaced.
        check_free(folder)

    with refused_by_system(folder):
        replace_folder(folder, fill)
    return ActivationStore.open(folder)


def open_matrix(path: Path, width: str = "d") -> np.ndarray:
    """Return the matrix of floating-point numbers in a .npy file, memory-mapped.

    Parameters
    ----------
    path : Path
    width : str
        What its rows' length should be, for messages.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything else or nothing.
    """
    check_file(path, "a .npy array")
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path} cannot be read ({reason}): expected a .npy array") from error
    if not isinstance(x, np.ndarray):
        raise InputError(f"{path} is an archive: expected a .npy array")
    if x.dtype.kind != "f" or x.dtype.itemsize not in (2, 4, 8):
        raise InputError(f"{path} is of {x.dtype}: expected floating-point numbers")
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"{path} has shape {x.shape}: expected (n, {width})")
    return x


def _is_there(folder: Path, identity: dict[str, Any]) -> bool:
    """Return whether the folder holds this store; InputError if it holds anything else."""
    found = read_manifest(folder)
    if found is None:
        check_free(folder)
        return False
    if any(found.get(key) != value for key, value in identity.items()):
        raise InputError(
            f"{folder} holds another collection: expected a new folder, or an empty one"
        )
    return True


def _write(
    x: np.ndarray, path: Path, folder: Path, identity: dict[str, Any], progress: bool
) -> None:
    from tqdm import tqdm

    centre, limit = _calibration(x, path)
    shards = [
        write_shard(folder, number, rows, np.full((len(rows), 2), -1), centre)
        for number, (_, rows) in enumerate(
            tqdm(_chunks(x), total=identity["n_shards"], unit="shard", disable=not progress)
        )
    ]
    fitted = fit_standardisation(
        shard_rows(folder, shards, centre), x.shape[1], identity["settings"]["standardise"]
    )
    finish(
        folder,
        {**identity, "norm_limit": limit, "shards": shards},
        standardisation=fitted,
        centre=centre,
        counts=Counts(kept=len(x), dropped_first=0, dropped_norm=0),
    )


def _calibration(x: np.ndarray, path: Path) -> tuple[Float32[np.ndarray, " d"], float]:
    """Return the mean, and the greatest norm, within which every row is.

    Raises InputError if a row holds NaN or Inf, in float32.
    """
    total, limit = np.zeros(x.shape[1]), 0.0
    for first, rows in _chunks(x):
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            row = first + int(bad.argmax())
            raise InputError(f"{path} holds NaN or Inf in row {row}: expected finite numbers")
        wide = rows.astype(np.float64)
        total += wide.sum(axis=0)
        limit = max(limit, float(np.linalg.norm(wide, axis=1).max()))
    return (total / len(x)).astype(np.float32), limit


def _chunks(x: np.ndarray) -> Iterator[tuple[int, Float32[np.ndarray, "_ d"]]]:
    for first in range(0, len(x), _ROWS):
        with np.errstate(over="ignore"):  # an overflow is found as Inf
            yield first, np.array(x[first : first + _ROWS], dtype=np.float32, order="C")
