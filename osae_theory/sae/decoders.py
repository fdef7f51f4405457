"""Decoders that are not free to learn: frozen, or held near where they started.

Controls for what a learned dictionary is worth, after Korznikov et al. (2026), "Sanity checks for
sparse autoencoders" (arXiv 2602.14111).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.errors import check_real


@dataclass(frozen=True)
class FrozenDecoder:
    """Atoms stay where they started; the encoder alone is trained."""


@dataclass(frozen=True)
class NearDecoder:
    """After each step an atom that has gone too far is put back to the nearest one allowed.

    Attributes
    ----------
    cosine : float
        Least cosine of an atom with where it started, in [-1, 1].
    """

    cosine: float = 0.8

    def __post_init__(self) -> None:
        check_real("decoder cosine", self.cosine, at_least=-1, at_most=1)


def hold_near(
    atoms: Float[Tensor, "S K d"], starts: Float[Tensor, "S K d"], cosine: float
) -> Float[Tensor, "S K d"]:
    """Return unit atoms, each at no less than a cosine to its start, nearest to those given.

    Parameters
    ----------
    atoms, starts : tensors of shape (S, K, d)
        Unit rows. One that is opposite to its start has no nearest: it is put back to it.
    cosine : float
        In [-1, 1].
    """
    own, start = atoms.double(), starts.double()
    along = _row_sums(own * start)
    across = own - along * start
    length = _row_sums(across * across).sqrt()
    edge = cosine * start + math.sqrt(1 - cosine * cosine) * (across / length)
    nearest = torch.where(length > 0, edge, start)
    return torch.where(along < cosine, nearest, own).to(atoms.dtype)


def _row_sums(rows: Float[Tensor, "S K d"]) -> Float[Tensor, "S K 1"]:
    if rows.is_cpu:
        # numpy adds in one order, whatever the vector unit and the number of threads.
        return torch.from_numpy(rows.numpy().sum(axis=-1, keepdims=True))
    return rows.sum(dim=-1, keepdim=True)
