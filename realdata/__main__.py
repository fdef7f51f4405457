"""`python -m realdata`: compare, apply and export SAE checkpoints; run the experiment on a model.

What reads a language model (`run`, `tune`, `collect --text`, `page --text`) needs the environment
of `make setup-realdata`, the rest that of `make setup`.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping
from types import MappingProxyType

from osae_theory.command_line import Parser, listing, run
from realdata.commands import apply, collect, compare, export, page, redraw, train, tune
from realdata.commands import run as whole
from realdata.commands._command import Command

MODULE = "realdata"
# In the order in which they are listed.
_MODULES = (compare, apply, export, collect, page, whole, redraw, tune, train)
COMMANDS: Mapping[str, Command] = MappingProxyType(
    {module.COMMAND.name: module.COMMAND for module in _MODULES}
)


class _Command(Parser):
    """A subcommand's parser, with the one-line errors of the whole."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog.removeprefix("python -m "), description)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Ordered sparse autoencoders on real language models.")
    commands = p.add_subparsers(dest="command", parser_class=_Command)
    for name, one in COMMANDS.items():
        described = f"{one.text[0].upper()}{one.text[1:]}."
        one.add(commands.add_parser(name, help=one.text, description=described))
    return p


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", MODULE, *map(shlex.quote, given)])
    parsing = parser()

    def do(options: argparse.Namespace) -> None:
        if options.command is None:
            print(listing({f"python -m {MODULE} {n}": one.text for n, one in COMMANDS.items()}))
            return
        one = COMMANDS[options.command]
        parsing.resumes = one.resumes
        one.do(options, command)

    return run(parsing, do, given)


if __name__ == "__main__":
    sys.exit(main())
