"""A certificate: a number, what it is of, how it was obtained, and its own error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Kind = Literal["exact", "value", "lower bound", "upper bound", "with probability one"]
Number = int | Fraction | float


@dataclass(frozen=True)
class Certificate:
    """A number that can be believed as far as it says.

    Attributes
    ----------
    quantity : str
        What the number is of, as in the paper: "spark(D)", "min L_ND".
    value : int, Fraction or float
        The number.
    kind : str
        "exact": the quantity itself, in exact arithmetic or by a proof that needs none.
        "value": the quantity itself, up to `error`.
        "lower bound", "upper bound": the quantity is at least, at most, `value`, give or
        take `error`.
        "with probability one": true of almost every draw of a random object.
    method : str
        How it was obtained, in one sentence.
    error : float
        Largest error that the arithmetic can have made, at least 0; 0 for "exact".
    details : mapping of str to str
        What else a reader may check: a witness, residuals, a duality gap.
    """

    quantity: str
    value: Number
    kind: Kind
    method: str
    error: float = 0.0
    details: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        relation = {"lower bound": ">=", "upper bound": "<="}.get(self.kind, "=")
        tail = "" if self.error == 0 else f" (error at most {self.error:.1g})"
        return f"{self.quantity} {relation} {self.value}{tail}, {self.kind}: {self.method}"
