"""Schedules of training: sparsity warm-up, learning rate, unit sweeping, re-sorting."""

from dataclasses import dataclass

from osae_theory.errors import check_integer, check_real


def warmed_active(share: float, K: int, m: int) -> int:
    """Return how many latents are active when a share, from 0 on, of the k warm-up is done."""
    return m + round((K - m) * max(1 - share, 0.0))


@dataclass(frozen=True)
class SparsityWarmup:
    """k warm-up: the number of active latents falls linearly from K to m (section 3.1).

    Attributes
    ----------
    share : float
        Share of the training over which it falls, in [0, 1]; 0 trains at m throughout.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        check_real("sparsity warm-up share", self.share, at_least=0, at_most=1)

    def active_at(self, step: int, n_steps: int, K: int, m: int) -> int:
        """Return the number of active latents at step `step` of `n_steps` (from 0)."""
        return warmed_active(step / (self.share * n_steps) if self.share > 0 else 1.0, K, m)


@dataclass(frozen=True)
class LearningRateSchedule:
    """Linear warm-up from 0, a plateau, and a linear decay to 0.

    Attributes
    ----------
    warmup : float
        Share of the training that warms up, in [0, 1].
    decay_from : float
        Share of the training at which the decay starts, in [warmup, 1]; 1 never decays.
    """

    warmup: float = 0.0
    decay_from: float = 0.5

    def __post_init__(self) -> None:
        check_real("learning-rate warm-up", self.warmup, at_least=0, at_most=1)
        check_real("decay_from", self.decay_from, at_least=self.warmup, at_most=1)

    def factor_at(self, step: int, n_steps: int) -> float:
        """Return the factor in (0, 1] of the learning rate at step `step` of `n_steps`."""
        rise = (step + 1) / (self.warmup * n_steps) if self.warmup > 0 else 1.0
        fall = (n_steps - step) / (n_steps * (1 - self.decay_from)) if self.decay_from < 1 else 1.0
        return min(rise, fall, 1.0)


@dataclass(frozen=True)
class UnitSweep:
    """Unit sweeping (section 3.1): after a burn-in, freeze one more unit every few steps.

    Unit 1 freezes first. A frozen unit keeps its encoder row, encoder bias and atom.

    Attributes
    ----------
    burn_in : int
        Steps before the first unit freezes, at least 0.
    every : int
        Steps between two freezes, at least 1.
    """

    burn_in: int
    every: int

    def __post_init__(self) -> None:
        check_integer("unit-sweep burn-in", self.burn_in, 0)
        check_integer("unit-sweep interval", self.every, 1)

    def frozen_at(self, step: int, K: int) -> int:
        """Return how many leading units are frozen during step `step` (from 0)."""
        if step < self.burn_in:
            return 0
        return min((step - self.burn_in) // self.every + 1, K)


@dataclass(frozen=True)
class Resorting:
    """Latents put in order of their running energy, descending, while they are trained.

    A latent moves with its encoder row, its bias, its atom and their optimiser state. Under a
    law that favours early latents the loss sees the new order; under the plain loss nothing
    changes but the order.

    Attributes
    ----------
    every : int
        Steps between two sortings, at least 1.
    memory : float
        Weight of the past in the running energy, in [0, 1): the energy of a latent's codes in
        a batch counts memory ** a after a further steps.
    """

    every: int = 50
    memory: float = 0.98

    def __post_init__(self) -> None:
        check_integer("re-sorting interval", self.every, 1)
        check_real("re-sorting memory", self.memory, at_least=0, below=1)
