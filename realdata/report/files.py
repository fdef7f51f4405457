"""The results of an experiment as files: tables, figures, curves, and one JSON document."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from osae_theory.files import write_atomically
from osae_theory.metrics.intervals import Estimate
from realdata.consistency.collection import CurvePoint, point_frame, score_frame
from realdata.consistency.differences import DIFFERENT, Difference, difference_frame
from realdata.experiment.analysis import MOVED_BELOW, Analysis
from realdata.experiment.presets import Preset
from realdata.report import tables
from realdata.report.drawing import (
    AGAINST_INITIALISATION,
    OVER_TRAINING,
    POINTS,
    RESULT,
    curve_points,
    drawn,
    row_estimate,
    stored,
    write_figures,
)

TABLE = "table.md"


def write_report(
    folder: Path, preset: Preset, analysis: Analysis, origin: Mapping[str, Any]
) -> None:
    """Write everything that may be published: no weights, no activations, no text.

    Tables as Markdown, CSV and Parquet, figures as PNG, and result.json, which is written last:
    where it is, all is. Each file is written whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = tables.Shown.of(analysis)
    _write_text(folder / TABLE, table_text(preset, shown, origin["command"]))
    curves = curve_frame(analysis)
    _write_frames(folder, analysis, curves)
    result = document(preset, analysis, origin)
    write_figures(folder, drawn(result, curves))
    _write_text(folder / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")


def rewrite_table(folder: Path) -> Path:
    """Write TABLE of a results folder again, from what the folder stores; return its path.

    Raises
    ------
    InputError
        If the folder is not one of results, or lacks a table that it had.
    """
    with stored(folder) as (found, curves):
        origin = found["provenance"]
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in origin["preset"].items()
        }
        text = table_text(Preset(**values), _shown(folder, found, curves), origin["command"])
    _write_text(folder / TABLE, text)
    return folder / TABLE


def _shown(folder: Path, found: Mapping[str, Any], curves: pd.DataFrame) -> tables.Shown:
    """Return what the tables show, from a results folder and what `stored` gives of it."""
    points = {name: curve_points(curves[curves["of"] == name]) for name in POINTS}
    # Where a result had no differences or stitching, there is no file.
    differences, stitching = (
        pd.read_csv(path) if path.exists() else pd.DataFrame()
        for path in (folder / "differences.csv", folder / "stitching.csv")
    )
    if bool(found["stitching"]) == stitching.empty:
        raise ValueError("stitching.csv is not that of the result")
    return tables.Shown(
        runs=found["runs"],
        prefixes=tuple(found["prefixes"]),
        chance={int(prefix): level["stab"] for prefix, level in found["chance"].items()},
        points=points,
        differences=list(map(_difference, differences.to_dict("records"))),
        drift=points[AGAINST_INITIALISATION],
        equal={
            name: (one["rule"], list(map(_point, one["points"])))
            for name, one in found["equal"].items()
        },
        stitching=stitching,
        diverged=found["diverged"],
        wide=found["wide"],
    )


def _difference(row: Mapping[Any, Any]) -> Difference:
    """Return the difference that `realdata.consistency.differences` made a row of."""
    known: dict[str, Any] = {
        field.name: row_estimate(row, field.name) if field.name in DIFFERENT else row[field.name]
        for field in fields(Difference)
    }
    return Difference(**known)


def _point(known: Mapping[str, Any]) -> CurvePoint:
    """Return the point that `realdata.report.tables.point_document` made plain values of."""
    labels = {field.name for field in fields(CurvePoint)}
    return CurvePoint(
        **{name: value for name, value in known.items() if name in labels},
        estimates={
            name: Estimate(
                **{**value, "ci95": None if value["ci95"] is None else tuple(value["ci95"])}
            )
            for name, value in known.items()
            if name not in labels
        },
    )


