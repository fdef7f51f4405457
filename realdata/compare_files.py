"""The files of a comparison: its JSON document, its tables and its figure."""

from pathlib import Path

from osae_theory.files import write_atomically
from realdata import figures
from realdata.compare import Comparison, json_text, markdown, pair_frame, summary_frame


def write_files(comparison: Comparison, folder: Path) -> None:
    """Write comparison.json, .md and .png, pairs.csv and summary.csv, each whole or not at all.

    The folder is made where it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "comparison.json": json_text(comparison),
        "comparison.md": markdown(comparison),
        "pairs.csv": pair_frame(comparison).to_csv(index=False),
        "summary.csv": summary_frame(comparison).to_csv(index=False),
    }
    for name, text in texts.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, "utf-8"))
    figures.save(figures.comparison(comparison), folder / "comparison.png")
