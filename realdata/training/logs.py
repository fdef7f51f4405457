"""Logs of a training: JSON lines always, TensorBoard, Weights & Biases or a bar if asked for."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from osae_theory.errors import InputError, check_choice
from osae_theory.files import write_atomically


class Log:
    """A place for entries {"step", "tokens", "seconds", "active", "loss"}; this one keeps none."""

    def write(self, entry: Mapping[str, Any]) -> None:
        """Take an entry."""

    def close(self) -> None:
        """Take no more."""

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class JsonLines(Log):
    """One JSON object a line, each on disk when `write` returns.

    Parameters
    ----------
    path : Path
        The file; lines are added to those of an earlier part of the same training.
    keep : callable
        Which of the lines that are there to keep; a line that a kill cut short goes too.
    """

    def __init__(self, path: Path, keep: Callable[[Mapping[str, Any]], bool]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(line) + "\n" for line in self.read(path) if keep(line)]
        write_atomically(path, lambda new: new.write_text("".join(kept), encoding="utf-8"))
        self._file = path.open("a", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Iterator[dict[str, Any]]:
        """Yield the lines of a file, if there is one, up to the first that is not whole."""
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add a line."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard(Log):
    """Losses as TensorBoard scalars, in the folder of the log."""

    def __init__(self, path: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "log 'tensorboard' needs the package tensorboard: expected it installed"
            ) from None
        self._writer = SummaryWriter(str(path.with_suffix("")))

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add each run's loss."""
        for name, loss in (entry["loss"] or {}).items():
            self._writer.add_scalar(f"loss/{name}", loss, entry["step"])

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases(Log):
    """Losses to Weights & Biases, in the project "osae-realdata"; its own settings decide where."""

    def __init__(self, path: Path) -> None:
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise InputError("log 'wandb' needs the package wandb: expected it installed") from None
        # The same id after an interruption: the run is gone on with.
        name = path.stem.replace(".", "-")
        self._run = wandb.init(project="osae-realdata", id=name, name=name, resume="allow")

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add each run's loss."""
        losses = {f"loss/{name}": loss for name, loss in (entry["loss"] or {}).items()}
        self._run.log(losses | {"tokens": entry["tokens"]}, step=entry["step"])

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Several(Log):
    """Each entry to several logs."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs

    def write(self, entry: Mapping[str, Any]) -> None:
        """Give the entry to each."""
        for log in self._logs:
            log.write(entry)

    def close(self) -> None:
        """Close each."""
        for log in self._logs:
            log.close()


class ProgressBar(Log):
    """A bar on standard error: steps, losses, and active latents while their number still falls.

    It appears with the first entry, so that a training which is gone on with starts where it was.

    Parameters
    ----------
    n_steps : int
        Of the whole training.
    title : str
        Stands before the bar.
    losses : bool
        Show each run's loss; many runs' would fill more than a line.
    """

    def __init__(self, n_steps: int, title: str = "train", *, losses: bool = True) -> None:
        self._n_steps, self._title, self._shows_losses = n_steps, title, losses
        self._bar: Any = None
        self._losses: dict[str, float] = {}

    def write(self, entry: Mapping[str, Any]) -> None:
        """Show an entry; several runs' losses each by its name."""
        from tqdm import tqdm

        done = entry["step"]
        if self._bar is None:
            self._bar = tqdm(
                total=self._n_steps,
                initial=done - 1,
                desc=self._title,
                unit="step",
                file=sys.stderr,
            )
        # Jobs that are trained together give an entry each.
        if self._shows_losses:
            self._losses = self._losses | (entry["loss"] or {})
        losses = self._losses
        names = ["loss"] if len(losses) == 1 else [f"loss {name}" for name in losses]
        shown = {name: f"{loss:.4g}" for name, loss in zip(names, losses.values(), strict=True)}
        self._bar.set_postfix(shown | {"active": entry["active"]}, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


LOGS: Mapping[str, Callable[[Path], Log]] = MappingProxyType(
    {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
)


def check_logs(names: Sequence[str]) -> None:
    """Raise InputError unless each name is a log that can be had besides the JSON lines."""
    for name in names:
        check_choice("log", name, LOGS)


def make_log(path: Path, names: Sequence[str], keep: Callable[[Mapping[str, Any]], bool]) -> Log:
    """Return the log of JSON lines at a path, with those of other kinds that are asked for.

    Raises
    ------
    InputError
        If a name is unknown or its library is not installed.
    """
    check_logs(names)
    others = [LOGS[name](path) for name in names]
    return Several([JsonLines(path, keep), *others])
