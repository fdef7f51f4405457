"""What a search for the minimisers of the paper's nested-dropout loss L_ND hands back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from osae_theory.certificates import Certificate


@dataclass(frozen=True, eq=False)
class Minimiser:
    """A point (D, Y) with what is known of it as a minimiser of L_ND.

    Attributes
    ----------
    dictionary : Float[np.ndarray, "d K"]
        D, unit-norm columns.
    codes : Float[np.ndarray, "K N"]
        Y, columns with at most m nonzeros.
    loss : float
        L_ND(D, Y), evaluated at the point.
    unique : bool or None
        Whether every minimiser is this one up to signs; None where that is not known.
    certificate : Certificate
        How `loss` compares with min L_ND.
    """

    dictionary: Float[np.ndarray, "d K"]
    codes: Float[np.ndarray, "K N"]
    loss: float
    unique: bool | None
    certificate: Certificate
