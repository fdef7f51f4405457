"""The linearised map J: (dD tangent, dY) -> dD Y + D dY of a factorisation, as a matrix."""

import numpy as np
from jaxtyping import Bool, Float


def tangents(D: Float[np.ndarray, "d K"]) -> Float[np.ndarray, "K d t"]:
    """Return an orthonormal basis of each atom's orthogonal complement, t = d - 1."""
    return np.linalg.svd(D.T[:, :, None])[0][:, :, 1:]


def linearised(
    D: Float[np.ndarray, "d K"],
    Y: Float[np.ndarray, "K N"],
    bases: Float[np.ndarray, "K d t"],
    active: Bool[np.ndarray, "K N"] | None = None,
) -> Float[np.ndarray, "dN n"]:
    """Return J as a matrix: first the tangents, atom by atom, then the codes, by samples.

    Parameters
    ----------
    D, Y : arrays
        The factorisation.
    bases : array of shape (K, d, d - 1)
        Of `tangents`: coordinates of dD.
    active : array of bool, shape (K, N), optional
        Where codes move; the nonzeros of Y if not given.
    """
    turns = np.einsum("jdi,jn->ndji", bases, Y).reshape(Y.shape[1] * len(D), -1)
    samples, atoms = np.nonzero((Y != 0 if active is None else active).T)
    codes = np.zeros((Y.shape[1], len(D), samples.size))
    codes[samples, :, np.arange(samples.size)] = D.T[atoms]
    return np.hstack([turns, codes.reshape(len(turns), -1)])
