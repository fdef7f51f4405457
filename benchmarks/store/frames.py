"""What a store holds, as pandas tables: each run once, in an order that knows no writer."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from benchmarks.outcome import STATUSES
from benchmarks.store.pool import Places
from benchmarks.store.schema import EVERYTHING, MEASUREMENTS, PROVENANCE, RUNS, VECTORS
from benchmarks.store.settle import Settled


@dataclass(frozen=True, eq=False)
class Frames:
    """The tables of a store, as docs/results_schema.md has them; each run counts once.

    Their order is that of the runs' texts, then of metric and other, or of name. Columns of ids
    and names are categorical: group them with `observed=True`. A measurement that is not defined
    is NaN.

    Attributes
    ----------
    runs : pandas.DataFrame
        A row a run: what was run, and what became of it.
    measurements : pandas.DataFrame
        A row a value, of a run or of a pair of runs.
    provenance : pandas.DataFrame
        A row a run: its seconds, code, machine and versions.
    vectors : pandas.DataFrame
        A row a run and name: one entry a latent, as arrays of float64.
    """

    runs: pd.DataFrame
    measurements: pd.DataFrame
    provenance: pd.DataFrame
    vectors: pd.DataFrame

    @classmethod
    def of(cls, settled: Settled) -> "Frames":
        """Return the tables of what counts in a pool."""
        rows = settled.counting()
        ids = pd.CategoricalDtype(settled.ids)
        tables = settled.pool.tables
        vectors = tables[VECTORS].drop_columns("values").take(pa.array(rows[VECTORS]))
        values = _views(tables[VECTORS].column("values"))[rows[VECTORS]]
        return cls(
            _frame(tables[RUNS].take(pa.array(rows[RUNS])), ids),
            _measurements(settled, rows[MEASUREMENTS], ids),
            _frame(tables[PROVENANCE].take(pa.array(rows[PROVENANCE])), ids),
            _frame(vectors, ids).assign(values=values)[list(EVERYTHING[VECTORS])],
        )

    def only(self, runs: Collection[str]) -> "Frames":
        """Return what there is of these runs, as if the store held nothing else.

        Parameters
        ----------
        runs : collection of str
            Ids; those that the store lacks are left out.
        """
        kept = self.runs[self.runs["run"].isin(list(runs))]
        ids = pd.CategoricalDtype(pd.Index(kept["run"].tolist(), dtype="str"))
        pairs = self.measurements["other"].isin(["", *ids.categories])

        def of_them(frame: pd.DataFrame) -> pd.DataFrame:
            return _categorical(frame[frame["run"].isin(ids.categories)], ids)

        return Frames(
            of_them(self.runs),
            of_them(self.measurements[pairs]),
            of_them(self.provenance),
            of_them(self.vectors),
        )


def _measurements(
    settled: Settled, rows: Int[np.ndarray, " rows"], ids: pd.CategoricalDtype
) -> pd.DataFrame:
    """Return the measurements of these rows, from their places: there are many."""
    found = settled.measured.iloc[rows]
    names = {
        "run": (found["run"], ids),
        "other": (found["other"] + 1, _or_none(ids)),
        "metric": (found["metric"], pd.CategoricalDtype(settled.metrics)),
    }
    frame = pd.DataFrame(
        {
            **{
                name: pd.Categorical.from_codes(codes, dtype=of)
                for name, (codes, of) in names.items()
            },
            "value": found["value"].to_numpy(),
            "generation": found["generation"].to_numpy(),
        }
    )
    return _categorical(frame, ids)


def _frame(table: pa.Table, ids: pd.CategoricalDtype) -> pd.DataFrame:
    """Return an Arrow table as pandas has it."""
    frame = table.to_pandas(split_blocks=True)
    run = Places.among(ids.categories, table.column("run")).of
    frame["run"] = pd.Categorical.from_codes(run, dtype=ids)
    return _categorical(frame, ids)


def _views(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of lists as arrays that share its memory, where pandas would copy it."""
    found = np.empty(len(column), dtype=object)
    place = 0
    for chunk in column.chunks:
        numbers, ends = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        for begin, end in pairwise(ends.tolist()):
            found[place] = numbers[begin:end]
            place += 1
    return found


def _categorical(frame: pd.DataFrame, ids: pd.CategoricalDtype) -> pd.DataFrame:
    """Return a table whose categories are those that are there, in an order that says nothing."""
    new = {}
    for name, column in frame.items():
        # `astype` would leave the same categories in another order as they are.
        if name == "run":
            new[name] = column.cat.set_categories(ids.categories)
        elif name == "other":
            new[name] = column.cat.set_categories(_or_none(ids).categories)
        elif name == "status":
            new[name] = column.cat.set_categories(STATUSES)
        elif isinstance(column.dtype, pd.CategoricalDtype):
            used = column.cat.remove_unused_categories()
            new[name] = used.cat.set_categories(used.cat.categories.sort_values())
    return frame.assign(**new).reset_index(drop=True)


def _or_none(ids: pd.CategoricalDtype) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index([""], dtype="str").append(ids.categories))
