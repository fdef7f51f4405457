"""What an experiment would take, told before it is begun: tokens, steps, disk, memory, minutes.

Minutes are a model's, not a measurement's. Products of matrices take their operations over a rate,
and loss and gradients of a step what `osae_theory.sae.kernels.costs` says of the cheaper of both
ways, which the trainer takes. Evaluation, splicing and comparison are not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from osae_theory.sae import SparsityWarmup
from osae_theory.sae.kernels.costs import Rates, dense_seconds, walk_seconds
from realdata.experiment.jobs import RUNS_PER_JOB
from realdata.experiment.presets import Preset
from realdata.experiment.stores import sample_contexts
from realdata.models.hooks import block_of_hook
from realdata.models.sources import MODELS
from realdata.training.rows import IN_MEMORY

_GB = 1e9
# Blocks that a pass holds: those that come, and two that are read from.
_BLOCKS_HELD = 4
# Steps at which the number of active latents is looked at.
_LOOKS = 200


@dataclass(frozen=True, kw_only=True)
class DeviceRate:
    """A kind of device, and what it is assumed to do.

    Attributes
    ----------
    operations, bandwidth : float
        In float32, a second: of products of matrices, and bytes.
    reached : float
        The share of both that is assumed to be reached, in (0, 1].
    source : str
        Where the figures are from.
    """

    operations: float
    bandwidth: float
    reached: float
    source: str

    @property
    def reached_rates(self) -> Rates:
        """What it is assumed to reach, beside products of matrices as in them."""
        operations = self.operations * self.reached
        return Rates(self.bandwidth * self.reached, operations, operations)


RATES: Mapping[str, DeviceRate] = MappingProxyType(
    {
        "one H100": DeviceRate(
            operations=67e12,
            bandwidth=3.35e12,
            reached=1 / 3,
            source="67 TFLOP/s in float32 and 3.35 TB/s by the data sheet of the H100 SXM, a third"
            " of both reached: assumed, never measured",
        ),
        "one CPU core": DeviceRate(
            operations=4e10,
            bandwidth=1e10,
            reached=1.0,
            source="40 GFLOP/s and 10 GB/s: assumed, near what SmolLM2 and SAEs of K = 512 took"
            " on the authors' two cores",
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an experiment would take.

    Attributes
    ----------
    preset : Preset
        Of the experiment.
    streamed : bool
        Whether activations of the training parts are streamed.
    """

    preset: Preset
    streamed: bool

    @property
    def d(self) -> int:
        """The width of an activation."""
        return MODELS[self.preset.model].d

    @property
    def n_runs(self) -> Mapping[str, int]:
        """Return the number of trainings by what they are for."""
        preset = self.preset
        return {
            f"at K = {preset.K:,}, m = {preset.m}": len(preset.methods)
            * preset.n_seeds
            * len(preset.corpora),
            "at other m": len(preset.methods) * len(preset.other_m),
            f"at K = {preset.wide:,} to be stitched in": int(preset.wide > 0),
        }

    @property
    def seen(self) -> int:
        """Return how many activations a run sees."""
        return self.preset.n_steps * self.preset.batch_size

    @property
    def stored_rows(self) -> int:
        """Return how many activations are stored, of all corpora."""
        preset = self.preset
        sample = sample_contexts(preset) * (preset.context - 1)
        training = sample if self.streamed else preset.training_tokens
        return (training + preset.evaluation_tokens) * len(preset.corpora)

    def stored_bytes(self, itemsize: int) -> int:
        """Return what the stores take in numbers of `itemsize` bytes."""
        return self.stored_rows * (itemsize * self.d + 8)

    @property
    def checkpoint_bytes(self) -> int:
        """Return what the checkpoints of all runs take."""
        narrow, other, wide = self.n_runs.values()
        kept = narrow * len(self.preset.snapshots) + 2 * other
        return 4 * (kept * self._parameters(self.preset.K) + 2 * wide * self._wide_parameters)

    @property
    def together(self) -> int:
        """Return how many runs are in memory at once in one training."""
        preset = self.preset
        own = len(preset.methods) * preset.n_seeds
        if self.streamed:
            return own + self.n_runs["at other m"] + int(preset.wide > 0)
        return min(RUNS_PER_JOB, preset.n_seeds)

    @property
    def training_bytes(self) -> int:
        """Return about what one training holds: weights, gradients, Adam, a step, activations."""
        preset, n = self.preset, self.preset.batch_size
        narrow = 16 * self._parameters(preset.K)
        states = self.together * narrow
        widest = preset.K
        if preset.wide:
            # The wide one is a training of its own, or one among those of the first corpus.
            wide = 16 * self._wide_parameters
            states = states - narrow + wide if self.streamed else max(states, wide)
            widest = preset.wide
        step = 4 * (3 * n * widest + 4 * n * self.d) + _scratch_bytes(n, self.d, widest)
        if preset.block:
            data = _BLOCKS_HELD * preset.block * (preset.context - 1) * 4 * self.d
        else:
            whole = preset.training_tokens * 4 * self.d
            data = whole if whole <= IN_MEMORY else 0
        return states + step + data

    def model_seconds(self, rate: DeviceRate) -> float:
        """Return the seconds of the language model, of 12 d² weights a block up to the hook."""
        preset = self.preset
        read = self.stored_rows
        if self.streamed:
            read += self.seen * len(preset.corpora)
        n_blocks = block_of_hook(preset.hook, MODELS[preset.model].n_layers) + 1
        return read * 2 * 12 * self.d**2 * n_blocks / (rate.operations * rate.reached)

    def training_seconds(self, rate: DeviceRate) -> float:
        """Return the seconds of all trainings, one after the other."""
        preset = self.preset
        narrow, _, wide = self.n_runs.values()
        total = narrow * self._run_seconds(preset.K, preset.m, rate)
        for m in preset.other_m:
            total += len(preset.methods) * self._run_seconds(preset.K, m, rate)
        return total + wide * self._run_seconds(preset.wide, preset.m, rate)

    def _run_seconds(self, K: int, m: int, rate: DeviceRate) -> float:
        preset = self.preset
        if K == 0:
            return 0.0
        warmup = SparsityWarmup(preset.sparsity_warmup)
        steps = [round((i + 0.5) * preset.n_steps / _LOOKS) for i in range(_LOOKS)]
        active = [warmup.active_at(step, preset.n_steps, K, m) for step in steps]
        mean = sum(_step_seconds(preset.batch_size, self.d, K, s, rate) for s in active) / _LOOKS
        return preset.n_steps * mean

    def _parameters(self, K: int) -> int:
        return 2 * K * self.d + K + self.d

    @property
    def _wide_parameters(self) -> int:
        return self._parameters(self.preset.wide)


