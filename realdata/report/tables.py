"""Tables of an experiment: what each says, as data frames for reading and for computing."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from osae_theory.metrics.intervals import Estimate, estimate
from realdata.comparison.text import MISSING, estimate_text, share_text
from realdata.consistency.collection import ORDERS, PAIR_KINDS, TRAINED, CurvePoint
from realdata.consistency.differences import Difference
from realdata.consistency.stitching import CLASSES, NOVEL, StitchingRule
from realdata.experiment.analysis import PLAIN, Analysis
from realdata.report.figures.style import STYLES

# The paper's Table 2, in percent: Gemma-2-2B, layer 12, 65,536 latents into 4,096.
PAPER_TABLE_2 = {
    "batch-topk": (73.8, 21.2, 5.0),
    "msae-random": (52.7, 11.4, 35.9),
    "osae": (33.8, 64.8, 1.4),
}

# Besides the default one, since the share of novel latents hangs on it.
OTHER_RULES: Mapping[str, StitchingRule] = MappingProxyType(
    {f"novel at {t:g}": StitchingRule(threshold=t) for t in (0.3, 0.4, 0.5, 0.6, 0.8)}
    | {"novel by effect": StitchingRule(decide_by="effect")}
)
_SHOWN_RULES = ("novel at 0.5", "novel by effect")
_ACROSS_SEEDS = "cross-seed"
# What a row is of stays where it stands, also in a table of one method or one corpus.
_ROW_NAMES = ("SAE", "corpus", "pairs", "minus", "method", "order", "compared at")


@dataclass(frozen=True, eq=False)
class Shown:
    """What the tables show: of an analysis, or read again from its results folder.

    Attributes
    ----------
    runs : sequence of mapping
        One a run: its label, fit, cross-entropies and training time.
    prefixes : tuple of int
        In ascending order; the last is K.
    chance : mapping of int to float
        Stab by chance, by prefix.
    points : mapping of str to list of CurvePoint
        "decoder" and "activations", as in `realdata.experiment.analysis.Analysis`.
    differences, drift, equal, diverged, wide
        As there.
    stitching : DataFrame
        As `stitching_frame` gives it.
    """

    runs: Sequence[Mapping[str, Any]]
    prefixes: tuple[int, ...]
    chance: Mapping[int, float]
    points: Mapping[str, Sequence[CurvePoint]]
    differences: Sequence[Difference]
    drift: Sequence[CurvePoint]
    equal: Mapping[str, tuple[str, Sequence[CurvePoint]]]
    stitching: pd.DataFrame
    diverged: Sequence[str]
    wide: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, analysis: Analysis) -> "Shown":
        """Return what the tables show of an analysis."""
        same = ("runs", "prefixes", "points", "differences", "drift", "equal", "diverged", "wide")
        return cls(
            chance={prefix: level.signed.mean for prefix, level in analysis.chance.items()},
            stitching=stitching_frame(analysis),
            **{name: getattr(analysis, name) for name in same},
        )


def summary_table(shown: Shown) -> pd.DataFrame:
    """Return the short table: one row a method, and the plain SAE's sorted afterwards too.

    FVU on the first corpus, and Stab and Ord across seeds over the first and over all latents,
    each with its 95% interval; no row where every run diverged.
    """
    K, short = shown.prefixes[-1], short_prefix(shown.prefixes)
    sound = [run for run in shown.runs if not run["diverged"]]
    points = _across_seeds(shown)
    rows = []
    for method in dict.fromkeys(run["method"] for run in sound):
        orders = [TRAINED, *(ORDERS if method == PLAIN and points else ())]
        for order in orders:
            afterwards = "" if order == TRAINED else f", sorted {order}"
            row = {"SAE": f"{_title(method)}{afterwards}", "FVU": _fvu(shown, method)}
            for prefix, of in {short: f"first {short}", K: f"all {K}"}.items() if points else ():
                point = points.get((method, order, prefix))
                for name, score in (("Stab", "stab"), ("Ord", "ord")):
                    found = None if point is None else point.estimates[score]
                    row[f"{name}, {of}"] = MISSING if found is None else estimate_text(found)
            rows.append(row)
    return pd.DataFrame(rows)


def summary_text(shown: Shown) -> str:
    """Return what the short table says, in a sentence or two; nothing without pairs of seeds."""
    K = shown.prefixes[-1]
    points = {
        (method, order): point.estimates
        for (method, order, prefix), point in _across_seeds(shown).items()
        if prefix == K
    }
    trained = {method: found for (method, order), found in points.items() if order == TRAINED}
    stab, ord_ = (_highest(trained, score) for score in ("stab", "ord"))
    if stab is None or ord_ is None:
        return ""
    whose = "the highest mean Ord" if stab[0] == ord_[0] else f"{_title(ord_[0])} the highest Ord"
    said = (
        f"Across seeds and over all {K} latents, as trained: {_title(stab[0])} has the highest mean"
        f" Stab, {estimate_text(stab[1])} ({shown.chance[K]:.3f} by chance), and {whose},"
        f" {estimate_text(ord_[1])} (0 by chance)."
    )
    against = [
        f"{one.reference_order} {estimate_text(one.ord)} ({_told_apart(one.ord)})"
        for one in shown.differences
        if (one.method, one.order, one.kind, one.prefix) == (ord_[0], TRAINED, _ACROSS_SEEDS, K)
    ]
    if ord_[0] == PLAIN or not against:
        return said
    return (
        f"{said} Its Ord minus that of the {_title(PLAIN)} sorted afterwards: {', '.join(against)}."
    )


def _highest(
    found: Mapping[str, Mapping[str, Estimate]], score: str
) -> tuple[str, Estimate] | None:
    """Return the method of the greatest mean, with its estimate; None where no mean is defined."""
    known = {
        method: mean
        for method, estimates in found.items()
        if (mean := estimates[score].mean) is not None
    }
    if not known:
        return None
    best = max(known, key=known.__getitem__)
    return best, found[best][score]


def _told_apart(found: Estimate) -> str:
    if found.ci95 is None:
        return "without an interval"
    return "not told apart" if found.ci95[0] <= 0 <= found.ci95[1] else "told apart"


def _across_seeds(shown: Shown) -> dict[tuple[str, str, int], CurvePoint]:
    return {
        (p.method, p.order, p.prefix): p for p in shown.points["decoder"] if p.kind == _ACROSS_SEEDS
    }


def _title(method: str) -> str:
    return STYLES[method][0] if method in STYLES else method


def _fvu(shown: Shown, method: str) -> str:
    """Return the mean FVU of a method on the first corpus, with Student's interval over seeds."""
    label = (shown.runs[0]["dataset"], method, False)
    own = [
        run["fvu"]
        for run in shown.runs
        if (run["dataset"], run["method"], bool(run["diverged"])) == label
    ]
    return estimate_text(estimate(own, bounds=(0.0, math.inf)))


