"""The files of a comparison: its JSON document, its tables and its figure."""

from pathlib import Path

from osae_theory.files import write_atomically
from realdata import figures
from realdata.compare import Comparison, json_text, markdown, pair_frame, summary_frame

FILES = ("comparison.json", "comparison.md", "pairs.csv", "summary.csv", "comparison.png")


def write_files(comparison: Comparison, folder: Path) -> None:
    """Write the files named FILES, each whole or not at all.

    The folder is made where it does not exist.
    """
    texts = {
        FILES[0]: json_text(comparison),
        FILES[1]: markdown(comparison),
        FILES[2]: pair_frame(comparison).to_csv(index=False),
        FILES[3]: summary_frame(comparison).to_csv(index=False),
    }
    for name, text in texts.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, "utf-8"))
    figures.save(figures.comparison(comparison), folder / FILES[4])
