"""Results written whole or not at all: text, tables, figures."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from osae_theory.files import write_atomically


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file, atomically."""
    write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, atomically; the format is the path's suffix, the bits the same each time."""
    undated = {"CreationDate": None} if path.suffix == ".pdf" else None
    write_atomically(path, lambda new: figure.savefig(new, dpi=150, metadata=undated))
