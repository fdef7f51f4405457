"""Entropic optimal transport between two sets of atoms: a matching that may be shared out."""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer, check_real

TEMPERATURE = 0.05
# Row sums that are this near to 1 are as good as equal: what is missing is dealt out evenly.
_TOLERANCE = 1e-4


@at_the_door
def sinkhorn_plan(
    S: Float[np.ndarray, "K K_other"],
    temperature: float = TEMPERATURE,
    *,
    max_iterations: int = 1000,
) -> Float[np.ndarray, "K K_other"]:
    """Return the soft one-to-one plan P that maximises sum(P * S) + temperature * entropy(P).

    Parameters
    ----------
    S : (K, K)
        Similarities, larger is nearer; square.
    temperature : float
        Above 0. The lower it is, the nearer is the plan to a best matching, and the more
        iterations it takes.
    max_iterations : int
        At least 1. They end earlier once row sums are 1 to 1e-4; if they do not, the plan is still
        a soft matching, but not yet the best at this temperature.

    Returns
    -------
    (K, K) float64
        Not negative; every row and every column sums to 1.

    Raises
    ------
    InputError
        If S is not square or empty, an entry is NaN or infinite, or a parameter is out of range.

    Notes
    -----
    Sinkhorn's iteration on logarithms: Cuturi (2013), "Sinkhorn distances: lightspeed computation
    of optimal transport". What it leaves of the sums is put right as in algorithm 2 of Altschuler,
    Weed and Rigollet (2017), "Near-linear time approximation algorithms for optimal transport via
    Sinkhorn iteration".
    """
    check_real("temperature", temperature, above=0.0)
    check_integer("max_iterations", max_iterations, 1)
    if S.shape[0] != S.shape[1] or S.size == 0:
        raise InputError(f"S has shape {S.shape}: expected a square matrix of at least one row")
    check_finite("S", S)
    scores = np.asarray(S, dtype=np.float64) / temperature
    columns = np.zeros(len(scores))
    rows = -logsumexp(scores, axis=1)
    for _ in range(max_iterations):
        columns = -logsumexp(scores + rows[:, None], axis=0)
        before, rows = rows, -logsumexp(scores + columns, axis=1)
        # The row sums, before these were put right.
        if np.abs(np.expm1(before - rows)).max() <= _TOLERANCE:
            break
    return _doubly_stochastic(np.exp(scores + rows[:, None] + columns))


@at_the_door
def sinkhorn_stability(
    S: Float[np.ndarray, "K K_other"],
    temperature: float = TEMPERATURE,
    *,
    max_iterations: int = 1000,
) -> float:
    """Return soft Stab: the mean similarity under the plan of `sinkhorn_plan`.

    Parameters
    ----------
    S, temperature, max_iterations
        As in `sinkhorn_plan`.

    Returns
    -------
    float
        At most Stab, the best of all plans, and equal to it as the temperature goes to 0: a plan
        is a mean of matchings. An atom whose place several atoms could take counts by their mean.

    Raises
    ------
    InputError
        As `sinkhorn_plan`.

    Notes
    -----
    Source: Cuturi (2013). Its level by chance is not that of Stab: see `chance_stability`.
    """
    plan = sinkhorn_plan(S, temperature, max_iterations=max_iterations)
    return float(np.sum(plan * S) / len(plan))


def _doubly_stochastic(plan: Float[np.ndarray, "K K"]) -> Float[np.ndarray, "K K"]:
    """Return a plan whose sums are 1: what is too much is scaled away, the rest dealt out."""
    plan = plan / np.maximum(plan.sum(axis=1, keepdims=True), 1.0)
    plan = plan / np.maximum(plan.sum(axis=0), 1.0)
    rows, columns = (np.maximum(1.0 - plan.sum(axis=axis), 0.0) for axis in (1, 0))
    missing = rows.sum()
    return plan if missing == 0 else plan + np.outer(rows, columns) / missing
