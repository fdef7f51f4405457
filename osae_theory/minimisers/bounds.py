"""Lower bounds of min L_ND over every dictionary and every encoder, for any sparsity m.

The convex bound, and its proof. A sample on the ray x (unit, of energy e) that uses the
support S loses at least e (1 - x^T Pi_T x) at prefix l, where T = S n {1..l} and Pi_T
projects on the span of the atoms in T. So L_ND >= ||X||^2 - the largest value of

    sum_l p_l sum_x e_x sum_S y_xS x^T Pi_{S n {1..l}} x,     y_x one of the unit vectors,

over projectors that are nested as their sets are, with tr Pi_T <= |T|. The relaxation
puts matrices Q_xSt for the products y_xS Pi_T, T the first t atoms of S, and keeps, with
Pi_[l] for the prefixes, what is true of the products (inequalities between matrices are
Loewner's, and y >= 0 sums to 1 over S):

    0 <= Q_xS1 <= ... <= Q_xSm <= y_xS I,      tr Q_xSt <= t y_xS,
    0 <= Pi_T - sum Q_xSt <= (1 - sum y_xS) I  (sums over the S that begin with T),
    tr(Pi_T - sum Q_xSt) <= |T| (1 - sum y_xS),
    sum_S Q_xS|S n [l]| <= Pi_[l] <= I,        tr Pi_[l] <= l.

The projectors and one-hot y of any point of L_ND meet all of it, and their value is the most
that the point captures: the maximum of the relaxation is no less, which proves the bound.
Compressing the projectors to the span of the data changes no value and breaks no constraint,
and Pi_T may be replaced by I where |T| is no less than its dimension. The last line makes the
bound at least as tight as Eckart-Young's, since what prefix l captures is then at most
<Pi_[l], X X^T>.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from jaxtyping import Float

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers.losses import check_data, check_law, check_sparsity
from osae_theory.minimisers.pca import eckart_young
from osae_theory.minimisers.rays import rays_of
from osae_theory.prefixes import PrefixLaw

MOST_MATRICES = 1500
_EPS = float(np.finfo(np.float64).eps)


@at_the_door
def eckart_young_bound(X: Float[np.ndarray, "d N"], law: PrefixLaw) -> Certificate:
    """Return sum_l p_l sum_{i>l} sigma_i(X)^2, which no point of L_ND goes below.

    Prefix l reconstructs X by a matrix of rank l at most. Tight for m = K <= d (T1) and for
    orthonormal dictionaries with uncorrelated codes (T8).

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data.
    law : PrefixLaw
        Law on {1..K}.

    Raises
    ------
    InputError
        If X is empty or not finite.

    Notes
    -----
    Eckart & Young (1936); claim T2 (docs/theory.md).
    """
    check_data(X)
    sigma = np.linalg.svd(X, compute_uv=False)
    return Certificate(
        quantity="min L_ND",
        value=eckart_young(sigma, law),
        kind="lower bound",
        method="Eckart-Young at every prefix",
        error=4 * max(X.shape) * _EPS * float(sigma @ sigma),
    )


@at_the_door
def convex_lower_bound(X: Float[np.ndarray, "d N"], K: int, m: int, law: PrefixLaw) -> Certificate:
    """Return a lower bound of min L_ND that uses m-sparsity: a semidefinite relaxation.

    The relaxation, and the proof that it is one, are in this module's first lines.

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data. Samples on one ray count as one.
    K, m : int
        Atoms, and atoms a sample may use, 1 <= m <= K.
    law : PrefixLaw
        Law on {1..K}.

    Returns
    -------
    Certificate
        The larger of the relaxation's value and Eckart-Young's; the details give both. The
        relaxation's value is read off the dual solution, with its residual counted against
        it, so the solver's accuracy costs tightness (the duality gap, in the details), never
        validity; the certificate's error is the rounding of what comes after.

    Raises
    ------
    InputError
        If X is empty, not finite or zero, m is not in 1..K, the law is not on K atoms, or
        rays x supports x m is more than 1500 matrices.
    ImportError
        If cvxpy is not installed.

    Notes
    -----
    Solved by CLARABEL through cvxpy. The lift of products with indicators is that of
    Sherali & Adams (1990), in matrix form.
    """
    check_data(X)
    check_integer("K", K, 1)
    check_sparsity(m, K)
    check_law(law, K)
    most = MOST_MATRICES // (comb(K, m) * m)
    if most == 0:
        raise InputError(
            f"K = {K}, m = {m}: expected at most {MOST_MATRICES} for C(K, m) m; use"
            " `eckart_young_bound`"
        )
    rays = rays_of(X, most=most)
    total = float(rays.energies.sum())
    # The span of the data is all that the projectors are asked about.
    coordinates = np.asarray(np.linalg.qr(rays.directions, mode="r"))
    lift = _Lift(K, m, coordinates, rays.energies / total, law.probabilities)
    captured, gap, residual = lift.solve()
    floor = eckart_young_bound(X, law)
    value = total * (1 - captured) - _moved(rays.distance, total)
    best = max(value, float(floor.value))
    return Certificate(
        quantity=f"min L_ND (m = {m})",
        value=best,
        kind="lower bound",
        method="semidefinite relaxation over supports and nested projectors",
        error=floor.error,
        details={
            "relaxation": f"{value:.12g}",
            "Eckart-Young": f"{float(floor.value):.12g}",
            "duality gap": f"{total * gap:.3g}",
            "dual residual": f"{total * residual:.3g}",
        },
    )


def _moved(distance: float, total: float) -> float:
    """Bound what grouping samples on rays can have added to the minimum (T3f: Lipschitz)."""
    return 2 * distance * total**0.5 + distance**2


@dataclass(frozen=True, eq=False)
class _Lift:
    """The relaxation of `convex_lower_bound` for rays of total energy 1."""

    K: int
    m: int
    directions: Float[np.ndarray, "r R"]
    energies: Float[np.ndarray, " R"]
    probabilities: Float[np.ndarray, " K"]

    def solve(self) -> tuple[float, float, float]:
        """Return what `_solve` returns, for the share of the energy that is captured."""
        cp = _cvxpy()
        projectors, constraints = self._projectors(cp)
        objective: Any = 0
        for x, energy in zip(self.directions.T, self.energies, strict=True):
            kept, more = self._ray(cp, x, projectors)
            objective = objective + energy * kept
            constraints += more
        return _solve(cp.Problem(cp.Maximize(objective), constraints))

    @property
    def _supports(self) -> list[tuple[int, ...]]:
        return list(combinations(range(self.K), self.m))

    def _projectors(self, cp: Any) -> tuple[dict[tuple[int, ...], Any], list[Any]]:
        """Return Pi_T for |T| <= m and for every prefix, with their constraints."""
        r = self.directions.shape[0]
        identity = np.eye(r)
        sets = [T for t in range(1, self.m + 1) for T in combinations(range(self.K), t)]
        sets += [tuple(range(n)) for n in range(self.m + 1, self.K + 1)]
        projectors: dict[tuple[int, ...], Any] = {(): np.zeros((r, r))}
        constraints: list[Any] = []
        for T in sets:
            if len(T) >= r:
                projectors[T] = identity
                continue
            projector = cp.Variable((r, r), PSD=True)
            projectors[T] = projector
            constraints += [projector << identity, cp.trace(projector) <= len(T)]
        for T in sets:
            last = tuple(range(max(T) + 1))
            outer = {last} | {U for U in sets if len(U) == len(T) + 1 and set(T) < set(U)}
            constraints += [
                projectors[T] << projectors[U] for U in outer - {T} if len(T) < r and len(U) < r
            ]
        return projectors, constraints

    def _ray(self, cp: Any, x: np.ndarray, projectors: dict[tuple[int, ...], Any]) -> Any:
        """Return what the law keeps of one ray, with the constraints of its products."""
        r = x.size
        identity, outer = np.eye(r), np.outer(x, x)
        y = cp.Variable(len(self._supports), nonneg=True)
        constraints: list[Any] = [cp.sum(y) == 1]
        products: dict[tuple[int, int], Any] = {}
        beginning: dict[tuple[int, ...], list[tuple[int, Any]]] = {}
        for s, S in enumerate(self._supports):
            for t in range(1, self.m + 1):
                if t >= r:
                    products[s, t] = y[s] * identity
                    continue
                Q = cp.Variable((r, r), PSD=True)
                products[s, t] = Q
                beginning.setdefault(S[:t], []).append((s, Q))
                constraints += [cp.trace(Q) <= t * y[s], Q << y[s] * identity]
                if t > 1:
                    constraints.append(products[s, t - 1] << Q)
        for T, parts in beginning.items():
            rest = projectors[T] - sum(Q for _, Q in parts)
            unused = 1 - sum(y[s] for s, _ in parts)
            constraints += [
                rest >> 0,
                rest << unused * identity,
                cp.trace(rest) <= len(T) * unused,
            ]
        kept: Any = 0
        for n in range(1, self.K + 1):
            counts = [sum(a < n for a in S) for S in self._supports]
            seen = sum(products[s, t] for s, t in enumerate(counts) if t > 0)
            if n < r:
                constraints.append(seen << projectors[tuple(range(n))])
            kept = kept + self.probabilities[n - 1] * cp.trace(outer @ seen)
        return kept, constraints


def _solve(problem: Any) -> tuple[float, float, float]:
    """Return an upper bound of a problem's maximum, its duality gap, its dual residual.

    The problem reaches the solver as min <c, v> with b - A v in a cone. For z in the dual cone,
    <c, v> >= -<b, z> - ||A^T z + c||_1 max |v|, and no entry of a feasible v exceeds 1 here
    (they are those of y and of matrices between 0 and I): a bound even where z is not quite
    dual feasible.
    """
    data, chain, _ = problem.get_problem_data("CLARABEL")
    solution = chain.solve_via_data(problem, data)
    status = str(solution.status)
    if status not in ("Solved", "AlmostSolved"):
        raise ArithmeticError(f"CLARABEL ended as {status}: expected a solution")
    z = _moved_into_the_cone(np.array(solution.z), data["dims"])
    residual = float(np.abs(data["A"].T @ z + data["c"]).sum())
    bound = float(data["b"] @ z) + residual
    return bound, abs(bound + float(solution.obj_val)), residual


def _moved_into_the_cone(z: Float[np.ndarray, " n"], dims: Any) -> Float[np.ndarray, " n"]:
    """Return z plus the least multiple of the cone's identity that puts it in the dual cone.

    The cone is a product of {0}, whose dual is everything, of half-lines, and of matrices kept
    as upper triangles, column by column, their off-diagonal entries times sqrt 2.
    """
    identity = np.zeros_like(z)
    start = dims.zero + dims.nonneg
    identity[dims.zero : start] = 1.0
    least = float(z[dims.zero : start].min(initial=0.0))
    for n in dims.psd:
        size = n * (n + 1) // 2
        rows, columns = np.tril_indices(n)
        scale = np.where(rows == columns, 1.0, 0.5**0.5)
        matrix = np.zeros((n, n))
        matrix[rows, columns] = z[start : start + size] * scale
        least = min(least, float(np.linalg.eigvalsh(matrix)[0]))
        identity[start : start + size] = rows == columns
        start += size
    return z - least * identity


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ImportError as error:
        raise ImportError(
            "convex_lower_bound needs cvxpy: install the extra, osae-theory[theory]"
        ) from error
    return cvxpy
