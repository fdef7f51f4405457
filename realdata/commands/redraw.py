"""`python -m realdata redraw`: the table and figures of a finished experiment, again."""

import argparse
from pathlib import Path

from osae_theory.files import check_writable
from realdata.commands._command import Command


def _add(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", type=Path, metavar="DIR", help="a folder that `run` wrote to")


def _do(options: argparse.Namespace, command: str) -> None:
    from realdata.report.drawing import redraw
    from realdata.report.files import rewrite_table

    check_writable(options.folder)
    for path in (rewrite_table(options.folder), *redraw(options.folder)):
        print(path)


COMMAND = Command("redraw", "table.md and figures of a finished experiment, again", _add, _do)
