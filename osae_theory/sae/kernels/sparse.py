"""Codes as indices and values, and the gradients that touch active latents only.

Arrays are rows with a leading run axis: S runs, n samples, s slots for active latents.
Each run's numbers depend on that run alone, and not on the number of threads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from osae_theory.errors import InputError, check_choice
from osae_theory.sae.kernels import reference
from osae_theory.sae.kernels.backend import kernel_module, tensor_kernels, use_compiled
from osae_theory.sae.kernels.costs import encoder_walk_pays
from osae_theory.sae.selection import ACTIVATIONS, select_top_m
from osae_theory.threads import in_parallel

# Columns are split into blocks of about this many: a function of d alone, so that partial
# sums are the same on any number of threads. Multiples of the kernels' lanes.
_COLUMNS = 160
_LANES = 16
# Up to this many latents numpy's partition finds the m-th largest; beyond, it takes longer
# than passing over most of them.
_PARTITIONED = 2048


@dataclass(frozen=True, eq=False)
class SparseCodes:
    """Codes with at most s active latents a sample.

    Attributes
    ----------
    indices : tensor of int32, shape (S, n, s)
        Active latents, ascending; -1 in the slots that are left over, all at the end.
    values : tensor of shape (S, n, s)
        Their values; 0 in the slots that are left over.
    """

    indices: Int[Tensor, "S n s"]
    values: Float[Tensor, "S n s"]

    @classmethod
    def empty(cls, shape: tuple[int, int, int], like: Tensor) -> "SparseCodes":
        """Return uninitialised codes of shape (S, n, s)."""
        indices = torch.empty(shape, dtype=torch.int32, device=like.device)
        return cls(indices, like.new_empty(shape))

    @classmethod
    def of(cls, codes: Float[Tensor, "S n K"]) -> "SparseCodes":
        """Return dense codes as indices and values, with the slots of the fullest sample."""
        run, sample, latent = codes.nonzero(as_tuple=True)
        counts = (codes != 0).sum(dim=-1)
        before = counts.flatten().cumsum(dim=0).view_as(counts) - counts
        slot = torch.arange(len(run), device=codes.device) - before[run, sample]
        S, n = counts.shape
        s = int(counts.max()) if counts.numel() else 0
        found = cls.empty((S, n, s), codes)
        found.indices.fill_(-1)
        found.values.zero_()
        found.indices[run, sample, slot] = latent.to(torch.int32)
        found.values[run, sample, slot] = codes[run, sample, latent]
        return found

    def dense(self, K: int) -> Float[Tensor, "S n K"]:
        """Return the codes with all their zeros."""
        wide = self.values.new_zeros(*self.values.shape[:2], K + 1)
        places = self.indices.long().remainder(K + 1)  # -1 becomes the column cut off below
        return wide.scatter_(-1, places, self.values)[..., :K]


@dataclass(frozen=True, eq=False)
class PrefixGradients:
    """The nested-dropout loss of each run, summed over its samples, and its gradients.

    Attributes
    ----------
    loss : tensor of float64, shape (S,)
        The loss.
    values : tensor of shape (S, n, s)
        Gradient with respect to the values of the codes; 0 in slots without a latent.
    atoms : tensor of shape (S, K, d)
        Gradient with respect to the atoms.
    x : tensor of shape (S, n, d) or None
        Gradient with respect to the data, where it was asked for.
    """

    loss: Float[Tensor, " S"]
    values: Float[Tensor, "S n s"]
    atoms: Float[Tensor, "S K d"]
    x: Float[Tensor, "S n d"] | None


@dataclass(frozen=True, eq=False)
class EncoderGradients:
    """Gradients of a linear encoder.

    Attributes
    ----------
    encoder : tensor of shape (S, K, d)
        Gradient with respect to the encoder's rows, W_enc^T.
    bias : tensor of shape (S, K)
        Gradient with respect to the encoder's biases.
    """

    encoder: Float[Tensor, "S K d"]
    bias: Float[Tensor, "S K"]


def column_blocks(d: int) -> list[tuple[int, int]]:
    """Return the blocks of columns that the kernels treat one by one, from start to stop."""
    n_blocks = -(-d // _COLUMNS)
    width = -(-d // (n_blocks * _LANES)) * _LANES
    return [(start, min(start + width, d)) for start in range(0, d, width)]


def select_sparse(
    scores: Float[Tensor, "S n K"],
    m: int,
    activation: str = "relu",
    *,
    backend: str = "auto",
    out: SparseCodes | None = None,
) -> SparseCodes:
    """Return Top_m of each row as indices and values; among equals the lower index wins.

    Parameters
    ----------
    scores : tensor of shape (S, n, K)
        What the encoder gives, before any nonlinearity.
    m : int
        Most active latents a sample, 1..K.
    activation : {"relu", "signed", "batch"}
        "relu" keeps the m largest values, so far as they are positive; "signed" the m
        largest magnitudes with their signs, so far as they are not 0; "batch" the n m
        largest values of a run's n samples together, in as many slots as that takes.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        See `use_compiled` and `use_triton`.
    out : SparseCodes, optional
        Codes of shape (S, n, m) to overwrite; not used by "batch".

    Raises
    ------
    InputError
        If m is not in 1..K, a score is NaN, or activation or backend are unknown.
    """
    S, n, K = scores.shape
    check_choice("activation", activation, ACTIVATIONS)
    if not 1 <= m <= K:
        raise InputError(f"m = {m}: expected a number in 1..K = {K}")
    if activation == "batch":
        return SparseCodes.of(select_top_m(scores.detach(), m, "batch"))
    codes = out or SparseCodes.empty((S, n, m), scores)
    if not use_compiled(backend, scores):
        reference.select(scores.detach(), m, activation, codes.indices, codes.values)
        return codes
    from osae_theory.sae.kernels import compiled

    rows = _array(scores).reshape(S * n, K)
    indices, values = (t.view(S * n, m).numpy() for t in (codes.indices, codes.values))
    by_magnitude = activation == "signed"
    size = max(-(-S * n // torch.get_num_threads()), 1)
    ranked = []

    def select(part: slice) -> None:
        whole = rows[part], m, by_magnitude, 0, len(rows[part]), indices[part], values[part]
        if K > _PARTITIONED:
            ranked.append(compiled.select_rows(*whole))
            return
        ranks = np.abs(rows[part]) if by_magnitude else rows[part].copy()
        ranks.partition(K - m, axis=-1)
        least = np.maximum(ranks[:, K - m], 0)
        below = np.nextafter(least, np.zeros_like(least))
        ranked.append(compiled.collect_rows(whole[0], least, below, *whole[1:]))

    parts = [slice(start, start + size) for start in range(0, S * n, size)]
    in_parallel([lambda part=part: select(part) for part in parts], scores.numel())
    if not all(ranked):
        raise InputError("a latent's activation is NaN: expected numbers that can be ranked")
    return codes


def prefix_gradients(
    x: Float[Tensor, "S n d"],
    codes: SparseCodes,
    atoms: Float[Tensor, "S K d"],
    survival: Float[Tensor, "S K"],
    *,
    with_x: bool = False,
    backend: str = "auto",
    out: PrefixGradients | None = None,
) -> PrefixGradients:
    """Return the exact nested-dropout loss and its gradients, all prefixes together.

    O(n s d) whatever the number of prefixes; the weights w = 1 give the plain loss.

    Parameters
    ----------
    x, codes, atoms : tensors
        Data, codes and atoms; rows.
    survival : tensor of shape (S, K)
        Survival weights w_j = P(l >= j) of each run.
    with_x : bool
        Whether to give the gradient with respect to the data too.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        See `use_compiled` and `use_triton`.
    out : PrefixGradients, optional
        Gradients to overwrite, of the same shapes; its `x` decides in place of `with_x`.

    References
    ----------
    claim I2 (docs/theory.md).
    """
    S, n, d = x.shape
    result = out or PrefixGradients(
        x.new_empty(S, dtype=torch.float64),
        torch.empty_like(codes.values),
        torch.empty_like(atoms, memory_format=torch.contiguous_format),
        torch.empty_like(x, memory_format=torch.contiguous_format) if with_x else None,
    )
    kernels: Any = kernel_module(backend, x, atoms)
    if kernels is None:
        tensor_kernels(backend, x, codes.values, atoms).prefix_gradients(
            x, codes.indices, codes.values, atoms, survival,
            result.loss, result.values, result.atoms, result.x,
        )  # fmt: skip
        return result
    blocks = column_blocks(d)
    losses = np.empty((S, len(blocks), n))
    d_values = result.values[:, None]
    if len(blocks) > 1:
        d_values = codes.values.new_empty(S, len(blocks), *codes.values.shape[1:])
    d_x = x.new_empty(S, 0, d) if result.x is None else result.x
    weights = survival.expand(S, -1).to(x.dtype)
    arrays = [_array(t) for t in (x, codes.indices, codes.values, atoms, weights)]
    outputs = losses, d_values.numpy(), result.atoms.numpy(), d_x.numpy()

    def differentiate(s: int, b: int) -> None:
        loss, into_values, into_atoms, into_x = outputs
        kernels.prefix_gradients(
            *(array[s] for array in arrays), *blocks[b],
            loss[s, b], into_values[s, b], into_atoms[s], into_x[s],
        )  # fmt: skip

    in_parallel(
        [lambda s=s, b=b: differentiate(s, b) for s in range(S) for b in range(len(blocks))],
        codes.values.numel() * d,
    )
    # numpy adds in one order, whatever the number of threads.
    result.loss.copy_(torch.from_numpy(losses.sum(axis=1).sum(axis=-1)))
    if len(blocks) > 1:
        np.sum(outputs[1], axis=1, out=result.values.numpy())
    return result


def _array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's memory as a C-contiguous array."""
    return tensor.detach().contiguous().numpy()


