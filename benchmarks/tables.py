"""Tables of a cell: for reading (Markdown, LaTeX), for computing (CSV, Parquet), and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.comparisons import FAMILY, MARGIN, Comparison
from benchmarks.config import PAPER_CELL, Cell
from benchmarks.methods import METHODS
from benchmarks.paper import TABLE_1
from benchmarks.rounding import MISSING, decimals, interval_text, p_value_text, written
from benchmarks.store import RunRecord
from benchmarks.summary import (
    MEASUREMENTS,
    PUBLISHED_DRAWS,
    Estimate,
    MethodRow,
    Summary,
    pair_stabilities,
    value_of,
)
from osae_theory.files import write_atomically
from osae_theory.metrics import ChanceLevel, chance_orderedness
from osae_theory.metrics.intervals import FEWEST_UNITS

_LATEX = (
    ("±", r"$\pm$"),
    (MISSING, "--"),
    (">=", r"$\geq$"),
    ("D, D*", "$D, D^*$"),
    ("D, D'", "$D, D'$"),
    ("D*", "$D^*$"),
)
TITLES: Mapping[str, str] = {measurement.key: measurement.title for measurement in MEASUREMENTS}


def json_row(row: MethodRow, chance: ChanceLevel) -> dict[str, Any]:
    """Return a method's row as plain values; what is not defined is None."""
    fields: dict[str, Any] = {
        "method": row.method,
        "draws": row.draws,
        "runs": row.runs,
        "diverged": row.diverged,
    }
    for key, found in row.estimates.items():
        fields |= _json_estimate(key, found)
    for key, found in row.over_runs.items():
        fields |= {f"{key}_median_of_runs": found.median, f"{key}_low_runs": found.n_low}
    return fields | {
        "stab_chance": chance.mean,
        "stab_chance_se": chance.standard_error,
        "stab_chance_draws": chance.n_draws,
        "seconds": row.seconds,
    }


