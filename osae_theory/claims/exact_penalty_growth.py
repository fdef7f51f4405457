"""How F grows close to (D*, Y*), on both sides of its local threshold (claims A and A')."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from osae_theory.minimisers.penalty_thresholds import LocalThreshold
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem
from osae_theory.problems.geometry import unit_columns

STEP = 1e-6
"""How far along a direction growth is measured, in the norm of (dD, dY)."""
BELOW, ABOVE = 0.99, 1.01
"""The multiples of lambda_loc, and of lambda_0 at m = 1, at which sides are told apart."""
_SLACK = 1e-3  # of the growth, for the curvature within a step


def growth(
    D: Float[np.ndarray, "d K"],
    Y: Float[np.ndarray, "K N"],
    truncation: PrefixLaw,
    weight: float,
    direction: tuple[Float[np.ndarray, "d K"], Float[np.ndarray, "K N"]],
    form: str = "total",
) -> float:
    """Return what F gains over a small step from X = D Y, as a share of the residual's part.

    To first order that is 1 + lambda <g, v> / ||J v||: 1 - lambda / lambda_loc in the worst
    direction. Differences of L_q are formed before they are squared, so that none cancels.
    """
    X, K = D @ Y, len(Y)
    moved_D, moved_Y = unit_columns(D + STEP * direction[0]), Y + STEP * direction[1]
    change, kept, moved = 0.0, np.zeros_like(X), np.zeros_like(X)
    for j in range(K):
        kept, moved = kept + np.outer(D[:, j], Y[j]), moved + np.outer(moved_D[:, j], moved_Y[j])
        change += truncation.probabilities[j] * np.vdot(kept - moved, 2 * X - kept - moved)
    lengths = np.linalg.norm(X - moved, axis=0)
    fit = np.linalg.norm(lengths) if form == "total" else lengths.sum()
    return float(1 + weight * change / fit)


@dataclass(frozen=True)
class Sides:
    """Growth on both sides of lambda_loc: 0.01 and -0.01, up to curvature, by the theory.

    Attributes
    ----------
    below : float
        At 0.99 lambda_loc in the worst direction.
    elsewhere : float
        The same, the least over random directions.
    above : float
        At 1.01 lambda_loc in the worst direction.
    """

    below: float
    elsewhere: float
    above: float

    @property
    def as_predicted(self) -> bool:
        """Whether growth is positive below the threshold and negative above it, by 0.01."""
        right = abs(self.below - 1 + BELOW) < _SLACK and abs(self.above - 1 + ABOVE) < _SLACK
        return right and self.elsewhere > self.below - _SLACK


def sides(
    problem: SparseCodingProblem,
    truncation: PrefixLaw,
    local: LocalThreshold,
    form: str = "total",
    n_directions: int = 10,
) -> Sides:
    """Return growth from (D*, Y*) on both sides of its local threshold."""
    D, Y = problem.dictionary, problem.codes
    rng = np.random.default_rng(0)
    worst = (local.atoms, local.codes)
    # A value of the form "per sample" is known to within its error.
    at = local.value + local.error
    others = []
    for _ in range(n_directions):
        turn = rng.standard_normal(D.shape)
        turn -= D * (D * turn).sum(axis=0)
        codes = rng.standard_normal(Y.shape) * (Y != 0)
        size = np.hypot(np.linalg.norm(turn), np.linalg.norm(codes))
        others.append((turn / size, codes / size))

    def at_share(share: float, direction: Any) -> float:
        return growth(D, Y, truncation, share * at, direction, form)

    return Sides(
        at_share(BELOW, worst),
        min(at_share(BELOW, other) for other in others),
        at_share(ABOVE, worst),
    )
