"""The axes of the figures: prefixes, training tokens, and scores with their ranges."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from osae_theory.metrics.intervals import Bounds
from realdata.comparison.scores import BOUNDS

SCORE_LABELS = MappingProxyType(
    {
        "stab": "Stab (mean matched cosine)",
        "stab_abs": "Stab (mean matched |cosine|)",
        "ord": "Ord (Spearman, of matched positions)",
        "ord_abs": "Ord (Spearman, matched on |cosine|)",
        "moved": "share of atoms that moved",
    }
)
STREAM_LABELS = MappingProxyType(
    {
        "stab": "Stab_Z (mean matched correlation)",
        "stab_abs": "Stab_Z (mean matched |correlation|)",
        "ord": "Ord_Z (Spearman, of matched positions)",
        "ord_abs": "Ord_Z (Spearman, matched on |correlation|)",
    }
)
_PREFIX_LABEL = "prefix (first atoms of the dictionary)"
MARGIN = 0.05
_NEAR = 1.4  # prefixes nearer than this ratio to the last get no tick


def bounds(score: str) -> Bounds:
    """Return the least and the greatest value a score can have."""
    return (0.0, 1.0) if score == "moved" else BOUNDS[score]


def prefix_axis(axis: Axes, prefixes: Sequence[int]) -> None:
    """Make the x axis logarithmic, with a tick at each prefix."""
    axis.set_xscale("log", base=2)
    # The last prefix is K itself and may stand close to the power of two before it.
    near = [p for p in prefixes[:-1] if p * _NEAR < prefixes[-1]]
    axis.xaxis.set_major_locator(FixedLocator([*near, prefixes[-1]]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel(_PREFIX_LABEL)


def band_axis(axis: Axes, prefixes: Sequence[int]) -> None:
    """Name the ticks of a prefix axis by the positions between the prefix before and each."""
    bands = zip([1, *(prefix + 1 for prefix in prefixes[:-1])], prefixes, strict=True)
    axis.xaxis.set_major_locator(FixedLocator(list(prefixes)))
    axis.set_xticklabels(
        [f"{start}" if start == end else f"{start}–{end}" for start, end in bands],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    axis.set_xlabel("positions of the atoms in the dictionary")


def score_axis(axis: Axes, score: str, labels: Mapping[str, str] = SCORE_LABELS) -> None:
    """Name the score's axis and leave a margin; a share has all of it."""
    bottom, top = (0.0, 1.0) if score == "moved" else axis.get_ylim()
    bottom, top = np.clip((bottom, top), *bounds(score))
    axis.set_ylim(bottom - MARGIN * (top - bottom), top + MARGIN * (top - bottom))
    axis.set_ylabel(labels[score])


def token_axis(axis: Axes) -> None:
    """Let the x axis be training tokens, from 0."""
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tokens_text(value)))
    axis.set_xlim(left=0)
    axis.set_xlabel("training tokens")


def tokens_text(tokens: float) -> str:
    """Return a number of tokens in words: 1.5M for 1,500,000."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:g}{suffix}"
    return f"{tokens:g}"
