"""Which checkpoints to compare: at equal loss, at equal tokens, at equal seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from osae_theory.errors import InputError, check_integer, check_real
from realdata.consistency.collection import Checkpoint, check_labels


@dataclass(frozen=True, eq=False)
class Pairing:
    """One checkpoint a run, chosen by one rule.

    Attributes
    ----------
    rule : str
        The rule, for the caption of what is drawn from it.
    target : float
        The common loss, tokens or seconds.
    checkpoints : tuple of Checkpoint
        One for each run and order, in the order in which they first occur.
    """

    rule: str
    target: float
    checkpoints: tuple[Checkpoint, ...]


def equal_loss(checkpoints: Sequence[Checkpoint], target: float | None = None) -> Pairing:
    """Choose for each run the checkpoint whose held-out loss is nearest to a common target.

    The default target is the greatest of the runs' lowest losses: the worst run decides, so
    that every run reaches it. Ties go to fewer tokens. Compare the result with
    `realdata.consistency.collection.pair_scores(..., across_tokens=True)`.

    Raises InputError if there is no checkpoint, a loss is missing or not finite, or the target
    is not finite.
    """
    runs = _runs(checkpoints, "loss")
    lowest = [min(_known(c, "loss") for c in own) for own in runs]
    common = max(lowest) if target is None else target
    check_real("target", common)
    chosen = [min(own, key=lambda c: (abs(_known(c, "loss") - common), c.tokens)) for own in runs]
    return Pairing(f"held-out loss nearest to {common:.4g}", float(common), tuple(chosen))


def equal_tokens(checkpoints: Sequence[Checkpoint], tokens: int | None = None) -> Pairing:
    """Choose for each run the checkpoint with one common number of tokens.

    The default is the greatest number that every run has.

    Raises InputError if there is no checkpoint, or no such number, or a run lacks the one given.
    """
    runs = _runs(checkpoints)
    shared = set.intersection(*({c.tokens for c in own} for own in runs))
    if tokens is None and not shared:
        raise InputError("the runs share no number of tokens: expected at least one")
    common = max(shared) if tokens is None else tokens
    check_integer("tokens", common, 0)
    chosen = []
    for own in runs:
        found = [c for c in own if c.tokens == common]
        if not found:
            raise InputError(f"{own[0].run} has no checkpoint of {common} tokens")
        chosen += found
    return Pairing(f"{common} tokens", float(common), tuple(chosen))


def equal_seconds(checkpoints: Sequence[Checkpoint], seconds: float | None = None) -> Pairing:
    """Choose for each run its last checkpoint within a common time of training.

    The default is the least of the runs' whole times, which the quickest run spends in full and
    the others in part. Compare the result with
    `realdata.consistency.collection.pair_scores(..., across_tokens=True)`.

    Raises InputError if there is no checkpoint, a time is missing or not finite, or a run has
    no checkpoint within the time.
    """
    runs = _runs(checkpoints, "seconds")
    whole = [max(_known(c, "seconds") for c in own) for own in runs]
    common = min(whole) if seconds is None else seconds
    check_real("seconds", common)
    chosen = []
    for own in runs:
        within = [c for c in own if _known(c, "seconds") <= common]
        if not within:
            raise InputError(f"{own[0].run} has no checkpoint within {common:g} seconds")
        chosen.append(max(within, key=lambda c: (_known(c, "seconds"), c.tokens)))
    return Pairing(f"at most {common:.4g} s of training", float(common), tuple(chosen))


def _runs(checkpoints: Sequence[Checkpoint], needed: str | None = None) -> list[list[Checkpoint]]:
    """Return the checkpoints by run and order, once each has what the rule needs."""
    if not checkpoints:
        raise InputError("there are no checkpoints: expected at least one")
    check_labels(checkpoints, across_tokens=False)
    runs: dict[tuple[tuple[str, int, str], str], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        if needed is not None:
            check_real(f"{needed} of {checkpoint.key}", getattr(checkpoint, needed))
        runs.setdefault((checkpoint.run, checkpoint.order), []).append(checkpoint)
    return list(runs.values())


def _known(checkpoint: Checkpoint, field: str) -> float:
    return float(getattr(checkpoint, field))
