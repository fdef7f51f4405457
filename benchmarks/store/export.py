"""A copy of a store for publication: few parts, and no arrays unless they are wanted."""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from benchmarks.store import merging
from benchmarks.store.arrays import FOLDER as ARRAYS
from benchmarks.store.arrays import arrays_file
from benchmarks.store.folder import Store
from benchmarks.store.parts import MANIFEST, Tables, part_names, read_parts, write_part
from benchmarks.store.schema import EVERYTHING
from osae_theory.errors import InputError
from osae_theory.files import scratch_folder

_NAME_LENGTH = 32


def export(
    source: Store, folder: Path, with_arrays: bool = False, runs: Collection[str] | None = None
) -> Store:
    """Copy a store's runs to another folder, and return the store there.

    The same content gives parts of the same names: a copy that is made again changes only what
    has changed. Where there is a store already, its parts go once the new ones are in place, and
    with `with_arrays` its arrays; what else its folder holds stays.

    Parameters
    ----------
    source : Store
        What is copied.
    folder : Path
        New or empty, or a store's.
    with_arrays : bool
        Whether the runs' arrays are copied too.
    runs : collection of str, optional
        Ids of the runs that are copied; by default of all.

    Raises
    ------
    InputError
        If `folder` is the store itself or holds something else, or a store with arrays, which a
        copy without them would lose; or if a part is damaged.
    JobError
        If the system refuses.
    """
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(source.folder)):
        raise InputError(f"{folder} is the store itself, or in it: expected another folder")
    if not with_arrays and (folder / ARRAYS).exists():
        raise InputError(
            f"{folder} holds a store with arrays: expected --arrays, or a folder without any"
        )
    parts = list(read_parts(source.folder / merging.PARTS, EVERYTHING).values())
    if runs is not None:
        parts = [_of_runs(part, runs) for part in parts]
    copied = (source.statuses() if runs is None else runs) if with_arrays else ()
    target = Store.at(folder, create=True)
    with merging.refusals(folder), scratch_folder(folder) as scratch:
        names = _write(scratch, merging.merged_tables(parts))
        _replace_arrays(source, folder, scratch, copied)
        there = part_names(folder / merging.PARTS)
        for name in names:
            if name not in there:
                merging.place(folder, scratch / name)
        merging.remove_parts(folder, scratch, set(there) - set(names))
    return target


def _of_runs(part: Tables, runs: Collection[str]) -> Tables:
    """Return the rows of a part that are of these runs, pairs where both are."""
    ids = list(runs)

    def among(table: pa.Table, name: str, known: list[str]) -> Bool[np.ndarray, " rows"]:
        return table[name].cast(pa.string()).to_pandas().isin(known).to_numpy()

    def kept(table: pa.Table) -> pa.Table:
        mask = among(table, "run", ids)
        if "other" in table.column_names:
            mask = mask & among(table, "other", ["", *ids])
        return table.filter(pa.array(mask))

    return {name: kept(table) for name, table in part.items()}


def _write(scratch: Path, parts: Iterable[Tables]) -> list[str]:
    """Write parts and return their names, which follow from what they hold."""
    names = []
    for tables in parts:
        new = scratch / "part"
        write_part(new, tables, durable=True)
        digest = hashlib.sha256((new / MANIFEST).read_bytes()).hexdigest()
        names.append(digest[:_NAME_LENGTH])
        new.rename(scratch / names[-1])
    return names


def _replace_arrays(source: Store, folder: Path, scratch: Path, runs: Collection[str]) -> None:
    """Put copies of the arrays of some of a store's runs in place of those that are there."""
    new = scratch / "new"
    for run in runs:
        path = arrays_file(source.folder, run)
        if path.exists():
            copy = arrays_file(new, run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    if (folder / ARRAYS).exists():
        (folder / ARRAYS).rename(scratch / "old")
    if new.exists():
        (new / ARRAYS).rename(folder / ARRAYS)
