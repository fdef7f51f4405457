"""How often successive sampling uses an atom, and two atoms together, for any number of atoms."""

import numpy as np
from jaxtyping import Float

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real

# Of the trapezoidal rule in the logarithm of time: its error falls like exp(-pi^2 / _STEP).
_STEP = 0.1
# Below exp(_FIRST) and above _LAST mean times of the rarest atom nothing is left in float64.
_FIRST, _LAST = -42.0, 50.0
_LEAST = 1e-300
_CHUNK_ENTRIES = 1 << 20


@at_the_door
def inclusion_matrix(weights: Float[np.ndarray, " K"], m: int) -> Float[np.ndarray, "K K"]:
    """Return how probable it is that two atoms are in one support of successive sampling.

    Parameters
    ----------
    weights : Float[np.ndarray, " K"]
        Positive weights, not necessarily normalised, such as j^-alpha of the paper's toy model.
    m : int
        Atoms in a support, 1 <= m <= K.

    Returns
    -------
    Float[np.ndarray, "K K"]
        Entry (i, j) is P(i and j in the support), and (i, i) is P(i in the support); row i sums
        to m times its diagonal entry. Relative error about 1e-13.

    Raises
    ------
    InputError
        If a weight is not positive and finite, one is less than 1e-300 of another, or m is outside
        1..K.

    Notes
    -----
    Atom j arrives after an exponential time of rate w_j, and the first m arrivals are the support
    (Efraimidis & Spirakis 2006). So i and j are both in it if, when the later of them arrives, at
    most m - 2 of the others have:

        P(i, j) = int_0^inf (w_i q_i (1 - q_j) + w_j q_j (1 - q_i)) P(<= m - 2 others by t) dt,

    q_k = exp(-w_k t); all terms are positive, and the integral is taken by the trapezoidal rule
    in log t. `inclusion_probabilities` enumerates subsets instead, for K <= 20.
    """
    K = len(weights)
    for j, weight in enumerate(weights):
        check_real(f"weights[{j}]", weight, above=0.0)
    check_integer("m", m, 1)
    if m > K:
        raise InputError(f"m = {m}: expected at most K = {K}")
    w = weights / weights.max()
    if w.min() < _LEAST:
        raise InputError(
            f"weights between {weights.min():g} and {weights.max():g}: expected a"
            f" ratio of at least {_LEAST:g}"
        )
    if m == 1:
        return np.diag(w / w.sum())
    log_times = np.arange(_FIRST, np.log(_LAST / w.min()), _STEP)
    pairs = np.zeros((K, K))
    size = max(1, _CHUNK_ENTRIES // (K * K * (m - 1)))
    for start in range(0, len(log_times), size):
        pairs += _together_by_time(w, m, np.exp(log_times[start : start + size])) * _STEP
    np.fill_diagonal(pairs, 0.0)
    # Each support that holds i holds m - 1 others.
    np.fill_diagonal(pairs, pairs.sum(axis=1) / (m - 1))
    return pairs


def _together_by_time(
    w: Float[np.ndarray, " K"], m: int, times: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "K K"]:
    """Return the integrand of each pair, times t, summed over the times; the diagonal is junk."""
    n, K = len(times), len(w)
    left = np.exp(-w * times[:, None])
    arrived = -np.expm1(-w * times[:, None])
    # before[k, :, i]: of the atoms 0..k-1 without i, P(0), ..., P(m - 2) of them have arrived.
    before = np.zeros((K + 1, n, K, m - 1))
    after = np.zeros((K + 1, n, K, m - 1))
    before[0, :, :, 0] = after[K, :, :, 0] = 1.0
    for k in range(K):
        before[k + 1] = _with_atom(before[k], left, arrived, k)
    for k in reversed(range(K)):
        after[k] = _with_atom(after[k + 1], left, arrived, k)
    few = np.zeros((n, K, K))
    for s in range(m - 1):
        for r in range(m - 1 - s):
            few += np.einsum("kni,kni->nik", before[:K, :, :, s], after[1:, :, :, r])
    later = w * left * times[:, None]
    density = later[:, :, None] * arrived[:, None, :]
    return ((density + density.transpose(0, 2, 1)) * few).sum(axis=0)


def _with_atom(
    counts: Float[np.ndarray, "n K s"],
    left: Float[np.ndarray, "n K"],
    arrived: Float[np.ndarray, "n K"],
    k: int,
) -> Float[np.ndarray, "n K s"]:
    """Return the counts with atom k taken into account, but for atom k's own column."""
    more = counts * left[:, k, None, None]
    more[:, :, 1:] += counts[:, :, :-1] * arrived[:, k, None, None]
    more[:, k] = counts[:, k]
    return more
