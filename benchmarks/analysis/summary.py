"""From a study to its tables' numbers: estimates over draws, comparisons, chance, ceiling."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from benchmarks.analysis.comparisons import Comparison, compare, leaders
from benchmarks.analysis.names import Cell, Variant
from benchmarks.analysis.study import Setting, Study, Table, study
from benchmarks.contracts import Metric
from benchmarks.outcome import STATUSES
from benchmarks.spec import Budget
from benchmarks.store import Frames
from osae_theory.metrics.intervals import Estimate, estimate

PUBLISHED_DRAWS = 20
# Tables beyond so many have no bootstrap, no counts of bad runs and no folder of their own.
MOST_DETAILED = 100


@dataclass(frozen=True, eq=False)
class Row:
    """One method's row of a table.

    Attributes
    ----------
    variant : Variant
        The method with its settings.
    budget : Budget
        Its budget.
    draws : int
        Number of problem draws it was tried on.
    runs : int
        Number of runs, over all draws.
    most_seeds, fewest_seeds : int
        The most and the fewest runs on one draw.
    statuses : mapping of str to int
        How many of them are done, diverged, stopped by the clock, or failed. Only those that
        are done enter any figure.
    estimates : mapping of str to Estimate
        By the measurements' names, over draws: a draw's value is the mean of its runs' values,
        or of its pairs' values for a measurement of pairs.
    over_runs : mapping of str to Estimate
        With the runs as units, for their median and for the count of bad ones: by the names of
        those measurements that a run has on its own. Empty where the table is not detailed.
    seconds : float or None
        Mean wall seconds of training a run; None where no run's is known.
    """

    variant: Variant
    budget: Budget
    draws: int
    runs: int
    most_seeds: int
    fewest_seeds: int
    statuses: Mapping[str, int]
    estimates: Mapping[str, Estimate]
    over_runs: Mapping[str, Estimate]
    seconds: float | None

    @property
    def label(self) -> str:
        """The selector that stands in the store."""
        return self.variant.label

    @property
    def title(self) -> str:
        """Its name in tables and figures."""
        return self.variant.title

    @property
    def done(self) -> int:
        """How many runs are done."""
        return self.statuses.get("done", 0)


@dataclass(frozen=True, eq=False)
class Summary:
    """All that one table says.

    Attributes
    ----------
    table : Table
        What it is of.
    metrics : sequence of Metric
        Its measurements, in order.
    problem_seeds : sequence of int
        The problem draws, over all methods.
    rows : sequence of Row
        One a method.
    oracles : sequence of Row
        Methods that see the truth: no competitors, but the ceiling.
    values : mapping of str to mapping of str to array
        By measurement and label, a value a draw in the order of `problem_seeds`; NaN where
        there is none.
    comparisons : mapping of str to sequence of Comparison
        All pairs of rows, by the names of the measurements that are compared.
    leaders : mapping of str to frozenset of str
        For each measurement that has a better end: the label of the best method and those not
        told apart from it.
    chance : mapping of str to float
        The chance levels of those measurements that have one.
    mixtures : sequence of str
        What a reader must know of runs that were not all made by the same code on one kind of
        machine, a sentence each.
    detailed : bool
        Whether bootstrap and counts of bad runs are there.
    """

    table: Table
    metrics: Sequence[Metric]
    problem_seeds: Sequence[int]
    rows: Sequence[Row]
    oracles: Sequence[Row]
    values: Mapping[str, Mapping[str, Float[np.ndarray, " draws"]]]
    comparisons: Mapping[str, Sequence[Comparison]]
    leaders: Mapping[str, frozenset[str]]
    chance: Mapping[str, float]
    mixtures: Sequence[str]
    detailed: bool

    @property
    def cell(self) -> Cell:
        """The problem."""
        return self.table.cell

    @property
    def draws(self) -> int:
        """The number of problem draws."""
        return len(self.problem_seeds)

    @property
    def seeds(self) -> int:
        """The most runs that a method has on one draw."""
        return max(row.most_seeds for row in self.rows)

    @property
    def questions(self) -> list[Metric]:
        """The measurements that methods are compared in."""
        return [metric for metric in self.metrics if metric.question]

    @property
    def shown(self) -> list[Metric]:
        """The measurements that readers see: those that some method has a value of."""
        everyone = (*self.rows, *self.oracles)
        return [
            metric
            for metric in self.metrics
            if any(row.estimates[metric.name].mean is not None for row in everyone)
        ]


def summaries(frames: Frames) -> list[Summary]:
    """Return the numbers of all tables of a store, the first hundred of them in detail.

    Raises
    ------
    InputError
        If the store holds no run, or a value that its metric cannot have.
    """
    found = study(frames)
    return summarised(found, range(MOST_DETAILED))


def summarised(found: Study, detailed: Collection[int]) -> list[Summary]:
    """Return the numbers of all tables of a study; those at some places in detail."""
    parts = _Parts.of(found)
    return [
        _summary(found, parts, table, place in detailed) for place, table in enumerate(found.tables)
    ]


@dataclass(frozen=True, eq=False)
class _Parts:
    """A study taken apart by setting, once for all tables."""

    draws: Mapping[int, pd.DataFrame]
    runs: Mapping[int, pd.DataFrame]

    @classmethod
    def of(cls, found: Study) -> "_Parts":
        draws = {
            int(code): part.droplevel("setting")  # pyright: ignore[reportArgumentType]
            for code, part in found.draws.groupby(level="setting")
        }
        narrow = found.runs[["problem_seed", "status", "seconds"]]
        places = found.runs.groupby("setting").indices
        return cls(draws, {int(code): narrow.iloc[own] for code, own in places.items()})  # pyright: ignore[reportArgumentType]


def _summary(found: Study, parts: _Parts, table: Table, detailed: bool) -> Summary:
    settings = [one for one in table.settings if not one.variant.oracle]
    oracles = [one for one in table.settings if one.variant.oracle]
    if not settings:  # nothing competes: the oracles are what there is
        settings, oracles = oracles, []
    runs = {one.code: parts.runs[one.code] for one in table.settings}
    seeds = sorted({int(s) for one in settings for s in runs[one.code]["problem_seed"].unique()})
    blocks = {
        one.code: _block(parts.draws.get(one.code), seeds, found.metrics) for one in table.settings
    }
    values = {
        metric.name: {one.variant.label: blocks[one.code][:, column] for one in settings}
        for column, metric in enumerate(found.metrics)
    }
    measured = [
        m for m in found.metrics if any(np.isfinite(v).any() for v in values[m.name].values())
    ]
    rows, tops = (
        [_row(found, one, runs[one.code], blocks[one.code], detailed) for one in group]
        for group in (settings, oracles)
    )
    compared = {
        m.name: compare(m.name, _lists(values[m.name]), m.margin, detailed and m.question)
        for m in measured
        if m.question or (detailed and m.better)
    }
    return Summary(
        table,
        found.metrics,
        seeds,
        rows,
        tops,
        values,
        compared,
        {
            m.name: leaders(
                compared[m.name],
                {row.label: row.estimates[m.name].mean for row in rows},
                m.better > 0,
            )
            for m in measured
            if m.name in compared and m.better
        },
        _chance(table.cell, found.metrics),
        list(_mixtures(found, table.settings, runs)),
        detailed,
    )


def _lists(values: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    return {label: list(column) for label, column in values.items()}


def _block(
    draws: pd.DataFrame | None, seeds: Sequence[int], metrics: Sequence[Metric]
) -> Float[np.ndarray, "draws metrics"]:
    if draws is None:
        return np.full((len(seeds), len(metrics)), np.nan)
    return draws.reindex(pd.Index(seeds)).to_numpy()


def _row(
    found: Study,
    setting: Setting,
    runs: pd.DataFrame,
    block: Float[np.ndarray, "draws metrics"],
    detailed: bool,
) -> Row:
    counts = runs["status"].astype(str).value_counts()
    seeds = runs["problem_seed"].value_counts()
    seconds = runs["seconds"].mean()
    done = found.values.loc[runs.index[runs["status"].eq("done")]]
    return Row(
        variant=setting.variant,
        budget=setting.budget,
        draws=len(seeds),
        runs=len(runs),
        most_seeds=int(seeds.max()),
        fewest_seeds=int(seeds.min()),
        statuses={status: int(counts[status]) for status in STATUSES if status in counts},
        estimates={
            metric.name: estimate(list(block[:, column]), bounds=metric.bounds)
            for column, metric in enumerate(found.metrics)
        },
        over_runs={str(name): estimate(list(done[name])) for name in done} if detailed else {},
        seconds=None if np.isnan(seconds) else float(seconds),
    )


def _chance(cell: Cell, metrics: Sequence[Metric]) -> dict[str, float]:
    if cell.shape is None:
        return {}
    levels = {m.name: m.chance(cell.shape) for m in metrics if m.chance is not None}
    return {name: level for name, level in levels.items() if level is not None}


def _mixtures(
    found: Study, settings: Sequence[Setting], runs: Mapping[int, pd.DataFrame]
) -> Iterator[str]:
    # The code is hashed method by method: states differ between methods for no other reason.
    codes = {
        one.variant.title: found.origins.loc[runs[one.code].index, "code"].dropna().nunique()
        for one in settings
    }
    mixed = [f"{title} ({n})" for title, n in codes.items() if n > 1]
    if mixed:
        yield f"Several states of the code trained the runs of {', '.join(mixed)}."
    places = [place for one in settings for place in runs[one.code].index]
    processors = found.origins.loc[places, "processor"].dropna().astype(str).unique()
    if len(processors) > 1:
        names = ", ".join(sorted(processors))
        yield f"The runs were trained on {len(processors)} kinds of processors: {names}."
