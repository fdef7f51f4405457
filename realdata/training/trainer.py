"""Training of SAEs on activations: several runs in one pass, resumable to the same bits.

A job is some runs of one method on one corpus. It keeps, in its own folder,

- a checkpoint of each run at stated shares of the training, 0 (its initialisation) and 1 among
  them, as `realdata.checkpoints` reads it;
- the whole state of the training every so many steps: weights, optimiser, random streams, data
  order. A job that is killed goes on from there, and ends with the weights it would have had;
- a log, one JSON object a line.

"Tokens" are activations seen: where a training is longer than its corpus, they repeat.
"""

import hashlib
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from osae_theory.devices import check_device
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import write_atomically
from osae_theory.sae import (
    LearningRateSchedule,
    Run,
    RunSeeds,
    SparsityWarmup,
    Trainer,
    TrainingConfig,
)
from realdata.activations.blocks import Blocks, Pass
from realdata.activations.standardisation import Standardisation
from realdata.activations.store import ActivationStore
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours
from realdata.training.distributed import ALONE, Processes
from realdata.training.logs import JsonLines, Log, make_log
from realdata.training.methods import METHODS, TrainingMethod
from realdata.training.order import ShuffledBlocks, ShuffledRows
from realdata.training.rows import Rows

RECORD = "run.json"
PRECISIONS = ("highest", "high", "medium")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all runs of an experiment share, whatever their method.

    Attributes
    ----------
    K, m : int
        Latents, and how many of them are active.
    n_steps, batch_size : int
        Of each run.
    sparsity_warmup, decay_from : float
        See `osae_theory.sae.SparsityWarmup` and `LearningRateSchedule`.
    snapshots : tuple of float
        Shares of the training at which checkpoints are kept.
    arithmetic : str
        See `osae_theory.sae.TrainingConfig`.
    block : int
        Contexts of a block inside which activations are shuffled, the blocks one after the
        other, so that none need be stored; 0 to shuffle over all activations.
    """

    K: int
    m: int
    n_steps: int
    batch_size: int
    sparsity_warmup: float = 0.2
    decay_from: float = 0.5
    snapshots: tuple[float, ...] = (0.0, 1.0)
    arithmetic: str = "fast"
    block: int = 0

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Return the numbers of steps done at which checkpoints are kept."""
        return tuple(sorted({round(share * self.n_steps) for share in self.snapshots}))

    def config(self, method: TrainingMethod, backend: str = "auto") -> TrainingConfig:
        """Return the training configuration of a method."""
        return TrainingConfig(
            self.m,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            activation=method.activation,
            use_decoder_bias=True,
            sparsity_warmup=SparsityWarmup(self.sparsity_warmup),
            learning_rate_schedule=LearningRateSchedule(decay_from=self.decay_from),
            resorting=method.resorting,
            resampling=method.resampling,
            backend=backend,
            arithmetic=self.arithmetic,
        )


@dataclass(frozen=True)
class RunSpec:
    """A run's own: the name of its folder, its seed, its learning rate."""

    name: str
    seed: int
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and how a training runs. Anything but the defaults has not been run by the authors.

    Attributes
    ----------
    device : str
        A torch device.
    precision : {"highest", "high", "medium"}
        Of float32 matrix products, as torch.set_float32_matmul_precision takes it: below
        "highest" a GPU multiplies in TF32 or bfloat16 and sums in float32. Weights and
        optimiser stay in float32.
    mixed_devices : bool
        Whether an interrupted training may go on on another kind of device than it began on:
        another kind computes other bits.
    """

    device: str = "cpu"
    precision: str = "highest"
    mixed_devices: bool = False

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Runs of one method on one corpus, trained together.

    Attributes
    ----------
    method : str
        A name in METHODS.
    runs : tuple of RunSpec
        At least one, each of another name.
    budget : Budget
        What they share.
    folder : Path
        Where each run has its folder.
    origin : Origin
        What their checkpoints say of model and corpus.
    save_every : int
        Steps between two saved states.
    logs : tuple of str
        Where to log besides the JSON lines: "tensorboard", "wandb".
    hardware : Hardware
        Where it runs.
    data : str
        What tells its activations from others of the same origin, if there are such.
    """

    method: str
    runs: tuple[RunSpec, ...]
    budget: Budget
    folder: Path
    origin: Origin
    save_every: int = 200
    logs: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    data: str = ""

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_integer("save_every", self.save_every, 1)
        if not self.runs or len({run.name for run in self.runs}) < len(self.runs):
            raise InputError(f"runs {[run.name for run in self.runs]}: expected each name once")

    @property
    def key(self) -> str:
        """Return a hash of all that decides the numbers of this job, for its own files.

        But for the device: that a job goes on on another kind of it is to be seen.
        """
        precision = self.hardware.precision
        values = (self.method, self.runs, self.budget, precision, self.origin, self.data)
        return hashlib.sha256(repr(values).encode()).hexdigest()[:16]

    def run_key(self, run: RunSpec) -> str:
        """Return a hash of all that decides the weights of one run, whatever its company."""
        values = (self.method, run, self.budget, self.origin, self.data)
        return hashlib.sha256(repr(values).encode()).hexdigest()[:16]

    @property
    def state_file(self) -> Path:
        """Return where the state is kept while the job is under way."""
        return self.folder / f".{self.key}.safetensors"

    @property
    def log_file(self) -> Path:
        """Return the log: what it says of steps after the last saved state is said again."""
        return self.folder / f"{self.runs[0].name}.{self.key}.jsonl"


