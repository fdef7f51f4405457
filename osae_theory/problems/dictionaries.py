"""The true dictionaries D* of the paper's model X = D* Y*, each described by plain fields."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.problems.arranged import GroupedDictionary, SpreadDictionary
from osae_theory.problems.frames import (
    DiracHadamard,
    EquiangularFrame,
    HarmonicFrame,
    VandermondeFrame,
)
from osae_theory.problems.geometry import (
    check_dictionary,
    coherence,
    gaussian_columns,
    haar_basis,
    welch_bound,
)

__all__ = [
    "DICTIONARIES",
    "ClusteredDictionary",
    "CoherentDictionary",
    "Dictionary",
    "DiracHadamard",
    "EquiangularFrame",
    "GaussianDictionary",
    "HarmonicFrame",
    "OrthonormalDictionary",
    "OrthonormalUnion",
    "VandermondeFrame",
    "check_dictionary",
    "coherence",
    "welch_bound",
]

COHERENCE_TOLERANCE = 1e-12
PROJECTION_STEPS = 2000
PROJECTION_STARTS = 8


@runtime_checkable
class Dictionary(Protocol):
    """A description of a dictionary: plain fields, and a way to draw the matrix."""

    @property
    def d(self) -> int:
        """Dimension of the data."""
        ...

    @property
    def K(self) -> int:
        """Number of atoms."""
        ...

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary, float64, with columns of unit norm."""
        ...


@dataclass(frozen=True)
class GaussianDictionary:
    """Columns iid N(0, I/d), normalised: the paper's toy model (section 3.1).

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, each at least 1.

    Raises
    ------
    InputError
        If `d` or `K` is not a whole number of at least 1.
    """

    d: int
    K: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return atoms that are independent and uniform on the unit sphere."""
        return gaussian_columns(self.d, self.K, rng)


@dataclass(frozen=True)
class OrthonormalDictionary:
    """K <= d orthonormal atoms, drawn from the Haar measure: the paper's linear case.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, 1 <= K <= d.

    Raises
    ------
    InputError
        If K > d, or either is not a whole number of at least 1.
    """

    d: int
    K: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        if self.d < self.K:
            raise InputError(f"K = {self.K}: expected at most d = {self.d} orthonormal atoms")

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the first K columns of a Haar orthogonal matrix."""
        return haar_basis(self.d, rng)[:, : self.K].copy()


@dataclass(frozen=True)
class OrthonormalUnion:
    """Several independent Haar orthonormal bases side by side, K = d n_bases.

    Parameters
    ----------
    d : int
        Dimension, at least 1.
    n_bases : int
        Number of bases, at least 1.

    Raises
    ------
    InputError
        If a field is not a whole number of at least 1.

    Notes
    -----
    Gribonval & Nielsen (2003).
    """

    d: int
    n_bases: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("n_bases", self.n_bases, 1)

    @property
    def K(self) -> int:
        """Number of atoms, d n_bases."""
        return self.d * self.n_bases

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the bases one after another."""
        return np.hstack([haar_basis(self.d, rng) for _ in range(self.n_bases)])


@dataclass(frozen=True)
class ClusteredDictionary:
    """A cluster of nearly parallel atoms: the first ones pairwise at one given angle.

    The other atoms are orthonormal, and orthogonal to the cluster, when K <= d, and
    independent Gaussian directions otherwise. The whole is rotated at random.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms.
    cluster_size : int
        Atoms in the cluster, 2 <= cluster_size <= min(d, K); 2 is a pair at a given angle.
    angle : float
        Angle between any two atoms of the cluster, in radians, in (0, pi/2].

    Raises
    ------
    InputError
        If a field is outside its range.
    """

    d: int
    K: int
    cluster_size: int
    angle: float

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        check_integer("cluster_size", self.cluster_size, 2)
        check_real("angle", self.angle, above=0.0, at_most=math.pi / 2)
        for name, size in (("d", self.d), ("K", self.K)):
            if self.cluster_size > size:
                raise InputError(
                    f"cluster_size = {self.cluster_size}: expected at most {name} = {size}"
                )

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the cluster, then the other atoms, in a random orthonormal frame of R^d."""
        size = self.cluster_size
        atoms = np.zeros((self.d, self.K))
        atoms[:size, :size] = _equiangular_cluster(size, self.angle)
        if self.d >= self.K:
            atoms[range(size, self.K), range(size, self.K)] = 1.0
        else:
            atoms[:, size:] = gaussian_columns(self.d, self.K - size, rng)
        return haar_basis(self.d, rng) @ atoms


