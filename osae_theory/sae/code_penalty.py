"""A penalty on the size of codes: the L1 of ReLU SAEs, or one that grows with the index."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.arrays import ArrayLike, array
from osae_theory.errors import InputError, check_finite, check_integer, check_real
from osae_theory.sae.kernels import SparseCodes


@dataclass(frozen=True, init=False)
class CodePenalty:
    """strength * sum_j c_j |z_j|, added to each sample's squared error.

    Weights of 1 are the L1 penalty of ReLU SAEs. Weights that increase with j are a relaxation of
    claim T6's penalty, which counts active latents where this one measures them.

    Attributes
    ----------
    strength : float
        At least 0, in the unit of the data.
    weights : tuple of float or None
        c_1, ..., c_K, none negative; all 1 by default.
    warmup : float
        Share of the training over which the strength rises linearly from 0, in [0, 1].
    """

    strength: float
    weights: tuple[float, ...] | None
    warmup: float

    def __init__(
        self, strength: float, weights: ArrayLike | None = None, *, warmup: float = 0.05
    ) -> None:
        check_real("penalty strength", strength, at_least=0, at_most=1e300)
        check_real("penalty warm-up", warmup, at_least=0, at_most=1)
        object.__setattr__(self, "strength", float(strength))
        object.__setattr__(self, "weights", None if weights is None else _checked(weights))
        object.__setattr__(self, "warmup", float(warmup))

    @classmethod
    def increasing(cls, strength: float, K: int, *, warmup: float = 0.05) -> "CodePenalty":
        """Return the penalty with c_j = j / K."""
        check_integer("K", K, 1)
        return cls(strength, np.arange(1, K + 1) / K, warmup=warmup)

    def slopes_at(self, step: int, n_steps: int, K: int) -> Float[np.ndarray, " K"]:
        """Return the derivative by each |z_j| at step `step` of `n_steps` (from 0)."""
        rise = (step + 1) / (self.warmup * n_steps) if self.warmup > 0 else 1.0
        weights = np.ones(K) if self.weights is None else np.array(self.weights)
        return self.strength * min(rise, 1.0) * weights


def add_sparse_slopes(
    slopes: Float[Tensor, "S n s"], codes: SparseCodes, penalty: Float[Tensor, " K"]
) -> None:
    """Add the penalty's gradient by the values of sparse codes to `slopes`, in place."""
    # A slot without a latent has the value 0, and so no sign.
    slopes.add_(penalty[codes.indices.long().clamp(min=0)] * codes.values.sign())


def add_dense_slopes(
    slopes: Float[Tensor, "S n K"], codes: Float[Tensor, "S n K"], penalty: Float[Tensor, " K"]
) -> None:
    """Do for dense codes as `add_sparse_slopes`."""
    slopes.add_(penalty * torch.sign(codes))


def _checked(weights: ArrayLike) -> tuple[float, ...]:
    vector = array("penalty weights", weights, ndim=1)
    check_finite("penalty weights", vector)
    if vector.size == 0 or (vector < 0).any():
        raise InputError(
            f"penalty weights {vector.tolist()[:8]}: expected one for each latent, none negative"
        )
    return tuple(float(weight) for weight in vector)
