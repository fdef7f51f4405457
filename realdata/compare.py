"""Stab and Ord of any two or more SAE decoders over prefixes, with intervals and chance levels."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count, takewhile
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.metrics import ChanceLevel, chance_stability, cosines, match_similarities
from osae_theory.metrics.intervals import Estimate, estimate_shared

SCORES = ("stab", "stab_abs", "ord", "ord_abs")
FIRST_PREFIX = 4
MISSING = "–"
# Draws of the chance level: as many as this many atoms in all allow, within the bounds. The
# deviation of one draw falls with the prefix faster than the number of draws does.
CHANCE_ATOMS = 12_800
CHANCE_DRAWS = (4, 200)


@dataclass(frozen=True)
class PrefixScore:
    """Stab and Ord of two dictionaries truncated to one prefix.

    Attributes
    ----------
    prefix : int
        How many of the first atoms of each were matched.
    stab, ord : float, float or None
        From the matching on signed similarities; Ord is None for a single atom.
    stab_abs, ord_abs : float, float or None
        From the matching on absolute similarities.
    """

    prefix: int
    stab: float
    stab_abs: float
    ord: float | None
    ord_abs: float | None


@dataclass(frozen=True)
class Chance:
    """The level of Stab for unrelated dictionaries at one prefix, signed and absolute."""

    signed: ChanceLevel
    absolute: ChanceLevel


@dataclass(frozen=True)
class Pair:
    """The scores of one pair of named dictionaries at one prefix."""

    a: str
    b: str
    score: PrefixScore


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    names : tuple of str
        The dictionaries, in the order given.
    d : int
        The length of their atoms.
    prefixes : tuple of int
        In ascending order.
    pairs : tuple of Pair
        Every pair at every prefix: pairs in the order of `names`, prefixes within a pair.
    estimates : mapping of int to (mapping of str to Estimate)
        By prefix and by the names in SCORES: over all pairs, the interval by the jackknife
        over dictionaries.
    chance : mapping of int to Chance
        By prefix.
    """

    names: tuple[str, ...]
    d: int
    prefixes: tuple[int, ...]
    pairs: tuple[Pair, ...]
    estimates: Mapping[int, Mapping[str, Estimate]]
    chance: Mapping[int, Chance]


def default_prefixes(K: int) -> tuple[int, ...]:
    """Return 4, 8, 16, ... below K, then K itself.

    Raises InputError unless K is a whole number of at least 1.
    """
    check_integer("K", K, 1)
    doublings = (FIRST_PREFIX * 2**i for i in count())
    return (*takewhile(lambda prefix: prefix < K, doublings), int(K))


def checked_prefixes(prefixes: Sequence[int] | None, K: int) -> tuple[int, ...]:
    """Return the prefixes in ascending order, or the default ones of a dictionary of K atoms.

    Raises InputError if there is none, one is not a whole number in 1..K, or one occurs twice.
    """
    if prefixes is None:
        return default_prefixes(K)
    if len(prefixes) == 0:
        raise InputError("prefixes is empty: expected at least one prefix")
    for prefix in prefixes:
        check_integer("prefix", prefix, 1)
        if prefix > K:
            raise InputError(
                f"prefix = {prefix}: expected at most {K}, the width of the narrowest dictionary"
            )
    if len(set(prefixes)) < len(prefixes):
        raise InputError(f"prefixes {list(prefixes)}: expected each prefix once")
    return tuple(sorted(int(prefix) for prefix in prefixes))


def prefix_scores(
    S: Float[np.ndarray, "K K_other"], prefixes: Sequence[int]
) -> tuple[PrefixScore, ...]:
    """Return Stab and Ord at each prefix, from the similarities of two sets of atoms or latents.

    Parameters
    ----------
    S : (K, K')
        Cosines, or correlations of activations, each side in its own order.
    prefixes : sequence of int
        Each at most K and K'. The first atoms of both sides are matched anew at each.

    Raises
    ------
    InputError
        As `osae_theory.metrics.match_similarities`.
    """
    return tuple(_prefix_score(S, prefix) for prefix in prefixes)