def without_constants(table: pd.DataFrame, names: Collection[str] = ()) -> tuple[pd.DataFrame, str]:
    """Return a table without the columns that are the same in every row, and what they hold.

    Parameters
    ----------
    table : DataFrame
        One of a single row is returned as it is.
    names : collection of str
        Columns that stay: those that say what a row is.

    Returns
    -------
    DataFrame, str
        The sentence is empty if every column stays.
    """
    if len(table) < 2:
        return table, ""
    constant = [c for c in table if c not in names and table[c].nunique(dropna=False) == 1]
    if not constant:
        return table, ""
    held: dict[str, list[str]] = {}
    for column in constant:
        value = str(table[column].iloc[0])
        held.setdefault("not known" if value == MISSING else value, []).append(str(column))
    said = "; ".join(f"{', '.join(columns)}: {value}" for value, columns in held.items())
    return table.drop(columns=constant), f"The same in every row: {said}."


def fit_table(shown: Shown) -> pd.DataFrame:
    """Return the fit of each method on each corpus, for readers: means over seeds."""
    frame = pd.DataFrame(list(shown.runs))
    frame = frame[~frame["diverged"].astype(bool)]
    rows = []
    for (dataset, method), own in frame.groupby(["dataset", "method"], sort=False):
        rows.append(
            {
                "corpus": dataset,
                "method": method,
                "runs": str(len(own)),
                "FVU": _mean(own["fvu"]),
                "FVU of a PCA of equal L0": _mean(own["pca_fvu"]),
                "L0": _mean(own["l0"], "{:.1f}"),
                "dead": _mean(own["dead_share"], "{:.1%}"),
                "CE recovered": _mean(own["ce_recovered"]),
                "CE lost, nats": _mean(own["ce_spliced"] - own["ce_clean"]),
                "training, s": _mean(own["seconds"], "{:.0f}"),
            }
        )
    return pd.DataFrame(rows)


