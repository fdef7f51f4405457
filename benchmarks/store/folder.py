"""A store: a folder of finished runs that several processes and machines may write to at once.

Nobody waits for a lock: what is added is a new folder, which appears in one step.
"""

import json
import warnings
from collections import ChainMap
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.outcome import FINISHED, Outcome, Results
from benchmarks.store import arrays, check, merging
from benchmarks.store.frames import Frames
from benchmarks.store.parts import Columns, read_parts
from benchmarks.store.pool import Pool
from benchmarks.store.rows import tables_of
from benchmarks.store.schema import (
    EVERYTHING,
    MEASUREMENTS,
    PROJECT,
    RUNS,
    SCHEMA,
    VECTORS,
    check_identity,
)
from benchmarks.store.settle import Settled, best_rows
from osae_theory.errors import InputError, shown
from osae_theory.files import refused_by_system, scratch_folder, write_atomically

IDENTITY = "store.json"
# So many parts that a writer has added become one; and so many of those, one again.
PARTS_TO_MERGE = 200
# What the benchmark wrote before there were stores.
_EARLIER = ("runs.parquet", "table.csv")


@dataclass(eq=False)
class _Writer:
    """What a writer remembers.

    Attributes
    ----------
    looked : bool
        Whether it has looked which generations there are.
    generations : dict of str to int
        The generation of the training that counts, by the run's id, where it is not 0.
    following : dict of str to int
        That of the next training, for runs that are to be replaced.
    own : list of lists of str
        The parts that it has added, then those that it has made of them, and so on.
    """

    looked: bool = False
    generations: dict[str, int] = field(default_factory=dict)
    following: dict[str, int] = field(default_factory=dict)
    own: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Store:
    """A folder of finished runs, which `Store.at` opens; see docs/results_schema.md.

    Attributes
    ----------
    folder : Path
        It holds store.json, parts and, where they are kept, arrays.
    """

    folder: Path
    _writer: _Writer = field(default_factory=_Writer, repr=False, compare=False)

    @classmethod
    def at(cls, folder: Path, create: bool = False) -> "Store":
        """Return the store in a folder.

        Parameters
        ----------
        folder : Path
            Where it is.
        create : bool
            Whether to make one where the folder is new or empty.

        Raises
        ------
        InputError
            If there is none, or it is another project's or of another schema; if one is to be
            made where something else is, or the system refuses.
        """
        path = folder / IDENTITY
        if path.is_file():
            check_identity(path, _json(path))
        elif not create or _visible(folder):
            raise InputError(_what_it_is(folder))
        else:
            text = json.dumps({"project": PROJECT, "schema": SCHEMA}, indent=1)
            with refused_by_system(folder, "the store"):
                write_atomically(path, lambda new: new.write_text(f"{text}\n", encoding="utf-8"))
        return cls(folder)

    def add(self, results: Results) -> None:
        """Add results as one part, in one step; their arrays before it.

        Raises
        ------
        InputError
            If a run is there twice, or a pair's ids are not in ascending order.
        JobError
            If the system refuses, as when the disk is full: nothing of the part is there then.
        """
        if not (results.outcomes or results.measurements):
            return
        known, following = self._generations(), self._writer.following
        ids = [outcome.spec.id for outcome in results.outcomes]
        generations = ChainMap({run: following[run] for run in ids if run in following}, known)
        tables = tables_of(results, lambda run: generations.get(run, 0))
        with merging.refusals(self.folder), scratch_folder(self.folder) as scratch:
            for outcome in results.outcomes:
                if outcome.arrays:
                    found = _run_arrays(outcome, generations.get(outcome.spec.id, 0))
                    arrays.put_arrays(self.folder, scratch, found)
            self._remember(0, merging.put_parts(self.folder, scratch, [tables], durable=False))
        for outcome in results.outcomes:
            # What failed replaces nothing that is finished: what was there goes on to count.
            if outcome.status in FINISHED and outcome.spec.id in following:
                known[outcome.spec.id] = following.pop(outcome.spec.id)
        self._merge_own()

    def frames(self, vectors: bool = True) -> Frames:
        """Return all tables.

        Parameters
        ----------
        vectors : bool
            Whether the vectors are wanted, which take most of the memory; else that table is
            empty.

        Raises
        ------
        InputError
            If a part is damaged.
        """
        wanted = {name: of for name, of in EVERYTHING.items() if vectors or name != VECTORS}
        parts = read_parts(self.folder / merging.PARTS, wanted)
        return Frames.of(Settled.of(Pool.of(list(parts.values()))))

    def statuses(self) -> dict[str, str]:
        """Return the status of each run by its id.

        Raises
        ------
        InputError
            If a part is damaged.
        """
        pool = self._pool({RUNS: ("run", "status", "generation")})
        found = pool.tables[RUNS].take(pa.array(best_rows(pool)))
        run, status, generation = (column.to_pylist() for column in found.itercolumns())
        if not self._writer.looked:
            known = {one: n for one, n in zip(run, generation, strict=True) if n}
            self._writer.generations.update(known)
            self._writer.looked = True
        return dict(zip(run, status, strict=True))

    def dictionaries(self) -> dict[str, str]:
        """Return the sha256 of each run's dictionary by its id; empty where a run has none.

        Raises
        ------
        InputError
            If a part is damaged.
        """
        names = ("run", "status", "generation", "dictionary_sha256", "reason")
        pool = self._pool({RUNS: names})
        found = pool.tables[RUNS].take(pa.array(best_rows(pool)))
        run, sha256 = (found.column(name).to_pylist() for name in ("run", "dictionary_sha256"))
        return dict(zip(run, sha256, strict=True))

    def devices(self) -> dict[str, tuple[str | None, str | None]]:
        """Return the device and the backend of each run by its id; None where not known.

        Raises
        ------
        InputError
            If a part is damaged.
        """
        origins = self.frames(vectors=False).provenance
        columns = (origins[name].astype(object) for name in ("run", "device", "backend"))
        rows = zip(*(column.where(column.notna(), None) for column in columns), strict=True)
        return {str(run): (device, backend) for run, device, backend in rows}

    def measured(self) -> set[tuple[str, str, str]]:
        """Return what is measured: a run's id, the other's or "", and the metric's name.

        Raises
        ------
        InputError
            If a part is damaged.
        """
        found = Settled.of(self._pool({name: EVERYTHING[name] for name in (RUNS, MEASUREMENTS)}))
        rows = found.measured.iloc[found.counting_measurements()]
        ids = np.append(found.ids.to_numpy(object), [""])
        metrics = found.metrics.to_numpy(object)
        return set(
            zip(
                ids[rows["run"]].tolist(),
                ids[rows["other"]].tolist(),  # -1, the last, is for none
                metrics[rows["metric"]].tolist(),
                strict=True,
            )
        )

    def arrays(self, run_id: str) -> tuple[str, dict[str, np.ndarray]] | None:
        """Return the kind of a run's encoder, and its arrays; None where there are none.

        Warns where the store keeps arrays and this run's are damaged or not there: the run's
        numbers stand all the same.
        """
        path = arrays.arrays_file(self.folder, run_id)
        found = arrays.read_arrays(path)
        if found is not None:
            return found.encoder, dict(found.arrays)
        if (self.folder / arrays.FOLDER).is_dir():
            what = "damaged" if path.exists() else "not there"
            warnings.warn(
                f"{path} is {what}: what is measured of the run stands, but nothing more can be",
                RuntimeWarning,
                stacklevel=2,
            )
        return None

    def has_arrays(self, run_id: str) -> bool:
        """Return whether the arrays of a run are there, damaged or not."""
        return arrays.arrays_file(self.folder, run_id).exists()

    def supersede(self, run_ids: Iterable[str]) -> None:
        """Let the next training that this writer adds for these runs replace what is there now.

        What is there counts until one is added that is finished.
        """
        there = self.statuses()
        generations = self._generations()
        for run in run_ids:
            if run in there:
                self._writer.following[run] = generations.get(run, 0) + 1

    def merge(self) -> None:
        """Make few large parts of many small ones; others may read and write meanwhile.

        Raises
        ------
        InputError
            If a part is damaged.
        JobError
            If the system refuses: nothing is lost then.
        """
        for group in merging.groups(merging.sizes(self.folder)):
            with merging.refusals(self.folder):
                merging.merge_parts(self.folder, group)

    def check(self) -> list[str]:
        """Return what is wrong with the store or remarkable in it, a sentence each."""
        return [finding.text for finding in check.findings(self.folder)]

    def _pool(self, columns: Columns) -> Pool:
        parts = read_parts(self.folder / merging.PARTS, columns)
        return Pool.of(list(parts.values()), columns)

    def _generations(self) -> dict[str, int]:
        if not self._writer.looked:
            self.statuses()
        return self._writer.generations

    def _remember(self, level: int, names: list[str]) -> None:
        own = self._writer.own
        own += [[] for _ in range(level + 1 - len(own))]
        own[level] += names

    def _merge_own(self) -> None:
        for level in count():
            names = self._writer.own[level] if level < len(self._writer.own) else []
            if len(names) < PARTS_TO_MERGE:
                return
            with merging.refusals(self.folder):
                self._remember(level + 1, merging.merge_parts(self.folder, names))
            self._writer.own[level] = []


