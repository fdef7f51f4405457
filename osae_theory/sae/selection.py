"""Top_m: the selection of the m largest latents, exactly m, ties by index."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from osae_theory.errors import InputError, check_choice

ACTIVATIONS = ("relu", "signed", "batch")


def top_m_mask(scores: Float[Tensor, "*batch K"], m: int) -> Bool[Tensor, "*batch K"]:
    """Mark the m largest scores of each row; among equal scores the lower index wins.

    Parameters
    ----------
    scores : tensor of shape (..., K)
        What to rank.
    m : int
        How many to mark, 1..K.

    Returns
    -------
    tensor of bool, shape (..., K)
        Exactly m entries of each row are True.

    Raises
    ------
    InputError
        If m is not in 1..K, or a score is NaN.
    """
    K = scores.shape[-1]
    if not 1 <= m <= K:
        raise InputError(f"m = {m}: expected a number in 1..K = {K}")
    threshold = _mth_largest(scores.detach(), m)
    mask = scores >= threshold
    if int(torch.count_nonzero(mask)) == m * (scores.numel() // K):
        return mask
    if bool(scores.isnan().any()):
        raise InputError("a latent's activation is NaN: expected numbers that can be ranked")
    above = scores > threshold
    tied = scores == threshold
    room = m - above.sum(dim=-1, keepdim=True)
    return above | (tied & (tied.cumsum(dim=-1) <= room))


def batch_top_m_mask(scores: Float[Tensor, "*batch n K"], m: int) -> Bool[Tensor, "*batch n K"]:
    """Mark the n m largest scores of n rows together; ties go to the lower row and index.

    Parameters and errors as in `top_m_mask`.
    """
    n, K = scores.shape[-2:]
    if not 1 <= m <= K:
        raise InputError(f"m = {m}: expected a number in 1..K = {K}")
    return top_m_mask(scores.flatten(start_dim=-2), n * m).view(scores.shape)


def select_top_m(
    preactivations: Float[Tensor, "*batch K"], m: int, activation: str = "relu"
) -> Float[Tensor, "*batch K"]:
    """Return codes with at most m nonzeros a row: Top_m of the activated latents.

    Parameters
    ----------
    preactivations : tensor of shape (..., K)
        What the encoder gives, before any nonlinearity.
    m : int
        Sparsity, 1..K.
    activation : {"relu", "signed", "batch"}
        "relu" keeps the m largest values, none negative; "signed" keeps the m largest
        magnitudes with their signs (the paper's Top_m); "batch" keeps the n m largest of
        the n rows together, none negative (BatchTopK, Bussmann et al. 2024).

    Raises
    ------
    InputError
        If m is not in 1..K, a value is NaN or the activation is unknown.
    """
    check_choice("activation", activation, ACTIVATIONS)
    if activation == "batch":
        return preactivations.relu() * batch_top_m_mask(preactivations, m)
    if activation == "signed":
        return preactivations * top_m_mask(preactivations.abs(), m)
    # The m largest of relu(a) are the m largest of a, so far as they are positive.
    return preactivations.relu() * top_m_mask(preactivations, m)


def _mth_largest(scores: Tensor, m: int) -> Tensor:
    K = scores.shape[-1]
    if scores.device.type == "cpu":
        # numpy's vectorised partition: three to five times as fast as torch.topk here.
        array = scores.numpy()
        return torch.from_numpy(np.partition(array, K - m, axis=-1)[..., K - m, None])
    return scores.topk(m, dim=-1).values[..., -1:]
