"""A store's frames as one table of runs, and which of them belong to which table of results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import catalogue
from benchmarks.analysis.names import (
    Cell,
    Variant,
    budget_text,
    cell_of,
    file_name,
    in_order,
    metric_named,
    variant_named,
)
from benchmarks.contracts import Metric
from benchmarks.spec import Budget
from benchmarks.store import Frames
from osae_theory.errors import InputError

_SETTING = ["cell", "arithmetic", "variant", "unit", "amount", "batch_size"]
_SAME_PROBLEM = ["setting", "problem_seed"]
# What is outside a metric's bounds by less is rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Setting:
    """A method with its settings and budget, on one cell: a row of a table.

    Attributes
    ----------
    code : int
        Its number in the study.
    variant : Variant
        The method with its settings.
    budget : Budget
        Its budget.
    """

    code: int
    variant: Variant
    budget: Budget


@dataclass(frozen=True, eq=False)
class Table:
    """What one table is of: the settings that are compared on one cell.

    Attributes
    ----------
    cell : Cell
        The problem.
    arithmetic : str
        "portable" or "fast".
    budget : Budget or None
        Where some method was run with several budgets on this cell: which of them the table is
        of. Methods that have one budget of their own stand in each such table.
    settings : sequence of Setting
        Its rows, in the order of tables; oracles are among them.
    """

    cell: Cell
    arithmetic: str
    budget: Budget | None
    settings: Sequence[Setting]

    @property
    def kind(self) -> tuple[str, str, Budget | None]:
        """What tables share that can stand in one grid."""
        return self.cell.family, self.arithmetic, self.budget

    @property
    def slug(self) -> str:
        """A name for files."""
        own = [] if self.arithmetic == "portable" else [self.arithmetic]
        own += [] if self.budget is None else [budget_text(self.budget)]
        return file_name("_".join([self.cell.slug, *own]))


@dataclass(frozen=True, eq=False)
class Study:
    """All runs of a store, ready to be summarised.

    Attributes
    ----------
    runs : pandas.DataFrame
        A row a run, as in the store, with "setting" (a number) and "seconds".
    values : pandas.DataFrame
        A row a run, a column a measurement of runs, derived ones included; NaN where it is not
        defined.
    pairs : pandas.DataFrame
        A row a measurement of a pair of finished runs of one setting on one draw: setting,
        problem_seed, run, other, metric, value.
    draws : pandas.DataFrame
        By setting and problem seed: the means over finished runs, and over their pairs, with
        a column a measurement.
    metrics : sequence of Metric
        In the order of tables.
    tables : sequence of Table
        In the order of cells.
    origins : pandas.DataFrame
        The provenance frame, a row a run in the order of `runs`.
    lacking : mapping of str to int
        By the names of known metrics: of how many finished runs, or pairs of them, the store
        does not hold it.
    """

    runs: pd.DataFrame
    values: pd.DataFrame
    pairs: pd.DataFrame
    draws: pd.DataFrame
    metrics: Sequence[Metric]
    tables: Sequence[Table]
    origins: pd.DataFrame
    lacking: Mapping[str, int]


def study(frames: Frames) -> Study:
    """Return the study of a store.

    Raises
    ------
    InputError
        If there is no run, or a value is outside its metric's bounds.
    """
    runs = frames.runs.reset_index(drop=True)
    if runs.empty:
        raise InputError("the store holds no run: expected at least one")
    index = pd.Index(runs["run"].astype(str))
    runs["setting"] = runs.groupby(_SETTING, observed=True, sort=True).ngroup()
    origins = _origins(frames.provenance, index)
    runs["seconds"] = origins["seconds"].to_numpy(dtype=float)
    cells = _cells(runs)
    single = frames.measurements["other"].eq("").to_numpy()
    values = _values(frames.measurements[single], index)
    pairs = _pairs(frames.measurements[~single], index, runs)
    metrics = _metrics(values.columns, pairs["metric"].unique().tolist())
    lacking = _lacking(runs, frames.measurements[single], pairs, index)
    values, pairs = _with_derived(values, pairs, metrics, runs, cells)
    _check(values, pairs, metrics, index)
    return Study(
        runs,
        values,
        pairs,
        _draws(runs, values, pairs, metrics),
        metrics,
        list(_tables(runs, cells)),
        origins,
        lacking,
    )


def _places(column: pd.Series, index: pd.Index) -> np.ndarray:
    """Return for each entry its place in an index of unique names, -1 where it has none."""
    named = column.astype("category").cat
    places = index.get_indexer(pd.Index(named.categories.astype(str)))
    return np.append(places, -1)[named.codes.to_numpy()]


def _origins(provenance: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    places = _places(provenance["run"], index)
    found = provenance[places >= 0].set_axis(places[places >= 0], axis=0)
    return found[~found.index.duplicated()].reindex(range(len(index)))


def _cells(runs: pd.DataFrame) -> dict[str, Cell]:
    first = runs.drop_duplicates("cell")
    return {str(row.cell): cell_of(str(row.text)) for row in first.itertuples()}


def _values(measurements: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    metric = measurements["metric"].astype("category").cat
    names = metric.categories.astype(str)
    places = _places(measurements["run"], index)
    here = places >= 0
    found = np.full((len(index), len(names)), np.nan)
    found[places[here], metric.codes.to_numpy()[here]] = measurements["value"].to_numpy(
        dtype=float, na_value=np.nan
    )[here]
    used = np.unique(metric.codes.to_numpy()[here])
    return pd.DataFrame(found[:, used], columns=pd.Index(names[used].tolist()))


def _pairs(measurements: pd.DataFrame, index: pd.Index, runs: pd.DataFrame) -> pd.DataFrame:
    first = _places(measurements["run"], index)
    second = _places(measurements["other"], index)
    setting, seed = runs["setting"].to_numpy(), runs["problem_seed"].to_numpy()
    done = runs["status"].eq("done").to_numpy()
    # Dictionaries of different problems, or of different methods, are no pair.
    kept = (first >= 0) & (second >= 0)
    kept &= done[first] & done[second]
    kept &= (setting[first] == setting[second]) & (seed[first] == seed[second])
    return pd.DataFrame(
        {
            "setting": setting[first[kept]],
            "problem_seed": seed[first[kept]],
            "run": index[first[kept]],
            "other": index[second[kept]],
            "metric": measurements["metric"].astype(str).to_numpy()[kept],
            "value": measurements["value"].to_numpy(dtype=float, na_value=np.nan)[kept],
        }
    )


def _metrics(of_runs: pd.Index, of_pairs: Sequence[str]) -> list[Metric]:
    """Return all metrics that are known, and those that only the store has, by their places."""
    found = dict(catalogue.metrics())
    found |= {name: metric_named(name) for name in of_runs}
    found |= {name: metric_named(name, of_pairs=True) for name in of_pairs}
    return sorted(found.values(), key=lambda metric: (metric.place, metric.name))


def _lacking(
    runs: pd.DataFrame, measurements: pd.DataFrame, pairs: pd.DataFrame, index: pd.Index
) -> dict[str, int]:
    done = runs["status"].eq("done").to_numpy()
    places = _places(measurements["run"], index)
    of_runs = measurements["metric"][(places >= 0) & done[places]].value_counts()
    of_pairs = pairs["metric"].value_counts()
    n = runs[done].groupby(_SAME_PROBLEM).size()
    expected = {"run": int(done.sum()), "pair": int((n * (n - 1) // 2).sum())}
    found = {
        name: expected[metric.scope] - int((of_runs.get(name, 0) or 0) + of_pairs.get(name, 0))
        for name, metric in catalogue.metrics().items()
        if metric.scope != "derived"
    }
    return {name: count for name, count in found.items() if count > 0}


def _with_derived(
    values: pd.DataFrame,
    pairs: pd.DataFrame,
    metrics: Sequence[Metric],
    runs: pd.DataFrame,
    cells: Mapping[str, Cell],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return measurements with those that follow from them, where the problem's sizes are known."""
    by_setting = runs.drop_duplicates("setting").set_index("setting")["cell"].astype(str)
    columns, further = {}, [pairs]
    for metric in metrics:
        if metric.of_value is None:
            continue
        source, rule = metric.of_value

        def follow(column: pd.Series, settings: pd.Series, rule=rule) -> pd.Series:
            found = np.full(len(column), np.nan)
            for code, places in column.groupby(settings.to_numpy()).indices.items():
                shape = cells[by_setting[code]].shape
                if shape is not None:
                    found[places] = [
                        rule(float(value), shape) if np.isfinite(value) else np.nan
                        for value in column.to_numpy()[places]
                    ]
            return pd.Series(found, index=column.index)

        if source not in values and pairs.empty:
            continue
        if source in values:
            columns[metric.name] = follow(values[source], runs["setting"])
        else:
            own = pairs[pairs["metric"].eq(source)]
            followed = follow(own["value"], own["setting"])
            further.append(own.assign(metric=metric.name, value=followed))
    wide = pd.concat([values, pd.DataFrame(columns)], axis=1) if columns else values
    return wide, pd.concat(further, ignore_index=True)


