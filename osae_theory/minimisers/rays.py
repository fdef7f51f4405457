"""The exact global minimum of L_ND for m = 1 (T3e): every sample lies on one ray per atom used.

With one atom a sample and the codes projected out, a point of L_ND is a map of the data's
rays to the slots 1..K of the dictionary, and

    L_ND = ||X||^2 - sum_j w_j lambda_max(M_j),   M_j = sum of e_k d_k* d_k*^T over slot j's rays.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from osae_theory.certificates import Certificate
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.minimisers.losses import check_data, check_law, nested_loss
from osae_theory.minimisers.results import Minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import check_dictionary

MOST_RAYS = 14
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Rays:
    """The lines through the origin on which the samples lie.

    Attributes
    ----------
    directions : Float[np.ndarray, "d R"]
        Unit vectors, the ray of most energy first.
    energies : Float[np.ndarray, " R"]
        e_k > 0, the sum of ||x||^2 over the ray's samples.
    ray_of_sample : Int[np.ndarray, " N"]
        Each sample's ray; -1 for a zero sample.
    distance : float
        Frobenius norm of what of X is not on the rays: rounding, if the samples are on them.
    """

    directions: Float[np.ndarray, "d R"]
    energies: Float[np.ndarray, " R"]
    ray_of_sample: Int[np.ndarray, " N"]
    distance: float


@dataclass(frozen=True, eq=False)
class RayMinimiser(Minimiser):
    """A global minimiser of L_ND for m = 1.

    Attributes
    ----------
    rays : Rays
        The data's rays, in descending energy.
    maps : tuple of tuple of int
        Every optimal map of rays to slots up to the tolerance (as many as were asked for):
        `maps[i][k]` is the slot, from 0, of ray k. The first one gave the point. Of slots
        beyond the number of rays, only the first is considered.
    gap : float
        Gamma of T3f: by how much the second-best map is worse; infinite if there is no other.
    """

    rays: Rays
    maps: tuple[tuple[int, ...], ...]
    gap: float


@at_the_door
def rays_of(X: Float[np.ndarray, "d N"], tolerance: float = 1e-9, most: int | None = None) -> Rays:
    """Return the rays of a data matrix, samples grouped by direction up to sign.

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data.
    tolerance : float
        Largest distance of two unit vectors, up to sign, on one ray, in (0, 1).
    most : int, optional
        How many rays the caller can use, so that data with more are refused early.

    Returns
    -------
    Rays
        For data X = D* Y* with 1-sparse columns: D* and its energies, without the atoms that
        no sample uses.

    Raises
    ------
    InputError
        If X is empty or not finite, every sample is zero, or there are more than `most` rays.

    Notes
    -----
    The setting of claim T3.
    """
    check_data(X)
    check_real("tolerance", tolerance, above=0, below=1)
    norms = np.linalg.norm(X, axis=0)
    label = np.full(X.shape[1], -1)
    left = norms > 0
    if not left.any():
        raise InputError("every sample is zero: expected data with at least one ray")
    units = X / np.where(left, norms, 1.0)
    directions, energies, distance = [], [], 0.0
    while left.any():
        if len(energies) == most:
            raise InputError(
                f"data on more than {most} rays: expected at most {most} for this"
                " method; `alternating` and `eckart_young_bound` have no such limit"
            )
        u = units[:, [int(np.argmax(left))]]
        apart = np.minimum(np.linalg.norm(units - u, axis=0), np.linalg.norm(units + u, axis=0))
        group = left & (apart <= tolerance)
        left &= ~group
        label[group] = len(energies)
        principal, sigma, _ = np.linalg.svd(X[:, group], full_matrices=False)
        # The sign of the first sample, so that nonnegative codes give back D* itself.
        directions.append(principal[:, 0] * np.sign(principal[:, 0] @ u[:, 0]))
        energies.append(float(sigma[0] ** 2))
        distance += float((sigma[1:] ** 2).sum())
    descending = np.argsort(-np.array(energies), kind="stable")
    place = np.append(np.argsort(descending), -1)
    return Rays(
        np.array(directions).T[:, descending],
        np.array(energies)[descending],
        place[label],
        distance**0.5,
    )


@at_the_door
def cluster_energies(
    directions: Float[np.ndarray, "d R"], energies: Float[np.ndarray, " R"]
) -> Float[np.ndarray, " subsets"]:
    """Return lambda_max(sum_{k in T} e_k d_k d_k^T) for each of the 2^R sets T of rays.

    Parameters
    ----------
    directions, energies : arrays
        As in `Rays`; at most 14 rays.

    Returns
    -------
    Float[np.ndarray, " subsets"]
        Entry i is that of the set with ray k whenever bit k of i is 1; 0 for the empty set.

    Raises
    ------
    InputError
        If there are more than 14 rays.
    """
    R = energies.size
    if R > MOST_RAYS:
        raise InputError(
            f"{R} rays: expected at most {MOST_RAYS}; use `alternating` for an upper and"
            " `convex_lower_bound` for a lower bound"
        )
    scaled = np.linalg.qr(directions * np.sqrt(energies), mode="r")
    outer = np.einsum("ik,jk->kij", scaled, scaled)
    members = (np.arange(1 << R)[:, None] >> np.arange(R)) & 1
    moments = np.tensordot(members.astype(np.float64), outer, axes=1)
    return np.maximum(np.linalg.eigvalsh(moments)[:, -1], 0.0)


@at_the_door
def ray_minimiser(
    X: Float[np.ndarray, "d N"], law: PrefixLaw, *, tolerance: float = 1e-9, max_maps: int = 64
) -> RayMinimiser:
    """Return a global minimiser of L_ND for m = 1, by dynamic programming over sets of rays.

    V_j(S), the most that slots j..K capture of the rays S, is the maximum over T in S of
    w_j lambda(T) + V_{j+1}(S without T): O(K 3^R) for R rays. No sorting is needed, since
    a map that is not sorted by lambda is never better than its sorted one (rearrangement).

    Parameters
    ----------
    X : Float[np.ndarray, "d N"]
        Data, of any kind; at most 14 rays (see `rays_of`).
    law : PrefixLaw
        Law on {1..K}; K, the number of slots, need not be the number of rays.
    tolerance : float
        Largest distance of two directions on one ray, and, times ||X||^2, the largest loss
        beyond the minimum that still counts as optimal.
    max_maps : int
        How many optimal maps to list at most, at least 1.

    Returns
    -------
    RayMinimiser
        `unique` says whether every minimiser is this one up to signs: one optimal map, no
        empty slot, w_K > 0, and a simple top eigenvalue in every slot.

    Raises
    ------
    InputError
        If X is empty, not finite or zero, or has more than 14 rays.

    Notes
    -----
    claim T3e (docs/theory.md). The gap is T3f's Gamma.
    """
    check_integer("max_maps", max_maps, 1)
    rays = rays_of(X, tolerance, MOST_RAYS)
    captured = cluster_energies(rays.directions, rays.energies)
    # A map that uses more slots than there are rays, and one, has an equal or better
    # neighbour that does not: neither the best map nor the second best needs them.
    weights = law.survival[: min(law.K, rays.energies.size + 1)]
    tables, second = _best_and_second(captured, weights)
    total = float(rays.energies.sum())
    scale = float(np.vdot(X, X))
    maps = _maps_within(captured, weights, tables, tolerance * scale, max_maps)
    D, simple = _atoms_of_map(rays, maps[0], law)
    Y = _codes_of_map(X, rays, maps[0], D)
    loss = nested_loss(X, Y, D, law)
    value = total - float(tables[0][-1]) + rays.distance**2
    gap = float(tables[0][-1] - second)
    used = len(set(maps[0])) == law.K
    unique = gap > tolerance * scale and used and simple and law.survival[-1] > 0
    # sqrt(min L_ND) is 1-Lipschitz in X (T3f); the grouping moved X by `distance`.
    moved = 2 * rays.distance * max(loss, 0.0) ** 0.5 + rays.distance**2
    certificate = Certificate(
        quantity="min L_ND (m = 1)",
        value=value,
        kind="value",
        method=f"all maps of {rays.energies.size} rays to {law.K} slots by dynamic programming",
        error=abs(loss - value) + moved + 32 * law.K * max(X.shape) * _EPS * scale,
        details={
            "residual": f"{abs(loss - value):.3g}",
            "gap to the second-best map": f"{gap:.6g}",
            "optimal maps": f"{len(maps)}{' or more' if len(maps) == max_maps else ''}",
        },
    )
    return RayMinimiser(D, Y, loss, bool(unique), certificate, rays, maps, gap)


@at_the_door
def best_encoder_loss(
    D: Float[np.ndarray, "d K"],
    D_star: Float[np.ndarray, "d R"],
    energies: Float[np.ndarray, " R"],
    law: PrefixLaw,
) -> float:
    """Return min over E of L_ND(D, E) for m = 1: sum_k e_k (1 - max_j w_j <d_j, d_k*>^2).

    Parameters
    ----------
    D : Float[np.ndarray, "d K"]
        The dictionary to judge, unit-norm columns.
    D_star, energies : arrays
        The data's rays and their energies, each at least 0.
    law : PrefixLaw
        Law on {1..K}.

    Raises
    ------
    InputError
        If a column is not of unit norm, an energy is negative, or the law is not on K atoms.

    Notes
    -----
    claim T3e (docs/theory.md).
    """
    for dictionary in (D, D_star):
        check_dictionary(dictionary)
    check_law(law, D.shape[1])
    if (energies < 0).any():
        raise InputError(f"energies {energies}: expected none negative")
    kept = (law.survival[:, None] * (D.T @ D_star) ** 2).max(axis=0)
    return float(energies @ (1 - kept))


def _subset_pairs(R: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every (S, T) with T inside S, by S, and where each S begins."""
    S = np.zeros(1, dtype=np.int64)
    T = np.zeros(1, dtype=np.int64)
    for bit in (1 << np.arange(R)).tolist():
        S = np.concatenate([S, S + bit, S + bit])
        T = np.concatenate([T, T, T + bit])
    by_set = np.argsort(S, kind="stable")
    S, T = S[by_set], T[by_set]
    return S, T, np.searchsorted(S, np.arange(1 << R))


