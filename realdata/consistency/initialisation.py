"""What training has left of each run's own initialisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osae_theory.errors import InputError, check_real
from realdata.comparison.prefixes import checked_prefixes
from realdata.comparison.scores import BOUNDS, PrefixScore, prefix_scores
from realdata.consistency.collection import (
    TRAINED,
    Checkpoint,
    CurvePoint,
    check_labels,
    check_trained_order,
    curve_point,
    decoder_similarity,
)

OWN_INITIALISATION = "own initialisation"


@dataclass(frozen=True)
class InitialisationScore:
    """A checkpoint against the initialisation of its own run, at one prefix.

    Attributes
    ----------
    method, seed, dataset, tokens
        The checkpoint's label.
    band : pair of int
        The positions (a, b] between the prefix before and this one, counting from 1.
    moved : float
        The share, in [0, 1], of the atoms in the band whose cosine to the very same atom at
        initialisation is below the threshold.
    score : PrefixScore
        Stab and Ord against the initialisation: atoms that never moved match themselves in
        place and score 1 in both.
    """

    method: str
    seed: int
    dataset: str
    tokens: int
    band: tuple[int, int]
    moved: float
    score: PrefixScore


def against_initialisation(
    checkpoints: Sequence[Checkpoint],
    prefixes: Sequence[int] | None = None,
    moved_below: float = 0.9,
) -> list[InitialisationScore]:
    """Return what of each run's initialisation is left, by prefix and by number of tokens.

    A high Ord between runs of one seed says nothing where atoms have not moved. The share of
    atoms that moved is given band by band, so that the last atoms are not hidden by the first.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        As trained, each run with its checkpoint of 0 tokens.
    prefixes : sequence of int, optional
        As in `realdata.consistency.collection.pair_scores`.
    moved_below : float
        An atom has moved when its signed cosine to itself at initialisation is below this, in
        [-1, 1]. The default 0.9, an angle of 26 degrees, is ours.

    Raises
    ------
    InputError
        If a run lacks its initialisation or has another shape than it, a label occurs twice, a
        checkpoint was sorted afterwards, or a prefix or the threshold is out of range.
    """
    check_real("moved_below", moved_below, at_least=-1.0, at_most=1.0)
    check_labels(checkpoints, across_tokens=False)
    sizes = checked_prefixes(prefixes, min((len(c.decoder) for c in checkpoints), default=1))
    initial = {c.run: c for c in checkpoints if c.tokens == 0}
    found = []
    for checkpoint in checkpoints:
        check_trained_order(checkpoint)
        if checkpoint.run not in initial:
            raise InputError(f"{checkpoint.run} has no checkpoint of 0 tokens, its initialisation")
        if checkpoint.tokens > 0:
            found += _against(checkpoint, initial[checkpoint.run], sizes, moved_below)
    return found


def _against(
    checkpoint: Checkpoint, initial: Checkpoint, sizes: Sequence[int], moved_below: float
) -> list[InitialisationScore]:
    if checkpoint.decoder.shape != initial.decoder.shape:
        raise InputError(
            f"{checkpoint.key} has shape {checkpoint.decoder.shape}: expected"
            f" {initial.decoder.shape}, as at its initialisation"
        )
    S = decoder_similarity(checkpoint, initial, sizes[-1])
    moved = np.diag(S) < moved_below
    return [
        InitialisationScore(
            *checkpoint.key, (before, prefix), float(moved[before:prefix].mean()), score
        )
        for before, prefix, score in zip((0, *sizes), sizes, prefix_scores(S, sizes), strict=False)
    ]


def summarise_initialisation(scores: Sequence[InitialisationScore]) -> list[CurvePoint]:
    """Return one point a method, number of tokens and prefix, over runs; "moved" is the band's.

    The intervals leave out a seed everywhere, as in `realdata.consistency.collection.summarise`.
    """
    groups: dict[tuple[str, str, str, int | None, int], list[InitialisationScore]] = {}
    for s in scores:
        label = (s.method, TRAINED, OWN_INITIALISATION, s.tokens, s.score.prefix)
        groups.setdefault(label, []).append(s)
    return [
        curve_point(
            label,
            [{s.seed} for s in own],
            {name: [getattr(s.score, name) for s in own] for name in BOUNDS}
            | {"moved": [s.moved for s in own]},
        )
        for label, own in groups.items()
    ]
