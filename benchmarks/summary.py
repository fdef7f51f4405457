"""From finished runs to a table's numbers: estimates over draws, comparisons, chance, ceiling."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.comparisons import MARGIN, Comparison, compare, leaders
from benchmarks.config import Cell
from benchmarks.store import RunRecord
from osae_theory.metrics import ChanceLevel, chance_stability, corrected, stability
from osae_theory.metrics.intervals import Bounds, Estimate, estimate

CHANCE_DRAWS = 100
PUBLISHED_DRAWS = 20


@dataclass(frozen=True)
class Measurement:
    """One measurement of a table.

    Attributes
    ----------
    key : str
        Its name in files: KEY_mean, KEY_std, KEY_ci95, KEY_n.
    title : str
        Its name for a reader.
    short : str
        Its name in the narrow table for the terminal.
    better : int
        1 if higher is better, -1 if lower is, 0 if neither.
    margin : float, optional
        Differences between methods that are smaller count as none; None where no such margin
        was fixed beforehand.
    bounds : pair of float
        The least and the greatest value it can have.
    """

    key: str
    title: str
    short: str
    better: int = 1
    margin: float | None = None
    bounds: Bounds = (-1.0, 1.0)


_SHARE: Bounds = (0.0, 1.0)
_ABOVE_0: Bounds = (0.0, math.inf)
_UP_TO_1: Bounds = (-math.inf, 1.0)

MEASUREMENTS = (
    Measurement("stab_pairs", "Stab(D, D')", "Stab(D, D')", margin=MARGIN),
    Measurement("stab_truth", "Stab(D, D*)", "Stab(D, D*)", margin=MARGIN),
    Measurement(
        "stab_truth_corrected", "Stab(D, D*), chance-corrected", "- over chance", bounds=_UP_TO_1
    ),
    Measurement(
        "stab_truth_abs",
        "Stab(D, D*), absolute cosines",
        "- |cosine|",
        margin=MARGIN,
        bounds=_SHARE,
    ),
    Measurement("ord_truth", "Ord(D, D*), as trained", "Ord as trained", margin=MARGIN),
    Measurement("ord_by_energy", "Ord, sorted by energy", "Ord by energy", margin=MARGIN),
    Measurement("ord_by_frequency", "Ord, sorted by frequency", "Ord by frequency", margin=MARGIN),
    Measurement("ord_recovered", "Ord over recovered atoms", "Ord, recovered", margin=MARGIN),
    Measurement("ord_left_out", "share left out of Ord", "left out of Ord", 0, bounds=_SHARE),
    Measurement("recovered_share", "share of recovered atoms", "recovered", bounds=_SHARE),
    Measurement("mse", "held-out MSE", "MSE", -1, bounds=_ABOVE_0),
    Measurement("fvu", "held-out FVU", "FVU", -1, bounds=_ABOVE_0),
    Measurement("fifr", "FIFR error", "FIFR", -1, bounds=_ABOVE_0),
    Measurement("l0", "held-out L0", "L0", 0, bounds=_ABOVE_0),
    Measurement("dead_share", "share of dead latents", "dead", -1, bounds=_SHARE),
)


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method's row of a table.

    Attributes
    ----------
    method : str
        The method's name.
    draws : int
        Number of problem draws.
    runs : int
        Number of runs, over all draws.
    diverged : int
        How many of them diverged; they enter no other figure.
    estimates : mapping of str to Estimate
        By the measurements' keys, over draws: a draw's value is the mean of its runs' values.
    over_runs : mapping of str to Estimate
        With the runs as units, for their median and for the count of bad ones: by the keys of
        those measurements that a run has on its own.
    seconds : float
        Mean wall seconds of training a run.
    """

    method: str
    draws: int
    runs: int
    diverged: int
    estimates: Mapping[str, Estimate]
    over_runs: Mapping[str, Estimate]
    seconds: float


@dataclass(frozen=True, eq=False)
class Summary:
    """All that the tables of one cell say.

    Attributes
    ----------
    cell : Cell
        The cell.
    draws, seeds : int
        Problem draws, and runs of a method on each.
    rows : sequence of MethodRow
        One a method, in the order in which the methods first occur.
    comparisons : mapping of str to sequence of Comparison
        All pairs of methods, by the measurements' keys.
    leaders : mapping of str to frozenset of str
        For each measurement that has a better end: the best method and those not told apart
        from it.
    chance : ChanceLevel
        Stab's level for unrelated isotropic dictionaries of the cell's shape.
    ceilings : mapping of str to Estimate
        Over draws, by the keys of `benchmarks.ceiling.ceiling`.
    """

    cell: Cell
    draws: int
    seeds: int
    rows: Sequence[MethodRow]
    comparisons: Mapping[str, Sequence[Comparison]]
    leaders: Mapping[str, frozenset[str]]
    chance: ChanceLevel
    ceilings: Mapping[str, Estimate]


