"""The cells of the toy model at which the tuning protocol chooses values: one for each shape.

What is best at the paper's cell need not be elsewhere. The second cell has the shape at which the
families other than the toy model stand, so that a table of theirs can be made with values that
were chosen at their shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from benchmarks.contracts import Params
from benchmarks.parameters import Parameter, Value
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
    moved : mapping of (str, str) to tuple
        Candidates in place of the methods' own, as many as these, by method and parameter; a
        parameter of no named method ("") is every method's. They lie where, on the tuning draws,
        what is chosen is not at an edge.
    """

    name: str
    words: str
    params: Params
    moved: Mapping[tuple[str, str], tuple[Value, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def candidates_of(self, method: str, parameter: Parameter) -> tuple[Value, ...]:
        """Return the values of a method's parameter that are tried here."""
        every = self.moved.get(("", parameter.name), tuple(parameter.candidates))
        return self.moved.get((method, parameter.name), every)


def _named(*cells: TuningCell) -> Mapping[str, TuningCell]:
    return MappingProxyType({cell.name: cell for cell in cells})


# The first is what values are tuned at where nobody says.
TUNING_CELLS = _named(
    TuningCell("paper", "the paper's cell", PAPER_CELL),
    TuningCell(
        "16x32",
        "the toy model at (d, K, m, N) = (16, 32, 3, 20000)",
        MappingProxyType({"d": 16, "K": 32, "m": 3, "N": 20_000}),
        MappingProxyType(
            {
                ("", "lr"): (0.003, 0.0055, 0.01, 0.018, 0.032, 0.055, 0.1, 0.18),
                ("gated", "strength"): (0.2, 0.3, 0.4, 0.55, 0.75),
            }
        ),
    ),
)
TUNED_AT = next(iter(TUNING_CELLS))
