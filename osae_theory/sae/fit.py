"""How well a batch is fitted so far, and the weights of prefixes that follow from it (claim A)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.prefixes import ExactPenalty, FitSchedule, WeightSchedule
from osae_theory.sae.kernels import select_sparse
from osae_theory.sae.model import TopMSAE

# A sample that is fitted better than this, in units of the batch's mean residual, counts as if
# it were fitted just so well: its weight would grow without bound.
_LEAST = 1e-4
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class SampleWeights:
    """Weights of each sample's full residual: share * L_ND + sum_n full_n ||x_n - D y_n||^2.

    Attributes
    ----------
    share : tensor of shape (S,)
        Weight of each run's nested-dropout loss.
    full : tensor of shape (S, n)
        Weight of each sample's squared full residual beside it.
    """

    share: Float[Tensor, " S"]
    full: Float[Tensor, "S n"]


class Fit:
    """Follows the fit of the runs whose weights depend on it.

    Parameters
    ----------
    schedules : sequence of WeightSchedule or FitSchedule
        One a run.
    m : int
        Active latents at which the fit is measured, whatever the warm-up has come to.

    Attributes
    ----------
    residuals : tensor of float64, shape (S,)
        Each run's relative residual ||X - D Y||_F / ||X||_F when it was last measured; 1
        before, and for runs that do not follow it.
    """

    def __init__(self, schedules: Sequence[WeightSchedule | FitSchedule], m: int) -> None:
        self._schedules, self._m = tuple(schedules), m
        self.residuals = torch.ones(len(self._schedules), dtype=torch.float64)
        self._by_sample = torch.tensor(
            [isinstance(s, ExactPenalty) and s.by_sample for s in self._schedules]
        )

    def is_due(self, step: int) -> bool:
        """Say whether a run wants the fit measured before step `step` (from 0)."""
        return bool(self._by_sample.any()) or bool(self._due(step).any())

    def energies(
        self, model: TopMSAE, batch: Float[Tensor, "S n d"], backend: str
    ) -> tuple[Float[Tensor, "S n"], Float[Tensor, "S n"]]:
        """Return ||x_n - D y_n||^2 and ||x_n||^2 of each sample, in float64."""
        centred = model.centred(batch)
        scores = model.preactivations(centred)
        codes = select_sparse(scores, self._m, model.activation, backend=backend)
        residual = centred.clone()
        for slot in range(codes.indices.shape[-1]):
            # A slot without a latent has the value 0.
            places = codes.indices[..., slot].long().clamp(min=0)
            picked = model.atoms.gather(1, places[..., None].expand_as(centred))
            residual -= codes.values[..., slot, None] * picked
        return _energies(residual), _energies(centred)

    def note(
        self,
        step: int,
        left: Float[Tensor, " S"],
        whole: Float[Tensor, " S"],
    ) -> None:
        """Take note of the energies left and whole, summed over the batch, before step `step`."""
        # A batch of zeros says nothing: what was known before stays.
        found = (left / whole).sqrt().cpu()
        due = (self._due(step) | self._by_sample) & (whole.cpu() > 0) & found.isfinite()
        self.residuals = torch.where(due, found, self.residuals)

    def survival(self, run: int) -> Float[np.ndarray, " K"]:
        """Return a run's survival weights; those of q alone where samples have their own."""
        schedule = self._schedules[run]
        assert isinstance(schedule, FitSchedule)
        if isinstance(schedule, ExactPenalty) and schedule.by_sample:
            return schedule.law.survival
        return schedule.survival_for(float(self.residuals[run]))

    def sample_weights(
        self,
        left: Float[Tensor, "S n"],
        mean: Float[Tensor, " S"],
        like: Float[Tensor, "S n d"],
    ) -> SampleWeights | None:
        """Return the weights of runs by sample, None if there are none.

        At equal residuals they are those of all samples together; a sample's own is in
        inverse proportion to its residual.

        Parameters
        ----------
        left : tensor of shape (S, n)
            Each sample's squared residual.
        mean : tensor of shape (S,)
            Its mean over all samples of the step.
        like : tensor of shape (S, n, d)
            The batch, for dtype and device.
        """
        if not bool(self._by_sample.any()):
            return None
        share = torch.ones(len(self._schedules), dtype=torch.float64)
        full = torch.zeros_like(left)
        for run, schedule in enumerate(self._schedules):
            if isinstance(schedule, ExactPenalty) and schedule.by_sample:
                share[run] = schedule.share_for(float(self.residuals[run]))
                length = math.sqrt(float(mean[run]))
                lengths = left[run].sqrt().clamp(min=_LEAST * length + _TINY)
                full[run] = (1 - float(share[run])) * length / lengths
        return SampleWeights(share.to(like), full.to(like))

    def _due(self, step: int) -> Tensor:
        return torch.tensor(
            [isinstance(s, FitSchedule) and step % s.every == 0 for s in self._schedules]
        )


def _energies(rows: Float[Tensor, "S n d"]) -> Float[Tensor, "S n"]:
    squares = rows.double().square()
    if squares.is_cpu:
        # numpy adds in one order, whatever the vector unit and the number of threads.
        return torch.from_numpy(squares.numpy().sum(axis=-1))
    return squares.sum(dim=-1)