def _best_and_second(
    captured: np.ndarray, weights: np.ndarray
) -> tuple[list[np.ndarray], np.floating]:
    """Return V_1, ..., V_{K+1} and the second-best value over all maps of all rays to slots."""
    S, T, starts = _subset_pairs(len(captured).bit_length() - 1)
    rest = S ^ T
    best = np.full(len(captured), -np.inf)
    best[0] = 0.0
    second = np.full(len(captured), -np.inf)
    tables = [best]
    for w in weights[::-1]:
        here = w * captured[T]
        values = here + tables[0][rest]
        best = np.maximum.reduceat(values, starts)
        # With the winner (S, T) struck out, what is left is the best of the other T, and the
        # runner-up of the same T.
        winner = np.where(values == best[S], np.arange(len(S)), len(S))
        values[np.minimum.reduceat(winner, starts)[np.isfinite(best)]] = -np.inf
        runner_up = np.maximum.reduceat(here + second[rest], starts)
        second = np.maximum(np.maximum.reduceat(values, starts), runner_up)
        tables.insert(0, best)
    return tables, second[-1]


def _maps_within(
    captured: np.ndarray,
    weights: np.ndarray,
    tables: list[np.ndarray],
    slack: float,
    max_maps: int,
) -> tuple[tuple[int, ...], ...]:
    """Return maps of rays to slots whose value is within `slack` of the best, best first."""
    R = len(captured).bit_length() - 1
    subsets = np.arange(1 << R)
    # Kept at every slot: the partial map, the set left, the slack left.
    partial = [((-1,) * R, (1 << R) - 1, slack)]
    for j, w in enumerate(weights):
        extended = []
        for slots, S, left in partial:
            T = subsets[(subsets & S) == subsets]
            lost = tables[j][S] - (w * captured[T] + tables[j + 1][S ^ T])
            for i in np.flatnonzero(lost <= left):
                taken = tuple(j if (int(T[i]) >> k) & 1 else slot for k, slot in enumerate(slots))
                extended.append((taken, S ^ int(T[i]), left - max(float(lost[i]), 0.0)))
        partial = sorted(extended, key=lambda entry: -entry[2])[:max_maps]
    return tuple(slots for slots, _, _ in partial)


