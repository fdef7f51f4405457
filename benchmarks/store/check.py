"""What is wrong with a store, or remarkable in it, found by reading all of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.spec import RunSpec
from benchmarks.store.arrays import SUFFIX, array_files, arrays_file, read_arrays
from benchmarks.store.merging import PARTS
from benchmarks.store.parts import MANIFEST, part_names, read_parts
from benchmarks.store.pool import Pool
from benchmarks.store.rows import columns_of
from benchmarks.store.schema import EVERYTHING, MEASUREMENTS, PROVENANCE, RUNS, TABLES, VECTORS
from benchmarks.store.settle import Settled, two_values
from osae_theory.errors import InputError
from osae_theory.provenance import dictionary_sha256

# Of one kind: more are counted.
_MOST_LINES = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    text : str
        A sentence.
    wrong : bool
        Whether something is wrong; else it is only worth knowing.
    """

    text: str
    wrong: bool = True


def findings(folder: Path, on_file: Callable[[], object] = lambda: None) -> list[Finding]:
    """Return what is wrong with the store in a folder, or worth knowing.

    Parameters
    ----------
    folder : Path
        The store's.
    on_file : callable
        Is called after each file of arrays, which take longest.
    """
    damaged: list[Finding] = []
    # Checksums are of whole files: of the vectors nothing more need be read.
    columns = {**EVERYTHING, VECTORS: ("run",)}
    parts = read_parts(folder / PARTS, columns, lambda error: damaged.append(Finding(str(error))))
    pool = Pool.of(list(parts.values()), columns)
    settled = Settled.of(pool)
    return [
        *_few(damaged, "damaged parts"),
        *_few(_strangers(folder), "strange files"),
        *_few(_misnamed(pool), "such runs"),
        *_few(_disputed(settled), "runs with two results"),
        *_few(_two_values(settled), "measurements with two values"),
        *_few(_arrays(folder, settled, not damaged, on_file), "such files"),
        *_without_run(settled),
        *_few(_states_of_code(settled), "such methods"),
    ]


def _few(found: "Sequence[Finding] | Iterator[Finding]", what: str) -> list[Finding]:
    """Return the first findings of a kind, and how many more there are."""
    every = list(found)
    if len(every) <= _MOST_LINES:
        return every
    wrong = any(one.wrong for one in every)
    more = Finding(f"and {len(every) - _MOST_LINES} more {what}", wrong)
    return [*every[:_MOST_LINES], more]


def _strangers(folder: Path) -> Iterator[Finding]:
    """Yield what stands among the parts' files, or beside the parts, and is not of a part."""
    parts = folder / PARTS
    names = part_names(parts)
    files = {MANIFEST, *(f"{name}.parquet" for name in TABLES)}
    places = [(parts, set(names)), *((parts / name, files) for name in names)]
    for place, expected in places:
        for path in sorted(place.glob("[!.]*")) if place.is_dir() else []:
            if path.name not in expected:
                yield Finding(f"{path} is not of a store: nothing reads it")


def _misnamed(pool: Pool) -> Iterator[Finding]:
    """Yield runs whose text is not canonical, or whose columns are not what their text says."""
    for row in pool.tables[RUNS].to_pylist():
        run = row["run"]
        try:
            expected = columns_of(RunSpec.read(row["text"]))
        except (InputError, TypeError, ValueError) as error:
            yield Finding(f"run {run}: {error}")
            continue
        if run != expected["run"]:
            yield Finding(f"run {run}: expected {expected['run']}, the hash of its text")
            continue
        for name, value in expected.items():
            if row[name] != value:
                yield Finding(f"run {run}: {name} is {row[name]!r}, its text says {value!r}")


def _disputed(settled: Settled) -> Iterator[Finding]:
    """Yield runs that were trained twice with other results."""
    found = settled.disputed
    if found.empty:
        return
    origins = _origins(settled.pool)
    rows = np.union1d(found["row"], found["best"])
    runs = settled.pool.tables[RUNS].take(pa.array(rows)).to_pylist()
    by_row = dict(zip(rows.tolist(), runs, strict=True))
    for one in found.to_dict("records"):
        run, best = by_row[one["row"]], by_row[one["best"]]
        what = "dictionary" if one["dictionary"] else "measurements"
        ways = [
            f"{training['dictionary_sha256'][:12] or training['status']}"
            f" {origins.get((run['run'], part), '')}"
            for training, part in ((best, one["best_part"]), (run, one["part"]))
        ]
        yield Finding(
            f"run {run['run']} ({run['variant']} on {run['cell']}, problem {run['problem_seed']})"
            f" was trained twice and its {what} differ: {ways[0]} counts, {ways[1]} does not;"
            " --force trains it anew"
        )


