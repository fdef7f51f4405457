"""What is trained: the seeds, rate and prefix law of each run, and what the runs share."""

from dataclasses import dataclass, field

from osae_theory.arrays import ArrayLike
from osae_theory.errors import InputError, check_choice, check_integer, check_real, shown
from osae_theory.prefixes import FitSchedule, WeightSchedule, as_schedule
from osae_theory.sae.auxiliary import DeadLatentLoss
from osae_theory.sae.code_penalty import CodePenalty
from osae_theory.sae.decoders import FrozenDecoder, NearDecoder
from osae_theory.sae.kernels import ARITHMETICS, BACKENDS
from osae_theory.sae.resampling import Resampling
from osae_theory.sae.schedules import LearningRateSchedule, Resorting, SparsityWarmup, UnitSweep
from osae_theory.sae.selection import ACTIVATIONS


@dataclass(frozen=True)
class RunSeeds:
    """The seeds of one run, one for each axis, so that runs can share one and not another.

    Attributes
    ----------
    initialisation, data_order, prefixes : int
        At least 0.
    """

    initialisation: int
    data_order: int
    prefixes: int

    def __post_init__(self) -> None:
        for name in ("initialisation", "data_order", "prefixes"):
            check_integer(f"{name} seed", getattr(self, name), 0)

    @classmethod
    def same(cls, seed: int) -> "RunSeeds":
        """Return one seed on all three axes; the streams differ all the same."""
        return cls(seed, seed, seed)


@dataclass(frozen=True, init=False)
class Run:
    """What is a run's own: its seeds, its learning rate, its prefix law.

    Attributes
    ----------
    seeds : RunSeeds
    learning_rate : float
        Above 0.
    schedule : WeightSchedule or FitSchedule
        The law; the probabilities of one that does not change will do.
    """

    seeds: RunSeeds
    learning_rate: float
    schedule: WeightSchedule | FitSchedule

    def __init__(
        self,
        seeds: RunSeeds,
        learning_rate: float,
        schedule: WeightSchedule | FitSchedule | ArrayLike,
    ) -> None:
        check_real("learning rate", learning_rate, above=0)
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "learning_rate", learning_rate)
        object.__setattr__(self, "schedule", as_schedule("schedule", schedule))


@dataclass(frozen=True)
class TrainingConfig:
    """What the runs of one batch share.

    Attributes
    ----------
    n_nonzero : int
        Sparsity m, at least 1.
    n_steps : int
        Optimiser steps, at least 1.
    batch_size : int
        Samples a step, at least 1; capped at the number of samples there are.
    activation : {"relu", "signed", "batch"}
        How the m largest latents are chosen.
    use_decoder_bias : bool
        Whether to learn b_dec, started at the mean of the data.
    sparsity_warmup : SparsityWarmup
        k warm-up.
    learning_rate_schedule : LearningRateSchedule
        Warm-up and decay.
    unit_sweep : UnitSweep or None
        Unit sweeping; off by default.
    resorting : Resorting or None
        Sorting of the latents by their energy while they are trained; off by default, and not
        together with unit sweeping, whose frozen units are the first.
    resampling : Resampling or None
        Least useful latents start anew at the largest residuals; off by default, and not together
        with unit sweeping or with a decoder that is held.
    dead_latent_loss : DeadLatentLoss or None
        Auxiliary loss for dead latents; off by default.
    code_penalty : CodePenalty or None
        Penalty on the size of codes, beside the loss; off by default.
    decoder : FrozenDecoder, NearDecoder or None
        Whether atoms stay, or stay near, where they started; free by default.
    betas : tuple of two floats
        Adam's decay rates.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        What computes selection, gradients and updates: see `osae_theory.sae.kernels`. "triton"
        and "torch" compute in fast arithmetic only.
    arithmetic : {"portable", "fast"}
        "portable" computes the same bits on every machine, from numpy's and torch's versions
        alone: on a CPU, in float32 or float64. "fast" leaves products to the machine's BLAS,
        on any device; its bits depend on the processor, on the number of threads and, where
        BLAS goes by the alignment of memory, on which runs train together.
    """

    n_nonzero: int
    n_steps: int = 1960
    batch_size: int = 1024
    activation: str = "relu"
    use_decoder_bias: bool = False
    sparsity_warmup: SparsityWarmup = field(default_factory=SparsityWarmup)
    learning_rate_schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    unit_sweep: UnitSweep | None = None
    resorting: Resorting | None = None
    resampling: Resampling | None = None
    dead_latent_loss: DeadLatentLoss | None = None
    code_penalty: CodePenalty | None = None
    decoder: FrozenDecoder | NearDecoder | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    backend: str = "auto"
    arithmetic: str = "portable"

    def __post_init__(self) -> None:
        check_integer("n_nonzero", self.n_nonzero, 1)
        check_integer("n_steps", self.n_steps, 1)
        check_integer("batch_size", self.batch_size, 1)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("backend", self.backend, BACKENDS)
        check_choice("arithmetic", self.arithmetic, ARITHMETICS)
        for beta in self.betas:
            check_real("Adam beta", beta, at_least=0, below=1)
        if self.resorting is not None and not isinstance(self.resorting, Resorting):
            raise InputError(f"resorting = {shown(self.resorting)}: expected a Resorting or None")
        if self.code_penalty is not None and not isinstance(self.code_penalty, CodePenalty):
            raise InputError(
                f"code_penalty = {shown(self.code_penalty)}: expected a CodePenalty or None"
            )
        if self.decoder is not None and not isinstance(self.decoder, FrozenDecoder | NearDecoder):
            raise InputError(
                f"decoder = {shown(self.decoder)}: expected a FrozenDecoder, a NearDecoder or None"
            )
        if self.resorting is not None and self.unit_sweep is not None:
            raise InputError("resorting with unit_sweep: expected only one of the two")
        if self.resampling is not None:
            if not isinstance(self.resampling, Resampling):
                raise InputError(
                    f"resampling = {shown(self.resampling)}: expected a Resampling or None"
                )
            for name in ("unit_sweep", "decoder"):
                if getattr(self, name) is not None:
                    raise InputError(f"resampling with {name}: expected only one of the two")
