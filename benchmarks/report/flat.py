"""Flat tables for users' own analyses: one row a run, one row a pair of runs."""

import pandas as pd

from benchmarks.analysis.names import Cell, variant_named
from benchmarks.analysis.study import Study
from benchmarks.report.tables import cell_fields

_IDENTITY = ["run", "family", "cell", "problem_seed", "method", "variant", "unit", "amount"]
_IDENTITY += ["batch_size", "arithmetic", "initialisation_seed", "data_order_seed", "prefix_seed"]
_IDENTITY += ["status", "reason", "encoder", "dictionary_sha256"]


def run_frame(found: Study) -> pd.DataFrame:
    """Return one row a run: what it is, its measurements, and where it comes from.

    Parameters of the problem are in columns "problem.NAME", those of the method in
    "params.NAME"; the commit, the machine and the versions follow the measurements.
    """
    runs = found.runs
    cells = {table.cell.label: table.cell for table in found.tables}
    parts = [
        runs[_IDENTITY],
        _exploded(runs["cell"], {name: _problem(cell) for name, cell in cells.items()}),
        _exploded(runs["variant"], {str(v): _params(str(v)) for v in runs["variant"].unique()}),
        found.values,
        found.origins.drop(columns=["run", "generation"], errors="ignore"),
    ]
    return pd.concat([part.set_axis(runs.index, axis=0) for part in parts], axis=1)


def pair_frame(found: Study) -> pd.DataFrame:
    """Return one row a pair of runs: their names, and a column a measurement of pairs."""
    by_pair = found.pairs.set_index(["run", "other", "problem_seed", "metric"])["value"]
    return by_pair.unstack("metric").rename_axis(columns=None).reset_index()


def _problem(cell: Cell) -> dict[str, object]:
    fields = cell_fields(cell)
    del fields["family"]
    return fields


def _params(label: str) -> dict[str, object]:
    return {f"params.{name}": value for name, value in variant_named(label).values.items()}


def _exploded(column: pd.Series, fields: dict[str, dict[str, object]]) -> pd.DataFrame:
    """Return for each entry the fields that stand for its name."""
    frame = pd.DataFrame.from_dict(fields, orient="index").apply(_of_one_type)
    return frame.reindex(column.astype(str).to_numpy())


def _of_one_type(column: pd.Series) -> pd.Series:
    """Return a column of numbers; of text where not all are, as for methods that are unknown."""
    if column.dtype != object:
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().equals(column.notna()):
        return numbers
    return column.map(lambda value: value if pd.isna(value) else str(value))
