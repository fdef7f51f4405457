"""The true codes themselves: for oracles, whose codes are read off the problem."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import EncoderKind
from osae_theory.errors import InputError


@dataclass(frozen=True)
class Truth:
    """The true codes themselves: for oracles, whose codes are read off the problem."""

    kind = "truth"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Nothing: the problem holds them."""
        return {}

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Refuse: data alone do not say what made them."""
        raise InputError("the true codes are the problem's: expected another encoder for new data")


ENCODER = EncoderKind("truth", lambda dictionary, arrays: Truth())
