"""The level of a score for unrelated dictionaries, as a dashed line."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from realdata.consistency.collection import CurvePoint
from realdata.report.figures.lines import Line
from realdata.report.figures.style import DARK, GREY

_CHANCE_DASHES = (0.0, (4.0, 3.0))


def chance_line(
    axis: Axes, score: str, chance: Mapping[int, float] | None, prefixes: Sequence[int]
) -> list[Line]:
    """Draw the chance level and return it as a line to be named, if there is one.

    For Ord it is 0, for Stab the level at each prefix where that is known.
    """
    if score.startswith("ord"):
        levels = np.zeros(len(prefixes))
    elif score.startswith("stab") and chance is not None:
        levels = np.array([chance[prefix] for prefix in prefixes])
    else:
        return []
    return _draw_chance(axis, np.array(prefixes, dtype=np.float64), levels)


def chance_over_training(
    axis: Axes, score: str, chance: float | None, points: Sequence[CurvePoint]
) -> list[Line]:
    """Draw the chance level over training tokens; as `chance_line` in all else."""
    if score == "stab" and chance is None:
        return []
    tokens = np.array(sorted({point.tokens or 0 for point in points}), dtype=np.float64)
    level = chance if chance is not None and score == "stab" else 0.0
    return _draw_chance(axis, tokens, np.full(len(tokens), level))


def _draw_chance(
    axis: Axes, x: Float[np.ndarray, " n"], levels: Float[np.ndarray, " n"]
) -> list[Line]:
    axis.plot(
        x, levels, color=DARK, linestyle=_CHANCE_DASHES, linewidth=1.0, zorder=1, label="chance"
    )
    nothing = np.full(len(x), np.nan)
    return [Line("chance", GREY, "", x, levels, nothing, nothing)]