def _origins(pool: Pool) -> dict[tuple[str, int], str]:
    """Return the code and the machine of each training, by run and part."""
    table = pool.tables[PROVENANCE].select(["run", "code", "processor", "backend"])
    return {
        (row["run"], part): f"(code {row['code']}, {row['processor']}, {row['backend']})"
        for row, part in zip(table.to_pylist(), pool.parts[PROVENANCE].tolist(), strict=True)
    }


def _two_values(settled: Settled) -> Iterator[Finding]:
    """Yield measurements that were made twice, of the same training, with other values."""
    again = two_values(settled)
    disputed = set(settled.disputed["run"])
    table = settled.pool.tables[MEASUREMENTS]
    for _, rows in again.groupby(["run", "other", "metric", "generation"]):
        if rows["run"].iloc[0] in disputed and rows["other"].iloc[0] == -1:
            continue
        first = table.slice(int(rows.index[0]), 1).to_pylist()[0]
        of = f"run {first['run']}" + f" with {first['other']}" * bool(first["other"])
        values = ", ".join(f"{value!r}" for value in sorted(set(rows["value"])))
        yield Finding(f"{of}: {first['metric']} was measured more than once, as {values}")


def _arrays(
    folder: Path, settled: Settled, complete: bool, on_file: Callable[[], object]
) -> Iterator[Finding]:
    """Yield files of arrays that are damaged, or are not of the run that they are named by.

    Where not all parts could be read, arrays may well be of runs that are not known.
    """
    table = settled.pool.tables[RUNS].take(pa.array(settled.best))
    known = dict(zip(settled.ids, table.column("dictionary_sha256").to_pylist(), strict=True))
    for path in array_files(folder):
        run = path.name.removesuffix(SUFFIX)
        if not _is_of_a_run(folder, path, run):
            yield Finding(f"{path} is not of a store: nothing reads it")
        elif run in known:
            yield from _wrong_arrays(path, known[run])
        elif complete:
            yield Finding(
                f"{path} is of no run that is here: a job that was stopped leaves such, and they"
                " may be removed",
                wrong=False,
            )
        on_file()


def _is_of_a_run(folder: Path, path: Path, run: str) -> bool:
    try:
        return arrays_file(folder, run) == path
    except InputError:
        return False


def _wrong_arrays(path: Path, sha256: str) -> Iterator[Finding]:
    found = read_arrays(path)
    if found is None:
        yield Finding(
            f"{path} is damaged: the run's measurements stand, but nothing more can be measured"
        )
        return
    D = found.arrays.get("dictionary")
    if D is None or dictionary_sha256(D) != sha256:
        yield Finding(f"{path} holds another dictionary than that of the run's row")


def _without_run(settled: Settled) -> list[Finding]:
    """Say how many measurements are of runs that are not there."""
    n, frame = len(settled.ids), settled.measured
    lost = int(((frame["run"] >= n) | (frame["other"] >= n)).sum())
    text = f"{lost} measurements are of runs that are not here, and do not count"
    return [Finding(text, wrong=False)] if lost else []


def _states_of_code(settled: Settled) -> Iterator[Finding]:
    """Yield methods whose runs on one family come from several states of the code."""
    table = settled.pool.tables[RUNS].select(["run", "family", "method"])
    runs = table.take(pa.array(settled.best)).to_pandas()
    origins = settled.pool.tables[PROVENANCE].select(["run", "code"])
    codes = origins.take(pa.array(settled.beside(PROVENANCE))).to_pandas()
    every = runs.merge(codes, on="run")
    for (family, method), group in every.groupby(["family", "method"], observed=True):
        counts = group["code"].astype(str).value_counts().sort_index()
        if len(counts) > 1:
            states = ", ".join(f"{code} ({n})" for code, n in counts.items())
            yield Finding(
                f"runs of {method} on {family} come from {len(counts)} states of the code:"
                f" {states}",
                wrong=False,
            )
