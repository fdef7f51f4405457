"""`python -m osae_theory claims`: the ledger of claims, each checked as it is printed."""

import argparse
import json
import sys

from tqdm import tqdm

from osae_theory.claims import CLAIMS
from osae_theory.claims.ledger import DEFAULT_EXAMPLES, document, examine, story, table
from osae_theory.claims.page import page
from osae_theory.command_line import Parser, run
from osae_theory.errors import check_choice, check_integer


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser("osae_theory", "Check the claims about ordered sparse autoencoders.")
    p.add_argument("what", choices=["claims"], help="claims: run every check and print the ledger")
    p.add_argument("--id", help="one claim only, with its whole story")
    p.add_argument(
        "--examples",
        type=int,
        default=DEFAULT_EXAMPLES,
        help=f"random examples a property test tries (default: {DEFAULT_EXAMPLES})",
    )
    form = p.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON list and nothing else")
    form.add_argument(
        "--markdown", action="store_true", help="print the generated part of docs/theory.md"
    )
    return p


def do(options: argparse.Namespace) -> None:
    """Run the checks that are asked for and print what they found."""
    check_integer("--examples", options.examples, 1)
    if options.id is not None:
        check_choice("claim", options.id, CLAIMS)
    chosen = [claim for name, claim in CLAIMS.items() if options.id in (None, name)]
    bar = tqdm(chosen, desc="claims", file=sys.stderr, leave=False)
    entries = [examine(claim, options.examples) for claim in bar]
    if options.json:
        print(json.dumps(document(entries), indent=2, allow_nan=False))
    elif options.markdown:
        print(page(entries), end="")
    elif options.id is not None:
        print(story(entries[0]))
    else:
        print(table(entries))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
