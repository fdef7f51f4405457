"""The cells of the toy model at which the tuning protocol chooses values: one for each shape.

What is best at the paper's cell need not be elsewhere. The second cell has the shape at which the
families other than the toy model stand, so that a table of theirs can be made with values that
were chosen at their shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.contracts import Params
from benchmarks.presets._toy import PAPER_CELL


@dataclass(frozen=True)
class TuningCell:
    """A cell of the toy model whose tuning draws choose values.

    Attributes
    ----------
    name : str
        On the command line and in titles.
    words : str
        What it is, for sentences.
    params : mapping of str to value
        Of the family `toy`.
    """

    name: str
    words: str
    params: Params


def _named(*cells: TuningCell) -> Mapping[str, TuningCell]:
    return MappingProxyType({cell.name: cell for cell in cells})


# The first is what values are tuned at where nobody says.
TUNING_CELLS = _named(
    TuningCell("paper", "the paper's cell", PAPER_CELL),
    TuningCell(
        "16x32",
        "the toy model at (d, K, m, N) = (16, 32, 3, 20000)",
        MappingProxyType({"d": 16, "K": 32, "m": 3, "N": 20_000}),
    ),
)
TUNED_AT = next(iter(TUNING_CELLS))
