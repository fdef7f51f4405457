"""Tables of a cell: for reading (Markdown, LaTeX), for computing (CSV, Parquet), and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.config import PAPER_CELL, Cell
from benchmarks.methods import METHODS
from benchmarks.paper import TABLE_1
from benchmarks.store import RunRecord
from benchmarks.summary import (
    BASELINE,
    COMPARED,
    MEASUREMENTS,
    Estimate,
    MethodRow,
    pair_stabilities,
    value_of,
)
from osae_theory.files import write_atomically
from osae_theory.metrics import ChanceLevel

MISSING = "–"
_LATEX = (
    ("±", r"$\pm$"),
    (MISSING, "--"),
    (">=", r"$\geq$"),
    ("D, D*", "$D, D^*$"),
    ("D, D'", "$D, D'$"),
)


def json_row(row: MethodRow, chance: ChanceLevel) -> dict[str, Any]:
    """Return a method's row as plain values; what is not defined is None."""
    fields: dict[str, Any] = {"method": row.method, "seeds": row.seeds, "diverged": row.diverged}
    named = dict(row.estimates)
    named |= {f"{key}_minus_{BASELINE}": found for key, found in row.differences.items()}
    for key, found in named.items():
        fields |= {
            f"{key}_mean": found.mean,
            f"{key}_std": found.std,
            f"{key}_ci95": None if found.ci95 is None else list(found.ci95),
            f"{key}_n": found.n,
        }
    return fields | {
        "stab_chance": chance.mean,
        "stab_chance_se": chance.standard_error,
        "stab_chance_draws": chance.n_draws,
        "seconds": row.seconds,
    }


def reading_table(cell: Cell, rows: Sequence[MethodRow], chance: ChanceLevel) -> pd.DataFrame:
    """Return the table for readers: measurements down, methods across, all as text.

    An entry is "mean (std) ± half of the 95% interval". On the paper's cell, the paper's
    figures stand under ours.
    """
    lines: list[tuple[str, list[str]]] = []
    for measurement in MEASUREMENTS:
        key = measurement.key
        lines.append((measurement.title, [estimate_text(row.estimates[key]) for row in rows]))
        published = [TABLE_1.get(row.method, {}).get(key) for row in rows]
        if cell == PAPER_CELL and any(published):
            title = f"{measurement.title}, the paper's"
            lines.append((title, [_published_text(pair) for pair in published]))
        if key == "stab_truth":
            level = f"{chance.mean:.3f} (se {chance.standard_error:.1g})"
            lines.append(("Stab, chance level", [level] * len(rows)))
    lines += _difference_lines(rows)
    lines.append(("seconds a run", [f"{row.seconds:.1f}" for row in rows]))
    seeds = [f"{row.seeds}" if not row.diverged else _diverged_text(row) for row in rows]
    lines.insert(0, ("seeds", seeds))
    titles = [METHODS[row.method].title for row in rows]
    return pd.DataFrame(
        [entries for _, entries in lines],
        columns=pd.Index(titles),
        index=pd.Index([title for title, _ in lines], name=""),
    )


def _difference_lines(rows: Sequence[MethodRow]) -> list[tuple[str, list[str]]]:
    if not any(row.differences for row in rows):
        return []
    titles = {measurement.key: measurement.title for measurement in MEASUREMENTS}
    return [
        (
            f"{titles[key]}, minus {METHODS[BASELINE].title}'s",
            [estimate_text(row.differences[key]) if row.differences else MISSING for row in rows],
        )
        for key in COMPARED
    ]


def caption(cell: Cell, chance: ChanceLevel) -> str:
    """Return the sentences that a reader needs to read a table."""
    text = (
        f"{cell}. Mean (standard deviation) ± half of the 95% confidence interval"
        " over seeds, one problem draw; Stab(D, D') over pairs of seeds, its interval by the"
        " jackknife over seeds; differences paired by seed. Stab and Ord match signed cosines;"
        " an atom is recovered when its absolute cosine is >= 0.9. Chance level of Stab:"
        f" {chance.mean:.3f}, from {chance.n_draws} pairs of random dictionaries; Ord is 0 by"
        f" chance, with standard deviation {_ord_chance_std(cell.K)}."
    )
    if cell == PAPER_CELL:
        text += " The paper's figures: mean (standard deviation), 10 seeds."
    return text


