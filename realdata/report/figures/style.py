"""What the figures share: colours with markers, the size of small text, and one kind of canvas."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.files import write_atomically

DPI = 150
GREY, DARK = "#ABABAB", "#595959"
# The colours of Okabe and Ito, made for colour-blind readers, as far as they stand out from
# white; each method keeps its colour and marker in all figures.
STYLES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "topk": ("top-m SAE", DARK, "v"),
        "batch-topk": ("BatchTopK SAE", "#009E73", "s"),
        "msae-fixed": ("Fixed MSAE", "#D55E00", "^"),
        "msae-random": ("Random MSAE", "#CC79A7", "D"),
        "osae": ("OSAE", "#0072B2", "o"),
        "osae-annealed": ("OSAE, annealed", "#000000", "*"),
        "osae-exact": ("OSAE, exact penalty", "#B8860B", "p"),
        "topk-resampled": ("top-m SAE, resampled", "#8B4513", "h"),
        "topk-resampled-resorted": ("top-m SAE, resampled, re-sorted", "#4B0082", "d"),
    }
)
OTHERS = (("#332288", "P"), ("#882255", "X"), ("#117733", "<"), ("#AA4499", ">"))
LEGIBLE = 9  # points


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure at 150 dpi, whole or not at all; the format is the path's suffix."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DPI))


def style_of(method: str, place: int) -> tuple[str, str, str]:
    """Return a method's title, colour and marker; `place` chooses those of an unknown one."""
    colour, marker = OTHERS[place % len(OTHERS)]
    return STYLES.get(method, (method, colour, marker))
