"""From finished runs to one row a method: means, deviations, intervals, chance levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.config import Cell
from benchmarks.store import RunRecord
from osae_theory.metrics import ChanceLevel, chance_stability, corrected, stability
from osae_theory.metrics.intervals import Estimate, estimate, estimate_shared

CHANCE_DRAWS = 100


@dataclass(frozen=True)
class Measurement:
    """One measurement of a table.

    Attributes
    ----------
    key : str
        Its name in files: KEY_mean, KEY_std, KEY_ci95, KEY_n.
    title : str
        Its name for a reader.
    """

    key: str
    title: str


MEASUREMENTS = (
    Measurement("stab_pairs", "Stab(D, D')"),
    Measurement("stab_truth", "Stab(D, D*)"),
    Measurement("stab_truth_corrected", "Stab(D, D*), chance-corrected"),
    Measurement("stab_truth_abs", "Stab(D, D*), absolute cosines"),
    Measurement("ord_truth", "Ord(D, D*)"),
    Measurement("ord_by_frequency", "Ord, sorted afterwards by frequency"),
    Measurement("ord_by_energy", "Ord, sorted afterwards by energy"),
    Measurement("ord_recovered", "Ord over recovered atoms"),
    Measurement("recovered_share", "share of recovered atoms"),
    Measurement("mse", "held-out MSE"),
    Measurement("fvu", "held-out FVU"),
    Measurement("fifr", "FIFR error"),
    Measurement("l0", "held-out L0"),
    Measurement("dead_share", "share of dead latents"),
)


BASELINE = "topk"
# What is compared with the baseline run by run: quality, order at its best, and fit.
COMPARED = ("stab_truth", "ord_by_energy", "mse")


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method's row of a table: an estimate for each measurement.

    Attributes
    ----------
    method : str
        The method's name.
    seeds : int
        Number of runs.
    diverged : int
        How many of them diverged; they enter no other figure.
    estimates : mapping of str to Estimate
        By the measurements' keys.
    differences : mapping of str to Estimate
        By the keys in COMPARED: this method's value minus the baseline's, paired by seed (the
        runs of a pair share initialisation and data order); empty without the baseline.
    seconds : float
        Mean wall seconds of training a run.
    """

    method: str
    seeds: int
    diverged: int
    estimates: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]
    seconds: float


def chance_level(cell: Cell) -> ChanceLevel:
    """Return Stab's level for unrelated isotropic dictionaries of the cell's shape."""
    return chance_stability(cell.d, cell.K, n_draws=CHANCE_DRAWS)


def summarise(records: Sequence[RunRecord], chance: ChanceLevel) -> list[MethodRow]:
    """Return one row a method, in the order in which the methods first occur."""
    methods = dict.fromkeys(record.config.method for record in records)
    by_method = {m: [r for r in records if r.config.method == m] for m in methods}
    baseline = by_method.get(BASELINE, [])
    return [_row(method, runs, baseline, chance) for method, runs in by_method.items()]


def pair_stabilities(records: Sequence[RunRecord]) -> dict[tuple[int, int], float]:
    """Return Stab(D, D') for each pair of runs, by their places in `records`."""
    dictionaries = [record.arrays["dictionary"] for record in records]
    return {
        (i, j): stability(dictionaries[i], dictionaries[j])
        for i, j in combinations(range(len(dictionaries)), 2)
    }


def paired_differences(
    records: Sequence[RunRecord], baseline: Sequence[RunRecord], key: str
) -> list[float | None]:
    """Return a measurement's differences from the baseline's run with the same seeds."""
    reference = {r.config.seeds: r.scalars.get(key) for r in baseline if r.status == "done"}
    pairs = [(record.scalars.get(key), reference.get(record.config.seeds)) for record in records]
    return [
        None if own is None or other is None else _as_float(own) - _as_float(other)
        for own, other in pairs
    ]


def _row(
    method: str,
    records: Sequence[RunRecord],
    baseline: Sequence[RunRecord],
    chance: ChanceLevel,
) -> MethodRow:
    done = [record for record in records if record.status == "done"]
    estimates = {}
    for measurement in MEASUREMENTS:
        if measurement.key == "stab_pairs":
            pairs = pair_stabilities(done)
            found = estimate_shared(list(pairs.values()), list(pairs))
        else:
            found = estimate([value_of(record, measurement.key, chance) for record in done])
        estimates[measurement.key] = found
    differences = {}
    if baseline and method != BASELINE:
        differences = {key: estimate(paired_differences(done, baseline, key)) for key in COMPARED}
    seconds = float(np.mean([_as_float(record.scalars["seconds"]) for record in records]))
    diverged = len(records) - len(done)
    return MethodRow(method, len(records), diverged, estimates, differences, seconds)


def value_of(record: RunRecord, key: str, chance: ChanceLevel) -> float | None:
    """Return one measurement of one run, None where it is not defined."""
    if key == "stab_truth_corrected":
        return corrected(_as_float(record.scalars["stab_truth"]), chance.mean)
    value = record.scalars[key]
    return None if value is None else _as_float(value)


def _as_float(value: float | int | str | None) -> float:
    assert isinstance(value, (int, float))
    return float(value)