def markdown(table: pd.DataFrame, text: str) -> str:
    """Return a table and its caption as GitHub Markdown."""
    return f"{table.to_markdown(disable_numparse=True)}\n\n{text}\n"


def latex(table: pd.DataFrame, text: str) -> str:
    """Return a table and its caption as a LaTeX float (needs the booktabs package)."""
    body = table.rename_axis(None).to_latex(
        escape=True, caption=text.replace("%", r"\%"), column_format="l" + "r" * table.shape[1]
    )
    for plain, typeset in _LATEX:
        body = body.replace(plain, typeset)
    return body


def run_frame(records: Sequence[RunRecord], chance: ChanceLevel) -> pd.DataFrame:
    """Return one row a run: its configuration, status and measurements."""
    return pd.DataFrame([_run_fields(record, chance) for record in records])


def pair_frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a pair of runs of one method: their seeds and Stab(D, D')."""
    methods = dict.fromkeys(record.config.method for record in records)
    fields = []
    for method in methods:
        done = [r for r in records if r.config.method == method and r.status == "done"]
        for (i, j), stab in pair_stabilities(done).items():
            first, second = done[i].config, done[j].config
            fields.append(
                {
                    **_cell_fields(first.cell),
                    "method": method,
                    "initialisation_seed": first.seeds.initialisation,
                    "initialisation_seed_other": second.seeds.initialisation,
                    "stab_pairs": stab,
                }
            )
    columns = ["d", "K", "m", "N", "alpha", "method", "initialisation_seed"]
    columns += ["initialisation_seed_other", "stab_pairs"]
    return pd.DataFrame(fields, columns=pd.Index(columns))


def row_frame(cell: Cell, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a method, intervals in two columns, for CSV."""
    flat = []
    for row in rows:
        fields = dict(_cell_fields(cell))
        for key, value in row.items():
            if key.endswith("_ci95"):
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
    text = _figure(found.mean)
    if found.std is not None:
        text += f" ({_figure(found.std)})"
    if found.ci95 is not None:
        text += f" ± {_figure((found.ci95[1] - found.ci95[0]) / 2)}"
    return text


def _figure(value: float) -> str:
    # Three decimals for shares and correlations; small errors keep three digits, and what
    # only rounding has left of a zero is a zero.
    return f"{value:.3f}" if abs(value) >= 0.01 or abs(value) < 1e-12 else f"{value:#.3g}"


def _published_text(pair: tuple[float, float] | None) -> str:
    return MISSING if pair is None else f"{pair[0]:#.3g} ({pair[1]:#.3g})"


def _diverged_text(row: MethodRow) -> str:
    return f"{row.seeds}, of which {row.diverged} diverged"


def _ord_chance_std(K: int) -> str:
    return f"{(K - 1) ** -0.5:.3f}" if K > 1 else "not defined"


def _cell_fields(cell: Cell) -> dict[str, Any]:
    return {"d": cell.d, "K": cell.K, "m": cell.m, "N": cell.N, "alpha": cell.alpha}


def _run_fields(record: RunRecord, chance: ChanceLevel) -> dict[str, Any]:
    config = record.config
    measured = {}
    if record.status == "done":
        keys = [m.key for m in MEASUREMENTS if m.key != "stab_pairs"]
        measured = {key: value_of(record, key, chance) for key in keys}
    return {
        **_cell_fields(config.cell),
        "problem_seed": config.problem_seed,
        "method": config.method,
        "initialisation_seed": config.seeds.initialisation,
        "data_order_seed": config.seeds.data_order,
        "prefix_seed": config.seeds.prefixes,
        "learning_rate": config.learning_rate,
        "n_steps": config.n_steps,
        "batch_size": config.batch_size,
        "device": config.device,
        "status": record.status,
        **measured,
        "stab_chance": chance.mean,
        "seconds": record.scalars["seconds"],
    }