def _prefix_score(S: Float[np.ndarray, "K K_other"], prefix: int) -> PrefixScore:
    signed = match_similarities(S, prefix=prefix)
    absolute = match_similarities(S, absolute=True, prefix=prefix)
    return PrefixScore(
        prefix=prefix,
        stab=signed.stability,
        stab_abs=absolute.stability,
        ord=_defined(signed.orderedness),
        ord_abs=_defined(absolute.orderedness),
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def chance_levels(d: int, prefixes: Sequence[int]) -> dict[int, Chance]:
    """Return Stab's level for unrelated isotropic dictionaries of atoms of length d, by prefix.

    Few atoms are drawn often and many seldom: 12,800 divided by the prefix, at least 4 and at
    most 200 draws. Each level says its draws and its standard error.
    """
    levels = {}
    for prefix in prefixes:
        draws = int(np.clip(CHANCE_ATOMS // prefix, *CHANCE_DRAWS))
        levels[prefix] = Chance(
            chance_stability(d, prefix, n_draws=draws),
            chance_stability(d, prefix, absolute=True, n_draws=draws),
        )
    return levels


def compare(
    decoders: Mapping[str, Float[np.ndarray, "_ _"]], prefixes: Sequence[int] | None = None
) -> Comparison:
    """Compare every pair of decoders at every prefix.

    Parameters
    ----------
    decoders : mapping of str to (K, d)
        At least two, each under a name of its own: decoder rows, that is atoms, in the
        checkpoint's own order and of any norm. Their widths K may differ, d may not.
    prefixes : sequence of int, optional
        A prefix p takes the first p atoms of both dictionaries and matches them anew. By
        default 4, 8, 16, ... below the narrowest width, and that width.

    Returns
    -------
    Comparison
        The same for the same decoders, to the last bit on one machine.

    Raises
    ------
    InputError
        If there are fewer than two decoders, one is empty or holds NaN or Inf, atoms differ
        in length, or a prefix is not in 1..K of the narrowest.
    """
    width, d = _common_shape(decoders)
    sizes = checked_prefixes(prefixes, width)
    pairs = tuple(
        Pair(a, b, score)
        for a, b in combinations(decoders, 2)
        for score in _decoder_scores(decoders[a], decoders[b], sizes)
    )
    estimates = {
        prefix: {
            name: estimate_shared(
                [getattr(pair.score, name) for pair in pairs if pair.score.prefix == prefix],
                [(pair.a, pair.b) for pair in pairs if pair.score.prefix == prefix],
            )
            for name in SCORES
        }
        for prefix in sizes
    }
    return Comparison(tuple(decoders), d, sizes, pairs, estimates, chance_levels(d, sizes))


def _common_shape(decoders: Mapping[str, Float[np.ndarray, "_ _"]]) -> tuple[int, int]:
    """Return the narrowest width and the length of the atoms, once the decoders are sound."""
    if len(decoders) < 2:
        raise InputError(f"{len(decoders)} dictionaries: expected at least two to compare")
    first, reference = next(iter(decoders.items()))
    for name, decoder in decoders.items():
        if decoder.size == 0:
            raise InputError(f"{name} has shape {decoder.shape}: expected at least one atom")
        if decoder.shape[1] != reference.shape[1]:
            raise InputError(
                f"{name} has atoms of length {decoder.shape[1]}: expected"
                f" {reference.shape[1]}, as in {first}"
            )
        check_finite(name, decoder)
    return min(len(decoder) for decoder in decoders.values()), reference.shape[1]


def _decoder_scores(
    first: Float[np.ndarray, "K d"], second: Float[np.ndarray, "K_other d"], prefixes: Sequence[int]
) -> tuple[PrefixScore, ...]:
    return prefix_scores(cosines(first[: prefixes[-1]].T, second[: prefixes[-1]].T), prefixes)


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values for JSON; what is not defined is None, never NaN."""
    return {
        "prefixes": list(comparison.prefixes),
        "pairs": [_pair_fields(comparison, pair) for pair in comparison.pairs],
        "summary": [_summary_fields(comparison, prefix) for prefix in comparison.prefixes],
    }


def _pair_fields(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    score = pair.score
    return {
        "a": pair.a,
        "b": pair.b,
        "prefix": score.prefix,
        "stab": score.stab,
        "stab_abs": score.stab_abs,
        "ord": score.ord,
        "ord_abs": score.ord_abs,
        "chance": comparison.chance[score.prefix].signed.mean,
    }


def _summary_fields(comparison: Comparison, prefix: int) -> dict[str, Any]:
    n = len(comparison.names)
    fields: dict[str, Any] = {"prefix": prefix, "pairs": math.comb(n, 2), "dictionaries": n}
    for name, found in comparison.estimates[prefix].items():
        fields |= {
            f"{name}_mean": found.mean,
            f"{name}_std": found.std,
            f"{name}_ci95": None if found.ci95 is None else list(found.ci95),
            f"{name}_n": found.n,
        }
    for name, level in (
        ("chance", comparison.chance[prefix].signed),
        ("chance_abs", comparison.chance[prefix].absolute),
    ):
        fields |= {name: level.mean, f"{name}_se": level.standard_error}
    return fields | {"chance_draws": comparison.chance[prefix].signed.n_draws}


def json_text(comparison: Comparison) -> str:
    """Return `document` as JSON text, one object, with a newline at its end."""
    return json.dumps(document(comparison), indent=2, allow_nan=False) + "\n"


def pair_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row a pair and prefix, with the fields of the JSON's "pairs"."""
    return pd.DataFrame([_pair_fields(comparison, pair) for pair in comparison.pairs])


def summary_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row a prefix, with the fields of the JSON's "summary", intervals split."""
    return pd.DataFrame(
        [flat_intervals(_summary_fields(comparison, prefix)) for prefix in comparison.prefixes]
    )


def flat_intervals(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with each KEY_ci95 as KEY_low and KEY_high, for tables and CSV."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if key.endswith("_ci95"):
            low, high = value if value is not None else (None, None)
            flat |= {key.replace("_ci95", "_low"): low, key.replace("_ci95", "_high"): high}
        else:
            flat[key] = value
    return flat


def markdown(comparison: Comparison) -> str:
    """Return the summary as a Markdown table for readers, with its caption."""
    rows = [
        {
            "prefix": str(prefix),
            "Stab": estimate_text(found["stab"]),
            "Stab by chance": f"{comparison.chance[prefix].signed.mean:.3f}",
            "Ord": estimate_text(found["ord"]),
            "Stab, absolute": estimate_text(found["stab_abs"]),
            "by chance, absolute": f"{comparison.chance[prefix].absolute.mean:.3f}",
            "Ord, absolute": estimate_text(found["ord_abs"]),
        }
        for prefix, found in comparison.estimates.items()
    ]
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return f"{table}\n\n{caption(comparison)}\n"


def caption(comparison: Comparison) -> str:
    """Return the sentences that a reader of the table or the figure needs."""
    n = len(comparison.names)
    what = (
        f"One pair of dictionaries with atoms of length {comparison.d}, so without an interval"
        if n == 2
        else f"Mean over the {math.comb(n, 2)} pairs of {n} dictionaries with atoms of length"
        f" {comparison.d}, ± half of the 95% confidence interval by the jackknife over dictionaries"
    )
    worst = max(level.signed.standard_error for level in comparison.chance.values())
    return (
        f"{what}. A prefix p takes the first p atoms of both and matches"
        " them anew, on signed or on absolute cosines. By chance: the level of Stab for unrelated"
        f" isotropic dictionaries, its standard error at most {worst:.1g}; Ord is 0 by chance."
    )


def estimate_text(found: Estimate) -> str:
    """Return "mean ± half of the interval", as far as they are defined."""
    if found.mean is None:
        return MISSING
    if found.ci95 is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ± {(found.ci95[1] - found.ci95[0]) / 2:.3f}"
