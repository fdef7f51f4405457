"""Parts of a store: folders of Parquet files that appear in one step, with a checksum of each file.

Others may add parts, and replace several by one, while a part is read: whoever finds one gone
lists the parts again, since what it held stands in another by then.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.store.schema import LATER, PROJECT, RUNS, SCHEMA, TABLES, check_identity
from osae_theory.errors import InputError, JobError
from osae_theory.files import check_file

Tables = Mapping[str, pa.Table]
Columns = Mapping[str, Sequence[str]]
MANIFEST = "part.json"
_GONE = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR)
_MOST_LISTINGS = 100
# Above what the ids of a part take: else their dictionary is given up half-way.
_DICTIONARY_BYTES = 16 * 2**20


class PartGoneError(Exception):
    """A part that was there has been taken away: what it held stands in another."""


@dataclass(frozen=True)
class Size:
    """How much a part holds: its runs, and the bytes of its files."""

    runs: int
    bytes: int


def write_part(folder: Path, tables: Tables, durable: bool) -> None:
    """Write a new folder with a part's files.

    Parameters
    ----------
    folder : Path
        It must not be there; the caller moves it into place.
    tables : mapping of str to pyarrow.Table
        One for each of `benchmarks.store.schema.TABLES`.
    durable : bool
        Whether the files are to outlast a power failure from now on.
    """
    folder.mkdir()
    files = {}
    for name, schema in TABLES.items():
        path = folder / _file(name)
        names: Any = [f.name for f in schema if pa.types.is_dictionary(f.type)]
        pq.write_table(
            tables[name].cast(schema),
            path,
            compression="zstd",
            use_dictionary=names,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
        )
        content = path.read_bytes()
        files[path.name] = {
            "rows": tables[name].num_rows,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    text = json.dumps({"project": PROJECT, "schema": SCHEMA, "files": files}, indent=1)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    if durable:
        for path in (*folder.iterdir(), folder):
            sync(path)


def part_names(parts: Path) -> list[str]:
    """Return the names of the parts in a folder, in their order."""
    try:
        with os.scandir(parts) as entries:
            return sorted(e.name for e in entries if e.name[0] != "." and e.is_dir())
    except FileNotFoundError as error:
        if not parts.is_symlink():  # nothing has been added yet
            return []
        raise InputError(
            f"{parts} is a link that leads nowhere: expected the folder of a store's parts"
        ) from error
    except NotADirectoryError as error:
        raise InputError(f"{parts} is a file: expected the folder of a store's parts") from error


def size_of(part: Path) -> Size:
    """Return how much a part holds.

    Raises
    ------
    PartGoneError
        If it has been taken away.
    InputError
        If it is damaged, or of another schema.
    """
    files = _files(part)
    return Size(files[_file(RUNS)]["rows"], sum(one["bytes"] for one in files.values()))


def read_part(part: Path, columns: Columns) -> Tables:
    """Return some columns of some tables of a part, whose files are those that were written.

    Raises
    ------
    PartGoneError
        If it has been taken away.
    InputError
        If a file is damaged or foreign, or of another schema; the message names it.
    """
    files = _files(part)
    return {
        name: _table(part / _file(name), files[_file(name)], TABLES[name], wanted)
        for name, wanted in columns.items()
    }


def read_parts(
    parts: Path, columns: Columns, on_damaged: Callable[[InputError], object] | None = None
) -> dict[str, Tables]:
    """Return some columns of all parts, by the parts' names, in the names' order.

    A part that is replaced meanwhile is read in its new place: it is listed and read until all
    that is listed has been read.

    Parameters
    ----------
    parts : Path
        The folder of the parts.
    columns : mapping of str to sequence of str
        For each table that is wanted, which of its columns.
    on_damaged : callable, optional
        Is told of each part that cannot be read, which is left out then.

    Raises
    ------
    InputError
        If a part cannot be read, and nobody is told.
    """
    found: dict[str, Tables | None] = {}
    for _ in range(_MOST_LISTINGS):
        names = part_names(parts)
        if names == sorted(found):
            return {name: tables for name in names if (tables := found[name]) is not None}
        found = {name: found[name] for name in names if name in found}
        for name in names:
            if name not in found:
                try:
                    found[name] = read_part(parts / name, columns)
                except PartGoneError:
                    continue
                except InputError as error:
                    if on_damaged is None:
                        raise
                    on_damaged(error)
                    found[name] = None
    raise JobError(f"{parts} changes faster than it can be read: try again when fewer write to it")


def read_those_left(parts: Path, names: Sequence[str], columns: Columns) -> dict[str, Tables]:
    """Return some columns of those of the named parts that are still there."""
    found = {}
    for name in names:
        try:
            found[name] = read_part(parts / name, columns)
        except PartGoneError:
            continue
    return found


def _file(table: str) -> str:
    return f"{table}.parquet"


def _files(part: Path) -> dict[str, dict[str, Any]]:
    """Return what a part's manifest says of its files."""
    path = part / MANIFEST
    content = _content(path)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error
    check_identity(path, manifest)
    files = manifest.get("files")
    kinds = {"rows": int, "bytes": int, "sha256": str}
    for name in map(_file, TABLES):
        said = files.get(name) if isinstance(files, dict) else None
        if not isinstance(said, dict) or any(type(said.get(k)) is not v for k, v in kinds.items()):
            raise _damaged(path, f"it does not say what {name} is")
    return files


def _table(
    path: Path, said: Mapping[str, Any], schema: pa.Schema, wanted: Sequence[str]
) -> pa.Table:
    content = _content(path)
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        check_file(path, "a file of a part, as it was written")
        raise _damaged(path, f"its sha256 is not the one in {MANIFEST}")
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        lacking = LATER.intersection(schema.names).difference(file.schema_arrow.names)
        if not file.schema_arrow.equals(pa.schema(f for f in schema if f.name not in lacking)):
            raise _damaged(path, "its columns are not those of a store")
        if (file.metadata.num_rows, len(content)) != (said["rows"], said["bytes"]):
            raise _damaged(path, f"its rows or bytes are not as many as {MANIFEST} says")
        found = file.read(columns=[name for name in wanted if name not in lacking])
        return _with_nothing(found, lacking.intersection(wanted), schema)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "it is not a Parquet file") from error


def _with_nothing(table: pa.Table, lacking: Collection[str], schema: pa.Schema) -> pa.Table:
    """Return a table with columns that it lacks, empty, where a schema has them."""
    if not lacking:
        return table
    columns = {
        name: pa.nulls(len(table), schema.field(name).type) if name in lacking else table[name]
        for name in schema.names
        if name in lacking or name in table.column_names
    }
    return pa.table(list(columns.values()), pa.schema(schema.field(name) for name in columns))


def _content(path: Path) -> bytes:
    try:
        # A pipe would be waited for, and a folder cannot be read.
        if not stat.S_ISREG(path.stat().st_mode):
            raise _damaged(path, "it is no regular file")
        return path.read_bytes()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        if not path.parent.exists():
            raise PartGoneError(path.parent.name) from error
        raise _damaged(path, "it is not there") from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is damaged ({why}): expected it as it was written; once the folder"
        f" {path.parent.name} is removed, the command that made its runs trains them anew"
    )


def sync(path: Path) -> None:
    """Have the system write a file or a folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
