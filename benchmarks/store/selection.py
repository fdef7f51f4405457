"""Some runs of a store: those of named problems, or of draws that every method has."""

from collections.abc import Sequence

import pandas as pd

from osae_theory.errors import InputError, check_choice

_SETTING = ["cell", "variant", "unit", "amount", "batch_size", "arithmetic"]


def selected(
    runs: pd.DataFrame, problems: Sequence[str] | None = None, complete: bool = False
) -> set[str]:
    """Return the ids of some of a store's runs.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `benchmarks.store.Frames` has them.
    problems : sequence of str, optional
        Of these problems, by the names that `benchmarks.store.overview` has; by default of all.
    complete : bool
        Of the draws alone on which each method of a problem, with each of its budgets, has as many
        runs, well ended or not, as it has on most draws, or more: what can be shown of a study
        that is under way.

    Raises
    ------
    InputError
        If there is no run, a problem is not there, or no draw of one is complete.
    """
    if not len(runs):
        raise InputError("the store holds no runs: expected some")
    known = sorted(runs["cell"].astype("str").unique())
    for problem in problems or ():
        check_choice("problem", problem, known)
    kept = runs if problems is None else runs[runs["cell"].isin(list(problems))]
    if complete:
        whole = _is_complete(kept)
        for problem, own in whole.groupby(kept["cell"].astype("str")):
            if not own.any():
                raise InputError(
                    f"{problem}: no draw has all runs of every method: expected one at least"
                )
        kept = kept[whole]
    return set(kept["run"].astype("str"))


def _is_complete(runs: pd.DataFrame) -> "pd.Series[bool]":
    """Say of each run whether its draw has all that the problem has."""
    by = runs[_SETTING].astype("str").agg("|".join, axis=1)
    counts = runs.groupby([runs["cell"].astype("str"), "problem_seed", by]).size().unstack()
    # What a draw has where it has anything, in the middle: one with more seeds is no measure. A
    # method that the problem does not have stands in no draw of it.
    usual = counts.groupby(level="cell").transform("median")
    whole = (counts.fillna(0) >= usual.fillna(0)).all(axis=1)
    draws = pd.MultiIndex.from_arrays([runs["cell"].astype("str"), runs["problem_seed"]])
    return pd.Series(whole.reindex(draws).to_numpy(dtype=bool), index=runs.index)
