"""Lists the benchmarks' commands."""

import sys
from pathlib import Path

from osae_theory.command_line import Parser, commands_in, listing, run


def main(arguments: list[str] | None = None) -> int:
    """Print the commands, a line each; return the exit code."""
    parser = Parser("benchmarks", "List the benchmarks' commands; each has its own --help.")
    given = sys.argv[1:] if arguments is None else arguments
    return run(parser, lambda _: print(listing(commands_in(Path(__file__).parent))), given)


if __name__ == "__main__":
    sys.exit(main())
