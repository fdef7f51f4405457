"""The auxiliary loss for dead latents: they are trained on what the live ones leave over."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from osae_theory.errors import check_integer, check_real
from osae_theory.sae.selection import top_m_mask


@dataclass(frozen=True)
class DeadLatentLoss:
    """AuxK: the k best dead latents reconstruct the residual of the full prefix.

    Attributes
    ----------
    coefficient : float
        Weight of the auxiliary loss beside the main one, at least 0.
    n_latents : int
        How many dead latents may act on one sample, at least 1; capped at K.
    dead_after : int
        A latent is dead when it has been silent for this many steps, at least 1.

    References
    ----------
    Gao et al. (2024), "Scaling and evaluating sparse autoencoders", section 2.4. There the
    loss is normalised by the residual's energy; here both losses are in the data's units.
    """

    coefficient: float = 1 / 32
    n_latents: int = 32
    dead_after: int = 100

    def __post_init__(self) -> None:
        check_real("auxiliary coefficient", self.coefficient, at_least=0)
        check_integer("auxiliary n_latents", self.n_latents, 1)
        check_integer("dead_after", self.dead_after, 1)


class DeadLatents:
    """Counts each latent's silent steps, per run, and gives the auxiliary loss."""

    def __init__(
        self, config: DeadLatentLoss, n_runs: int, n_atoms: int, device: torch.device
    ) -> None:
        self.config = config
        self._silent = torch.zeros(n_runs, n_atoms, dtype=torch.long, device=device)

    @property
    def dead(self) -> Bool[Tensor, "S K"]:
        """Which latents have been silent for at least `dead_after` steps."""
        return self._silent >= self.config.dead_after

    def loss(
        self,
        x: Float[Tensor, "S n d"],
        preactivations: Float[Tensor, "S n K"],
        codes: Float[Tensor, "S n K"],
        atoms: Float[Tensor, "S K d"],
    ) -> Float[Tensor, " S"]:
        """Count this step's silence and return each run's auxiliary loss, 0 if none is dead."""
        fired = (codes != 0).any(dim=1)
        self._silent = torch.where(fired, 0, self._silent + 1)
        dead = self.dead
        has_dead = dead.any(dim=-1)
        if not bool(has_dead.any()):
            return x.new_zeros(x.shape[0])
        residual = (x - codes @ atoms).detach()
        candidates = preactivations.masked_fill(~dead[:, None, :], -torch.inf)
        chosen = top_m_mask(candidates, min(self.config.n_latents, atoms.shape[1]))
        revived = preactivations.relu() * (chosen & dead[:, None, :])
        error = (residual - revived @ atoms).square().sum(dim=(-2, -1))
        return self.config.coefficient * error * has_dead
