"""Differences between methods over the same seeds: which dictionaries are more consistent.

Two intervals that overlap do not say that two methods are alike: their pairs share the seeds,
and so the initialisations and data orders. Here each pair of runs is held against the same pair
of the reference method, and the interval is that of the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from osae_theory.metrics.intervals import Estimate, estimate_shared
from realdata.comparison.text import estimate_fields, flat_intervals
from realdata.consistency.collection import PairScore

DIFFERENT = ("stab", "ord")
BOUNDS = (-2.0, 2.0)


@dataclass(frozen=True)
class Difference:
    """How much more consistent one method is than the reference, at one prefix.

    Attributes
    ----------
    method, order : str
        What is held against the reference.
    reference, reference_order : str
        The method and the order of its latents that are subtracted.
    kind : str
        A name in `realdata.consistency.collection.PAIR_KINDS`.
    prefix : int
        How many of the first atoms.
    pairs : int
        How many pairs both have.
    stab, ord : Estimate
        Score minus the reference's of the same seeds and corpora, in [-2, 2]; the interval is
        the jackknife's over seeds.
    """

    method: str
    order: str
    reference: str
    reference_order: str
    kind: str
    prefix: int
    pairs: int
    stab: Estimate
    ord: Estimate


def differences_from(
    scores: Sequence[PairScore], reference: str, reference_order: str
) -> list[Difference]:
    """Return the differences of every method and order from one method in one order.

    Parameters
    ----------
    scores : sequence of PairScore
        Of final checkpoints, the reference's among them.
    reference, reference_order : str
        A method, such as "topk", and how its latents were ordered, such as "by energy".

    Returns
    -------
    list of Difference
        One a method, order, kind of pair and prefix, without the reference itself; of pairs
        that both have. None where the reference is not among the scores.
    """
    known = {
        _place(score): score
        for score in scores
        if (score.method, score.order) == (reference, reference_order)
    }
    groups: dict[tuple[str, str, str, int], list[tuple[PairScore, PairScore]]] = {}
    for score in scores:
        if (score.method, score.order) != (reference, reference_order) and _place(score) in known:
            label = (score.method, score.order, score.kind, score.score.prefix)
            groups.setdefault(label, []).append((score, known[_place(score)]))
    return [
        Difference(
            method,
            order,
            reference,
            reference_order,
            kind,
            prefix,
            len(both),
            **{name: _estimate(both, name) for name in DIFFERENT},
        )
        for (method, order, kind, prefix), both in groups.items()
    ]


def difference_frame(found: Sequence[Difference]) -> pd.DataFrame:
    """Return one row a difference, seven columns an estimate (see `estimate_fields`)."""
    rows = []
    for one in found:
        fields: dict[str, Any] = {
            key: value for key, value in vars(one).items() if key not in DIFFERENT
        }
        for name in DIFFERENT:
            fields |= estimate_fields(name, getattr(one, name))
        rows.append(flat_intervals(fields))
    return pd.DataFrame(rows)


def _place(score: PairScore) -> tuple[str, int, frozenset[tuple[int, str]]]:
    """Return what a pair and its counterpart of another method have in common."""
    sides = frozenset(zip(score.seeds, score.datasets, strict=True))
    return score.kind, score.score.prefix, sides


def _estimate(both: Sequence[tuple[PairScore, PairScore]], name: str) -> Estimate:
    values: list[float | None] = []
    for one, other in both:
        own, subtracted = getattr(one.score, name), getattr(other.score, name)
        values.append(None if own is None or subtracted is None else own - subtracted)
    return estimate_shared(values, [set(one.seeds) for one, _ in both], bounds=BOUNDS)
