"""Up to which lambda the exact penalty F = ||X - D Y|| + lambda L_q gives D* back (claim A).

Let L* be the least L_q over the orders of an exact factorisation X = D* Y*. As F >= lambda L*
says that the residual is at least lambda (L* - L_q), the sharp threshold is

    lambda_0 = inf of ||X - D Y|| / (L* - L_q(D, Y)) over the points with L_q < L*.

Here it is bounded from above by what happens close to D* (`local_threshold`), found exactly for
m = 1 (`ray_maps`), and bounded from below for d = K, m = K - 1 (`hyperplane_bound`).
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from jaxtyping import Bool, Float, Int

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_choice, check_real
from osae_theory.minimisers.linearised import linearised, tangents
from osae_theory.minimisers.losses import check_data, check_law, gradients, prefix_losses
from osae_theory.minimisers.pca import eckart_young
from osae_theory.minimisers.rays import MOST_RAYS, cluster_energies, rays_of
from osae_theory.objectives import PENALTY_FORMS
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import check_dictionary

MOST_MAPS = 300_000
_ROUNDING = 1e-12
_MOST_ROUNDS = 400
_N_RADII = 400
_SMOOTHER, _LEAST_SHARE = 0.8, 1e-10  # of the lengths, in least squares reweighted


@dataclass(frozen=True, eq=False)
class LocalThreshold:
    """The lambda up to which a factorisation is a local minimiser of F.

    Attributes
    ----------
    value : float
        lambda_loc; infinite where L_q has no slope.
    error : float
        What the threshold may exceed `value` by; 0, up to rounding, for the form "total".
    atoms : Float[np.ndarray, "d K"]
        Direction in D, tangent to the spheres, along which F falls at once beyond the threshold.
    codes : Float[np.ndarray, "K N"]
        The same in Y. Both together have norm 1, or are 0 where `value` is infinite.
    """

    value: float
    error: float
    atoms: Float[np.ndarray, "d K"]
    codes: Float[np.ndarray, "K N"]


@at_the_door
def local_threshold(
    D: Float[np.ndarray, "d K"],
    Y: Float[np.ndarray, "K N"],
    truncation: PrefixLaw,
    form: str = "total",
    active: Bool[np.ndarray, "K N"] | None = None,
    tolerance: float = 1e-6,
) -> LocalThreshold:
    """Return the lambda up to which (D, Y) is a local minimiser of F for X = D Y.

    To first order F changes by ||J v|| + lambda <g, v> along v, g the gradient of L_q. So the
    threshold is 1 over the dual norm of g: sqrt(g^T (J^T J)^-1 g) for the Frobenius norm, and
    min { max_n ||u_n|| : J^T u = -g } for the sum over samples.

    Parameters
    ----------
    D, Y : arrays
        An exact factorisation of the data, unit-norm columns in D.
    truncation : PrefixLaw
        q, on {1..K}.
    form : str
        "total" or "per sample".
    active : array of bool, shape (K, N), optional
        The codes that may move, the nonzeros of Y among them; those alone if not given. Where a
        column has fewer than m nonzeros, (D, Y) is a local minimiser over m-sparse codes up to
        the least threshold over all ways to fill columns up to m.
    tolerance : float
        Of the form "per sample": the relative gap at which the search for u ends, above 0.

    Raises
    ------
    InputError
        If J is not injective, an argument is outside its range, or `active` misses a nonzero.

    Notes
    -----
    claims A and A' (docs/theory.md). For "per sample", weights 1 / ||J_n v|| set anew from round
    to round (least squares, reweighted) give v, an upper bound, and u, a lower one.
    """
    check_dictionary(D)
    check_law(truncation, D.shape[1])
    check_choice("form", form, PENALTY_FORMS)
    check_real("tolerance", tolerance, above=0)
    moves = Y != 0 if active is None else active
    if (Y[~moves] != 0).any():
        raise InputError("active: expected every nonzero of the codes among them")
    bases = tangents(D)
    J = linearised(D, Y, bases, moves)
    sigma = np.linalg.svd(J, compute_uv=False)
    if J.shape[1] > J.shape[0]:
        raise InputError(
            f"J has {J.shape[1]} unknowns and {J.shape[0]} equations: expected J injective"
        )
    if sigma[-1] <= 1e-10 * sigma[0]:
        raise InputError(f"smallest singular value of J = {sigma[-1]:.3g}: expected J injective")
    grad_D, grad_Y = gradients(D @ Y, Y, D, truncation)
    g = np.concatenate([np.einsum("jdi,dj->ji", bases, grad_D).ravel(), grad_Y.T[moves.T]])
    if np.linalg.norm(g) <= _ROUNDING * float(np.vdot(Y, Y)):
        return LocalThreshold(np.inf, 0.0, np.zeros_like(D), np.zeros_like(Y))
    if form == "total":
        v = -np.linalg.solve(J.T @ J, g)
        value, error = float(1 / np.sqrt(-g @ v)), 0.0
    else:
        value, error, v = _least_largest(J.reshape(Y.shape[1], len(D), -1), g, tolerance)
    v = v / np.linalg.norm(v)
    n_turns = bases.shape[0] * bases.shape[2]
    codes = np.zeros_like(Y).T
    codes[moves.T] = v[n_turns:]
    atoms = np.einsum("jdi,ji->dj", bases, v[:n_turns].reshape(len(Y), -1))
    return LocalThreshold(value, error, atoms, codes.T)


def _least_largest(
    J: Float[np.ndarray, "N d n"], g: Float[np.ndarray, " n"], tolerance: float
) -> tuple[float, float, Float[np.ndarray, " n"]]:
    """Return 1 / min { max_n ||u_n|| : sum_n J_n^T u_n = -g }, its error, and the best v."""
    weights, smoothing = np.ones(len(J)), 1.0
    lower, upper, best = 0.0, np.inf, -g
    for _ in range(_MOST_ROUNDS):
        v = -np.linalg.solve(np.einsum("n,nda,ndb->ab", weights, J, J, optimize=True), g)
        lengths = np.linalg.norm(J @ v, axis=1)
        total = float(lengths.sum())
        # u_n = weight J_n v meets J^T u = -g; v has the slope <g, v> for its sum of lengths.
        lower = max(lower, 1 / float((weights * lengths).max()))
        if total / -(g @ v) < upper:
            upper, best = float(total / -(g @ v)), v
        if upper - lower <= tolerance * lower:
            break
        shares = lengths / total
        smoothing = max(_SMOOTHER * min(smoothing, float(shares.mean())), _LEAST_SHARE)
        weights = 1 / np.sqrt(shares**2 + smoothing**2)
    return lower, upper - lower, best


@dataclass(frozen=True, eq=False)
class RayMaps:
    """Every map of the data's rays to the slots (m = 1), with the best atoms and codes for it.

    On a map the best atom of a slot is its rays' principal direction whatever the weights, since
    F rises with what each slot leaves over, and with nothing else.

    Attributes
    ----------
    slots : Int[np.ndarray, "maps R"]
        The slot, from 0, of each ray, the ray of most energy first.
    residuals : Float[np.ndarray, " maps"]
        ||X - D Y||_F.
    truncated : Float[np.ndarray, " maps"]
        L_q.
    least : float
        L*, the least L_q of the maps with no residual.
    """

    slots: Int[np.ndarray, "maps R"]
    residuals: Float[np.ndarray, " maps"]
    truncated: Float[np.ndarray, " maps"]
    least: float

    @property
    def threshold(self) -> float:
        """lambda_0, the least residual / (L* - L_q); infinite if no map has L_q < L*."""
        below = self.truncated < self.least * (1 - _ROUNDING)
        return float(
            np.min(self.residuals[below] / (self.least - self.truncated[below]), initial=np.inf)
        )

    def minimisers(self, weight: float, slack: float = 1e-11) -> Int[np.ndarray, "best R"]:
        """Return the maps whose F is least, up to a relative slack."""
        F = self.residuals + weight * self.truncated
        return self.slots[np.flatnonzero(F <= F.min() * (1 + slack))]


@at_the_door
def ray_maps(X: Float[np.ndarray, "d N"], truncation: PrefixLaw) -> RayMaps:
    """Return F's two parts on every map of the rays of X to the slots, for m = 1.

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data on at most K rays (`rays_of`), so that some map has no residual.
    truncation : PrefixLaw
        q, on {1..K}.

    Raises
    ------
    InputError
        If there are more rays than slots, or more than 300,000 maps.

    Notes
    -----
    claim A (docs/theory.md): with the maps, the minimum of F at m = 1 and lambda_0 are exact up
    to rounding, for the form "total".
    """
    check_data(X)
    K = truncation.K
    rays = rays_of(X, most=MOST_RAYS)
    R = rays.energies.size
    if R > K or K**R > MOST_MAPS:
        raise InputError(f"{R} rays for {K} slots: expected at most K, and {MOST_MAPS} maps")
    captured = cluster_energies(rays.directions, rays.energies)
    bits = (np.arange(1 << R)[:, None] >> np.arange(R)) & 1
    energies = bits @ rays.energies
    left = np.maximum(energies - captured, 0.0)
    # One ray alone is fitted exactly, which rounding would hide.
    left[bits.sum(axis=1) <= 1] = 0.0
    slots = np.array(list(product(range(K), repeat=R)))
    sets = ((slots[:, :, None] == np.arange(K)) << np.arange(R)[:, None]).sum(axis=1)
    w = truncation.survival
    squares = left[sets].sum(axis=1)
    truncated = left[sets] @ w + energies[sets] @ (1 - w)
    least = float(truncated[squares == 0].min())
    return RayMaps(slots, np.sqrt(squares), truncated, least)


@at_the_door
def hyperplane_bound(
    D: Float[np.ndarray, "d K"], Y: Float[np.ndarray, "K N"], truncation: PrefixLaw
) -> Certificate:
    """Return a lower bound of lambda_0 for d = K, m = K - 1, over all dictionaries and codes.

    Parameters
    ----------
    D, Y : arrays
        Independent atoms of norm 1, K >= 2, and codes with exactly K - 1 nonzeros a column.
    truncation : PrefixLaw
        q, of full support on {1..K-1}, with no mass on K.

    Returns
    -------
    Certificate
        A lower bound above 0 if the factorisation X = D Y is unique; details give the least
        residual of any other partition of the samples, and the radius of the local part.

    Raises
    ------
    InputError
        If the sizes or supports are others, or the partitions are more than 300,000.

    Notes
    -----
    claim A (docs/theory.md). K - 1 of the K atoms span at most a hyperplane, so every point
    splits the samples among K hyperplanes, and ||X - D Y||^2 is at least the sum of the parts'
    least eigenvalues. The true split apart, that is at least r > 0, and L_q is at least what
    Eckart and Young allow. On the true split let n_i be the unit normals (rows of N, which is
    D^-1 up to their lengths), E = X - D' Y' of norm at most rho, and sigma the least, over i, of
    the (K-1)-th singular value of the samples in hyperplane i. The normals of D' can be scaled to
    n_i + delta_i, delta_i orthogonal to n_i, with ||delta|| <= ||E|| / tau, tau = sqrt(sigma^2 -
    rho^2). The contribution of atom j is Q_j (X - E) with Q_j = N^-1 e_j e_j^T N, so it moves by
    at most kappa ||E||, kappa = (||N X|| / (s tau) + sqrt(1 + (rho / tau)^2)) / (s - rho / tau),
    s the least singular value of N. L_l is convex in the contributions, so L* - L_q is at most
    2 kappa ||E|| sum_j ||sum_{l >= j} q_l T_l||_F in each order, T_l the true residual of prefix l.
    """
    _check_hyperplanes(D, Y, truncation)
    X, K = D @ Y, len(D)
    q, part = truncation.probabilities, (Y == 0).argmax(axis=0)
    orders = [list(order) for order in permutations(range(K))]
    least = min(float(q @ prefix_losses(X, Y[o], D[:, o])) for o in orders)
    sigma_X = np.linalg.svd(X, compute_uv=False)
    # Both are equal only where every prefix is at its best: then no point has L_q < L*.
    most = max(least - eckart_young(sigma_X, truncation), np.finfo(float).tiny)
    other = _other_partition(X, part, K)
    slope = max(_slope(X, D[:, o], Y[o], q) for o in orders)
    N = np.linalg.inv(D)
    N /= np.linalg.norm(N, axis=1, keepdims=True)
    s = float(np.linalg.svd(N, compute_uv=False)[-1])
    sigma = min(_smallest(X[:, part == i], K - 1) for i in range(K))
    best, radius = 0.0, 0.0
    largest = sigma * s / np.sqrt(1 + s * s)
    # Too few samples leave a hyperplane free: then there is no radius, and the bound is 0.
    for rho in np.linspace(0, largest, _N_RADII)[1:-1] if largest > 0 else ():
        tau = np.sqrt(sigma**2 - rho**2)
        kappa = np.linalg.norm(N @ X, 2) / (s * tau) + np.sqrt(1 + (rho / tau) ** 2)
        kappa /= s - rho / tau
        bound = min(1 / (kappa * slope), rho / most)
        if bound > best:
            best, radius = float(bound), float(rho)
    value = min(best, other / most)
    return Certificate(
        quantity="lambda_0",
        value=value * (1 - 1e-9),
        kind="lower bound",
        method=f"all splits of {X.shape[1]} samples among {K} hyperplanes, a bound at the true one",
        error=_ROUNDING * value,
        details={
            "least residual of another split": f"{other:.6g}",
            "radius of the bound at the true one": f"{radius:.6g}",
        },
    )


def _check_hyperplanes(D: np.ndarray, Y: np.ndarray, truncation: PrefixLaw) -> None:
    check_dictionary(D)
    check_law(truncation, D.shape[1])
    d, K = D.shape
    if d != K or K < 2 or (np.count_nonzero(Y, axis=0) != K - 1).any():
        raise InputError(f"D of shape {D.shape}: expected d = K, and K - 1 nonzeros a column of Y")
    if (truncation.probabilities[:-1] <= 0).any() or truncation.probabilities[-1] != 0:
        raise InputError("q: expected mass on every prefix but l = K, and none on K")
    if K ** (Y.shape[1] - 1) > MOST_MAPS:
        raise InputError(
            f"{K}^{Y.shape[1] - 1} splits of the samples: expected at most {MOST_MAPS}"
        )


def _other_partition(X: np.ndarray, part: np.ndarray, K: int) -> float:
    """Return the least residual of a split of the samples that is not the true one, relabelled."""
    # Labels are free, so the first sample has the first.
    rest = np.array(list(product(range(K), repeat=len(part) - 1)))
    splits = np.hstack([np.zeros((len(rest), 1), dtype=rest.dtype), rest])
    squares = np.zeros(len(splits))
    outer = np.einsum("an,bn->nab", X, X)
    for i in range(K):
        moments = np.tensordot((splits == i).astype(np.float64), outer, axes=1)
        squares += np.maximum(np.linalg.eigvalsh(moments)[:, 0], 0.0)
    true = np.zeros(len(splits), dtype=bool)
    for labels in permutations(range(K)):
        true |= (splits == np.array(labels)[part]).all(axis=1)
    return float(np.sqrt(np.min(squares[~true])))


def _smallest(samples: np.ndarray, rank: int) -> float:
    """Return singular value number `rank` of some samples; 0 if they are fewer."""
    if samples.shape[1] < rank:
        return 0.0
    return float(np.linalg.svd(samples, compute_uv=False)[rank - 1])


def _slope(X: np.ndarray, D: np.ndarray, Y: np.ndarray, q: np.ndarray) -> float:
    """Return 2 sum_j ||sum_{l >= j} q_l T_l||_F."""
    K = len(q)
    residuals = [X - D[:, :length] @ Y[:length] for length in range(1, K)]
    pulls = [sum(q[i] * residuals[i] for i in range(j, K - 1)) for j in range(K - 1)]
    return 2 * float(sum(np.linalg.norm(pull) for pull in pulls))