def _atoms_of_map(rays: Rays, slots: tuple[int, ...], law: PrefixLaw) -> tuple[np.ndarray, bool]:
    """Return the best atoms of a map, and whether each used slot leaves its atom no choice."""
    d = rays.directions.shape[0]
    D = np.zeros((d, law.K))
    simple = True
    for j in range(law.K):
        members = np.array(slots) == j
        if not members.any():
            # Any atom will do; one of the data's, so that the point is a reasonable one.
            D[:, j] = rays.directions[:, 0]
            continue
        cluster = rays.directions[:, members] * np.sqrt(rays.energies[members])
        principal, sigma, _ = np.linalg.svd(cluster, full_matrices=False)
        D[:, j] = principal[:, 0] * (1 if principal[:, 0] @ cluster[:, 0] >= 0 else -1)
        simple = simple and (sigma.size == 1 or bool(sigma[1] < sigma[0] * (1 - 1e-9)))
    return D, simple


def _codes_of_map(
    X: np.ndarray, rays: Rays, slots: tuple[int, ...], D: np.ndarray
) -> Float[np.ndarray, "K N"]:
    Y = np.zeros((D.shape[1], X.shape[1]))
    on_ray = np.flatnonzero(rays.ray_of_sample >= 0)
    slot = np.array(slots)[rays.ray_of_sample[on_ray]]
    Y[slot, on_ray] = np.einsum("dn,dn->n", D[:, slot], X[:, on_ray])
    return Y
