"""The losses: l-prefix loss, and the nested-dropout loss in an oracle form and fast forms.

Every method of the paper minimises the same loss with its own survival weights w
(`osae_theory.prefixes`): w = 1 gives L_K, the loss of a plain top-m SAE.

Arrays are rows, as in training: data x (N, d), codes (N, K), atoms (K, d) are the
transposes of the paper's X, Y = Top_m(E(X)) and D. Codes are selected once, on all K
latents, and then truncated, as the paper defines it; none of these functions selects.
Any leading axes ("runs") are carried along: a loss is returned for each run. All
losses are sums over samples and entries (squared Frobenius norms), not means. numpy arrays
and lists are taken for tensors (`osae_theory.doors`); shapes that do not fit raise InputError.

Which form for what:

- `nested_dropout_loss_loop`: the definition, one term a prefix. The oracle; K times slower.
- `nested_dropout_loss_gram`: identity I1. No loop, but it cancels near zero residual.
- `nested_dropout_loss_sparse`: identity I2, O(N s d) for codes with s active entries.
- `nested_dropout_loss`: I1 rearranged around the full residual, so that nothing cancels;
  hand-written gradients. Training uses it while codes are dense.
- `exact_penalty_loss`: another loss, whose minimisers are D* (claim A); by its definition.
- `osae_theory.sae.kernels.nested_dropout_loss_fused`: I2 compiled, with hand-written
  gradients. Training uses it once codes are sparse.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_choice, check_integer, check_real

PENALTY_FORMS = ("total", "per sample")
"""The forms of the exact penalty (claims A and A'): one norm, or one a sample."""


@at_the_door
def prefix_loss(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    length: int,
) -> Float[Tensor, "*run"]:
    """Return the l-prefix loss L_l = ||X - D Lambda_l Top_m(E(X))||_F^2.

    Parameters
    ----------
    x, codes, atoms : tensors
        Data, codes with at most m nonzeros a row, and atoms; rows.
    length : int
        Prefix length l, 0..K; l = 0 keeps nothing.

    Raises
    ------
    InputError
        If `length` is not a whole number in 0..K.

    References
    ----------
    Wang et al. (2025), section 2.2.
    """
    check_integer("prefix length", length, 0, codes.shape[-1])
    residual = x - codes[..., :length] @ atoms[..., :length, :]
    return residual.square().sum(dim=(-2, -1))


@at_the_door
def nested_dropout_loss_loop(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
) -> Float[Tensor, "*run"]:
    """Return L_ND = E_l L_l as its definition says: one term for each of the K prefixes.

    Parameters
    ----------
    x, codes, atoms : tensors
        Data, codes and atoms; rows.
    survival : tensor of shape (..., K)
        Survival weights w_j = P(l >= j), so P(l = j) = w_j - w_{j+1}.

    References
    ----------
    Wang et al. (2025), section 2.2.
    """
    beyond = torch.cat([survival[..., 1:], torch.zeros_like(survival[..., :1])], dim=-1)
    law = survival - beyond
    terms = [
        law[..., length - 1] * prefix_loss(x, codes, atoms, length)
        for length in range(1, survival.shape[-1] + 1)
    ]
    return torch.stack(terms).sum(dim=0)


@at_the_door
def exact_penalty_loss(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
    weight: float,
    form: str = "total",
) -> Float[Tensor, "*run"]:
    """Return F = ||X - D Y||_F + weight L_q: the full residual not squared, the prefixes squared.

    The oracle: L_q is `nested_dropout_loss_loop`. Where the residual is not 0 the gradient is that
    of the nested-dropout loss with 1 / (2 ||X - D Y||_F) on l = K and weight q elsewhere, so the
    law moves to l = K as the fit becomes exact; at residual 0 it is that of weight L_q, a
    subgradient.

    Parameters
    ----------
    x, codes, atoms : tensors
        Data, codes and atoms; rows.
    survival : tensor of shape (..., K)
        Survival weights of q, the law of the truncated prefixes: w_K = 0 if it has no mass on K.
    weight : float
        lambda, above 0; of the unit 1 / ||X||.
    form : str
        "total": one norm of all residuals. "per sample": sum_n ||x_n - D y_n||, which minibatches
        estimate without bias.

    Raises
    ------
    InputError
        If the weight is not a number above 0, or the form is unknown.

    References
    ----------
    claims A and A' (docs/theory.md).
    """
    check_real("weight", weight, above=0)
    check_choice("form", form, PENALTY_FORMS)
    residual = x - codes @ atoms
    if form == "total":
        fit = torch.linalg.vector_norm(residual, dim=(-2, -1))
    else:
        fit = torch.linalg.vector_norm(residual, dim=-1).sum(dim=-1)
    return fit + weight * nested_dropout_loss_loop(x, codes, atoms, survival)


@at_the_door
def nested_dropout_loss_gram(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
) -> Float[Tensor, "*run"]:
    """Return L_ND by the Gram identity I1, without a loop over prefixes.

    L_ND = ||X||^2 - 2 sum_j w_j <d_j, X Y_j.> + <W o G, C>, with W_jk = w_max(j,k),
    G = D^T D and C = Y Y^T. Terms of the size of ||X||^2 cancel: near zero residual
    float32 loses every digit. Parameters as in `nested_dropout_loss_loop`.

    References
    ----------
    claim I1 (docs/theory.md).
    """
    weights = torch.minimum(survival[..., :, None], survival[..., None, :])
    correlation = (codes * (x @ atoms.mT)).sum(dim=-2)
    energy = (weights * (atoms @ atoms.mT) * (codes.mT @ codes)).sum(dim=(-2, -1))
    return x.square().sum(dim=(-2, -1)) - 2 * (survival * correlation).sum(dim=-1) + energy


@at_the_door
def nested_dropout_loss_sparse(
    x: Float[Tensor, "*run N d"],
    indices: Int[Tensor, "*run N s"],
    values: Float[Tensor, "*run N s"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*run K"],
) -> Float[Tensor, "*run"]:
    """Return L_ND by the sparse identity I2: O(N s d) for all K prefixes together.

    For one sample with active indices a_1 < ... < a_s, and w_{a_0} = 1, w_{a_{s+1}} = 0:
    sum_{t=0..s} (w_{a_t} - w_{a_{t+1}}) ||x - sum_{u<=t} z_{a_u} d_{a_u}||^2.

    Parameters
    ----------
    x, atoms, survival : tensors
        Data, atoms and survival weights, all with the same leading axes.
    indices, values : tensors of shape (..., N, s)
        Active latents of each sample, in any order, and their values. A sample with fewer
        than s active latents is padded with the index -1, or with any index and the value 0.

    Raises
    ------
    InputError
        If an index is none of -1, 0, ..., K - 1.

    References
    ----------
    claim I2 (docs/theory.md).
    """
    indices, values = ascending(indices, values, atoms.shape[-2])
    left_over = indices < 0
    indices, values = (
        indices.masked_fill(left_over, atoms.shape[-2] - 1),
        values.masked_fill(left_over, 0),
    )
    d, (n, s) = x.shape[-1], indices.shape[-2:]
    flat = indices.flatten(start_dim=-2)
    picked = atoms.gather(-2, flat[..., None].expand(*flat.shape, d))
    contributions = values[..., None] * picked.unflatten(-2, (n, s))
    zero = torch.zeros_like(x[..., None, :])
    partial_sums = torch.cat([zero, contributions.cumsum(dim=-2)], dim=-2)
    weights = survival.gather(-1, flat).unflatten(-1, (n, s))
    one, nothing = torch.ones_like(x[..., :1]), torch.zeros_like(x[..., :1])
    steps = torch.cat([one, weights], dim=-1) - torch.cat([weights, nothing], dim=-1)
    squared = (x[..., None, :] - partial_sums).square().sum(dim=-1)
    return (steps * squared).sum(dim=(-2, -1))


def ascending(
    indices: Int[Tensor, "*run N s"], values: Float[Tensor, "*run N s"], K: int
) -> tuple[Int[Tensor, "*run N s"], Float[Tensor, "*run N s"]]:
    """Return codes with the latents of each sample ascending and slots left over, -1, last.

    The prefixes of a code are those of its latents in order: in another order, as
    torch.topk gives them, the sparse forms of the loss would add up other prefixes.

    Parameters
    ----------
    indices, values : tensors of shape (..., N, s)
        Latents in 0..K-1, or -1 in a slot without one, and their values.
    K : int
        Number of latents.

    Returns
    -------
    indices, values
        int64 indices, and values through which gradients reach those given; untouched where
        they are in order.

    Raises
    ------
    InputError
        If an index is none of -1, 0, ..., K - 1.
    """
    indices = indices.long()
    if indices.numel() and not (-1 <= int(indices.min()) and int(indices.max()) < K):
        wrong = indices[(indices < -1) | (indices >= K)][0]
        raise InputError(f"indices hold {int(wrong)}: expected latents in 0..{K - 1}, or -1")
    ranks = indices.where(indices >= 0, K)
    if not bool((ranks[..., 1:] < ranks[..., :-1]).any()):
        return indices, values
    order = ranks.argsort(dim=-1, stable=True)
    return indices.gather(-1, order), values.gather(-1, order)


@at_the_door
def nested_dropout_loss(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
) -> Float[Tensor, "*run"]:
    """Return L_ND in the residual form of identity I1, with hand-written gradients.

    With R = X - D Y the full residual, r_l = R + sum_{k>l} d_k Y_k. is the residual of
    prefix l, and summing over l gives

    L_ND = ||R||^2 + 2 sum_j (1 - w_j) <d_j, R Y_j.> + sum_jk (1 - w_min(j,k)) G_jk C_jk.

    Nothing of the size of ||X||^2 cancels, and w = 1 leaves the plain loss ||R||^2 alone.
    Costs three products of N x K x d and two of N x K x K more than the encoder, whatever
    the number of prefixes; differentiable once in x, codes and atoms.
    Parameters as in `nested_dropout_loss_loop`.

    References
    ----------
    claim I1 and N1 (docs/theory.md).
    """
    return _ResidualGram.apply(x, codes, atoms, survival)  # pyright: ignore[reportReturnType]


@dataclass(frozen=True, eq=False)
class DenseGradients:
    """The nested-dropout loss of dense codes, and its gradients.

    Attributes
    ----------
    loss : tensor of shape (...)
        The loss of each run.
    codes, atoms, x : tensors
        Gradients, each of its argument's shape; `x` None unless asked for.
    """

    loss: Float[Tensor, "*run"]
    codes: Float[Tensor, "*run N K"]
    atoms: Float[Tensor, "*run K d"]
    x: Float[Tensor, "*run N d"] | None


def nested_dropout_gradients(
    x: Float[Tensor, "*run N d"],
    codes: Float[Tensor, "*run N K"],
    atoms: Float[Tensor, "*run K d"],
    survival: Float[Tensor, "*#run K"],
    with_x: bool = False,
) -> DenseGradients:
    """Return L_ND in the residual form of identity I1 with its gradients in closed form.

    With r the residual of one sample,

    dL/dz_j = -2 [ w_j <d_j, r> + sum_{k>j} (w_j - w_k) G_jk z_k ],
    dL/dd_j = -2 [ w_j R Y_j.   + sum_{k>j} (w_j - w_k) C_jk d_k ],
    dL/dx   =  2 [ r + sum_k (1 - w_k) z_k d_k ].

    Parameters as in `nested_dropout_loss_loop`; `with_x` asks for the last of the three.

    References
    ----------
    claim I1 (docs/theory.md).
    """
    residual = x - codes @ atoms
    correlation = residual @ atoms.mT
    loss = residual.square().sum(dim=(-2, -1))
    d_codes = survival[..., None, :] * correlation
    d_atoms = survival[..., None] * (codes.mT @ residual)
    d_x = residual if with_x else None
    # Weights that are all 1 are the plain loss: what follows would add exact zeros.
    if bool((survival != 1).any()):
        dropped = 1 - survival
        gram = atoms @ atoms.mT
        overlap = codes.mT @ codes
        gaps = (survival[..., :, None] - survival[..., None, :]).triu()
        early = torch.minimum(dropped[..., :, None], dropped[..., None, :])
        loss = loss + 2 * (dropped * (codes * correlation).sum(dim=-2)).sum(dim=-1)
        loss = loss + (early * gram * overlap).sum(dim=(-2, -1))
        d_codes = d_codes + codes @ (gaps * gram).mT
        d_atoms = d_atoms + (gaps * overlap) @ atoms
        if with_x:
            d_x = residual + (codes * dropped[..., None, :]) @ atoms
    return DenseGradients(loss, -2 * d_codes, -2 * d_atoms, None if d_x is None else 2 * d_x)


class _ResidualGram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, atoms: Tensor, survival: Tensor) -> Tensor:
        found = nested_dropout_gradients(x, codes, atoms, survival, ctx.needs_input_grad[0])
        ctx.save_for_backward(found.x, found.codes, found.atoms)
        return found.loss

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        scale = grad_outputs[0][..., None, None]
        slopes = (None if slope is None else scale * slope for slope in ctx.saved_tensors)
        return *slopes, None