def origin_of(store: ActivationStore, method: str) -> Origin:
    """Return what a checkpoint that a method trains on a store says of where it comes from."""
    text = store.manifest["text"]
    return Origin(
        method=method,
        model=store.manifest["model"],
        hook=store.manifest["hook"],
        dataset=text["corpus"],
        dataset_hash=text["text_hash"],
    )


def is_finished(folder: Path) -> bool:
    """Return whether the run of a folder has all its checkpoints."""
    return (folder / RECORD).is_file()


def run_record(folder: Path) -> dict[str, Any]:
    """Return what the training wrote of a finished run: its label, and its snapshots."""
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def snapshot_folder(run: Path, tokens: int) -> Path:
    """Return the checkpoint's folder of a run at a number of tokens."""
    return run / f"tokens-{tokens}"


def train(
    job: Job,
    data: Rows | Blocks,
    standardisation: Standardisation,
    *,
    processes: Processes = ALONE,
    progress: Log | None = None,
) -> None:
    """Train the runs of a job that are not finished, or go on with them.

    Parameters
    ----------
    job : Job
        What to train.
    data : Rows or Blocks
        The standardised training activations: blocks of `job.budget.block` contexts, or rows
        where that is 0.
    standardisation : Standardisation
        What was done to them; it is stored with each checkpoint.
    processes : Processes
        The data-parallel processes that share each batch; this one alone by default. BatchTopK
        then selects among each process's own part.
    progress : Log, optional
        Given an entry after every step, as the log is after some.

    Raises
    ------
    InputError
        If the device is not there, the batch cannot be shared out, the data are not what the
        budget says, or a saved state is damaged.
    """
    train_together([job], data, standardisation, processes=processes, progress=progress)


def train_together(
    jobs: Sequence[Job],
    data: Rows | Blocks,
    standardisation: Standardisation,
    *,
    processes: Processes = ALONE,
    progress: Log | None = None,
) -> None:
    """Train several jobs at once, so that blocks are read, or computed, once for all of them.

    A job ends with the bits it would have had alone. Each is taken up from its own saved state:
    the job that is furthest behind takes the next step.

    Parameters
    ----------
    jobs : sequence of Job
        With the same block and batch size.
    data, standardisation, processes, progress
        As in `train`.

    Raises
    ------
    InputError
        As in `train`, or if the jobs' blocks or batch sizes differ.
    """
    begun = [made for job in jobs if (made := _left(job)) is not None]
    if not begun:
        return
    size = data.size if isinstance(data, Blocks) else 0
    if {job.budget.block for job in begun} != {size}:
        blocks = sorted({job.budget.block for job in begun})
        raise InputError(f"block = {blocks[0]}: expected {size}, as the activations are given")
    if len({job.budget.batch_size for job in begun}) > 1:
        raise InputError("jobs that are trained together: expected one batch size")
    torch.set_float32_matmul_precision(begun[0].hardware.precision)
    if not isinstance(data, Blocks):
        for job in begun:
            source = ShuffledRows(data, job.budget.batch_size, _seeds(job), processes)
            for _ in _Training(job, source, standardisation, processes).run(progress):
                pass
        return
    with closing(Pass(data)) as way:
        sources = [
            ShuffledBlocks(way, job.budget.batch_size, _seeds(job), processes) for job in begun
        ]
        trainings = [
            _Training(job, source, standardisation, processes)
            for job, source in zip(begun, sources, strict=True)
        ]
        _train_along(way, dict(zip(trainings, sources, strict=True)), progress)


