"""Options that several commands share."""

import argparse
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # not imported for --help
    from realdata.training.trainer import Hardware

NOT_RUN = "anything but the default has not been run by the authors"


def add_location(p: argparse.ArgumentParser, name: str, text: str, **how: Any) -> None:
    """Add where checkpoints are, as an argument of that name."""
    p.add_argument(name, metavar="CHECKPOINT", help=text, **how)
    p.add_argument("--revision", help="branch, tag or commit, for hub ids")


def add_out(p: argparse.ArgumentParser, text: str) -> None:
    """Add the folder that a command writes to."""
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help=text)


def add_arithmetic(p: argparse.ArgumentParser, default: str | None) -> None:
    """Add the arithmetic of a training; a preset's own has None for a default."""
    from osae_theory.sae.kernels import ARITHMETICS

    p.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default=default,
        help="portable: a training has the same bits on every processor; fast: it uses this"
        " machine's linear algebra (default: fast)",
    )


def add_stream(p: argparse.ArgumentParser, text: str) -> None:
    """Add how activations come to a training; `text` says what streaming means there."""
    from realdata.activations.blocks import BLOCK

    p.add_argument(
        "--stream",
        action="store_true",
        help=f"compute activations when they are needed instead of storing them: {text}",
    )
    p.add_argument(
        "--block",
        type=int,
        metavar="CONTEXTS",
        help="go through the text so many contexts at a time and shuffle inside each block; 0 to"
        f" shuffle over all activations (default: {BLOCK} with --stream, else 0)",
    )


def add_hardware(p: argparse.ArgumentParser) -> None:
    """Add what `hardware_of` reads."""
    from realdata.training.trainer import PRECISIONS

    p.add_argument(
        "--device", default="cpu", help=f"torch device of the training (default: cpu; {NOT_RUN})"
    )
    p.add_argument(
        "--precision",
        default="highest",
        help=f"of float32 matrix products, of {', '.join(PRECISIONS)}: mixed precision below"
        f" the first (default: highest; {NOT_RUN})",
    )
    p.add_argument(
        "--mixed-devices",
        action="store_true",
        help="an interrupted training may go on on another kind of device than it began on",
    )


def hardware_of(options: argparse.Namespace) -> "Hardware":
    """Return where and how a training runs."""
    from realdata.training.trainer import Hardware

    return Hardware(
        device=options.device,
        precision=options.precision,
        mixed_devices=options.mixed_devices,
    )


def labels_of(names: Sequence[str]) -> list[str]:
    """Return the names, a number after one that has occurred before; all differ."""
    labels: list[str] = []
    for place, name in enumerate(names):
        again = (f"{name} ({n})" for n in count(2) if f"{name} ({n})" not in {*names, *labels})
        labels.append(next(again) if name in names[:place] else name)
    return labels
