"""Parts put in their place, and many parts made few; safe while others read, write and merge.

What is new is in place before anything old goes, and an old part goes in one step: so at no moment
is a run not there, and for a moment it may be there twice.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from benchmarks.store.parts import (
    PartGoneError,
    Size,
    Tables,
    part_names,
    read_those_left,
    size_of,
    sync,
    write_part,
)
from benchmarks.store.pool import Pool, Rows
from benchmarks.store.schema import EVERYTHING, TABLES
from benchmarks.store.settle import Settled
from osae_theory.errors import JobError, shown
from osae_theory.files import scratch_folder

PARTS = "parts"
MOST_RUNS = 50_000
MOST_BYTES = 2**28


def put_parts(store: Path, scratch: Path, parts: Iterable[Tables], durable: bool) -> list[str]:
    """Write parts, put each in its place in one step, and return their names.

    Parameters
    ----------
    store : Path
        The store's folder.
    scratch : Path
        A folder on the same disk for what is not whole yet.
    parts : iterable of mappings of str to pyarrow.Table
        The tables of each part.
    durable : bool
        Whether they are to outlast a power failure from now on.
    """
    names = []
    for tables in parts:
        names.append(uuid4().hex)
        write_part(scratch / names[-1], tables, durable)
        place(store, scratch / names[-1])
    if durable:
        sync(store / PARTS)
    return names


def place(store: Path, part: Path) -> None:
    """Move a part that is whole to its place."""
    parts = store / PARTS
    parts.mkdir(exist_ok=True)
    part.rename(parts / part.name)


def remove_parts(store: Path, scratch: Path, names: Iterable[str]) -> None:
    """Take parts away, each in one step; those that are gone already are left alone."""
    for name in names:
        with suppress(FileNotFoundError):
            (store / PARTS / name).rename(scratch / name)


def sizes(store: Path) -> dict[str, Size]:
    """Return how much each part of a store holds, by the parts' names."""
    found = {}
    for name in part_names(store / PARTS):
        with suppress(PartGoneError):
            found[name] = size_of(store / PARTS / name)
    return found


def groups(found: Mapping[str, Size]) -> list[list[str]]:
    """Return parts that are to become one, small ones together, as many as a part may hold."""
    grouped: list[list[str]] = []
    runs = size = 0
    for name, one in sorted(found.items(), key=lambda item: (item[1].runs, item[0])):
        runs, size = runs + one.runs, size + one.bytes
        if not grouped or runs > MOST_RUNS or size > MOST_BYTES:
            grouped.append([])
            runs, size = one.runs, one.bytes
        grouped[-1].append(name)
    return [group for group in grouped if len(group) > 1]


def merge_parts(store: Path, names: Sequence[str]) -> list[str]:
    """Put few parts in place of several, and return the new ones' names.

    Those that are gone by now are left out: who took them away has put what they held elsewhere.
    """
    parts = read_those_left(store / PARTS, names, EVERYTHING)
    with scratch_folder(store) as scratch:
        new = put_parts(store, scratch, merged_tables(list(parts.values())), durable=True)
        remove_parts(store, scratch, parts)
    return new


def merged_tables(parts: Sequence[Tables]) -> Iterator[Tables]:
    """Yield the tables of the parts that can stand in place of these; see `Settled.merged`."""
    pool = Pool.of(parts)
    for rows in Settled.of(pool).merged(MOST_RUNS):
        yield _selected(pool, rows)


@contextmanager
def refusals(store: Path) -> Iterator[None]:
    """Say in one JobError what the system has against writing to a store."""
    try:
        yield
    except OSError as error:
        # Arrow writes more than the system's own words.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise JobError(
            f"the store {shown(str(store))} cannot be written to ({reason}): all that it held is"
            " there, and the same command goes on with it"
        ) from error


def _selected(pool: Pool, rows: Rows) -> Tables:
    """Return some rows of a pool's tables, whose dictionaries hold no name more."""
    return {name: _compact(pool.tables[name].take(pa.array(rows[name]))) for name in TABLES}


def _compact(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            names = table.column(place).cast(field.type.value_type).dictionary_encode()
            table = table.set_column(place, field, names.cast(field.type))
    return table
