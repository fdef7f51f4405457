"""`python -m realdata export`: a checkpoint of ours as a SAELens checkpoint."""

import argparse

from realdata.commands._command import Command
from realdata.commands._options import (
    add_location,
    add_out,
)


def _add(p: argparse.ArgumentParser) -> None:
    add_location(p, "checkpoint", "a checkpoint of ours")
    add_out(p, "folder for sae_weights.safetensors and cfg.json")


def _do(options: argparse.Namespace, command: str) -> None:
    from realdata.checkpoints.export import export_checkpoint

    print(export_checkpoint(options.checkpoint, options.revision, options.out))


COMMAND = Command("export", "write a checkpoint of ours as a SAELens checkpoint", _add, _do)
