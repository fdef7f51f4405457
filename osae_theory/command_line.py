"""What every command line of the project shares: one-line errors, exit codes, option types."""

import argparse
import math
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from osae_theory import __version__
from osae_theory.errors import InputError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on standard error."""

    def __init__(self, module: str, description: str) -> None:
        super().__init__(prog=f"python -m {module}", description=description, allow_abbrev=False)
        self.add_argument("--version", action="version", version=__version__)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}\n")


def run(parser: Parser, job: Callable[[argparse.Namespace], None], arguments: list[str]) -> int:
    """Parse and do a job; return its exit code. Bad input is one line, never a traceback."""
    options = parser.parse_args(arguments)
    try:
        job(options)
    except InputError as error:
        parser.error(str(error))
    except MemoryError as error:
        parser.error(f"not enough memory: {error}")
    except BrokenPipeError:
        # The reader went away (| head): nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(
            f"{parser.prog}: interrupted: the same command goes on with the runs it has finished",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return 0


def number(text: str) -> float:
    """Return a finite number; argparse names the option and the value otherwise."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"invalid value: {text!r}: expected a finite number")
    return value