@dataclass(frozen=True)
class CoherentDictionary:
    """A dictionary whose coherence is exactly (to 1e-12) a prescribed number.

    It starts from orthonormal atoms (K <= d) or from a low-coherence frame found by
    alternating projections on the Gram matrix, and turns one atom of its closest pair towards
    the other until the coherence is reached.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms.
    coherence : float
        In [welch_bound(d, K), 1). The bound itself can be met only where an equiangular tight
        frame exists; `draw` raises InputError if its search ends above the number prescribed.

    Raises
    ------
    InputError
        If a field is outside its range, or K = 1 and the coherence is not 0.

    Notes
    -----
    Tropp, Dhillon, Heath & Strohmer (2005) for the alternating projections.
    """

    d: int
    K: int
    coherence: float

    def __post_init__(self) -> None:
        bound = welch_bound(self.d, self.K)
        check_real("coherence", self.coherence, below=1.0)
        if self.coherence < bound - COHERENCE_TOLERANCE:
            raise InputError(
                f"coherence = {self.coherence!r}: expected at least the Welch bound {bound:.6g} "
                f"of (d, K) = ({self.d}, {self.K})"
            )
        if self.K == 1 and self.coherence != 0:
            raise InputError(f"coherence = {self.coherence!r}: expected 0 for a single atom")

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary.

        Raises
        ------
        InputError
            If the search for a low-coherence frame ends above the prescribed coherence; the
            message gives the coherence reached and the Welch bound.
        """
        if self.d >= self.K:
            start = haar_basis(self.d, rng)[:, : self.K].copy()
        else:
            start = _low_coherence_frame(self.d, self.K, self.coherence, rng)
        reached = coherence(start)
        if reached > self.coherence + COHERENCE_TOLERANCE:
            raise InputError(
                f"coherence = {self.coherence!r}: expected at least {reached:.6g}, the lowest "
                f"found for (d, K) = ({self.d}, {self.K}), whose Welch bound is "
                f"{welch_bound(self.d, self.K):.6g}"
            )
        if reached >= self.coherence - COHERENCE_TOLERANCE:
            return start
        # Two equal atoms have a cosine of 1 only up to rounding: keep the root inside.
        return _raise_coherence(start, min(self.coherence, 1.0 - COHERENCE_TOLERANCE))


def _equiangular_cluster(size: int, angle: float) -> Float[np.ndarray, "size size"]:
    """Return unit columns whose pairwise cosines are all cos(angle).

    The symmetric square root of the Gram matrix is known in closed form. It keeps the angle
    to rounding where a Cholesky factor would lose digits to cancellation at small angles.
    """
    half_chord = math.sqrt(2.0) * math.sin(angle / 2)  # the square root of 1 - cos(angle)
    along = math.sqrt(half_chord**2 + size * math.cos(angle))
    return half_chord * np.eye(size) + (along - half_chord) / size


def _low_coherence_frame(
    d: int, K: int, goal: float, rng: np.random.Generator
) -> Float[np.ndarray, "d K"]:
    """Return the least coherent frame met by alternating projections, which stop at `goal`.

    One projection is on the Gram matrices of tight frames; the other clips the cosines part of
    the way from the current coherence to the Welch bound, since clipping at a bound that no
    frame attains stalls far above what can be reached. More than d (d + 1) / 2 lines cannot be
    equiangular (Gerzon), and then smaller steps end lower. From some starts the projections end
    far above the lowest coherence: there are several.
    """
    best = gaussian_columns(d, K, rng)
    for _ in range(PROJECTION_STARTS):
        if coherence(best) <= goal + COHERENCE_TOLERANCE:
            break
        found = _projected_frame(gaussian_columns(d, K, rng), goal)
        best = min(best, found, key=coherence)
    return best


def _projected_frame(frame: Float[np.ndarray, "d K"], goal: float) -> Float[np.ndarray, "d K"]:
    """Return the least coherent frame that alternating projections meet from one start."""
    d, K = frame.shape
    step = 0.5 if d * (d + 1) >= 2 * K else 0.25
    bound = welch_bound(d, K)
    best, lowest = frame, coherence(frame)
    for _ in range(PROJECTION_STEPS):
        if lowest <= goal:
            break
        ceiling = step * bound + (1 - step) * coherence(frame)
        gram = np.clip(frame.T @ frame, -ceiling, ceiling)
        np.fill_diagonal(gram, 1.0)
        frame = np.linalg.eigh(gram).eigenvectors[:, -d:].T
        frame = frame / np.linalg.norm(frame, axis=0)
        reached = coherence(frame)
        if reached < lowest:
            best, lowest = frame, reached
    return best


def _raise_coherence(frame: Float[np.ndarray, "d K"], target: float) -> Float[np.ndarray, "d K"]:
    """Return `frame` with one atom of its closest pair turned until its coherence is `target`."""
    cosines = frame.T @ frame
    np.fill_diagonal(cosines, 0.0)
    moved, towards = np.unravel_index(np.argmax(np.abs(cosines)), cosines.shape)
    others = np.delete(frame, moved, axis=1)
    atom = frame[:, moved]
    goal = frame[:, towards] * (1.0 if cosines[moved, towards] >= 0 else -1.0)
    tangent = goal - (goal @ atom) * atom
    tangent /= np.linalg.norm(tangent)
    floor = coherence(others)

    def turned(angle: float) -> Float[np.ndarray, " d"]:
        return math.cos(angle) * atom + math.sin(angle) * tangent

    def excess(angle: float) -> float:
        return max(floor, float(np.abs(others.T @ turned(angle)).max())) - target

    end = math.atan2(float(goal @ tangent), float(goal @ atom))
    angle = float(brentq(excess, 0.0, end, xtol=1e-16, rtol=4 * np.finfo(float).eps))
    result = frame.copy()
    result[:, moved] = turned(angle)
    return result


DICTIONARIES: Mapping[str, Callable[..., Dictionary]] = MappingProxyType(
    {
        "gaussian": GaussianDictionary,
        "orthonormal": OrthonormalDictionary,
        "orthonormal_union": OrthonormalUnion,
        "dirac_hadamard": DiracHadamard,
        "harmonic": HarmonicFrame,
        "vandermonde": VandermondeFrame,
        "equiangular": EquiangularFrame,
        "clustered": ClusteredDictionary,
        "coherent": CoherentDictionary,
        "grouped": GroupedDictionary,
        "spread": SpreadDictionary,
    }
)
