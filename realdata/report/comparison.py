"""The files of a comparison: its JSON document, its tables and its figure, in three formats."""

from pathlib import Path

from osae_theory.files import write_atomically
from realdata.comparison.findings import Findings, json_text, text
from realdata.comparison.substitution import substitution_frame
from realdata.comparison.text import pair_frame, summary_frame
from realdata.report.figures.comparison import comparison
from realdata.report.figures.style import save

TABLES = ("comparison.json", "comparison.md", "pairs.csv", "summary.csv")
FIGURES = ("comparison.png", "comparison.pdf", "comparison.svg")
ACTIVATION_FILES = ("pairs_activations.csv", "summary_activations.csv", "substitutions.csv")
MATCH_FILES = ("matches.csv", "matches.parquet")


def file_names(activations: bool, matches: bool) -> tuple[str, ...]:
    """Return the names of the files that `write_files` writes."""
    return (
        TABLES
        + FIGURES
        + (ACTIVATION_FILES if activations else ())
        + (MATCH_FILES if matches else ())
    )


def write_files(found: Findings, folder: Path) -> None:
    """Write the files of `file_names`, each whole or not at all.

    The folder is made where it does not exist.
    """
    texts = {
        TABLES[0]: json_text(found),
        TABLES[1]: text(found),
        TABLES[2]: pair_frame(found.comparison).to_csv(index=False),
        TABLES[3]: summary_frame(found.comparison).to_csv(index=False),
    }
    if found.by_activations is not None:
        texts[ACTIVATION_FILES[0]] = pair_frame(found.by_activations).to_csv(index=False)
        texts[ACTIVATION_FILES[1]] = summary_frame(found.by_activations).to_csv(index=False)
    if found.substitutions is not None:
        frame = substitution_frame(found.substitutions)
        texts[ACTIVATION_FILES[2]] = frame.to_csv(index=False)
    if found.matches is not None:
        texts[MATCH_FILES[0]] = found.matches.to_csv(index=False)
    for name, content in texts.items():
        write_atomically(folder / name, lambda path, text=content: path.write_text(text, "utf-8"))
    if found.matches is not None:
        table = found.matches
        write_atomically(folder / MATCH_FILES[1], lambda path: table.to_parquet(path, index=False))
    figure = comparison(found.comparison)
    for name in FIGURES:
        save(figure, folder / name)