def consistency_table(shown: Shown, what: str = "decoder") -> pd.DataFrame:
    """Return Stab and Ord by method, order and kind of pair, at a short prefix and at K."""
    K = shown.prefixes[-1]
    short = short_prefix(shown.prefixes)
    points = {
        (p.method, p.order, p.kind, p.prefix): p
        for p in shown.points[what]
        if p.prefix in (short, K)
    }
    kinds = list(PAIR_KINDS)
    labels = dict.fromkeys((kind, method, order) for method, order, kind, _ in points)
    rows = []
    for kind, method, order in sorted(labels, key=lambda label: kinds.index(label[0])):
        row = {"pairs": kind, "method": method, "order": order}
        row["n"] = str(points[method, order, kind, K].pairs)
        for prefix in dict.fromkeys((short, K)):
            found = points[method, order, kind, prefix].estimates
            row[f"Stab, first {prefix}"] = estimate_text(found["stab"])
            row[f"Ord, first {prefix}"] = estimate_text(found["ord"])
            row[f"left out, first {prefix}"] = (
                # Earlier results did not measure it.
                share_text(found["left_out"]) if "left_out" in found else MISSING
            )
        rows.append(row)
    return pd.DataFrame(rows)


def short_prefix(prefixes: Sequence[int]) -> int:
    """Return the prefix that stands for the first atoms: the one nearest to K / 8."""
    return min(prefixes, key=lambda prefix: (abs(prefix - prefixes[-1] / 8), prefix))


def difference_table(shown: Shown) -> pd.DataFrame:
    """Return how each method's consistency differs from the plain SAE's, sorted afterwards.

    A method stands there as trained and in the reference's own order; kinds of pairs between
    other seeds only.
    """
    sizes = dict.fromkeys((short_prefix(shown.prefixes), shown.prefixes[-1]))
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in shown.differences:
        wanted = one.order in (TRAINED, one.reference_order) and one.method != one.reference
        if not wanted or one.prefix not in sizes or not one.kind.endswith("cross-seed"):
            continue
        row = rows.setdefault(
            (one.kind, one.reference_order, one.method, one.order),
            {
                "pairs": one.kind,
                "minus": f"{one.reference} {one.reference_order}",
                "method": one.method,
                "order": one.order,
                "n": str(one.pairs),
            },
        )
        row[f"Stab, first {one.prefix}"] = estimate_text(one.stab)
        row[f"Ord, first {one.prefix}"] = estimate_text(one.ord)
    kinds = list(PAIR_KINDS)
    return pd.DataFrame([rows[label] for label in sorted(rows, key=lambda x: kinds.index(x[0]))])


