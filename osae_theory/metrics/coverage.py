"""How a learned dictionary covers the true one: distinct nearest atoms, and spans of clusters."""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.metrics.matching import cosines, unit_columns
from osae_theory.portable import matmul

CLUSTERED = 0.5
# Atoms nearer than this to the span of those before them add no direction to it: what float32
# leaves of such a direction is noise.
DEPENDENT = 1e-5


@at_the_door
def feature_uniqueness(
    D: Float[np.ndarray, "d K"], D_true: Float[np.ndarray, "d_true K_true"]
) -> float:
    """Return how many true atoms are some latent's nearest, as a share of the latents.

    Parameters
    ----------
    D : (d, K)
        The learned dictionary, atoms as columns of any norm.
    D_true : (d, K_true)
        The true one.

    Returns
    -------
    float
        In [0, 1], and at most K_true / K. A latent's nearest atom is the one of the greatest
        |cosine|, the first of equal ones; a zero latent has none. Latents that share a nearest
        atom count as one.

    Raises
    ------
    InputError
        As `cosines`, or if one has no atoms.

    Notes
    -----
    Source: SynthSAEBench (arXiv 2602.14687), "uniqueness".
    """
    check_integer("the number of atoms of D", D.shape[1], 1)
    check_integer("the number of atoms of D_true", D_true.shape[1], 1)
    S = np.abs(cosines(D, D_true))
    nearest = np.argmax(S, axis=1)[S.max(axis=1) > 0]
    return len(np.unique(nearest)) / D.shape[1]


@at_the_door
def clusters(D: Float[np.ndarray, "d K"], threshold: float = CLUSTERED) -> Int[np.ndarray, " K"]:
    """Return the cluster, from 0 on, of each atom: components linked by |cosine| > threshold.

    Parameters
    ----------
    D : (d, K)
        A dictionary, atoms as columns of any norm.
    threshold : float
        In [0, 1].

    Raises
    ------
    InputError
        If an entry is NaN or infinite, or the threshold is outside [0, 1].
    """
    check_real("threshold", threshold, at_least=0.0, at_most=1.0)
    linked = np.abs(cosines(D, D)) > threshold
    return connected_components(linked.astype(float), directed=False)[1].astype(np.int64)


@at_the_door
def cluster_span(
    D_true: Float[np.ndarray, "d K_true"],
    D: Float[np.ndarray, "d_learned K"],
    partners: Int[np.ndarray, " K_partners"],
    threshold: float = CLUSTERED,
) -> float:
    """Return how much of the span of each cluster of true atoms its matched latents span.

    A cluster's share is the mean of cos^2 over its principal angles with the span of the latents
    matched to its atoms, 0 for those directions that the latents are too few for. Nearby atoms
    that a learner has mixed with each other are so forgiven, where a cosine of each pair is not.

    Parameters
    ----------
    D_true : (d, K_true)
        The true dictionary, atoms as columns of any norm.
    D : (d, K)
        The learned one.
    partners : (K_true,) int
        The latent matched with each true atom; -1 where there is none.
    threshold : float
        As in `clusters`.

    Returns
    -------
    float
        The mean over true atoms of their clusters' shares, in [0, 1]: clusters count by their
        size. 1 if and only if every cluster's span is found; the mean of cos^2 of the pairs
        where no true atoms are nearer to each other than the threshold. NaN where a cluster of
        several atoms spans the whole space, as it does where many atoms stand in few
        dimensions: any latents would span it.

    Raises
    ------
    InputError
        As `cosines` and `clusters`; if there is no true atom, or `partners` does not fit.

    Notes
    -----
    Latents that have nothing to do with a cluster span s / d of it on average, s their number:
    of clusters that are large beside d little can be said. Source: Bjorck & Golub (1973), angles
    between subspaces; mean cos^2 over the angles is the squared projection metric.
    """
    K_true, width = D_true.shape[1], D.shape[1]
    check_integer("the number of true atoms", K_true, 1)
    if len(partners) != K_true:
        raise InputError(f"partners has length {len(partners)}: expected {K_true}")
    if partners.min() < -1 or partners.max() >= width:
        raise InputError(f"partners = {partners}: expected latents from 0 to {width - 1}, or -1")
    groups = clusters(D_true, threshold)
    atoms, latents = unit_columns(D_true), unit_columns(D)
    total = 0.0
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        own = _basis(atoms[:, members])
        if len(members) > 1 and own.shape[1] == len(atoms):
            return math.nan
        matched = partners[members]
        found = _basis(latents[:, matched[matched >= 0]])
        if own.shape[1] and found.shape[1]:
            captured = float(np.sum(matmul(own.T, found) ** 2)) / own.shape[1]
            total += len(members) * min(captured, 1.0)
    return total / K_true


def _basis(columns: Float[np.ndarray, "d k"]) -> Float[np.ndarray, "d rank"]:
    """Return orthonormal columns with the span of unit or zero ones, by Gram and Schmidt."""
    found: list[np.ndarray] = []
    for column in columns.T:
        rest = column.copy()
        for _ in range(2):  # once more, for what rounding has left
            for direction in found:
                rest -= np.sum(direction * rest) * direction
        norm = np.sqrt(np.sum(rest * rest))
        if norm > DEPENDENT:
            found.append(rest / norm)
    return np.ascontiguousarray(np.array(found).reshape(-1, len(columns)).T)
