"""The map from a model's activations to what an SAE is trained on, and its fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from sklearn.preprocessing import StandardScaler

from osae_theory.errors import check_choice

STANDARDISATIONS = ("dimension", "scale", "none")


@dataclass(frozen=True, eq=False)
class Standardisation:
    """The map from the model's activations to what an SAE is trained on: (x - mean) / scale.

    Attributes
    ----------
    mean, scale : (d,) float32
        For "dimension": each dimension's mean and standard deviation (1 where that is 0). For
        "scale": the means, and one scale for all, the root mean square of the centred entries.
        For "none": 0 and 1.
    """

    mean: Float32[np.ndarray, " d"]
    scale: Float32[np.ndarray, " d"]

    @classmethod
    def identity(cls, d: int) -> "Standardisation":
        """Return the map that changes nothing."""
        return cls(np.zeros(d, dtype=np.float32), np.ones(d, dtype=np.float32))

    def apply(self, x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        """Return activations of the model as the SAE sees them."""
        return (x - self.mean) / self.scale

    def invert(self, x: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        """Return what the SAE gives back in the model's own units."""
        return x.astype(np.float32) * self.scale + self.mean

    def directions(self, decoder: Float[np.ndarray, "K d"]) -> Float32[np.ndarray, "K d"]:
        """Return decoder rows as directions in the model's own space.

        Dictionaries fitted under different standardisations can only be compared there.
        """
        return decoder.astype(np.float32) * self.scale


def fit_standardisation(
    chunks: Iterator[Float32[np.ndarray, "_ d"]], d: int, kind: str
) -> Standardisation:
    """Return the standardisation of rows that come in chunks; see `Standardisation`."""
    check_choice("standardise", kind, STANDARDISATIONS)
    if kind == "none":
        return Standardisation.identity(d)
    scaler = StandardScaler()
    for chunk in chunks:
        scaler.partial_fit(chunk.astype(np.float64))
    mean, variance = (np.asarray(each, dtype=np.float64) for each in (scaler.mean_, scaler.var_))
    if kind == "scale":
        variance = np.full(d, variance.mean())
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    return Standardisation(mean.astype(np.float32), scale.astype(np.float32))
