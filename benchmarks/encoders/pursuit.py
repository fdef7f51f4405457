"""Codes by nonnegative orthogonal matching pursuit, for methods that learn atoms and no encoder."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import EncoderKind
from osae_theory.pursuit import nonnegative_omp


@dataclass(frozen=True, eq=False)
class Pursuit:
    """Orthogonal matching pursuit on a dictionary.

    Attributes
    ----------
    dictionary : array of shape (d, K)
        Unit-norm atoms as columns.
    m : int
        Most atoms a sample.
    signed : bool
        Whether codes may be negative.
    """

    dictionary: Float[np.ndarray, "d K"]
    m: int
    signed: bool = False
    kind = "pursuit"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """What it is besides the dictionary: m, and whether codes are signed."""
        return {"m": np.array([self.m]), "signed": np.array([self.signed])}

    @classmethod
    def of(
        cls, dictionary: Float[np.ndarray, "d K"], arrays: Mapping[str, np.ndarray]
    ) -> "Pursuit":
        """Return the encoder that a dictionary and `arrays` stand for."""
        return cls(dictionary, int(arrays["m"][0]), bool(arrays["signed"][0]))

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows, float32."""
        atoms = np.ascontiguousarray(self.dictionary.T)
        codes = nonnegative_omp(rows, atoms, self.m, signed=self.signed)
        return codes.dense(len(atoms), np.float32)


ENCODER = EncoderKind("pursuit", Pursuit.of)
