"""The rows of several parts as one, and names as places in an order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from benchmarks.store.parts import Columns, Tables
from benchmarks.store.schema import EVERYTHING, TABLES

Rows = Mapping[str, Int[np.ndarray, " rows"]]


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows of several parts, one part after the other.

    Attributes
    ----------
    tables : mapping of str to pyarrow.Table
        Rows of all parts, by the table's name.
    parts : mapping of str to array of shape (rows,)
        For each table, which part a row is of.
    """

    tables: Tables
    parts: Rows

    @classmethod
    def of(cls, parts: Sequence[Tables], columns: Columns = EVERYTHING) -> "Pool":
        """Return the pool of parts from which these columns were read.

        A table that the parts lack has no rows.
        """
        tables, places = {}, {}
        for name, wanted in columns.items():
            nothing = TABLES[name].empty_table().select(list(wanted))
            each = [part.get(name, nothing) for part in parts] or [nothing]
            tables[name] = _whole_names(pa.concat_tables(each).unify_dictionaries())
            part = np.arange(len(each), dtype=np.int32)
            places[name] = np.repeat(part, [table.num_rows for table in each])
        return cls(tables, places)

    def numbers(self, table: str, column: str) -> np.ndarray:
        """Return a column of numbers; a null is NaN."""
        return self.tables[table].column(column).to_numpy()

    def texts(self, table: str, column: str, rows: Int[np.ndarray, " rows"]) -> "pd.Series[str]":
        """Return some rows of a column of text, by the row."""
        found = self.tables[table].column(column).take(pa.array(rows))
        return pd.Series(found.to_pylist(), index=rows, dtype="str")


@dataclass(frozen=True, eq=False)
class Places:
    """A column of names as places in an order.

    Attributes
    ----------
    names : pandas.Index of str
        The names in their order: those that are known first, then the others by the alphabet.
    of : array of shape (rows,)
        The place of each row's name.
    """

    names: pd.Index
    of: Int[np.ndarray, " rows"]

    @classmethod
    def among(cls, known: pd.Index, column: pa.ChunkedArray) -> "Places":
        """Return a column's places among known names, and behind them."""
        array = column.combine_chunks()
        array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        used = pd.Index(array.dictionary.to_pylist(), dtype=known.dtype)
        places = known.get_indexer(used)
        others = np.flatnonzero(places < 0)
        others = others[used[others].argsort()]
        places[others] = len(known) + np.arange(len(others))
        names = known.append(used[others])
        rows = array.indices.to_numpy(zero_copy_only=False)
        return cls(names, places.astype(np.int32)[rows])

    @classmethod
    def of_names(cls, column: pa.ChunkedArray) -> "Places":
        """Return a column's places in the alphabet."""
        return cls.among(pd.Index([], dtype="str"), column)


def _whole_names(table: pa.Table) -> pa.Table:
    """Return a table whose columns of names are one piece: each piece would be searched alone."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(place).combine_chunks()
            table = table.set_column(place, field, column)
    return table