def _check(
    values: pd.DataFrame, pairs: pd.DataFrame, metrics: Sequence[Metric], index: pd.Index
) -> None:
    """Bring values that rounding has put outside their bounds back; refuse any others."""
    for metric in metrics:
        if metric.name in values:
            values[metric.name] = _bounded(values[metric.name].to_numpy(), metric, index)
    if len(pairs):
        by_metric = {m.name: m for m in metrics}
        found = pairs["value"].to_numpy(copy=True)
        for name, places in pairs.groupby("metric").indices.items():
            runs = pd.Index(pairs["run"])[places]
            found[places] = _bounded(found[places], by_metric[str(name)], runs)
        pairs["value"] = found


def _bounded(values: np.ndarray, metric: Metric, runs: pd.Index) -> np.ndarray:
    low, high = metric.bounds
    outside = (values < low - _ROUNDING) | (values > high + _ROUNDING) | np.isinf(values)
    if outside.any():
        place = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{metric.name} of run {runs[place]} is {values[place]:g}: expected a value from"
            f" {low:g} to {high:g}"
        )
    return np.clip(values, low, high)


def _draws(
    runs: pd.DataFrame, values: pd.DataFrame, pairs: pd.DataFrame, metrics: Sequence[Metric]
) -> pd.DataFrame:
    done = runs["status"].eq("done")
    keys = [runs.loc[done, name] for name in _SAME_PROBLEM]
    own = values[done].groupby(keys).mean()
    of_pairs = pairs.groupby([*_SAME_PROBLEM, "metric"])["value"].mean().unstack("metric")
    return own.join(of_pairs).reindex(columns=[metric.name for metric in metrics])


