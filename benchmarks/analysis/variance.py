"""How much of a measurement's variance lies between problem draws, and how much between seeds."""

import numpy as np
import pandas as pd

from benchmarks.analysis.study import Study
from osae_theory.metrics.intervals import FEWEST_UNITS

COLUMNS = ("std_between", "std_within", "share_between", "draws", "runs", "reason")


def variance_shares(found: Study) -> pd.DataFrame:
    """Return the variance components of every measurement of runs in every setting.

    Returns
    -------
    pandas.DataFrame
        By setting and metric: the standard deviations between problem draws and between seeds
        within draws; the share of the former's variance in the sum, in [0, 1]; the numbers of
        draws and of runs; and why there are no components, empty where there are.

    Notes
    -----
    One-way random effects, by the method of moments (Searle, Casella and McCulloch 1992,
    section 3.6): E[MSB] = within + n0 between with n0 = (N - sum n_i^2 / N) / (k - 1), and
    E[MSW] = within. An estimate of the variance between draws below 0 is set to 0. There are
    none below three draws, or below three degrees of freedom within draws.
    """
    done = found.runs["status"].eq("done")
    keys = [found.runs.loc[done, "setting"], found.runs.loc[done, "problem_seed"]]
    by_draw = found.values[done].groupby(keys)
    counts, means = by_draw.count(), by_draw.mean()
    within = (by_draw.var() * (counts - 1)).where(counts > 1, 0.0)
    counted = counts > 0

    def total(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.groupby(level="setting").sum()

    n, k = total(counts), total(counted.astype(int))
    grand = total(means.fillna(0.0) * counts) / n
    centred = means - grand.reindex(means.index, level="setting")
    between = total((centred**2).fillna(0.0) * counts)
    free_within = n - k
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_within = total(within) / free_within
        typical = (n - total(counts**2) / n) / (k - 1)
        component = ((between / (k - 1) - mean_within) / typical).clip(lower=0.0)
        share = component / (component + mean_within)
    parts = {
        "std_between": np.sqrt(component),
        "std_within": np.sqrt(mean_within),
        "share_between": share,
        "draws": k,
        "runs": n,
    }
    frame = pd.DataFrame({name: part.stack() for name, part in parts.items()})
    frame.index.names = ["setting", "metric"]
    few = frame["draws"].lt(FEWEST_UNITS)
    alone = (frame["runs"] - frame["draws"]).lt(FEWEST_UNITS)
    frame.loc[few | alone, ["std_between", "std_within", "share_between"]] = np.nan
    frame["reason"] = np.select(
        [few, alone],
        [f"fewer than {FEWEST_UNITS} draws", "too few draws with several runs"],
        default="",
    )
    return frame[list(COLUMNS)]