def encoder_gradients(
    x: Float[Tensor, "S n d"],
    indices: Int[Tensor, "S n s"],
    d_values: Float[Tensor, "S n s"],
    K: int,
    *,
    backend: str = "auto",
    out: EncoderGradients | None = None,
) -> EncoderGradients:
    """Return the gradients of a linear encoder from those of its active latents, O(n s d).

    Parameters
    ----------
    x : tensor of shape (S, n, d)
        The encoder's inputs.
    indices, d_values : tensors of shape (S, n, s)
        Active latents, and the loss's gradient with respect to their values.
    K : int
        Number of latents.
    backend, out
        As in `prefix_gradients`.
    """
    S, n, d = x.shape
    result = out or EncoderGradients(x.new_empty(S, K, d), x.new_empty(S, K))
    kernels: Any = kernel_module(backend, x)
    if kernels is None:
        chosen = tensor_kernels(backend, x, d_values)
        if not encoder_walk_pays(n, indices.shape[-1], d, K, x.dtype):
            chosen = reference
        chosen.encoder_gradients(x, indices, d_values, result.encoder, result.bias)
        return result
    inputs = [_array(t) for t in (x, indices, d_values)]
    encoder, bias = result.encoder.numpy(), result.bias.numpy()

    def weights(s: int, start: int, stop: int) -> None:
        kernels.encoder_gradient(*(array[s] for array in inputs), start, stop, encoder[s])

    def biases(s: int) -> None:
        kernels.bias_gradient(inputs[1][s], inputs[2][s], bias[s])

    tasks = [
        lambda s=s, block=block: weights(s, *block) for s in range(S) for block in column_blocks(d)
    ]
    in_parallel([*tasks, *(lambda s=s: biases(s) for s in range(S))], d_values.numel() * d)
    return result
