"""Tables of an experiment: what each says, as data frames for reading and for computing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from osae_theory.metrics.intervals import Estimate, estimate
from realdata.comparison.text import MISSING, estimate_text, share_text
from realdata.consistency.collection import PAIR_KINDS, TRAINED, CurvePoint
from realdata.consistency.stitching import CLASSES, NOVEL, Stitching, StitchingRule
from realdata.experiment.analysis import Analysis

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


def run_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row a run: its label, fit, cross-entropies and training time."""
    return pd.DataFrame(analysis.runs)


def fit_table(analysis: Analysis) -> pd.DataFrame:
    """Return the fit of each method on each corpus, for readers: means over seeds."""
    frame = run_frame(analysis)
    frame = frame[~frame["diverged"]]
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


def consistency_table(analysis: Analysis, what: str = "decoder") -> pd.DataFrame:
    """Return Stab and Ord by method, order and kind of pair, at a short prefix and at K."""
    K = analysis.prefixes[-1]
    short = short_prefix(analysis.prefixes)
    points = {
        (p.method, p.order, p.kind, p.prefix): p
        for p in analysis.points[what]
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
            row[f"left out, first {prefix}"] = share_text(found["left_out"])
        rows.append(row)
    return pd.DataFrame(rows)


def short_prefix(prefixes: Sequence[int]) -> int:
    """Return the prefix that stands for the first atoms: the one nearest to K / 8."""
    return min(prefixes, key=lambda prefix: (abs(prefix - prefixes[-1] / 8), prefix))


def difference_table(analysis: Analysis) -> pd.DataFrame:
    """Return how each method's consistency differs from the plain SAE's, sorted afterwards.

    A method stands there as trained and in the reference's own order; kinds of pairs between
    other seeds only.
    """
    sizes = dict.fromkeys((short_prefix(analysis.prefixes), analysis.prefixes[-1]))
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in analysis.differences:
        shown = one.order in (TRAINED, one.reference_order) and one.method != one.reference
        if not shown or one.prefix not in sizes or not one.kind.endswith("cross-seed"):
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


def drift_table(analysis: Analysis) -> pd.DataFrame:
    """Return what is left of the runs' initialisation at the end, by band of positions."""
    last = max((p.tokens or 0 for p in analysis.drift), default=0)
    bands = dict(zip(analysis.prefixes, _bands(analysis.prefixes), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for point in analysis.drift:
        if point.tokens == last:
            row = rows.setdefault(point.method, {"method": point.method, "runs": str(point.pairs)})
            row[f"atoms {bands[point.prefix]}"] = _percent(point.estimates["moved"])
            if point.prefix == analysis.prefixes[-1]:
                row["Stab to initialisation"] = estimate_text(point.estimates["stab"])
                row["Ord to initialisation"] = estimate_text(point.estimates["ord"])
    return pd.DataFrame(list(rows.values()))


def equal_table(analysis: Analysis) -> pd.DataFrame:
    """Return Stab and Ord of all atoms where checkpoints are chosen by loss, or by seconds."""
    rows = []
    for name, (rule, points) in analysis.equal.items():
        for point in points:
            if point.prefix == analysis.prefixes[-1]:
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


def stitching_table(analysis: Analysis) -> pd.DataFrame:
    """Return the shares of wide latents in percent, as the paper's Table 2, with its figures."""
    rows = []
    for method, every in analysis.stitchings.items():
        paper = PAPER_TABLE_2.get(method)
        rows.append(
            {
                "method": method,
                **{name: _share(every, name) for name in CLASSES},
                **{name: _novel(every, OTHER_RULES[name]) for name in _SHOWN_RULES},
                "paper's": MISSING if paper is None else " / ".join(f"{v:g}" for v in paper),
                "AUC of the cosine": _mean([found.predictive_auc for found in every]),
            }
        )
    return pd.DataFrame(rows)


def markdown(tables: Iterable[tuple[str, pd.DataFrame, str]]) -> str:
    """Return (title, table, caption) as one Markdown document; empty tables are left out."""
    parts = [
        f"## {title}\n\n{table.to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n"
        for title, table, caption in tables
        if len(table)
    ]
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


def _novel(every: Sequence[Stitching], rule: StitchingRule) -> str:
    return _share([replace(found, rule=rule) for found in every], NOVEL)


def _share(every: Sequence[Stitching], name: str) -> str:
    return _mean([100 * found.shares[name] for found in every], "{:.1f}")


def _bands(prefixes: Sequence[int]) -> list[str]:
    starts = np.array([0, *prefixes[:-1]]) + 1
    return [f"{start}–{end}" for start, end in zip(starts.tolist(), prefixes, strict=True)]
