"""What the problems ask of a dictionary D: unit-norm columns, coherence and the Welch bound."""

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import ortho_group

from osae_theory.arrays import ArrayLike, array
from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.portable import standard_normal

UNIT_NORM_TOLERANCE = 1e-8


@at_the_door
def coherence(dictionary: Float[np.ndarray, "d K"]) -> float:
    """Return the coherence mu(D), the largest |cosine| between two distinct atoms.

    Parameters
    ----------
    dictionary : Float[np.ndarray, "d K"]
        Unit-norm columns; see `check_dictionary`.

    Returns
    -------
    float
        In [0, 1] up to rounding; 0 for a single atom.

    Notes
    -----
    Section 2.3 of the paper; Donoho & Elad (2003).
    """
    gram = np.abs(dictionary.T @ dictionary)
    np.fill_diagonal(gram, 0.0)
    return float(gram.max())


def welch_bound(d: int, K: int) -> float:
    """Return the least coherence that K unit vectors of R^d can possibly have.

    Parameters
    ----------
    d, K : int
        Dimension and number of atoms, each at least 1.

    Returns
    -------
    float
        sqrt((K - d) / (d (K - 1))), or 0 when K <= d. Equiangular tight frames attain it.

    Raises
    ------
    InputError
        If `d` or `K` is not a whole number of at least 1.

    Notes
    -----
    Welch (1974); Strohmer & Heath (2003).
    """
    check_integer("d", d, 1)
    check_integer("K", K, 1)
    return math.sqrt((K - d) / (d * (K - 1))) if d < K else 0.0


def check_dictionary(dictionary: ArrayLike) -> None:
    """Raise InputError unless `dictionary` has finite columns of unit norm.

    Parameters
    ----------
    dictionary : array
        To be of shape (d, K), finite, each column's norm within 1e-8 of 1.

    Raises
    ------
    InputError
        If it is not; the message names the first column at fault and its norm.
    """
    dictionary = array("dictionary", dictionary, finite=False)
    if dictionary.ndim != 2 or 0 in dictionary.shape:
        raise InputError(
            f"dictionary of shape {dictionary.shape}: expected two axes (d, K), neither empty"
        )
    check_finite("dictionary", dictionary)
    norms = np.linalg.norm(dictionary, axis=0)
    bad = np.abs(norms - 1.0) > UNIT_NORM_TOLERANCE
    if bad.any():
        column = int(np.argmax(bad))
        raise InputError(
            f"dictionary column {column} has norm {norms[column]:.10g}: expected unit norm "
            f"(to {UNIT_NORM_TOLERANCE:g})"
        )


def unit_columns(matrix: Float[np.ndarray, "d K"]) -> Float[np.ndarray, "d K"]:
    """Return `matrix` with each column divided by its norm, which must not be 0."""
    return matrix / np.sqrt((matrix * matrix).sum(axis=0))


def gaussian_columns(d: int, K: int, rng: np.random.Generator) -> Float[np.ndarray, "d K"]:
    """Return K independent atoms, uniform on the unit sphere of R^d."""
    return unit_columns(standard_normal(rng, (d, K)))


def haar_basis(d: int, rng: np.random.Generator) -> Float[np.ndarray, "d d"]:
    """Return an orthonormal basis of R^d drawn from the Haar measure."""
    return np.asarray(ortho_group.rvs(d, random_state=rng), dtype=np.float64).reshape(d, d)