def _step_seconds(n: int, d: int, K: int, s: int, rate: DeviceRate) -> float:
    """Return the seconds of a step of one run: n samples, s active latents of K, Adam."""
    rates = rate.reached_rates
    encoder = 2 * n * K * d / rates.matrix
    adam = 7 * 4 * 2 * K * d / rates.bandwidth
    return encoder + adam + min(_both_ways(n, d, K, s, rates))


def _both_ways(n: int, d: int, K: int, s: int, rates: Rates) -> tuple[float, float]:
    """Return the seconds of loss and gradients over active latents, and by whole products."""
    return (
        walk_seconds(n, s, d, K, torch.float32, rates),
        dense_seconds(n, d, K, torch.float32, rates=rates),
    )


def _scratch_bytes(n: int, d: int, K: int) -> int:
    """Return what the first step, with all latents active, holds: an order, or K by K sums."""
    walk, dense = _both_ways(n, d, K, K, RATES["one H100"].reached_rates)
    return 60 * n * K if walk < dense else 12 * K * K


def described(plan: Plan, n_workers: int = 1) -> str:
    """Return a plan as lines of text.

    Parameters
    ----------
    plan : Plan
        What is planned.
    n_workers : int
        Cores that share the trainings where it runs on a CPU.
    """
    preset = plan.preset
    runs = ", ".join(f"{n:,} {what}" for what, n in plan.n_runs.items() if n)
    shuffled = f"inside blocks of {preset.block} contexts" if preset.block else "over all of them"
    half, whole = (plan.stored_bytes(size) / _GB for size in (2, 4))
    kept = "a sample of the training parts and the held-out parts" if plan.streamed else "all"
    lines = {
        "preset": f"{preset.name} ({preset.note})",
        "model": f"{preset.model} at {preset.hook}, width {plan.d:,}",
        "text": f"{', '.join(preset.corpora)}: {preset.training_tokens:,} training and"
        f" {preset.evaluation_tokens:,} held-out tokens each, contexts of {preset.context}",
        "activations": f"{'streamed' if plan.streamed else 'stored'}; on disk {kept}:"
        f" {half:.1f} GB in float16, {whole:.1f} GB where that does not do",
        "runs": runs,
        "each run": f"{preset.n_steps:,} steps of {preset.batch_size:,} activations:"
        f" {plan.seen:,} tokens, {plan.seen / preset.training_tokens:.1f} times its corpus,"
        f" shuffled {shuffled}",
        "checkpoints": f"{plan.checkpoint_bytes / _GB:.1f} GB on disk",
        "memory": f"about {plan.training_bytes / _GB:.1f} GB of one training"
        f" ({plan.together} runs together), beside the language model",
    }
    for kind, rate in RATES.items():
        cores = n_workers if "CPU" in kind else 1
        model, training = (
            seconds / 60 / cores
            for seconds in (plan.model_seconds(rate), plan.training_seconds(rate))
        )
        name = f"{cores} CPU cores" if cores > 1 else kind
        lines[f"minutes, {name}"] = (
            f"activations {_minutes(model)}, trainings {_minutes(training)} ({rate.source})"
        )
    width = max(map(len, lines))
    told = [f"{name:<{width}}  {text}" for name, text in lines.items()]
    return "\n".join(
        [*told, "Nothing was run: minutes are computed, without evaluation and comparison."]
    )


def _minutes(minutes: float) -> str:
    return f"{minutes:,.0f}" if minutes >= 10 else f"{minutes:.1f}"