def json_comparison(one: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values; what is not defined is None."""
    found = one.difference
    return {
        "measurement": one.key,
        "method": one.method,
        "minus": one.other,
        "draws": found.n,
        "difference_mean": found.mean,
        "difference_std": found.std,
        "difference_ci95": _list(found.ci95),
        "difference_bootstrap95": _list(found.bootstrap95),
        "p": found.p_different,
        "p_holm": one.p_different,
        "margin": one.margin,
        "p_level": found.p_level,
        "p_level_holm": one.p_level,
        "word": one.word,
    }


def document(summary: Summary) -> dict[str, Any]:
    """Return everything that a cell's tables say as plain values, for JSON."""
    ceilings: dict[str, Any] = {}
    for key, found in summary.ceilings.items():
        ceilings |= _json_estimate(key, found)
    return {
        "cell": cell_fields(summary.cell),
        "draws": summary.draws,
        "seeds": summary.seeds,
        "rows": [json_row(row, summary.chance) for row in summary.rows],
        "comparisons": [json_comparison(one) for one in family(summary)],
        "ceiling": ceilings,
    }


def family(summary: Summary) -> list[Comparison]:
    """Return the comparisons that a table answers: all pairs, in the measurements of FAMILY."""
    return [one for key in FAMILY for one in summary.comparisons[key]]


def reading_table(summary: Summary) -> pd.DataFrame:
    """Return the table for readers: measurements down, methods across, all as text.

    An entry is "mean (std) ± half of the 95% interval", with a * at the best and at those not
    told apart from it; the last columns are what chance and what the truth itself scores. On
    the paper's cell, the paper's figures stand under ours.
    """
    lines: list[tuple[str, list[str]]] = [
        ("runs", [*(_runs_text(row) for row in summary.rows), "", ""])
    ]
    for measurement in MEASUREMENTS:
        key = measurement.key
        entries = [
            estimate_text(row.estimates[key]) + mark(summary, key, row.method)
            for row in summary.rows
        ]
        limits = [chance_text(summary, key), ceiling_text(summary, key)]
        lines.append((measurement.title, entries + limits))
        if has_bad_runs(summary, key):
            title = f"{measurement.title}, median run (runs below 0.9 of it)"
            lines.append((title, [_median_text(row.over_runs[key]) for row in summary.rows]))
            lines[-1][1].extend(["", ""])
        published = published_figures(summary, key)
        if published:
            texts = [_published_text(pair) for pair in published]
            lines.append((f"{measurement.title}, the paper's", [*texts, "", ""]))
    lines.append(("seconds a run", [*(f"{row.seconds:.1f}" for row in summary.rows), "", ""]))
    titles = [METHODS[row.method].title for row in summary.rows]
    return pd.DataFrame(
        [entries for _, entries in lines],
        columns=pd.Index([*titles, "chance", "ceiling"]),
        index=pd.Index([title for title, _ in lines], name=""),
    )


def published_figures(summary: Summary, key: str) -> list[tuple[float, float] | None]:
    """Return the paper's (mean, standard deviation) a method; empty where it has none."""
    published = [TABLE_1.get(row.method, {}).get(key) for row in summary.rows]
    return published if summary.cell == PAPER_CELL and any(published) else []


def has_bad_runs(summary: Summary, key: str) -> bool:
    """Return whether some method has runs so far below its median that its mean misleads."""
    bounded = key in ("stab_truth", "ord_by_energy", "ord_by_frequency", "recovered_share")
    return bounded and any(row.over_runs[key].n_low for row in summary.rows)


def mark(summary: Summary, key: str, method: str) -> str:
    """Return " *" for the best method in a measurement and those not told apart from it."""
    return " *" if method in summary.leaders.get(key, ()) else ""


def chance_text(summary: Summary, key: str) -> str:
    """Return the chance level of a measurement; an empty text where it has none."""
    if key in ("stab_pairs", "stab_truth"):
        return f"{summary.chance.mean:.3f}"
    if key in ("ord_truth", "ord_by_energy", "ord_by_frequency"):
        return _ord_chance(summary.cell.K)
    return "0" if key == "stab_truth_corrected" else ""


def ceiling_text(summary: Summary, key: str) -> str:
    """Return what the truth itself scores in a measurement; an empty text where not computed."""
    found = summary.ceilings.get(key)
    return "" if found is None else estimate_text(found)


def caption(summary: Summary) -> str:
    """Return the sentences that a reader needs to read a table."""
    chance = summary.chance
    few = summary.draws < FEWEST_UNITS
    sentences = [
        f"{summary.cell}; {scope_text(summary)}.",
        "Mean (standard deviation) over draws"
        + ("" if few else " ± half of the 95% confidence interval")
        + "; a draw's value is the mean of its runs' values, and Stab(D, D') that of its pairs"
        " of runs.",
        _comparison_sentence(summary),
        "Stab and Ord match signed cosines; an atom is recovered when its absolute cosine is"
        " >= 0.9. Ord is over latents that are ever active; the share left out stands beside it.",
        f"Chance: Stab of random dictionaries ({chance.n_draws} pairs, standard error"
        f" {chance.standard_error:.1g}); Ord of random permutations, mean (standard deviation of"
        " one).",
    ]
    if summary.ceilings:
        sentences.append(
            "Ceiling: the order that the true codes give the true atoms, on the same samples; the"
            " errors of orthogonal matching pursuit with the true dictionary."
        )
    if summary.cell == PAPER_CELL:
        sentences.append("The paper's figures: mean (standard deviation), 10 seeds.")
    return " ".join(sentences)


def scope_text(summary: Summary) -> str:
    """Return how many draws and seeds there are, and whether that is but a quick look."""
    draws = f"{summary.draws} problem draw{'s' * (summary.draws != 1)}"
    text = f"{draws} x {summary.seeds} seed{'s' * (summary.seeds != 1)} a method"
    if summary.draws < PUBLISHED_DRAWS:
        text += f" (a quick look: published tables have {PUBLISHED_DRAWS} draws x 2 seeds)"
    return text


def _comparison_sentence(summary: Summary) -> str:
    if summary.draws < FEWEST_UNITS:
        return f"No interval and no comparison: both take {FEWEST_UNITS} draws or more."
    return (
        "An asterisk: the best method, and those not told apart from it (t-test of the"
        " differences within draws, Holm's correction for all pairs of methods, 5%)."
    )


def comparison_table(summary: Summary) -> pd.DataFrame:
    """Return all pairs of methods in the family's measurements, as text for readers."""
    lines = [
        {
            "measurement": TITLES[one.key],
            "method": METHODS[one.method].title,
            "minus": METHODS[one.other].title,
            "difference": interval_text(one.difference.mean, one.difference.ci95),
            "bootstrap 95%": _range_text(one.difference.bootstrap95),
            "p (Holm)": p_value_text(one.p_different),
            "p level (Holm)": p_value_text(one.p_level),
            "in a word": one.word,
            "draws": f"{one.difference.n}",
        }
        for one in family(summary)
    ]
    return pd.DataFrame(lines)


def comparison_caption(summary: Summary) -> str:
    """Return the sentences that a reader needs to read the table of comparisons."""
    return (
        f"{summary.cell}; {scope_text(summary)}. Mean difference over draws ± half of its 95%"
        " confidence interval (Student's, of the differences within draws). p: that there is no"
        f" difference; p level: that it is {MARGIN:g} or more (two one-sided tests; fixed"
        " beforehand for Stab and Ord, none for the error). Both are corrected by Holm's method"
        " for all pairs of methods in one measurement. The word: higher or lower at 5%; else"
        f" level, where the difference is inside ±{MARGIN:g} at 5%; else not told apart. The"
        f" bootstrap (percentile) is a cross-check, from {PUBLISHED_DRAWS} draws on."
    )


def markdown(table: pd.DataFrame, text: str, index: bool = True) -> str:
    """Return a table and its caption as GitHub Markdown."""
    return f"{table.to_markdown(disable_numparse=True, index=index)}\n\n{text}\n"


def latex(table: pd.DataFrame, text: str) -> str:
    """Return a table and its caption as a LaTeX float (needs the booktabs package)."""
    body = table.rename_axis(None).to_latex(
        escape=True, caption=text.replace("%", r"\%"), column_format="l" + "r" * table.shape[1]
    )
    for plain, typeset in _LATEX:
        body = body.replace(plain, typeset)
    return body


def run_frame(records: Sequence[RunRecord], chance: ChanceLevel) -> pd.DataFrame:
    """Return one row a run: its configuration, status, measurements, hash and provenance."""
    draws = {
        seed: n for n, seed in enumerate(dict.fromkeys(r.config.problem_seed for r in records))
    }
    return pd.DataFrame([_run_fields(record, draws, chance) for record in records])


def pair_frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a pair of runs of one method on one draw: their seeds and Stab(D, D')."""
    methods = dict.fromkeys(record.config.method for record in records)
    fields = []
    for method in methods:
        done = [r for r in records if r.config.method == method and r.status == "done"]
        for (i, j), stab in pair_stabilities(done).items():
            first, second = done[i].config, done[j].config
            fields.append(
                {
                    **cell_fields(first.cell),
                    "problem_seed": first.problem_seed,
                    "method": method,
                    "initialisation_seed": first.seeds.initialisation,
                    "initialisation_seed_other": second.seeds.initialisation,
                    "stab_pairs": stab,
                }
            )
    columns = ["d", "K", "m", "N", "alpha", "problem_seed", "method", "initialisation_seed"]
    columns += ["initialisation_seed_other", "stab_pairs"]
    return pd.DataFrame(fields, columns=pd.Index(columns))


def flat_frame(cell: Cell, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a mapping, its cell first and intervals in two columns, for CSV."""
    flat = []
    for row in rows:
        fields = dict(cell_fields(cell))
        for key, value in row.items():
            if key.endswith("95"):
                low, high = value if value is not None else (None, None)
                fields |= {f"{key}_low": low, f"{key}_high": high}
            else:
                fields[key] = value
        flat.append(fields)
    return pd.DataFrame(flat)


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file, atomically."""
    write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))


def estimate_text(found: Estimate) -> str:
    """Return "mean (std) ± half of the interval", as far as they are defined."""
    if found.mean is None:
        return MISSING
    half = None if found.ci95 is None else (found.ci95[1] - found.ci95[0]) / 2
    places = decimals(found.mean, half)
    text = written(found.mean, places)
    if found.std is not None:
        text += f" ({written(found.std, places)})"
    if half is not None:
        text += f" ± {written(half, places)}"
    return text


def cell_fields(cell: Cell) -> dict[str, Any]:
    """Return a cell's fields by their names."""
    return {"d": cell.d, "K": cell.K, "m": cell.m, "N": cell.N, "alpha": cell.alpha}


def _json_estimate(key: str, found: Estimate) -> dict[str, Any]:
    return {
        f"{key}_mean": found.mean,
        f"{key}_std": found.std,
        f"{key}_ci95": _list(found.ci95),
        f"{key}_n": found.n,
    }


def _list(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else list(pair)


def _range_text(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return MISSING
    places = decimals(pair[0], (pair[1] - pair[0]) / 2)
    return f"{written(pair[0], places)} to {written(pair[1], places)}"


def _published_text(pair: tuple[float, float] | None) -> str:
    return MISSING if pair is None else f"{pair[0]:#.3g} ({pair[1]:#.3g})"


def _median_text(found: Estimate) -> str:
    if found.median is None:
        return MISSING
    return f"{found.median:.3f} ({found.n_low or 0} of {found.n})"


def _runs_text(row: MethodRow) -> str:
    return f"{row.runs}, of which {row.diverged} diverged" if row.diverged else f"{row.runs}"


def _ord_chance(K: int) -> str:
    if K < 2:
        return MISSING
    level = chance_orderedness(np.zeros(K, dtype=int))
    return f"{level.mean:.2f} ({level.standard_deviation:.2f})"


def _run_fields(record: RunRecord, draws: Mapping[int, int], chance: ChanceLevel) -> dict[str, Any]:
    config, origin = record.config, record.provenance
    measured = {}
    if record.status == "done":
        keys = [m.key for m in MEASUREMENTS if m.key != "stab_pairs"]
        measured = {key: value_of(record, key, chance) for key in keys}
    return {
        **cell_fields(config.cell),
        "draw": draws[config.problem_seed],
        "problem_seed": config.problem_seed,
        "method": config.method,
        "initialisation_seed": config.seeds.initialisation,
        "data_order_seed": config.seeds.data_order,
        "prefix_seed": config.seeds.prefixes,
        "learning_rate": config.learning_rate,
        "n_steps": config.n_steps,
        "batch_size": config.batch_size,
        "device": config.device,
        "arithmetic": config.arithmetic,
        "status": record.status,
        **measured,
        "stab_chance": chance.mean,
        "seconds": record.scalars["seconds"],
        "dictionary_sha256": record.scalars.get("dictionary_sha256"),
        "provenance": None if origin is None else json.dumps(asdict(origin), sort_keys=True),
    }
