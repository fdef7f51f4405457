"""The auxiliary loss for dead latents: they are trained on what the live ones leave over."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from osae_theory.errors import check_integer, check_real


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
    """Counts each latent's silent steps, per run."""

    def __init__(
        self, config: DeadLatentLoss, n_runs: int, n_atoms: int, device: torch.device
    ) -> None:
        self.config = config
        self._silent = torch.zeros(n_runs, n_atoms, dtype=torch.long, device=device)

    @property
    def n_revived(self) -> int:
        """Most dead latents that may act on one sample."""
        return min(self.config.n_latents, self._silent.shape[1])

    @property
    def dead(self) -> Bool[Tensor, "S K"]:
        """Which latents have been silent for at least `dead_after` steps."""
        return self._silent >= self.config.dead_after

    def count(self, fired: Bool[Tensor, "S K"]) -> None:
        """Take note of which latents were active in a step."""
        self._silent = torch.where(fired, 0, self._silent + 1)

    def candidates(self, latents: Float[Tensor, "S n K"]) -> Float[Tensor, "S n K"]:
        """Return the latents with those that are not dead out of reach."""
        return latents.masked_fill(~self.dead[:, None, :], -torch.inf)

    def reorder(self, order: Int[Tensor, "S K"]) -> None:
        """Put the latents' counts in a new order: latent order[s, j] of run s becomes j."""
        self._silent = self._silent.gather(1, order)

    def state(self) -> Int[Tensor, "S K"]:
        """Return the number of steps each latent has been silent."""
        return self._silent.clone()

    def restore(self, state: Int[Tensor, "S K"]) -> None:
        """Go on from where `state` was taken."""
        self._silent = state.to(self._silent)
