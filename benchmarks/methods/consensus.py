"""Consensus of top-m SAEs: the mean of matched atoms of four short runs, then a short refit.

Four SAEs, each of a start and a data order of its own, are trained for 20% of the steps each, by
the whole recipe in short. Atoms of the others are matched to those of the first by the greatest sum
of |cosine|; each atom becomes the mean of its four, with the signs of their cosines, at unit norm.
An SAE with this decoder, and an encoder that starts at its transpose, is trained for the remaining
20%, at the final sparsity throughout, the learning rate decaying over all of it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Fitted, Method
from benchmarks.methods._dense import config_of
from benchmarks.methods._sae import LEARNING_RATE
from benchmarks.training.dense import DenseRun, TopMModel, member_seeds, train_dense
from osae_theory.metrics import match_rows
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import (
    LearningRateSchedule,
    Run,
    RunSeeds,
    SparsityWarmup,
    TrainingConfig,
    train,
)

_MEMBERS = 4
_SHARE = 5


def _fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
    return [_fitted(data, how, own) for own in seeds]


def _fitted(data: Data, how: Fit, own: RunSeeds) -> Fitted | None:
    n_steps = max(how.budget.amount // _SHARE, 1)
    config = TrainingConfig(
        data.m, n_steps=n_steps, batch_size=how.budget.batch_size, arithmetic=how.arithmetic
    )
    rate, law = float(how.params["lr"]), PrefixLaw.full(data.K)
    runs = [Run(member_seeds(own, r), rate, law) for r in range(_MEMBERS)]
    x = torch.from_numpy(data.rows).to(how.device)
    result = train(x, data.K, runs, config)
    if bool(result.diverged.any()):
        return None
    atoms = torch.from_numpy(consensus(result.model.atoms.detach().cpu().numpy())).to(how.device)
    refit = DenseRun(
        member_seeds(own, _MEMBERS), rate, lambda start: TopMModel(start.with_atoms(atoms))
    )
    refit_config = replace(
        config_of(data.m, how, how.budget.amount - _MEMBERS * n_steps),
        sparsity_warmup=SparsityWarmup(0.0),
        learning_rate_schedule=LearningRateSchedule(decay_from=0.0),
    )
    [refitted] = train_dense(x[None], [0], data.K, [refit], refit_config)
    return None if refitted is None else refitted.fitted()


def consensus(atoms: Float[np.ndarray, "R K d"]) -> Float[np.ndarray, "K d"]:
    """Return the mean atoms of R dictionaries, matched to the first, at unit norm.

    An atom counts with the sign of its cosine with the first dictionary's.
    """
    total = atoms[0].astype(np.float64)
    for other in atoms[1:]:
        matched = match_rows(atoms[0], other, absolute=True)
        signs = np.where(matched.similarities < 0, -1.0, 1.0)
        total += signs[:, None] * other[matched.permutation]
    total /= np.sqrt((total * total).sum(axis=1, keepdims=True))
    return total.astype(atoms.dtype)


METHOD = Method("consensus", "consensus of top-m SAEs", _fit, (LEARNING_RATE,))
