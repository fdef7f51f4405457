"""Adam on the rows of S runs at once, each run with its own learning rate, and on the sphere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.sae.kernels import reference
from osae_theory.sae.kernels.backend import kernel_module
from osae_theory.threads import in_parallel


@dataclass(frozen=True)
class AdamConfig:
    """What Adam needs beside the learning rate.

    Attributes
    ----------
    betas : tuple of two floats
        Decay rates of the two moments, in [0, 1).
    epsilon : float
        Added to the root of the second moment, above 0.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


@dataclass(frozen=True, eq=False)
class AdamState:
    """A parameter of S runs with its gradient and moments, as rows.

    Attributes
    ----------
    parameter, gradient, mean, square : tensors of shape (S, rows, width)
        The parameter, updated in place; its gradient, to be filled before each step; the
        first and second moments.
    on_sphere : bool
        Whether rows are kept at unit norm: the gradient's radial part is removed before,
        the norm restored after the step.
    """

    parameter: Float[Tensor, "S rows width"]
    gradient: Float[Tensor, "S rows width"]
    mean: Float[Tensor, "S rows width"]
    square: Float[Tensor, "S rows width"]
    on_sphere: bool = False

    @classmethod
    def of(
        cls,
        parameter: Float[Tensor, "S rows width"],
        gradient: Float[Tensor, "S rows width"] | None = None,
        on_sphere: bool = False,
    ) -> "AdamState":
        """Return a fresh state that shares the memory of a contiguous parameter and gradient."""
        mean, square = torch.zeros_like(parameter), torch.zeros_like(parameter)
        if gradient is None:
            gradient = torch.zeros_like(parameter)
        return cls(parameter, gradient, mean, square, on_sphere)


def adam_step(
    state: AdamState,
    step: int,
    learning_rates: Sequence[float],
    config: AdamConfig,
    *,
    scale: float = 1.0,
    frozen: int = 0,
    backend: str = "auto",
) -> Float[Tensor, " S"]:
    """Do one step in place and return each run's largest row norm: not finite after a NaN.

    Parameters
    ----------
    state : AdamState
        With its gradient filled.
    step : int
        Number of the step, from 1.
    learning_rates : sequence of S floats
        Each run's learning rate at this step.
    config : AdamConfig
        Decay rates and epsilon.
    scale : float
        Factor of the gradient.
    frozen : int
        Leading rows that keep their values; their moments go on.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        See `use_compiled`; where it is Triton's, torch computes.

    References
    ----------
    Kingma and Ba (2015), "Adam", algorithm 1.
    """
    beta1, beta2 = config.betas
    sizes = [rate / (1 - _power(beta1, step)) for rate in learning_rates]
    correction = math.sqrt(1 - _power(beta2, step))
    tensors = (state.parameter, state.gradient, state.mean, state.square)
    kernels: Any = kernel_module(backend, state.parameter)
    if kernels is None:
        largest = reference.adam_rows(
            *tensors, frozen, state.on_sphere, scale, state.parameter.new_tensor(sizes),
            correction, config.betas, config.epsilon,
        )  # fmt: skip
        return largest.sqrt()
    arrays = [t.detach().numpy() for t in tensors]
    number = arrays[0].dtype.type
    decays = tuple(number(b) for b in (beta1, 1 - beta1, beta2, 1 - beta2))
    S, rows = state.parameter.shape[:2]
    size = max(-(-S * rows // torch.get_num_threads()), 1)
    largest = np.zeros((S, -(-rows // size)))

    def update(s: int, part: int) -> None:
        largest[s, part] = kernels.adam_rows(
            *(array[s] for array in arrays), part * size, min((part + 1) * size, rows), frozen,
            state.on_sphere, number(scale), (number(sizes[s]), number(correction)),
            decays, number(config.epsilon),
        )  # fmt: skip

    in_parallel(
        [lambda s=s, p=p: update(s, p) for s in range(S) for p in range(largest.shape[1])],
        state.parameter.numel(),
    )
    return torch.from_numpy(np.sqrt(largest.max(axis=1)))


def _power(base: float, exponent: int) -> float:
    """Return a power by repeated squaring: products alone, the same on every machine."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
