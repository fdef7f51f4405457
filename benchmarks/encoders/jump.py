"""The encoder of a JumpReLU SAE: latents above thresholds of their own, and the m largest of them.

Source: Rajamanoharan et al. (2024), arXiv 2407.14435.
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
class Jump:
    """Codes are those latents x W + b that exceed their thresholds, at most m a sample.

    Attributes
    ----------
    encoder : array of shape (d, K)
        Weights W.
    encoder_bias, threshold : arrays of shape (K,)
        Biases, and thresholds of at least 0.
    m : int
        Latents kept a sample.
    arithmetic : str
        "portable" or "fast".
    """

    encoder: Float[np.ndarray, "d K"]
    encoder_bias: Float[np.ndarray, " K"]
    threshold: Float[np.ndarray, " K"]
    m: int
    arithmetic: str
    kind = "jump"

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Weights (d, K), biases and thresholds (K,), and m."""
        return {
            "encoder": self.encoder,
            "encoder_bias": self.encoder_bias,
            "threshold": self.threshold,
            "m": np.array([self.m]),
            "portable": np.array([self.arithmetic == "portable"]),
        }

    @classmethod
    def of(cls, dictionary: Float[np.ndarray, "d K"], arrays: Mapping[str, np.ndarray]) -> "Jump":
        """Return the encoder that `arrays` stand for."""
        return cls(
            arrays["encoder"],
            arrays["encoder_bias"],
            arrays["threshold"],
            int(arrays["m"][0]),
            "portable" if bool(arrays["portable"][0]) else "fast",
        )

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows."""
        ops = operations(self.arithmetic)
        weights = torch.from_numpy(np.ascontiguousarray(self.encoder.T))
        bias, threshold = (torch.from_numpy(a) for a in (self.encoder_bias, self.threshold))

        def codes(part: torch.Tensor) -> torch.Tensor:
            latents = ops.affine(part, weights, bias)
            return latents * (latents > threshold)

        return largest_codes(rows, codes, self.m)


ENCODER = EncoderKind("jump", Jump.of)
