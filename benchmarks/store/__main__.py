"""`python -m benchmarks.store`: list, check, merge and export stores of finished runs.

Command line only.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.store.arrays import array_files
from benchmarks.store.check import Finding, findings
from benchmarks.store.export import export
from benchmarks.store.folder import Store
from benchmarks.store.merging import sizes
from benchmarks.store.overview import overview
from benchmarks.store.selection import selected
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, JobError
from osae_theory.progress import progress

MODULE = "benchmarks.store"


class _Command(Parser):
    """A subcommand's parser, with the one-line errors of the whole."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog.removeprefix("python -m "), description)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "List, check, merge and export stores of finished runs.")
    commands = p.add_subparsers(dest="command", parser_class=_Command)
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument("folder", type=Path, metavar="DIR", help="a store")
        if name == "export":
            command.add_argument(
                "target", type=Path, metavar="TARGET", help="a new folder, or a store to replace"
            )
            command.add_argument("--arrays", action="store_true", help="copy the arrays too")
            command.add_argument(
                "--problem",
                action="append",
                metavar="NAME",
                help="copy the runs of this problem alone, as `list` names it; may be given again",
            )
            command.add_argument(
                "--complete",
                action="store_true",
                help="copy the problem draws alone on which every method has all its runs",
            )
    return p


def _list(store: Store, options: argparse.Namespace) -> None:
    table = overview(store.frames(vectors=False).runs)
    print(table.to_markdown(index=False) if len(table) else f"{store.folder} holds no runs")


def _check(store: Store, options: argparse.Namespace) -> None:
    found = _findings(store)
    for one in found:
        print(one.text)
    wrong = sum(one.wrong for one in found)
    if wrong:
        raise JobError(
            f"{store.folder}: {wrong} {'thing is' if wrong == 1 else 'things are'} wrong"
        )
    print(f"{store.folder}: {_content(store)}, nothing is wrong")


def _findings(store: Store) -> list[Finding]:
    n_files = sum(1 for _ in array_files(store.folder))
    if not n_files:
        return findings(store.folder)
    with progress(n_files, "arrays", unit="file", leave=False) as bar:
        return findings(store.folder, bar.update)


def _merge(store: Store, options: argparse.Namespace) -> None:
    before = len(sizes(store.folder))
    store.merge()
    print(f"{store.folder}: {_content(store)}; before, {before}")


def _export(store: Store, options: argparse.Namespace) -> None:
    runs, everything = None, ()
    if options.problem or options.complete:
        everything = store.frames(vectors=False).runs
        runs = selected(everything, options.problem, options.complete)
    copy = export(store, options.target, options.arrays, runs)
    left_out = f"; left out, {len(everything) - len(runs)}" if runs is not None else ""
    print(f"{copy.folder}: {_content(copy)}{left_out}")


def _content(store: Store) -> str:
    return f"{len(store.statuses())} runs, parts: {len(sizes(store.folder))}"


_Job = Callable[[Store, argparse.Namespace], None]
COMMANDS: Mapping[str, tuple[_Job, str]] = MappingProxyType(
    {
        "list": (_list, "print runs by problem, method and status"),
        "check": (_check, "read all of it, and say what is wrong or remarkable"),
        "merge": (_merge, "make few large parts of many small ones"),
        "export": (_export, "copy runs without their arrays, for publication"),
    }
)


def do(options: argparse.Namespace) -> None:
    """Do what a command line asks for."""
    if options.command is None:
        raise InputError(f"no command: expected one of {', '.join(COMMANDS)}")
    COMMANDS[options.command][0](Store.at(options.folder), options)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
