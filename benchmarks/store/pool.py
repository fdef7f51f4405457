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
        """Return the pool of parts from which these columns were read."""
        tables, places = {}, {}
        for name, wanted in columns.items():
            nothing = TABLES[name].empty_table().select(list(wanted))
            each = [part[name] for part in parts] or [nothing]
            tables[name] = pa.concat_tables(each).unify_dictionaries()
            places[name] = np.repeat(np.arange(len(each)), [table.num_rows for table in each])
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
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        array = encoded.unify_dictionaries().combine_chunks()
        used = pd.Index(array.dictionary.to_pylist(), dtype=known.dtype)
        places = known.get_indexer(used)
        others = np.flatnonzero(places < 0)
        others = others[used[others].argsort()]
        places[others] = len(known) + np.arange(len(others))
        names = known.append(used[others])
        return cls(names, places[array.indices.to_numpy(zero_copy_only=False)])

    @classmethod
    def of_names(cls, column: pa.ChunkedArray) -> "Places":
        """Return a column's places in the alphabet."""
        return cls.among(pd.Index([], dtype="str"), column)
