"""The exact penalty F = ||X - D Y|| + lambda L_q of claims A and A', and descent on it.

For every t > 0, r <= r^2 / (2 t) + t / 2, with equality at t = r. So at a point with residual r
the nested-dropout loss with weight 1 / (2 r) on l = K and lambda q elsewhere, plus a constant,
touches F from above: descent on F is nested dropout whose law is set anew at every step, and
tends to l = K as the fit becomes exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_choice, check_finite, check_integer, check_real
from osae_theory.minimisers.alternating import atoms_in_turn, drawn_start
from osae_theory.minimisers.losses import (
    check_data,
    check_law,
    check_sparsity,
    pair_weights,
    prefix_losses,
)
from osae_theory.objectives import PENALTY_FORMS
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import check_dictionary

_FLOOR = 1e-11  # of ||X||: residuals below count as this in the step's weights
_SETTLED = 1e-9  # relative gain of a step
_MOST_ENTRIES = 5_000_000


@dataclass(frozen=True, eq=False)
class PenaltyPoint:
    """Where descents on F ended lowest: an upper bound of its minimum.

    Attributes
    ----------
    dictionary : Float[np.ndarray, "d K"]
        D, unit-norm columns.
    codes : Float[np.ndarray, "K N"]
        Y, columns with at most m nonzeros.
    loss : float
        F there.
    residual : float
        ||X - D Y||_F there.
    losses : tuple of float
        F where each descent ended, the given starts first.
    """

    dictionary: Float[np.ndarray, "d K"]
    codes: Float[np.ndarray, "K N"]
    loss: float
    residual: float
    losses: tuple[float, ...]


@at_the_door
def penalty_loss(
    X: Float[np.ndarray, "d N"],
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
    truncation: PrefixLaw,
    weight: float,
    form: str = "total",
) -> float:
    """Return F = ||X - D Y||_F + weight L_q, or with sum_n ||x_n - D y_n|| in the first place.

    Parameters
    ----------
    X, Y, D : arrays
        Data, codes and a dictionary with unit-norm columns.
    truncation : PrefixLaw
        q, a law on {1..K}; claims A and A' want full support on {1..K-1} and none on K.
    weight : float
        lambda, above 0.
    form : str
        "total" (claim A) or "per sample" (claim A').

    Raises
    ------
    InputError
        If an array is not finite, a column of D not of unit norm, q not on K atoms, the weight
        not above 0, or the form unknown.
    """
    check_data(X)
    check_finite("codes", Y)
    check_dictionary(D)
    check_law(truncation, D.shape[1])
    check_real("weight", weight, above=0)
    check_choice("form", form, PENALTY_FORMS)
    return _value(X, Y, D, truncation, weight, form)


@at_the_door
def penalty_descent(
    X: Float[np.ndarray, "d N"],
    K: int,
    m: int,
    truncation: PrefixLaw,
    weight: float,
    n_starts: int = 20,
    seed: int = 0,
    *,
    form: str = "total",
    nonnegative: bool = False,
    initial: Sequence[np.ndarray] = (),
    max_steps: int = 500,
    tolerance: float = 1e-10,
) -> PenaltyPoint:
    """Return the best point of many descents on F: an upper bound of its minimum.

    A step takes the quadratic that touches F from above, sets supports and codes to its best
    over all C(K, m) supports, then each atom. For one norm a sample, r is replaced by
    (r^2 + floor^2)^(1/2), with a floor that falls with the residuals, and where steps have settled;
    for the form "total" the floor is 1e-11 ||X|| throughout. What is so rounded never increases.

    Parameters
    ----------
    X, K, m
        Data, atoms, and atoms a sample may use, 1 <= m <= K.
    truncation, weight, form
        As in `penalty_loss`.
    n_starts, seed
        Drawn starts, at least 0 (at least 1 without `initial`), and their seed.
    nonnegative : bool
        Whether codes must be at least 0.
    initial : sequence of np.ndarray
        Further dictionaries (d, K) to start from, unit-norm columns.
    max_steps : int
        Steps of a descent, at least 1.
    tolerance : float
        A descent ends when a step gains less than this times F.

    Raises
    ------
    InputError
        If an array or a number is outside its range, or C(K, m) N m is more than five million.

    Notes
    -----
    claims A and A' (docs/theory.md). Steps come closer to D* by the factor lambda / lambda_loc
    at best (`local_threshold`).
    """
    check_data(X)
    check_integer("K", K, 1)
    check_sparsity(m, K)
    check_law(truncation, K)
    check_real("weight", weight, above=0)
    check_choice("form", form, PENALTY_FORMS)
    check_integer("n_starts", n_starts, 0 if initial else 1)
    check_integer("max_steps", max_steps, 1)
    check_real("tolerance", tolerance, at_least=0)
    for start in initial:
        if start.shape != (X.shape[0], K):
            raise InputError(f"start of shape {start.shape}: expected {(X.shape[0], K)}")
        check_dictionary(start)
    sizes = range(1, m + 1) if nonnegative else (m,)
    supports = [np.array(list(combinations(range(K), size))) for size in sizes]
    if sum(s.size for s in supports) * X.shape[1] > _MOST_ENTRIES:
        raise InputError(f"supports of {m} of {K} atoms for {X.shape[1]} samples: too many")
    problem = _Problem(X, truncation, weight, form, supports, nonnegative)
    starts = [*initial, *(drawn_start(X, K, seed, index) for index in range(n_starts))]
    ends = [problem.descend(start, max_steps, tolerance) for start in starts]
    losses = tuple(loss for _, _, loss in ends)
    D, Y, loss = ends[int(np.argmin(losses))]
    return PenaltyPoint(D, Y, loss, float(np.linalg.norm(X - D @ Y)), losses)


def _value(
    X: np.ndarray, Y: np.ndarray, D: np.ndarray, truncation: PrefixLaw, weight: float, form: str
) -> float:
    norms = np.linalg.norm(X - D @ Y, axis=0)
    fit = np.linalg.norm(norms) if form == "total" else norms.sum()
    return float(fit + weight * (truncation.probabilities @ prefix_losses(X, Y, D)))


@dataclass(frozen=True, eq=False)
class _Problem:
    X: Float[np.ndarray, "d N"]
    truncation: PrefixLaw
    weight: float
    form: str
    supports: list[Int[np.ndarray, "_ _"]]
    nonnegative: bool

    def descend(
        self, D: np.ndarray, max_steps: int, tolerance: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the point where descent from a dictionary ends, and F there."""
        plain = np.full(self.X.shape[1] if self.form == "per sample" else 1, np.inf)
        Y = self.best_codes(D, plain)
        sizes, loss = self.sizes(D, Y), np.inf
        least = _FLOOR * float(np.linalg.norm(self.X))
        floor = least if self.form == "total" else np.inf
        for _ in range(max_steps):
            # A sample that is fitted exactly too early would hold the atoms where they are: the
            # floor follows the residuals, and falls by itself only where the steps have settled.
            floor = max(min(floor, float(np.sqrt(np.mean(sizes**2)))), least)
            full = 1 / (2 * np.hypot(sizes, floor))
            Y = self.best_codes(D, full)
            D = self.best_atoms(D, Y, full)
            sizes = self.sizes(D, Y)
            before, loss = loss, float(np.hypot(sizes, floor).sum())
            loss += self.weight * float(self.truncation.probabilities @ prefix_losses(self.X, Y, D))
            if before - loss <= tolerance * loss and floor <= least:
                break
            if before - loss <= _SETTLED * loss:
                floor /= 2
        return D, Y, _value(self.X, Y, D, self.truncation, self.weight, self.form)

    def sizes(self, D: np.ndarray, Y: np.ndarray) -> Float[np.ndarray, " n"]:
        """Return what is not squared: the norm of all residuals, or one a sample."""
        norms = np.linalg.norm(self.X - D @ Y, axis=0)
        return np.array([np.linalg.norm(norms)]) if self.form == "total" else norms

    def best_codes(self, D: np.ndarray, full: np.ndarray) -> Float[np.ndarray, "K N"]:
        """Return the best codes of the quadratic, over all supports; of L_K if `full` is inf."""
        # Of each sample's quadratic, divided by the weights' sum, these are survival weights.
        share = self.weight / (full[:, None] + self.weight)
        w = 1 - share * (1 - self.truncation.survival)
        gram, overlaps = D.T @ D, (D.T @ self.X).T
        N, K = overlaps.shape
        Y, best = np.zeros((N, K)), np.zeros(N)
        samples = np.arange(N)
        for S in self.supports:
            weights = w[:, S]
            blocks = np.minimum(weights[..., :, None], weights[..., None, :])
            blocks = blocks * gram[S[:, :, None], S[:, None, :]]
            right = weights * overlaps[:, S]
            values = _solved(blocks, right)
            gains = (values * right).sum(axis=-1)
            if self.nonnegative:
                gains[(values < 0).any(axis=-1)] = -np.inf
            chosen = gains.argmax(axis=1)
            better = np.flatnonzero(gains[samples, chosen] > best)
            best[better] = gains[better, chosen[better]]
            Y[better] = 0.0
            Y[better[:, None], S[chosen[better]]] = values[better, chosen[better]]
        return Y.T

    def best_atoms(
        self, D: np.ndarray, Y: np.ndarray, full: np.ndarray
    ) -> Float[np.ndarray, "d K"]:
        """Return D after each atom in turn has been set to its best for the quadratic."""
        w, weighted = self.weight * self.truncation.survival, full * Y
        coupling = weighted @ Y.T + pair_weights(w) * (Y @ Y.T)
        np.fill_diagonal(coupling, 0.0)
        return atoms_in_turn(D, self.X @ weighted.T + (self.X @ Y.T) * w, coupling)


def _solved(blocks: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "n C s"]:
    """Solve each support's equations; in the sense of least squares if one of them is singular."""
    if len(blocks) > 1:
        try:
            return np.linalg.solve(blocks, right[..., None])[..., 0]
        except np.linalg.LinAlgError:
            pass
    return (np.linalg.pinv(blocks, hermitian=True) @ right[..., None])[..., 0]