def _left(job: Job) -> Job | None:
    """Return what is left to train of a job, if anything is.

    Raises InputError where a finished run of the same name was made by other settings or data.
    """
    pending = []
    for run in job.runs:
        folder = job.folder / run.name
        if not is_finished(folder):
            pending.append(run)
        elif run_record(folder).get("key", job.run_key(run)) != job.run_key(run):
            raise InputError(
                f"{folder} holds a run of other settings or activations: expected those it was"
                " made with, or another folder"
            )
    if not pending:
        return None
    # A job that was killed while its records were written goes on as it began; runs that were
    # finished in other company have no part in this one.
    goes_on = job.state_file.is_file()
    return job if goes_on else replace(job, runs=tuple(pending))


def _train_along(
    way: Pass,
    trainings: Mapping["_Training", ShuffledBlocks],
    progress: Log | None,
) -> None:
    """Take the steps of trainings in turn, so that they need the same blocks at the same time."""
    under_way = {training: training.run(progress) for training in trainings}
    try:
        # Each stands where its saved state left it before the first block is asked for.
        for steps in under_way.values():
            next(steps)
        while under_way:
            behind = min(under_way, key=lambda training: training.trainer.n_done)
            if next(under_way[behind], None) is None:
                del under_way[behind]
            way.let_go(min((trainings[each].visit for each in under_way), default=0))
    finally:
        for steps in under_way.values():
            steps.close()


