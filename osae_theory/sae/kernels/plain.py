"""The compiled kernels' arithmetic, operation by operation in numpy: the same bits, slowly.

The order of every sum is that of `osae_theory.sae.kernels.compiled`. It serves where numba
does not compile, and as the compiled kernels' oracle to the last bit.
"""

import numpy as np
from jaxtyping import Float, Int

_LANES = 16


def prefix_gradients(
    x: Float[np.ndarray, "n d"],
    indices: Int[np.ndarray, "n s"],
    values: Float[np.ndarray, "n s"],
    atoms: Float[np.ndarray, "K d"],
    survival: Float[np.ndarray, " K"],
    start: int,
    stop: int,
    losses: Float[np.ndarray, " n"],
    d_values: Float[np.ndarray, "n s"],
    d_atoms: Float[np.ndarray, "K d"],
    d_x: Float[np.ndarray, "n_or_0 d"],
) -> None:
    """Do as `compiled.prefix_gradients` does on columns start:stop."""
    one, zero = np.float64(1), np.float64(0)
    part = slice(start, stop)
    d_atoms[:, part] = 0
    d_values[:] = 0
    for i, row in enumerate(indices):
        residual = x[i, part].copy()
        gathered = np.zeros_like(residual)
        active = row[row >= 0]
        for t, atom in enumerate(active):
            residual += -values[i, t] * atoms[atom, part]
        loss, later = zero, zero
        for t in range(len(active) - 1, -1, -1):
            atom, code = active[t], values[i, t]
            weight = np.float64(survival[atom]) - later
            later = np.float64(survival[atom])
            gathered += weight.astype(x.dtype) * residual
            d_atoms[atom, part] += (-2 * code) * gathered
            correlation = _total(gathered * atoms[atom, part])
            energy = _total(residual * residual)
            residual += code * atoms[atom, part]
            d_values[i, t] = -2 * correlation
            loss += weight * np.float64(energy)
        energy = zero
        for square in residual * residual:
            energy += np.float64(square)
        losses[i] = loss + (one - later) * energy
        if len(d_x):
            d_x[i, part] = 2 * (gathered.astype(np.float64) + (one - later) * residual)


def encoder_gradient(
    x: Float[np.ndarray, "n d"],
    indices: Int[np.ndarray, "n s"],
    d_values: Float[np.ndarray, "n s"],
    start: int,
    stop: int,
    d_encoder: Float[np.ndarray, "K d"],
) -> None:
    """Do as `compiled.encoder_gradient` does on columns start:stop."""
    d_encoder[:, start:stop] = 0
    for i, row in enumerate(indices):
        for t, latent in enumerate(row[row >= 0]):
            d_encoder[latent, start:stop] += d_values[i, t] * x[i, start:stop]


def bias_gradient(
    indices: Int[np.ndarray, "n s"],
    d_values: Float[np.ndarray, "n s"],
    d_bias: Float[np.ndarray, " K"],
) -> None:
    """Do as `compiled.bias_gradient` does."""
    d_bias[:] = 0
    for i, row in enumerate(indices):
        for t, latent in enumerate(row[row >= 0]):
            d_bias[latent] += d_values[i, t]


def adam_rows(
    parameter: Float[np.ndarray, "rows width"],
    gradient: Float[np.ndarray, "rows width"],
    mean: Float[np.ndarray, "rows width"],
    square: Float[np.ndarray, "rows width"],
    start: int,
    stop: int,
    frozen: int,
    on_sphere: bool,
    scale: np.floating,
    rate: tuple[np.floating, np.floating],
    betas: tuple[np.floating, np.floating, np.floating, np.floating],
    epsilon: np.floating,
) -> float:
    """Do as `compiled.adam_rows` does on rows start:stop."""
    beta1, rest1, beta2, rest2 = betas
    step, correction = rate
    largest = 0.0
    for j in range(start, stop):
        p, g, m, v = parameter[j], gradient[j], mean[j], square[j]
        radial = scale - scale
        if on_sphere:
            radial = _total(p * g) * scale
        slope = g * scale - radial * p
        m[:] = beta1 * m + rest1 * slope
        v[:] = beta2 * v + rest2 * slope * slope
        if j >= frozen:
            p -= step * (m / (np.sqrt(v) / correction + epsilon))
            if on_sphere:
                p /= np.sqrt(_total(p * p))
        energy = float(_total(p * p))
        largest = max(largest, np.inf if np.isnan(energy) else energy)
    return largest


def _total(terms: Float[np.ndarray, " width"]) -> np.floating:
    """Return the sum in the compiled kernels' lanes, halved until one is left, then the rest."""
    whole = len(terms) // _LANES * _LANES
    lanes = np.zeros(_LANES, terms.dtype)
    for first in range(0, whole, _LANES):
        lanes += terms[first : first + _LANES]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    tail = terms.dtype.type(0)
    for term in terms[whole:]:
        tail += term
    return lanes[0] + tail
