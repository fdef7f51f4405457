"""Rounding as a factor: the same runs under fast and under portable arithmetic."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.analysis.names import Cell, Variant
from benchmarks.analysis.study import Setting, Study
from benchmarks.contracts import Metric
from benchmarks.spec import Budget
from osae_theory.metrics.intervals import Estimate, estimate

FAST, PORTABLE = "fast", "portable"
_RUN = ["problem_seed", "initialisation_seed", "data_order_seed", "prefix_seed"]
# A spread that is but rounding of the measurement itself.
_NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class Rounding:
    """What the arithmetic changes in one measurement of a method with one budget on one cell.

    Attributes
    ----------
    cell : Cell
        The problem.
    variant : Variant
        The method with its settings.
    budget : Budget
        Its budget.
    metric : Metric
        The measurement, of runs.
    pairs : int
        Runs that exist under both arithmetics, all else and all seeds the same.
    runs : int
        Those of them that have a value under both.
    mean, std : float or None
        Mean and standard deviation (ddof 1) over these runs of fast minus portable; None without
        a run, or below two.
    over_draws : Estimate
        Of the draws' mean differences: its interval is that of the mean.
    seeds_std : float or None
        The standard deviation between seeds within draws, under portable arithmetic; None where
        there are too few runs.
    """

    cell: Cell
    variant: Variant
    budget: Budget
    metric: Metric
    pairs: int
    runs: int
    mean: float | None
    std: float | None
    over_draws: Estimate
    seeds_std: float | None

    @property
    def ratio(self) -> float | None:
        """`std` over `seeds_std`: 1.41 if rounding moves a run as far as another seed does."""
        if self.std is None or self.seeds_std is None or self.seeds_std < _NOTHING:
            return None
        return self.std / self.seeds_std


def roundings(found: Study, shares: pd.DataFrame) -> Mapping[str, list[Rounding]]:
    """Return what the arithmetic changes, wherever the same runs exist under both.

    Parameters
    ----------
    found : Study
        All runs.
    shares : pandas.DataFrame
        What `benchmarks.analysis.variance.variance_shares` gives for them.

    Returns
    -------
    mapping of str to list of Rounding
        By the cells' labels, in the order of tables: by method and budget, then by measurement.
        Oracles are left out.
    """
    result: dict[str, list[Rounding]] = {}
    runs = found.runs
    for (cell, portable), fast in _settings(found):
        places = [runs[runs["setting"].eq(code)] for code in (fast.code, portable.code)]
        both = _matched(*places)
        if len(both):
            seeds = shares["std_within"].get(portable.code, pd.Series(dtype=float))
            own = list(_of_setting(found, cell, portable, both, seeds))
            result.setdefault(cell.label, []).extend(own)
    return result


def _settings(found: Study) -> Iterator[tuple[tuple[Cell, Setting], Setting]]:
    """Yield each setting under portable arithmetic with the same one under fast."""
    by_key: dict[tuple[str, str, Budget, str], tuple[Cell, Setting]] = {}
    for table in found.tables:
        for one in table.settings:
            key = (table.cell.label, one.variant.label, one.budget, table.arithmetic)
            by_key.setdefault(key, (table.cell, one))
    for (cell, label, budget, arithmetic), one in by_key.items():
        fast = by_key.get((cell, label, budget, FAST))
        if arithmetic == PORTABLE and fast is not None and not one[1].variant.oracle:
            yield one, fast[1]


def _matched(fast: pd.DataFrame, portable: pd.DataFrame) -> pd.DataFrame:
    """Return the places of runs with the same seeds: problem_seed, fast, portable, done."""
    sides = [
        side[[*_RUN]].assign(**{name: side.index, f"{name}_done": side["status"].eq("done")})
        for name, side in ((FAST, fast), (PORTABLE, portable))
    ]
    both = sides[0].merge(sides[1], on=_RUN)
    return both.assign(done=both[f"{FAST}_done"] & both[f"{PORTABLE}_done"])


def _of_setting(
    found: Study, cell: Cell, setting: Setting, both: pd.DataFrame, seeds: pd.Series
) -> Iterator[Rounding]:
    done = both[both["done"]]
    for metric in found.metrics:
        if metric.name not in found.values:
            continue
        column = found.values[metric.name].to_numpy()
        difference = column[done[FAST]] - column[done[PORTABLE]]
        defined = ~np.isnan(difference)
        kept = difference[defined]
        by_draw = pd.Series(kept).groupby(done["problem_seed"].to_numpy()[defined]).mean()
        within = seeds.get(metric.name, np.nan)
        yield Rounding(
            cell=cell,
            variant=setting.variant,
            budget=setting.budget,
            metric=metric,
            pairs=len(both),
            runs=len(kept),
            mean=float(kept.mean()) if len(kept) else None,
            std=float(kept.std(ddof=1)) if len(kept) > 1 else None,
            over_draws=estimate(by_draw.tolist()),
            seeds_std=None if np.isnan(within) else float(within),
        )
