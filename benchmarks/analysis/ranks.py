"""How methods rank over the cells of a grid: mean ranks, and which of them are told apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy import stats

from benchmarks.analysis.names import Variant
from benchmarks.analysis.summary import Summary
from benchmarks.contracts import Metric
from osae_theory.metrics.comparisons import holm
from osae_theory.metrics.intervals import CONFIDENCE, FEWEST_UNITS, Estimate, estimate

# With fewer pairs Wilcoxon's test cannot fall below 5%, whatever the values.
FEWEST_TESTED = 6


@dataclass(frozen=True, eq=False)
class Ranking:
    """The ranks of methods in one measurement, with cells as units.

    Attributes
    ----------
    metric : Metric
        The measurement.
    variants : sequence of Variant
        The methods that are ranked, the best mean rank first; in the order of tables where
        there are no ranks.
    cells : int
        In how many cells all of them have a value.
    ranks : mapping of str to Estimate
        By label: the mean rank, 1 the best, ties shared.
    first : mapping of str to int
        By label: in how many cells it has the best value.
    p_values : mapping of pair of str to float
        By labels, for all pairs: Wilcoxon's signed-rank test of the cells' means, after Holm's
        correction; empty below six cells.
    reason : str
        Why there are no ranks; empty where there are.
    left_out : sequence of Variant
        Methods that lack a value in some of those cells.
    """

    metric: Metric
    variants: Sequence[Variant]
    cells: int
    ranks: Mapping[str, Estimate]
    first: Mapping[str, int]
    p_values: Mapping[tuple[str, str], float]
    reason: str
    left_out: Sequence[Variant]

    def told_apart(self, one: str, other: str) -> bool:
        """Return whether two methods differ at 5%."""
        p = self.p_values.get((one, other), self.p_values.get((other, one), 1.0))
        return p < 1 - CONFIDENCE

    @property
    def groups(self) -> list[tuple[int, int]]:
        """The largest runs of neighbours, by their first and last place, none told apart."""
        found: list[tuple[int, int]] = []
        labels = [one.label for one in self.variants]
        for start in range(len(labels)):
            stop = start
            while stop + 1 < len(labels) and not any(
                self.told_apart(labels[i], labels[stop + 1]) for i in range(start, stop + 1)
            ):
                stop += 1
            if stop > start and not (found and found[-1][1] >= stop):
                found.append((start, stop))
        return found


def rankings(summaries: Sequence[Summary]) -> list[Ranking]:
    """Return the ranks in every measurement that methods are compared in.

    Parameters
    ----------
    summaries : sequence of Summary
        Of one kind of tables (`benchmarks.analysis.study.Table.kind`), at least one.
    """
    questions = {m.name: m for summary in summaries for m in summary.questions}
    return [_ranking(metric, summaries) for metric in questions.values()]


def _ranking(metric: Metric, summaries: Sequence[Summary]) -> Ranking:
    means = [_means(summary, metric) for summary in summaries]
    every = {row.label: row.variant for summary in summaries for row in summary.rows}
    # Ranks among different methods are no ranks of one kind: those of most cells are ranked.
    counted = Counter(frozenset(own) for own in means if len(own) > 1)
    if not counted:
        return _none(metric, list(every.values()), 0, "no cell has two methods")
    chosen = max(counted, key=lambda names: (counted[names], len(names), sorted(names)))
    labels = [label for label in every if label in chosen]
    rows = [[own[label] for label in labels] for own in means if chosen <= own.keys()]
    values = np.array(rows)
    if len(values) < FEWEST_UNITS:
        text = f"{len(values)} cell{'s' * (len(values) != 1)}: ranks take {FEWEST_UNITS} or more"
        return _none(metric, [every[label] for label in labels], len(values), text)
    ranks = stats.rankdata(-metric.better * values, axis=1)
    best = (metric.better * values) == (metric.better * values).max(axis=1, keepdims=True)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    bounds = (1.0, float(len(labels)))
    return Ranking(
        metric,
        [every[labels[i]] for i in order],
        len(values),
        {labels[i]: estimate(ranks[:, i].tolist(), bounds=bounds) for i in order},
        {labels[i]: int(best[:, i].sum()) for i in order},
        _tests(labels, values),
        "",
        [one for label, one in every.items() if label not in chosen],
    )


def _means(summary: Summary, metric: Metric) -> dict[str, float]:
    found = {}
    for row in summary.rows:
        own = row.estimates.get(metric.name)
        if own is not None and own.mean is not None:
            found[row.label] = own.mean
    return found


def _none(metric: Metric, variants: Sequence[Variant], cells: int, reason: str) -> Ranking:
    return Ranking(metric, variants, cells, {}, {}, {}, reason, [])


def _tests(
    labels: Sequence[str], values: Float[np.ndarray, "cells methods"]
) -> dict[tuple[str, str], float]:
    if len(values) < FEWEST_TESTED:
        return {}
    pairs = list(combinations(range(len(labels)), 2))
    found = [_wilcoxon(values[:, i] - values[:, j]) for i, j in pairs]
    return {(labels[i], labels[j]): p for (i, j), p in zip(pairs, holm(found), strict=True)}


def _wilcoxon(differences: Float[np.ndarray, " cells"]) -> float:
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)
