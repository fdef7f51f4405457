"""Resampling: the least useful latent starts anew where the residual is largest.

A top-m SAE that has two latents for one frequent atom, and none for a rare one, stays there: each
of the two is of use to its own samples, and no gradient leads from the one place to the other. The
samples that hold the rare atom are those with the largest residuals, and their residuals point
along it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import check_integer, check_real
from osae_theory.portable import matmul

# A residual at this cosine or more to a direction takes part in it.
_NEAR = 0.7
# A residual that is shorter, beside the longest sample, is none.
_LEAST = 1e-6
_ROUNDS = 3


@dataclass(frozen=True)
class Resampling:
    """When latents are resampled: every so many steps of a part of the training.

    Attributes
    ----------
    every : int
        Steps between two times, at least 1.
    begin, end : float
        Shares of the training, 0 <= begin <= end <= 1. The sparsity should be the final one by
        `begin`; what starts anew needs the steps after `end`.
    most : int
        Latents resampled at a time, at least 1.

    Notes
    -----
    After the resampling of dead neurons by Bricken et al. (2023), "Towards monosemanticity". Here
    latents need not be dead: one is exchanged where the direction that takes its place explains
    more of the batch than the latent does.
    """

    every: int = 25
    begin: float = 0.5
    end: float = 0.85
    most: int = 2

    def __post_init__(self) -> None:
        check_integer("resampling interval", self.every, 1)
        check_real("resampling begin", self.begin, at_least=0, at_most=1)
        check_real("resampling end", self.end, at_least=self.begin, at_most=1)
        check_integer("latents resampled at a time", self.most, 1)

    def is_due(self, step: int, n_steps: int) -> bool:
        """Say whether latents are resampled after step `step` of `n_steps` (from 0)."""
        return self.begin * n_steps <= step < self.end * n_steps and step % self.every == 0


@dataclass(frozen=True, eq=False)
class Replacements:
    """Latents that start anew, and where.

    Attributes
    ----------
    latents : (r,) int
        Different latents, by increasing usefulness.
    directions : (r, d) float64
        Their new atoms, of unit norm.
    gains : (r,) float64
        How much of the batch's squared error each direction explains where it takes part.
    """

    latents: Int[np.ndarray, " r"]
    directions: Float[np.ndarray, "r d"]
    gains: Float[np.ndarray, " r"]


@at_the_door
def replacements(
    x: Float[np.ndarray, "n d"],
    codes: Float[np.ndarray, "n K"],
    atoms: Float[np.ndarray, "K d"],
    most: int,
) -> Replacements:
    """Return which latents are worth less than what the residuals of a batch offer.

    The usefulness of latent j is how much the squared error grows if its part is left out,
    sum_n z_nj^2 + 2 z_nj <r_n, d_j>. Candidates come one after another: the direction of the
    largest residual, drawn three times to the mean, weighted by length, of the residuals at a
    cosine of 0.7 or more to it. It takes the place of the least useful latent that is left if
    the sum of its <r_n, direction>^2 over those residuals, its gain, is greater than that
    latent's usefulness; their part along it is then explained. The first that is not ends it, and
    so does a largest residual below a millionth of the longest sample.

    Parameters
    ----------
    x : array of shape (n, d)
        A batch, the decoder's bias subtracted.
    codes : array of shape (n, K)
        Its codes.
    atoms : array of shape (K, d)
        Unit rows.
    most : int
        Greatest number of latents, at least 1.

    Returns
    -------
    Replacements
        The same bits on any machine; of equally useful latents and of equal residuals the first
        comes first.

    Raises
    ------
    InputError
        If `most` is not a whole number of at least 1.
    """
    check_integer("most", most, 1)
    data, z, D = (np.ascontiguousarray(a, dtype=np.float64) for a in (x, codes, atoms))
    least = _LEAST * float(_norms(data).max())
    residuals = data - matmul(z, D)
    useful = (z * z + 2 * z * matmul(residuals, D.T)).sum(axis=0)
    latents: list[int] = []
    directions: list[np.ndarray] = []
    gains: list[float] = []
    for latent in np.argsort(useful, kind="stable")[:most].tolist():
        found = _direction(residuals, least)
        if found is None:
            break
        direction, lengths = found
        gain = float((lengths * lengths).sum())
        if not gain > useful[latent]:
            break
        residuals -= lengths[:, None] * direction
        latents.append(latent)
        directions.append(direction)
        gains.append(gain)
    return Replacements(
        np.array(latents, dtype=np.int64),
        np.array(directions).reshape(-1, data.shape[1]),
        np.array(gains),
    )


def _direction(
    residuals: Float[np.ndarray, "n d"], least: float
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " n"]] | None:
    """Return a direction of large residuals, and how long each is along it where it takes part.

    None if none is longer than `least`.
    """
    norms = _norms(residuals)
    first = int(np.argmax(norms))
    if not norms[first] > least:
        return None
    direction = residuals[first] / norms[first]
    for _ in range(_ROUNDS):
        lengths = _along(residuals, norms, direction)
        total = (residuals * lengths[:, None]).sum(axis=0)
        direction = total / np.sqrt((total * total).sum())
    return direction, _along(residuals, norms, direction)


def _norms(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    return np.sqrt((rows * rows).sum(axis=1))


def _along(
    residuals: Float[np.ndarray, "n d"],
    norms: Float[np.ndarray, " n"],
    direction: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " n"]:
    """Return each residual's scalar product with a direction; 0 where their cosine is small."""
    lengths = (residuals * direction).sum(axis=1)
    return np.where(lengths >= _NEAR * norms, lengths, 0.0)
