"""`python -m benchmarks.report DIR`: tables, figures and a page of what a store holds.

Command line only. Nothing is trained.
"""

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.report.terminal import terminal_table
from benchmarks.store import Store
from osae_theory.command_line import Parser, run

MODULE = "benchmarks.report"
# More tables than this are for the page.
_MOST_PRINTED = 4


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Make tables, figures and a page of what a store holds.")
    p.add_argument("store", type=Path, metavar="DIR", help="folder of the store")
    p.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder for the report (default: DIR/report)"
    )
    return p


def do(options: argparse.Namespace) -> None:
    """Write the report, and print the tables if they are few."""
    out = options.store / "report" if options.out is None else options.out
    found = report.write(Store.at(options.store).frames(), out, source=options.store)
    width = shutil.get_terminal_size().columns
    for summary in found[:_MOST_PRINTED]:
        print(terminal_table(summary, width), end="\n\n")
    more = len(found) - _MOST_PRINTED
    if more > 0:
        print(f"And {more} more tables.")
    print(f"Written to {out}: open {out / 'index.html'}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
