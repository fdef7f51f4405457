"""What a store holds, in a small table: problems times methods."""

import pandas as pd

from benchmarks.outcome import STATUSES


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a problem, method and budget: its runs by status, its draws, its seeds.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `benchmarks.store.Frames` has them.

    Returns
    -------
    pandas.DataFrame
        Columns: "problem", "method", "budget"; a count for each status that occurs; "draws", the
        number of problem draws; "seeds", the number of runs on a draw, "1-2" where it varies.
    """
    by = ["problem", "method", "budget"]
    frame = pd.DataFrame(
        {
            "problem": runs["cell"].astype("str"),
            "method": runs["variant"].astype("str"),
            "budget": _budgets(runs),
            "status": runs["status"].astype("str"),
            "draw": runs["problem_seed"],
        }
    )
    counts = frame.groupby([*by, "status"]).size().unstack(fill_value=0)
    counts = counts[[status for status in STATUSES if status in counts]]
    per_draw = frame.groupby([*by, "draw"]).size().groupby(by)
    least, most = per_draw.min(), per_draw.max()
    seeds = least.astype(str).where(least == most, least.astype(str) + "-" + most.astype(str))
    return counts.assign(draws=per_draw.size(), seeds=seeds).reset_index()


def _budgets(runs: pd.DataFrame) -> "pd.Series[str]":
    """Return each run's budget in words, with its arithmetic where that is not portable."""
    words = runs["amount"].astype(str) + " " + runs["unit"].astype("str")
    words = words.where(runs["batch_size"].eq(0), words + " of " + runs["batch_size"].astype(str))
    words = words.mask(runs["unit"].eq("none"), "none")
    fast = runs["arithmetic"].astype("str")
    return words.where(fast.eq("portable"), words + ", " + fast)