def _run_arrays(outcome: Outcome, generation: int) -> arrays.RunArrays:
    return arrays.RunArrays(
        outcome.spec.id,
        outcome.encoder,
        outcome.dictionary_sha256,
        generation,
        outcome.arrays,
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON: expected the project and the schema of a store"
        ) from error


def _visible(folder: Path) -> list[str]:
    """Return the names of what stands in a folder; nothing if it is not there."""
    if folder.is_file():
        return [folder.name]
    return sorted(e.name for e in folder.glob("[!.]*")) if folder.is_dir() else []


def _what_it_is(folder: Path) -> str:
    """Return a sentence on a folder that is no store."""
    names, wanted = _visible(folder), f"expected a store, a folder with {IDENTITY}"
    if folder.is_file():
        return f"{folder} is a file: {wanted}"
    if not folder.exists():
        return f"{folder} is not there: {wanted}"
    if not names:
        return f"{folder} is empty: {wanted}"
    earlier = [name for name in _EARLIER if name in names]
    if earlier:
        return (
            f"{folder} holds tables of an earlier version ({earlier[0]}), which pandas reads:"
            f" {wanted}; its runs are trained anew in a new folder"
        )
    return f"{folder} holds {shown(names[0])} and no {IDENTITY}: {wanted}, or a new folder"
