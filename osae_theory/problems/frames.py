"""Dictionaries D* known in closed form: full-spark frames and frames of extreme coherence."""

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from osae_theory.errors import InputError, check_integer
from osae_theory.problems.geometry import unit_columns


@dataclass(frozen=True)
class DiracHadamard:
    """The spikes and the Walsh-Hadamard basis side by side, [I, H / sqrt d].

    Two orthonormal bases as incoherent as two real bases can be: coherence 1 / sqrt d.

    Parameters
    ----------
    d : int
        Dimension, a power of two.

    Raises
    ------
    InputError
        If `d` is not a power of two.

    Notes
    -----
    Donoho & Huo (2001).
    """

    d: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        if self.d & (self.d - 1):
            raise InputError(f"d = {self.d}: expected a power of two")

    @property
    def K(self) -> int:
        """Number of atoms, 2 d."""
        return 2 * self.d

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary; `rng` is not used."""
        del rng
        hadamard = scipy.linalg.hadamard(self.d, dtype=np.float64) / math.sqrt(self.d)
        return np.hstack([np.eye(self.d), hadamard])


@dataclass(frozen=True)
class HarmonicFrame:
    """Real harmonic frame, of full spark (spark d + 1) by construction.

    The atoms are one trigonometric system sampled at t_k = 2 pi k / K. For even d the system
    is cos((i + 1/2) t), sin((i + 1/2) t), i = 0..d/2-1; for odd d it is the constant, with
    weight 1/sqrt 2, and cos(i t), sin(i t), i = 1..(d-1)/2. Each is a Haar system on
    [0, 2 pi): a combination vanishes at most d - 1 times, so any d atoms are independent.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, K >= d >= 1.

    Raises
    ------
    InputError
        If K < d or d < 1.

    Notes
    -----
    Alexeev, Cahill & Mixon (2012) for full spark frames. With even d, the frequencies
    1..d/2 would not do: at (d, K) = (4, 6) they give spark 3. Neighbouring atoms come close
    as K / d grows, so full spark does not mean well conditioned.
    """

    d: int
    K: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        if self.d > self.K:
            raise InputError(f"K = {self.K}: expected at least d = {self.d}")

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary; `rng` is not used."""
        del rng
        half = self.d // 2
        first = 1.0 if self.d % 2 else 0.5
        angles = np.outer(first + np.arange(half), 2 * np.pi * np.arange(self.K) / self.K)
        rows = [np.cos(angles), np.sin(angles)]
        if self.d % 2:
            rows.insert(0, np.full((1, self.K), math.sqrt(0.5)))
        return math.sqrt(2 / self.d) * np.vstack(rows)


@dataclass(frozen=True)
class VandermondeFrame:
    """Powers (1, t, ..., t^(d-1)) at K Chebyshev nodes, normalised: full spark.

    Any d atoms are independent because the nodes are distinct. The independence is exact but
    ill-conditioned: its smallest singular values fall exponentially in d, so do not expect a
    numerical rank to see it beyond d of about 20, and expect atoms of nearly equal direction.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, each at least 1.

    Raises
    ------
    InputError
        If `d` or `K` is not a whole number of at least 1.

    Notes
    -----
    Alexeev, Cahill & Mixon (2012), section 2.
    """

    d: int
    K: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary; `rng` is not used."""
        del rng
        nodes = np.cos(np.pi * (2 * np.arange(self.K) + 1) / (2 * self.K))
        return unit_columns(np.vander(nodes, self.d, increasing=True).T)


@dataclass(frozen=True)
class EquiangularFrame:
    """Equiangular tight frame: all |cosines| equal the Welch bound, the least possible.

    Parameters
    ----------
    d, K : int
        K = d + 1 with d >= 2 (simplex, coherence 1/d; (2, 3) is the Mercedes-Benz frame);
        K = 2 d with 2 d - 1 a prime that is 1 mod 4 (Paley's conference matrix); or (7, 28).

    Raises
    ------
    InputError
        For any other pair.

    Notes
    -----
    Strohmer & Heath (2003); Fickus & Mixon (2015) list what is known to exist.
    """

    d: int
    K: int

    def __post_init__(self) -> None:
        check_integer("d", self.d, 1)
        check_integer("K", self.K, 1)
        if not (self._is_simplex or self._is_paley or (self.d, self.K) == (7, 28)):
            raise InputError(
                f"(d, K) = ({self.d}, {self.K}): expected K = d + 1 with d at least 2, or K = 2 d "
                "with 2 d - 1 a prime that is 1 mod 4 (such as (3, 6), (7, 14), (9, 18), (15, 30)),"
                " or (7, 28)"
            )

    @property
    def _is_simplex(self) -> bool:
        return self.d >= 2 and self.K - self.d == 1

    @property
    def _is_paley(self) -> bool:
        q = 2 * self.d - 1
        return q + 1 == self.K and q % 4 == 1 and _is_prime(q)

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
        """Return the dictionary; `rng` is not used."""
        del rng
        if self._is_simplex:
            return unit_columns(scipy.linalg.helmert(self.K))
        if self._is_paley:
            return _paley_frame(2 * self.d - 1)
        return _pair_frame()


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % p for p in range(2, math.isqrt(number) + 1))


def _paley_frame(q: int) -> Float[np.ndarray, "d K"]:
    """Return the (q + 1)/2 by q + 1 frame whose Gram matrix is I + C / sqrt q."""
    difference = np.subtract.outer(np.arange(q), np.arange(q)) % q
    squares = np.unique(np.arange(1, q) ** 2 % q)
    legendre = np.where(np.isin(difference, squares), 1.0, -1.0)
    np.fill_diagonal(legendre, 0.0)
    conference = np.ones((q + 1, q + 1))
    conference[0, 0] = 0.0
    conference[1:, 1:] = legendre
    # C^2 = q I, so this is the projection on C's positive eigenspace, of dimension (q + 1)/2.
    projection = (np.eye(q + 1) + conference / math.sqrt(q)) / 2
    basis, _, _ = scipy.linalg.qr(projection, pivoting=True)
    return unit_columns(basis[:, : (q + 1) // 2].T)


def _pair_frame() -> Float[np.ndarray, "7 28"]:
    """Return the 28 vectors (3, 3, -1, ..., -1) / sqrt 24 in coordinates of their hyperplane."""
    first, second = np.triu_indices(8, k=1)
    vectors = np.full((8, 28), -1.0)
    vectors[first, np.arange(28)] = 3.0
    vectors[second, np.arange(28)] = 3.0
    return unit_columns(scipy.linalg.helmert(8) @ vectors)
