"""Subspace agreement: the principal angles between the spans of two sets of atoms."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import orth, subspace_angles

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError
from osae_theory.metrics.coverage import DEPENDENT
from osae_theory.metrics.matching import unit_columns


@dataclass(frozen=True)
class SubspaceAgreement:
    """How near the spans of two sets of atoms are, whatever atoms span them.

    Attributes
    ----------
    overlap : float
        The mean squared cosine of the principal angles, in [0, 1]: 1 where one span holds the
        other.
    largest_angle : float
        The largest principal angle in degrees, in [0, 90].
    chance : float
        The expected overlap of independent, uniformly drawn subspaces of these dimensions.
    dimensions : pair of int
        Of the two spans: fewer than the atoms where these depend on each other or are zero.
    """

    overlap: float
    largest_angle: float
    chance: float
    dimensions: tuple[int, int]


@at_the_door
def subspace_agreement(
    D: Float[np.ndarray, "d K"], E: Float[np.ndarray, "d_other K_other"]
) -> SubspaceAgreement | None:
    """Return the agreement of the spans of two dictionaries' atoms.

    Parameters
    ----------
    D, E : (d, K) and (d, K')
        Dictionaries, atoms as columns of any norm.

    Returns
    -------
    SubspaceAgreement or None
        None where there is nothing to agree on: one side spans all d dimensions, so that every
        angle is 0, or has no atom but zero ones.

    Raises
    ------
    InputError
        If the atoms differ in length, or an entry is NaN or infinite.

    Notes
    -----
    The angles are those of Bjorck and Golub (1973), "Numerical methods for computing angles
    between linear subspaces", by `scipy.linalg.subspace_angles`. Of spans of dimensions p and
    p' with projections P and P' the sum of squared cosines is tr(P P'). For a uniformly drawn
    span the expectation of P' is (p' / d) I, so that of the sum is p p' / d, and that of the
    mean over the min(p, p') angles is max(p, p') / d.
    """
    d = D.shape[0]
    if E.shape[0] != d:
        raise InputError(f"E has atoms of length {E.shape[0]}: expected {d}, as D has")
    bases = [_basis(side) for side in (D, E)]
    first, second = (basis.shape[1] for basis in bases)
    if min(first, second) == 0 or max(first, second) == d:
        return None
    angles = subspace_angles(*bases)
    return SubspaceAgreement(
        overlap=float(np.mean(np.cos(angles) ** 2)),
        largest_angle=float(np.rad2deg(angles.max())),
        chance=max(first, second) / d,
        dimensions=(first, second),
    )


def _basis(D: Float[np.ndarray, "d K"]) -> Float[np.ndarray, "d rank"]:
    """Return orthonormal columns of the same span, which the norms of the atoms do not change."""
    units = unit_columns(D)
    units = units[:, units.any(axis=0)]
    return orth(units, rcond=DEPENDENT) if units.shape[1] else units