def document(preset: Preset, analysis: Analysis, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results as plain values for JSON; what is not defined is None, never NaN."""
    return {
        "preset": preset.name,
        "note": preset.note,
        "prefixes": list(analysis.prefixes),
        "chance": {
            str(prefix): {"stab": level.signed.mean, "stab_abs": level.absolute.mean}
            for prefix, level in analysis.chance.items()
        },
        "runs": [dict(run) for run in analysis.runs],
        "other_m": [dict(run) for run in analysis.other_m],
        "diverged": list(analysis.diverged),
        "consistency": {
            name: tables.point_document(points) for name, points in analysis.points.items()
        },
        "equal": {
            name: {"rule": rule, "points": tables.point_document(points)}
            for name, (rule, points) in analysis.equal.items()
        },
        "initialisation": tables.point_document(analysis.drift),
        "wide": None if analysis.wide is None else dict(analysis.wide),
        "stitching": [
            {"method": method, **found.shares, "auc": found.predictive_auc}
            for method, every in analysis.stitchings.items()
            for found in every
        ],
        "provenance": dict(origin),
    }


def table_text(preset: Preset, shown: tables.Shown, command: str) -> str:
    """Return all tables for readers, with their captions."""
    K, short = shown.prefixes[-1], tables.short_prefix(shown.prefixes)
    chance = ", ".join(f"{shown.chance[p]:.3f} at {p}" for p in sorted({short, K}))
    seen = preset.n_steps * preset.batch_size
    intervals = (
        "± half of the 95% confidence interval by the jackknife over seeds (none below three"
        " seeds; [low, high] where it ends at -1 or 1)"
    )
    # Beside a thread that computes blocks, processor time would be that thread's too.
    seconds = "those of the clock" if preset.block else "processor time of one thread"
    opening = (
        f"# {preset.name}: {preset.model} at {preset.hook}\n\n{preset.note}. K = {K}, m ="
        f" {preset.m}; {preset.n_seeds} seeds; {preset.n_steps:,} steps of {preset.batch_size:,}"
        f" activations ({seen:,}, drawn again and again from about {preset.training_tokens:,} a"
        f" corpus). Made by `{command}`.\n\n"
    )
    said = tables.summary_text(shown)
    lost = f"\nDiverged: {', '.join(shown.diverged)}.\n" if shown.diverged else ""
    body = tables.markdown(
        (
            (
                "In short",
                tables.summary_table(shown),
                f"Stab and Ord across seeds: means over pairs {intervals}. FVU on"
                f" {preset.corpora[0]}, held out: mean over runs, with Student's interval. Latents"
                " stand as trained unless a row says sorted. What was measured how, and every kind"
                " of pair and order, is below.",
            ),
            (
                "Fit on held-out text",
                tables.fit_table(shown),
                "Means ± standard deviations over runs. FVU in standardised units. CE recovered:"
                " of the cross-entropy that zeros in the activations' place cost. Seconds are"
                f" {seconds}, a run's share of its job.",
            ),
            (
                "Consistency of decoders",
                tables.consistency_table(shown),
                f"Means over pairs {intervals}. Signed cosines in standardised coordinates. Stab"
                f" by chance: {chance}. Ord is over pairs of latents that are both active on the"
                " training text of their own run, left out is the share of the others; it is 0 by"
                " chance, with standard deviation 1 / sqrt(n - 1) for n pairs. Orders other than"
                " trained were given to the latents afterwards, by their statistics on the training"
                " text, dead ones last and ties at random."
                " `python -m realdata compare` takes cosines in the activations' own coordinates,"
                " so that its figures for the same checkpoints are others.",
            ),
            (
                "Consistency of activations on held-out text (Stab_Z, Ord_Z)",
                tables.consistency_table(shown, "activations"),
                "As above, with correlations of latents in place of cosines, and latents that are"
                f" constant on the held-out text left out of Ord_Z too; means {intervals}.",
            ),
            (
                "Differences from the plain SAE sorted afterwards",
                tables.difference_table(shown),
                "Stab and Ord of decoders minus those of the plain top-m SAE, whose latents were"
                " put into the order in the column minus; over pairs of the same seeds and"
                f" corpora, {intervals}.",
            ),
            (
                "Checkpoints chosen otherwise than at the end",
                tables.equal_table(shown),
                f"Cross-seed pairs, all {K} atoms, dead ones too; held-out loss is the FVU. Seconds"
                " differ from"
                " machine to machine, so that what is compared at equal seconds does too.",
            ),
            (
                "Against each run's own initialisation",
                tables.drift_table(shown),
                "Share of the atoms in a band of positions that moved: cosine to the same atom at"
                f" initialisation below {MOVED_BELOW:g}.",
            ),
            (
                "Stitching",
                tables.stitching_table(shown),
                f"Latents of a top-m SAE of {preset.wide:,} on the first corpus"
                f" ({_wide_fit(shown)}), in percent, after the paper's Table 2, whose figures"
                " (Gemma-2-2B, 65,536 latents into 4,096) are in the column paper's, in the order"
                " of the first three. Novel: greatest cosine below 0.7, a threshold of ours, and"
                " below 0.5 for comparison; by effect: those that lower the MSE when added alone."
                " No MSE change: latents that are dead on the held-out text are among these.",
            ),
        )
    )
    return opening + (f"{said}\n\n" if said else "") + body + lost


def _wide_fit(shown: tables.Shown) -> str:
    wide = shown.wide
    return "" if wide is None else f"FVU {wide['fvu']:.3f} and {wide['dead_share']:.1%} dead"


def curve_frame(analysis: Analysis) -> pd.DataFrame:
    """Return every point of every curve: one row a point, "of" says what it is of."""
    named = {
        **analysis.points,
        OVER_TRAINING: analysis.over_training,
        AGAINST_INITIALISATION: analysis.drift,
    }
    return pd.concat([point_frame(points).assign(of=name) for name, points in named.items()])


def _write_frames(folder: Path, analysis: Analysis, curves: pd.DataFrame) -> None:
    runs = pd.DataFrame([*analysis.runs, *analysis.other_m])
    stitching = tables.stitching_frame(analysis)
    pairs = pd.concat(
        [score_frame(scores).assign(of=name) for name, scores in analysis.pairs.items()]
    )
    differences = difference_frame(analysis.differences)
    for name, frame in (
        ("runs", runs),
        ("curves", curves),
        ("differences", differences),
        ("stitching", stitching),
    ):
        path = folder / f"{name}.csv"
        if len(frame):
            _write_text(path, frame.to_csv(index=False))
        else:  # An earlier result's would stand beside this one's tables.
            path.unlink(missing_ok=True)
    for name, frame in (("runs", runs), ("pairs", pairs)):
        write_atomically(
            folder / f"{name}.parquet", lambda path, frame=frame: frame.to_parquet(path)
        )


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda new: new.write_text(text, encoding="utf-8"))