def chance_level(cell: Cell) -> ChanceLevel:
    """Return Stab's level for unrelated isotropic dictionaries of the cell's shape."""
    return chance_stability(cell.d, cell.K, n_draws=CHANCE_DRAWS)


def summarise(
    records: Sequence[RunRecord],
    chance: ChanceLevel,
    ceilings: Sequence[Mapping[str, float]] = (),
) -> Summary:
    """Return the numbers of one cell's tables.

    Parameters
    ----------
    records : sequence of RunRecord
        The finished runs of one cell, at least one.
    chance : ChanceLevel
        As `chance_level`.
    ceilings : sequence of mapping
        What `benchmarks.ceiling.ceiling` gives for each draw.
    """
    draws = list(dict.fromkeys(record.config.problem_seed for record in records))
    methods = dict.fromkeys(record.config.method for record in records)
    by_method = {m: [r for r in records if r.config.method == m] for m in methods}
    values = {
        measurement.key: {
            method: draw_values(runs, draws, measurement.key, chance)
            for method, runs in by_method.items()
        }
        for measurement in MEASUREMENTS
    }
    rows = [
        _row(method, runs, {key: by[method] for key, by in values.items()}, chance)
        for method, runs in by_method.items()
    ]
    compared = {m.key: compare(m.key, values[m.key], m.margin) for m in MEASUREMENTS}
    means = {m.key: {row.method: row.estimates[m.key].mean for row in rows} for m in MEASUREMENTS}
    return Summary(
        cell=records[0].config.cell,
        draws=len(draws),
        seeds=max(len(runs) for runs in by_method.values()) // len(draws),
        rows=rows,
        comparisons=compared,
        leaders={
            m.key: leaders(compared[m.key], means[m.key], m.better > 0)
            for m in MEASUREMENTS
            if m.better
        },
        chance=chance,
        ceilings={
            m.key: estimate([found[m.key] for found in ceilings], bounds=m.bounds)
            for m in MEASUREMENTS
            if ceilings and m.key in ceilings[0]
        },
    )


def draw_values(
    records: Sequence[RunRecord], draws: Sequence[int], key: str, chance: ChanceLevel
) -> list[float | None]:
    """Return one method's value in each draw: the mean over the draw's runs, or their pairs.

    Runs that diverged and values that are not defined are left out; None where nothing is left.
    """
    values = []
    for draw in draws:
        runs = [r for r in records if r.config.problem_seed == draw and r.status == "done"]
        if key == "stab_pairs":
            found: list[float | None] = [*pair_stabilities(runs).values()]
        else:
            found = [value_of(record, key, chance) for record in runs]
        defined = [value for value in found if value is not None]
        values.append(float(np.mean(defined)) if defined else None)
    return values


def pair_stabilities(records: Sequence[RunRecord]) -> dict[tuple[int, int], float]:
    """Return Stab(D, D') for each pair of runs on one problem draw, by places in `records`."""
    return {
        (i, j): stability(records[i].arrays["dictionary"], records[j].arrays["dictionary"])
        for i, j in combinations(range(len(records)), 2)
        if records[i].config.problem_seed == records[j].config.problem_seed
    }


def value_of(record: RunRecord, key: str, chance: ChanceLevel) -> float | None:
    """Return one measurement of one run, None where it is not defined."""
    if key == "stab_truth_corrected":
        return corrected(_as_float(record.scalars["stab_truth"]), chance.mean)
    value = record.scalars[key]
    return None if value is None else _as_float(value)


def _row(
    method: str,
    records: Sequence[RunRecord],
    values: Mapping[str, Sequence[float | None]],
    chance: ChanceLevel,
) -> MethodRow:
    done = [record for record in records if record.status == "done"]
    return MethodRow(
        method=method,
        draws=len({record.config.problem_seed for record in records}),
        runs=len(records),
        diverged=len(records) - len(done),
        estimates={m.key: estimate(values[m.key], bounds=m.bounds) for m in MEASUREMENTS},
        over_runs={
            key: estimate([value_of(record, key, chance) for record in done])
            for key in values
            if key != "stab_pairs"
        },
        seconds=float(np.mean([_as_float(record.scalars["seconds"]) for record in records])),
    )


def _as_float(value: float | int | str | None) -> float:
    assert isinstance(value, (int, float))
    return float(value)
