"""A comparison as plain values, as tables, and in words; estimates and shares as text."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from osae_theory.metrics import ChanceLevel
from osae_theory.metrics.chance import MOST_DENSE
from osae_theory.metrics.intervals import Estimate
from realdata.comparison.compare import Comparison, Pair
from realdata.comparison.dictionaries import ORDERS

MISSING = "–"


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
        "left_out": score.left_out,
        "left_out_abs": score.left_out_abs,
        "ord_least": score.ord_least,
        "ord_greatest": score.ord_greatest,
        "stab_bound": score.stab_bound,
        "stab_abs_bound": score.stab_abs_bound,
        **_decoder_fields(comparison, pair),
    }


def _decoder_fields(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    """Return what is known of atoms, and not of correlations."""
    if not comparison.chance:
        return {}
    subspace = pair.subspace
    return {
        "chance": comparison.chance[pair.score.prefix].signed.mean,
        "overlap": None if subspace is None else subspace.overlap,
        "overlap_chance": None if subspace is None else subspace.chance,
        "largest_angle": None if subspace is None else subspace.largest_angle,
        **({} if comparison.temperature is None else {"soft_stab": pair.soft_stab}),
    }


def _summary_fields(comparison: Comparison, prefix: int) -> dict[str, Any]:
    n = len(comparison.names)
    fields: dict[str, Any] = {"prefix": prefix, "pairs": math.comb(n, 2), "dictionaries": n}
    for name, found in comparison.estimates[prefix].items():
        if name == "soft_stab" and comparison.temperature is None:
            continue
        fields |= estimate_fields(name, found)
    if not comparison.chance:
        return fields
    levels = comparison.chance[prefix]
    for name, level in (("chance", levels.signed), ("chance_abs", levels.absolute)):
        fields |= {name: level.mean, f"{name}_se": level.standard_error}
        fields |= {f"{name}_std": level.standard_deviation}
    fields |= {"chance_draws": levels.signed.n_draws, "zero_rows": list(levels.signed.zeros)}
    fields |= {"overlap_chance": _overlap_chance(comparison, prefix)}
    if comparison.temperature is not None:
        level = comparison.soft_chance.get(prefix)
        fields |= {
            "temperature": comparison.temperature,
            "soft_chance": None if level is None else level.mean,
            "soft_chance_se": None if level is None else level.standard_error,
        }
    return fields


def _overlap_chance(comparison: Comparison, prefix: int) -> float | None:
    """Return the mean over pairs, which differ in it where some of their atoms are zero rows."""
    levels = [
        pair.subspace.chance
        for pair in comparison.pairs
        if pair.score.prefix == prefix and pair.subspace is not None
    ]
    return sum(levels) / len(levels) if levels else None


def estimate_fields(name: str, found: Estimate) -> dict[str, Any]:
    """Return an estimate as plain values under names that begin with its own, for JSON."""
    return {
        f"{name}_mean": found.mean,
        f"{name}_std": found.std,
        f"{name}_ci95": None if found.ci95 is None else list(found.ci95),
        f"{name}_n": found.n,
        f"{name}_median": found.median,
        f"{name}_n_low": found.n_low,
    }


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
    """Return the summary as a Markdown table for readers, with its caption; below it of spans."""
    rows = [_row(comparison, prefix) for prefix in comparison.prefixes]
    parts = [_table(rows), caption(comparison)]
    if comparison.chance:
        parts += subspaces(comparison)
    return "\n\n".join(parts) + "\n"


def _table(rows: list[dict[str, str]]) -> str:
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def subspaces(comparison: Comparison) -> list[str]:
    """Return what is said of the spans of the first atoms: a table and its caption, or a sentence.

    Only prefixes below d are in the table.
    """
    d = comparison.d
    below = [prefix for prefix in comparison.prefixes if prefix < d]
    trivial = f"{d} atoms or more can span the whole space, so that no angle is measured of them."
    if not below:
        return [trivial]
    rows = [_subspace_row(comparison, prefix) for prefix in below]
    caption = (
        "The spans of the first p atoms: the mean squared cosine of their principal angles, beside"
        " that of random subspaces of the same dimensions in closed form (p / d without zero"
        " rows), and the largest angle in degrees."
    )
    whole = "" if len(below) == len(comparison.prefixes) else f" {trivial}"
    return [_table(rows), caption + whole]


def _subspace_row(comparison: Comparison, prefix: int) -> dict[str, str]:
    found, chance = comparison.estimates[prefix], _overlap_chance(comparison, prefix)
    return {
        "prefix": str(prefix),
        "squared cosine": estimate_text(found["overlap"]),
        "by chance": MISSING if chance is None else f"{chance:.3f}",
        "largest angle": estimate_text(found["largest_angle"], digits=1),
    }


def _row(comparison: Comparison, prefix: int) -> dict[str, str]:
    found = comparison.estimates[prefix]
    if not comparison.chance:
        return {
            "prefix": str(prefix),
            "Stab_Z": estimate_text(found["stab"]),
            "Ord_Z": estimate_text(found["ord"]),
            "left out": share_text(found["left_out"]),
            "Stab_Z, absolute": estimate_text(found["stab_abs"]),
            "Ord_Z, absolute": estimate_text(found["ord_abs"]),
        }
    levels = comparison.chance[prefix]
    return {
        "prefix": str(prefix),
        "Stab": estimate_text(found["stab"]),
        "Stab by chance (sd)": _level_text(levels.signed),
        "Ord": estimate_text(found["ord"]),
        "left out": share_text(found["left_out"]),
        "Stab, absolute": estimate_text(found["stab_abs"]),
        "by chance, absolute (sd)": _level_text(levels.absolute),
        "Ord, absolute": estimate_text(found["ord_abs"]),
        **_soft_cells(comparison, prefix),
    }


def _soft_cells(comparison: Comparison, prefix: int) -> dict[str, str]:
    if comparison.temperature is None:
        return {}
    level = comparison.soft_chance.get(prefix)
    return {
        "soft Stab": estimate_text(comparison.estimates[prefix]["soft_stab"]),
        "by chance, soft (sd)": MISSING if level is None else _level_text(level),
    }


def _level_text(level: ChanceLevel) -> str:
    return f"{level.mean:.3f} ({level.standard_deviation:.3f})"


def caption(comparison: Comparison) -> str:
    """Return the sentences that a reader of the table or the figure needs."""
    n = len(comparison.names)
    what = (
        f"One pair of dictionaries with atoms of length {comparison.d}, so without an interval"
        if n == 2
        else f"Mean over the {math.comb(n, 2)} pairs of {n} dictionaries with atoms of length"
        f" {comparison.d}, with the 95% confidence interval by the jackknife over dictionaries"
        " (none below three; in runs that fail now and then it covers the mean less often)"
    )
    order = f"Latents stand {ORDERS[comparison.order]}."
    spread = "it is 0 by chance, with standard deviation 1 / sqrt(n - 1) for n pairs."
    if not comparison.chance:
        return (
            f"{what}. {order} A prefix p takes the first p latents of both and matches them anew,"
            " on signed or on absolute correlations of their activations. Ord_Z is over pairs of"
            f" latents that are ever active, left out is the share of the others; {spread}"
        )
    missed = [
        pair.score.stab_bound - pair.score.stab
        for pair in comparison.pairs
        if pair.score.stab_bound is not None
    ]
    large = (
        f" More than {MOST_DENSE:,} atoms are matched over their nearest alone: the best matching"
        f" has a Stab that is higher by at most {max(missed):.1g}."
        if missed
        else ""
    )
    soft = (
        ""
        if comparison.temperature is None
        else f" Soft Stab is that of the entropic optimal transport plan at temperature"
        f" {comparison.temperature:g}, where atoms may be shared out; it has a chance level of its"
        " own."
    )
    zero = max(max(level.signed.zeros) for level in comparison.chance.values())
    rows = " with as many zero rows as these have on average" if zero else ""
    worst = max(level.signed.standard_error for level in comparison.chance.values())
    return (
        f"{what}. {order} A prefix p takes the first p atoms of both and matches"
        " them anew, on signed or on absolute cosines. By chance: the level of Stab for unrelated"
        f" isotropic dictionaries{rows}, with the standard deviation of a single pair; the level's"
        f" own standard error is at most {worst:.1g}. Ord is over pairs without a zero row, and of"
        " latents that are ever active where activations were given; left out is the share of the"
        f" others; {spread}{large}{soft}"
    )


def estimate_text(found: Estimate, digits: int = 3) -> str:
    """Return "mean ± half of the interval", as far as they are defined.

    An interval that ends at a bound lies unevenly around the mean: then "mean [low, high]".
    """
    if found.mean is None:
        return MISSING
    mean = f"{found.mean:.{digits}f}"
    if found.ci95 is None:
        return mean
    low, high = found.ci95
    if not math.isclose(found.mean - low, high - found.mean, rel_tol=1e-9, abs_tol=1e-12):
        return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{mean} ± {(high - low) / 2:.{digits}f}"


def share_text(found: Estimate) -> str:
    """Return the mean of a share in percent."""
    return MISSING if found.mean is None else f"{found.mean:.1%}"
