"""Stab and Ord of one pair at prefixes, from similarities or over candidates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from osae_theory.metrics import (
    CandidateMatching,
    Matching,
    live_atoms,
    match_candidate_similarities,
    match_similarities,
    orderedness_range,
)
from osae_theory.metrics.assignment import ENUMERABLE
from osae_theory.metrics.candidates import ASSIGNMENT
from osae_theory.metrics.intervals import Bounds
from osae_theory.metrics.matching import Liveness, both_alive
from osae_theory.metrics.similarities import Similarities
from realdata.comparison.progress import Tell

SCORES = ("stab", "stab_abs", "ord", "ord_abs")
# All that is estimated of a pair, with the least and the greatest value it can have.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "stab": (-1.0, 1.0),
        "stab_abs": (0.0, 1.0),
        "ord": (-1.0, 1.0),
        "ord_abs": (-1.0, 1.0),
        "left_out": (0.0, 1.0),
        "left_out_abs": (0.0, 1.0),
    }
)


@dataclass(frozen=True)
class PrefixScore:
    """Stab and Ord of two dictionaries truncated to one prefix.

    Attributes
    ----------
    prefix : int
        How many of the first atoms of each were matched.
    stab, ord : float, float or None
        From the matching on signed similarities. Stab is over all pairs, Ord over those whose
        latents are alive on both sides; None where these are fewer than two.
    stab_abs, ord_abs : float, float or None
        From the matching on absolute similarities.
    left_out, left_out_abs : float
        The share of the pairs that Ord leaves out, in either matching.
    ord_least, ord_greatest : float or None
        The range of Ord over all signed matchings of the same greatest sum, where it was looked
        for (up to 8 atoms) and Ord is defined in one of them; equal where the best is the only one.
    stab_bound, stab_abs_bound : float or None
        What no matching exceeds, where so many atoms were matched over their nearest alone; None
        where the matching is the best.
    """

    prefix: int
    stab: float
    stab_abs: float
    ord: float | None
    ord_abs: float | None
    left_out: float = 0.0
    left_out_abs: float = 0.0
    ord_least: float | None = None
    ord_greatest: float | None = None
    stab_bound: float | None = None
    stab_abs_bound: float | None = None


def prefix_scores(
    S: Float[np.ndarray, "K K_other"],
    prefixes: Sequence[int],
    live: Liveness | None = None,
    tie_seed: int = 0,
    tell: Tell = lambda prefix, done, total, stage: None,
) -> tuple[PrefixScore, ...]:
    """Return Stab and Ord at each prefix, from the similarities of two sets of atoms or latents.

    Parameters
    ----------
    S : (K, K')
        Cosines, or correlations of activations, each side in its own order.
    prefixes : sequence of int
        Each at most K and K'. The first atoms of both sides are matched anew at each.
    live : pair of (K,) and (K',) bool, optional
        Which latents are ever active; all by default. Those whose similarities are all zero, as a
        zero row's and a constant stream's are, count as dead in any case.
    tie_seed : int
        Decides among matchings of the same sum: one of its own for each pair.
    tell : callable, optional
        Called as tell(prefix, done, total, stage) before and after each prefix.

    Raises
    ------
    InputError
        As `osae_theory.metrics.match_similarities`.
    """
    alive = both_alive(live, live_atoms(S.T), live_atoms(S))
    found = []
    for prefix in prefixes:
        tell(prefix, 0, 1, ASSIGNMENT)
        found.append(_prefix_score(S, prefix, alive, tie_seed))
        tell(prefix, 1, 1, ASSIGNMENT)
    return tuple(found)


def _prefix_score(
    S: Float[np.ndarray, "K K_other"], prefix: int, live: Liveness, tie_seed: int
) -> PrefixScore:
    signed = match_similarities(S, prefix=prefix, live=live, tie_seed=tie_seed)
    absolute = match_similarities(S, absolute=True, prefix=prefix, live=live, tie_seed=tie_seed)
    ends = orderedness_range(S, prefix=prefix, live=live) if prefix <= ENUMERABLE else (None, None)
    return replace(
        _score(prefix, signed, absolute),
        ord_least=_defined(ends[0]),
        ord_greatest=_defined(ends[1]),
    )


def large_score(
    similarities: Similarities,
    live: Liveness | None,
    tie_seed: int,
    tell: Tell,
) -> PrefixScore:
    """Return Stab and Ord of so many atoms or latents that their similarities are not held.

    Parameters
    ----------
    similarities : Similarities
        Of the first atoms or latents of both sides, as many as the prefix.
    live, tie_seed, tell
        As in `prefix_scores`; told of, too, are rows whose candidates are known.
    """
    prefix, _ = similarities.shape

    def found(absolute: bool) -> CandidateMatching:
        before = prefix if absolute else 0

        def report(stage: str, done: int) -> None:
            tell(prefix, before + done, 2 * prefix, stage)

        return match_candidate_similarities(
            similarities, absolute, live=live, tie_seed=tie_seed, on_progress=report
        )

    signed, absolute = found(absolute=False), found(absolute=True)
    bounds = {"stab_bound": signed.upper_bound, "stab_abs_bound": absolute.upper_bound}
    return replace(_score(prefix, signed, absolute), **bounds)


def _score(prefix: int, signed: Matching, absolute: Matching) -> PrefixScore:
    return PrefixScore(
        prefix=prefix,
        stab=signed.stability,
        stab_abs=absolute.stability,
        ord=_defined(signed.orderedness),
        ord_abs=_defined(absolute.orderedness),
        left_out=signed.left_out,
        left_out_abs=absolute.left_out,
    )


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
