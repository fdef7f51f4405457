"""Activations in float16, as differences to their mean, wherever that costs next to nothing."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

# Rounding a float16 store may add to a dimension, relative to its standard deviation.
_HALF_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Rounded:
    """Activations of a shard as they are stored.

    Attributes
    ----------
    values : (n, d) float16 or float32
        Differences to the centre in float16 where they fit, else the activations themselves.
    peak : float
        The largest difference to the centre.
    error : float
        What rounding costs the worst dimension: the error's root mean square over the
        dimension's standard deviation; infinite on overflow.
    """

    values: Float[np.ndarray, "n d"]
    peak: float
    error: float

    @classmethod
    def of(
        cls, x: Float32[np.ndarray, "n d"], centre: Float32[np.ndarray, " d"], precision: str
    ) -> "Rounded":
        """Round activations; `precision` as in `realdata.activations.rule.CollectionSettings`."""
        half, peak, error = _half(x, centre)
        fits = precision == "auto" and error <= _HALF_TOLERANCE
        return cls(half if fits else x, peak, error)


def restored(
    stored: Float[np.ndarray, "n d"], centre: Float32[np.ndarray, " d"]
) -> Float32[np.ndarray, "n d"]:
    """Return the activations that `Rounded.values` stands for."""
    if stored.dtype == np.float16:
        return stored.astype(np.float32) + centre
    return np.asarray(stored, dtype=np.float32)


def _half(
    x: Float32[np.ndarray, "n d"], centre: Float32[np.ndarray, " d"]
) -> tuple[np.ndarray, float, float]:
    centred = x - centre
    peak = float(np.abs(centred).max(initial=0.0))
    if peak > float(np.finfo(np.float16).max):
        return np.empty((0, 0), dtype=np.float16), peak, float("inf")
    half = centred.astype(np.float16)
    if not len(x):
        return half, peak, 0.0
    error = half.astype(np.float64) + centre - x
    rms = np.sqrt(np.mean(error**2, axis=0))
    spread = x.std(axis=0, dtype=np.float64)
    ratio = np.divide(rms, spread, out=np.where(rms > 0, np.inf, 0.0), where=spread > 0)
    return half, peak, float(ratio.max())
