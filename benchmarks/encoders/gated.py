"""The encoder of a gated SAE: gates say which latents are active, magnitudes how strongly.

Source: Rajamanoharan et al. (2024), arXiv 2404.16014.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import EncoderKind
from benchmarks.encoders._linear import largest_codes
from benchmarks.training.portable_autograd import operations


@dataclass(frozen=True, eq=False)
class Gated:
    """Codes are relu(s x W + b_mag) where x W + b_gate is above 0, the m largest of a sample.

    Attributes
    ----------
    encoder : array of shape (d, K)
        Weights W of both paths.
    gate_bias, magnitude_bias, scale : arrays of shape (K,)
        b_gate, b_mag, and s > 0: the exponential of r_mag.
    m : int
        Latents kept a sample.
    arithmetic : str
        "portable" or "fast".
    """

    encoder: Float[np.ndarray, "d K"]
    gate_bias: Float[np.ndarray, " K"]
    magnitude_bias: Float[np.ndarray, " K"]
    scale: Float[np.ndarray, " K"]
    m: int
    arithmetic: str
    kind = "gated"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights (d, K), both biases and the scales (K,), and m."""
        return {
            "encoder": self.encoder,
            "gate_bias": self.gate_bias,
            "magnitude_bias": self.magnitude_bias,
            "scale": self.scale,
            "m": np.array([self.m]),
            "portable": np.array([self.arithmetic == "portable"]),
        }

    @classmethod
    def of(cls, dictionary: Float[np.ndarray, "d K"], arrays: Mapping[str, np.ndarray]) -> "Gated":
        """Return the encoder that `arrays` stand for."""
        return cls(
            arrays["encoder"],
            arrays["gate_bias"],
            arrays["magnitude_bias"],
            arrays["scale"],
            int(arrays["m"][0]),
            "portable" if bool(arrays["portable"][0]) else "fast",
        )

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows."""
        ops = operations(self.arithmetic)
        weights = torch.from_numpy(np.ascontiguousarray(self.encoder.T))
        gate, magnitude, scale = (
            torch.from_numpy(a) for a in (self.gate_bias, self.magnitude_bias, self.scale)
        )

        def codes(part: torch.Tensor) -> torch.Tensor:
            shared = ops.affine(part, weights, torch.zeros_like(gate))
            return (shared * scale + magnitude).relu() * (shared + gate > 0)

        return largest_codes(rows, codes, self.m)


ENCODER = EncoderKind("gated", Gated.of)