def _tables(runs: pd.DataFrame, cells: Mapping[str, Cell]) -> Iterator[Table]:
    found: dict[tuple[str, str], list[Setting]] = {}
    settings = runs.drop_duplicates("setting").sort_values("setting")
    for row in settings[["setting", *_SETTING]].to_dict("records"):
        budget = Budget(row["unit"], int(row["amount"]), int(row["batch_size"]))
        setting = Setting(int(row["setting"]), variant_named(str(row["variant"])), budget)
        found.setdefault((str(row["cell"]), str(row["arithmetic"])), []).append(setting)
    for cell, arithmetic in sorted(found, key=lambda key: (_order(cells[key[0]]), key[1])):
        for budget, own in _by_budget(found[cell, arithmetic]):
            yield Table(cells[cell], arithmetic, budget, _sorted(own))


def _order(cell: Cell) -> tuple[object, ...]:
    """Return what cells are sorted by: numbers by size, after the family's name."""
    params = [(isinstance(v, str), v) for v in cell.params.values()]
    return (cell.family, len(params), *params, cell.label)


def _by_budget(rows: Sequence[Setting]) -> Iterator[tuple[Budget | None, list[Setting]]]:
    """Yield the tables of one cell: one, or one a budget that a method has among others."""
    budgets: dict[str, list[Budget]] = {}
    for row in rows:
        budgets.setdefault(row.variant.label, []).append(row.budget)
    several = {budget for own in budgets.values() if len(own) > 1 for budget in own}
    if not several:
        yield None, list(rows)
        return
    for budget in sorted(several, key=lambda one: (one.unit, one.amount, one.batch_size)):
        yield budget, [row for row in rows if row.budget == budget or row.budget not in several]


def _sorted(rows: Sequence[Setting]) -> list[Setting]:
    by_label = {row.variant.label: row for row in rows}
    return [by_label[one.label] for one in in_order(row.variant for row in rows)]