class _Training:
    """A job under way."""

    def __init__(
        self,
        job: Job,
        source: ShuffledRows | ShuffledBlocks,
        standardisation: Standardisation,
        processes: Processes,
    ) -> None:
        budget, method = job.budget, METHODS[job.method]
        self.job, self.source, self.standardisation = job, source, standardisation
        self.processes = processes
        self.device = check_device(job.hardware.device)
        schedule = method.schedule(budget.K)
        rates = [run.learning_rate for run in job.runs]
        self.batch_size = source.batch_size
        self.trainer = Trainer(
            source.d,
            budget.K,
            [Run(own, rate, schedule) for own, rate in zip(_seeds(job), rates, strict=True)],
            budget.config(method),
            device=self.device,
            all_reduce=processes.all_reduce,
            world_size=processes.count,
        )  # fmt: skip
        # On a CPU its own time: what else the machine does should not count. Beside a thread that
        # computes blocks that time would be the thread's too.
        alone_on_cpu = self.device.type == "cpu" and isinstance(source, ShuffledRows)
        self.clock = time.process_time if alone_on_cpu else time.perf_counter
        self.seconds = 0.0

    def run(self, progress: Log | None) -> Generator[int, None, None]:
        """Go on from the saved state, if there is one, to the end; yield the steps done."""
        job, trainer = self.job, self.trainer
        snapshots = set(job.budget.snapshot_steps)
        self._restore()
        yield trainer.n_done
        with self._log() as log:
            if trainer.n_done == 0:
                self._snapshot(log, None)
            while trainer.n_done < job.budget.n_steps:
                losses = self._step()
                done = trainer.n_done
                if done in snapshots:
                    self._snapshot(log, losses)
                elif done % job.save_every == 0:
                    log.write(self._entry(losses))
                # A snapshot's line must be in the log before the state says that it is done.
                if done % job.save_every == 0 and done < job.budget.n_steps:
                    self._save()
                if progress is not None:
                    progress.write(self._entry(losses))
                yield done
        self._finish()

    def _step(self) -> list[float]:
        rows = self.source.next()
        started = self.clock()
        losses = self.trainer.step(torch.from_numpy(rows).to(self.device)).tolist()
        self.seconds += self.clock() - started
        return losses

    def _entry(self, losses: Sequence[float] | None) -> dict[str, Any]:
        done, config = self.trainer.n_done, self.trainer.config
        names = [run.name for run in self.job.runs]
        return {
            "step": done,
            "tokens": done * self.batch_size,
            # What one run alone would take; the runs of a job take turns.
            "seconds": self.seconds / len(names),
            "active": config.sparsity_warmup.active_at(
                max(done - 1, 0), config.n_steps, self.job.budget.K, config.n_nonzero
            ),
            "loss": None if losses is None else dict(zip(names, losses, strict=True)),
        }

    def _log(self) -> Log:
        if not self.processes.is_first:
            return Log()
        done = self.trainer.n_done
        return make_log(
            self.job.log_file, self.job.logs, keep=lambda line: 0 < done and line["step"] <= done
        )

    def _snapshot(self, log: Log, losses: Sequence[float] | None) -> None:
        """Write each run's checkpoint, then the line of the log that says so."""
        entry = self._entry(losses) | {"snapshot": True}
        if self.processes.is_first:
            for index, run in enumerate(self.job.runs):
                folder = snapshot_folder(self.job.folder / run.name, entry["tokens"])
                write_ours(folder, self._checkpoint(index, entry))
        log.write(entry)

    def _checkpoint(self, index: int, entry: dict[str, Any]) -> TopMCheckpoint:
        """Return a run as it is now; m is that of the end, whatever the warm-up is at.

        BatchTopK is stored with its threshold once it has one, as it selects at inference, and
        before that with the m largest latents of each sample.
        """
        job, model = self.job, self.trainer.model.run(index)
        run = job.runs[index]
        threshold = self.trainer.thresholds[index].cpu()
        by_threshold = METHODS[job.method].activation == "batch" and float(threshold) > 0
        details = {
            "learning_rate": run.learning_rate,
            "steps": entry["step"],
            "active_latents": entry["active"],
            "budget": asdict(job.budget),
        }
        assert model.decoder_bias is not None
        return TopMCheckpoint(
            encoder=model.encoder[0].cpu(),
            encoder_bias=model.encoder_bias[0].cpu(),
            decoder=model.atoms[0].cpu(),
            decoder_bias=model.decoder_bias[0].cpu(),
            input_mean=torch.from_numpy(self.standardisation.mean),
            input_scale=torch.from_numpy(self.standardisation.scale),
            m=job.budget.m,
            activation="jumprelu" if by_threshold else "relu",
            threshold=threshold.expand(job.budget.K).clone() if by_threshold else None,
            origin=replace(
                job.origin,
                method=job.method,
                seed=run.seed,
                n_tokens=entry["tokens"],
                details=details,
            ),
        )

    def _save(self) -> None:
        if not self.processes.is_first:
            return
        state = {f"trainer.{name}": value for name, value in self.trainer.state().items()}
        state |= {f"order.{name}": value for name, value in self.source.state().items()}
        tensors = {name: value.cpu().contiguous() for name, value in state.items()}
        metadata = {"seconds": repr(self.seconds), "device": self.device.type}
        self.job.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            self.job.state_file, lambda path: save_file(tensors, path, metadata=metadata)
        )

    def _restore(self) -> None:
        path = self.job.state_file
        if not path.is_file():
            return
        try:
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
            self.seconds, before = float(metadata["seconds"]), metadata["device"]
            self.trainer.restore(_under("trainer.", state))
            self.source.restore(_under("order.", state))
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{path} is damaged: delete it, and the training starts anew"
            ) from error
        if before != self.device.type and not self.job.hardware.mixed_devices:
            raise InputError(
                f"device {self.job.hardware.device!r}: the training that {path} holds began on"
                f" {before}: expected the same kind of device, as another computes other bits;"
                " another folder; or --mixed-devices, to go on all the same"
            )

    def _finish(self) -> None:
        """Say of each run that it is finished, and drop the state."""
        if not self.processes.is_first:
            return
        entries = [line for line in JsonLines.read(self.job.log_file) if line.get("snapshot")]
        diverged = self.trainer.diverged.tolist()
        for run, lost in zip(self.job.runs, diverged, strict=True):
            record = asdict(run) | {
                "method": self.job.method,
                "key": self.job.run_key(run),
                "m": self.job.budget.m,
                "diverged": lost,
                "snapshots": [_of_run(entry, run.name) for entry in entries],
            }
            text = json.dumps(record, indent=1) + "\n"
            write_atomically(
                self.job.folder / run.name / RECORD,
                lambda path, text=text: path.write_text(text, encoding="utf-8"),
            )
        self.job.state_file.unlink(missing_ok=True)


def _seeds(job: Job) -> list[RunSeeds]:
    return [RunSeeds.same(run.seed) for run in job.runs]


def _of_run(entry: dict[str, Any], name: str) -> dict[str, Any]:
    loss = entry["loss"]
    kept = {key: entry[key] for key in ("step", "tokens", "seconds", "active")}
    return kept | {"loss": None if loss is None else loss[name]}


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