def drift_table(shown: Shown) -> pd.DataFrame:
    """Return what is left of the runs' initialisation at the end, by band of positions."""
    last = max((p.tokens or 0 for p in shown.drift), default=0)
    bands = dict(zip(shown.prefixes, _bands(shown.prefixes), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for point in shown.drift:
        if point.tokens == last:
            row = rows.setdefault(point.method, {"method": point.method, "runs": str(point.pairs)})
            row[f"atoms {bands[point.prefix]}"] = _percent(point.estimates["moved"])
            if point.prefix == shown.prefixes[-1]:
                row["Stab to initialisation"] = estimate_text(point.estimates["stab"])
                row["Ord to initialisation"] = estimate_text(point.estimates["ord"])
    return pd.DataFrame(list(rows.values()))


def equal_table(shown: Shown) -> pd.DataFrame:
    """Return Stab and Ord of all atoms where checkpoints are chosen by loss, or by seconds."""
    rows = []
    for name, (rule, points) in shown.equal.items():
        for point in points:
            if point.prefix == shown.prefixes[-1]:
                rows.append(
                    {
                        "compared at": f"{name}: {rule}",
                        "method": point.method,
                        "pairs": str(point.pairs),
                        "Stab": estimate_text(point.estimates["stab"]),
                        "Ord": estimate_text(point.estimates["ord"]),
                    }
                )
    return pd.DataFrame(rows)


def stitching_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row a stitching: shares of the wide latents, and the predictor's AUC."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "run": index,
                **found.shares,
                **{
                    name: replace(found, rule=rule).shares[NOVEL]
                    for name, rule in OTHER_RULES.items()
                },
                "auc": found.predictive_auc,
            }
            for method, every in analysis.stitchings.items()
            for index, found in enumerate(every)
        ]
    )


def stitching_table(shown: Shown) -> pd.DataFrame:
    """Return the shares of wide latents in percent, as the paper's Table 2, with its figures."""
    if shown.stitching.empty:
        return pd.DataFrame()
    rows = []
    for method, own in shown.stitching.groupby("method", sort=False):
        paper = PAPER_TABLE_2.get(str(method))
        rows.append(
            {
                "method": method,
                **{name: _mean(100 * own[name], "{:.1f}") for name in (*CLASSES, *_SHOWN_RULES)},
                "paper's": MISSING if paper is None else " / ".join(f"{v:g}" for v in paper),
                "AUC of the cosine": _mean(own["auc"]),
            }
        )
    return pd.DataFrame(rows)


def markdown(tables: Iterable[tuple[str, pd.DataFrame, str]]) -> str:
    """Return (title, table, caption) as one Markdown document; empty tables are left out.

    Columns that are the same in every row are named in the caption instead.
    """
    parts = []
    for title, table, caption in tables:
        if len(table):
            shorter, constant = without_constants(table, _ROW_NAMES)
            text = shorter.to_markdown(index=False, disable_numparse=True)
            said = " ".join(part for part in (constant, caption) if part)
            parts.append(f"## {title}\n\n{text}\n\n{said}\n")
    return "\n".join(parts)


def point_document(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """Return points as plain values for JSON; what is not defined is None."""
    return [
        {
            **{
                name: getattr(point, name)
                for name in ("method", "order", "kind", "tokens", "prefix", "pairs", "seeds")
            },
            **{name: estimate_document(found) for name, found in point.estimates.items()},
        }
        for point in points
    ]


def estimate_document(found: Estimate) -> dict[str, Any]:
    """Return an estimate as plain values for JSON."""
    ci95 = None if found.ci95 is None else list(found.ci95)
    return {"mean": found.mean, "std": found.std, "ci95": ci95, "n": found.n}


def as_trained(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    """Return the points of dictionaries in their trained order."""
    return [point for point in points if point.order == TRAINED]


def _mean(values: Any, form: str = "{:.3f}") -> str:
    """Return "mean ± standard deviation" of what is known, each in one form."""
    found = estimate([None if pd.isna(value) else float(value) for value in values])
    if found.mean is None:
        return MISSING
    mean = form.format(found.mean)
    return mean if found.std is None else f"{mean} ± {form.format(found.std)}"


def _percent(found: Estimate) -> str:
    return MISSING if found.mean is None else f"{found.mean:.0%}"


def _bands(prefixes: Sequence[int]) -> list[str]:
    starts = np.array([0, *prefixes[:-1]]) + 1
    return [f"{start}–{end}" for start, end in zip(starts.tolist(), prefixes, strict=True)]
