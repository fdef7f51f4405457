"""`python -m realdata apply`: latents and reconstructions of activations."""

import argparse
from pathlib import Path

from realdata.commands._command import Command
from realdata.commands._options import (
    add_location,
    add_out,
)


def _add(p: argparse.ArgumentParser) -> None:
    add_location(p, "checkpoint", "a local folder or file, or a hub id owner/name")
    p.add_argument(
        "input",
        type=Path,
        metavar="INPUT.npy",
        help="activations (n, d), or a folder of collected ones",
    )
    add_out(p, "folder for latents.npy and reconstruction.npy")


def _do(options: argparse.Namespace, command: str) -> None:
    from realdata.latents.apply import apply_checkpoint

    for path in apply_checkpoint(options.checkpoint, options.revision, options.input, options.out):
        print(path)


COMMAND = Command("apply", "latents and reconstructions of activations", _add, _do)
