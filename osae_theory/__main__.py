"""`python -m osae_theory claims`: the ledger of claims, each checked as it is printed."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import osae_theory
from osae_theory.claims import CLAIMS, Claim
from osae_theory.claims.ledger import DEFAULT_EXAMPLES, Entry, document, examine, story
from osae_theory.claims.listing import by_verdict, closing, heading, line
from osae_theory.claims.page import page
from osae_theory.command_line import Parser, commands_in, listing, run
from osae_theory.errors import JobError, check_choice, check_integer
from osae_theory.progress import progress

# What the wheel installs beside this package, under names that somebody's own folder may have.
_BESIDE = ("benchmarks", "realdata")


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser("osae_theory", "Check the claims about ordered sparse autoencoders.")
    p.add_argument(
        "what",
        choices=["claims"],
        nargs="?",
        help="claims: run every check and print the ledger; nothing: list the commands",
    )
    p.add_argument("--id", help="one claim only, with its whole story; its case does not matter")
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
    if options.what is None:
        print(listing(commands_in(Path(__file__).parent)), *_hidden(), sep="\n")
        return
    check_integer("--examples", options.examples, 1)
    chosen = list(CLAIMS.values()) if options.id is None else [_claim(options.id)]
    if not (options.json or options.markdown or options.id is not None):
        _refuse_unconfirmed(_print_as_found(by_verdict(chosen), options.examples))
        return
    with progress(len(chosen), "claims", "claim", leave=False) as bar:
        entries = [_examined(claim, options.examples, bar) for claim in chosen]
    if options.json:
        print(json.dumps(document(entries), indent=2, allow_nan=False))
    elif options.markdown:
        print(page(entries), end="")
    else:
        print(story(entries[0]))
    _refuse_unconfirmed(entries)


def _refuse_unconfirmed(entries: Sequence[Entry]) -> None:
    """Raise JobError, once all is printed, if a check did not find what its claim says."""
    names = [entry.claim.id for entry in entries if not entry.finding.confirmed]
    if names:
        raise JobError(
            f"the checks of {', '.join(names)} did not confirm their verdicts: this installation"
            " computes something else than what the ledger says"
        )


def _hidden() -> list[str]:
    """Say which packages installed beside this one are hidden by folders of the same name."""
    notes = []
    for own in (Path(osae_theory.__file__).parents[1] / name for name in _BESIDE):
        found = find_spec(own.name)
        places = [] if found is None else list(found.submodule_search_locations or [])
        if own.is_dir() and str(own) not in places:
            notes.append(
                f"{places} hides {own}: run its commands from another folder, or as the console"
                " scripts osae-toy, osae-realdata, ..."
            )
    return notes


def _claim(name: str) -> Claim:
    known = {claim.id.casefold(): claim for claim in CLAIMS.values()}
    if name.casefold() not in known:
        check_choice("claim", name, CLAIMS)
    return known[name.casefold()]


def _print_as_found(claims: Sequence[Claim], n_examples: int) -> list[Entry]:
    """Print a line a claim as soon as it is checked, under its verdict; return what was found."""
    width = shutil.get_terminal_size().columns
    entries: list[Entry] = []
    with progress(len(claims), "claims", "claim", leave=False) as bar:
        for claim in claims:
            if not entries or entries[-1].claim.verdict != claim.verdict:
                bar.write(heading(claim.verdict, claims), file=sys.stdout)
            entries.append(_examined(claim, n_examples, bar))
            bar.write(line(entries[-1], width), file=sys.stdout)
            sys.stdout.flush()
    print(closing(entries))
    return entries


def _examined(claim: Claim, n_examples: int, bar: Any) -> Entry:
    bar.set_postfix_str(claim.id)
    entry = examine(claim, n_examples)
    bar.update()
    return entry


def claims() -> int:
    """Run `python -m osae_theory claims` under the name of a console script."""
    return main(["claims", *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
