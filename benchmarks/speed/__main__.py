"""`python -m benchmarks.speed`: what exact ordered training costs, in ratios within one run.

All contenders of a shape are timed in turn, round by round, on the same data; what is
printed are medians of ratios between contenders of the same round. Prints, with --json, one
document a shape: {"shape", "ratios", "spread", "losses", "peers", "memory", ...}.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import torch
from joblib import cpu_count
from tqdm import tqdm

from benchmarks.files import save_figure, write_text
from benchmarks.provenance import versions
from benchmarks.speed import report, study
from benchmarks.speed.shapes import SHAPES
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import check_writable

MODULE = "benchmarks.speed"
PEERS_PYTHON = Path(".venv-peers/bin/python")
_ROUNDS = {"toy": 31}
# A step of the toy is short: what comes before it in the caches must not decide.
_STEPS = {"toy": 10}
_FEW_ROUNDS = 7
_MOST = 4096
RESULT = "result.json"


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Time the exact ordered loss against other ways and other libraries.")
    p.add_argument("--shape", help=f"one of {', '.join(SHAPES)} (default: all, one by one)")
    p.add_argument("--peers", action="store_true", help="time other libraries too")
    p.add_argument(
        "--peers-python",
        type=Path,
        default=PEERS_PYTHON,
        help=f"their environment's Python (default: {PEERS_PYTHON}, by make setup-peers)",
    )
    p.add_argument("--rounds", type=int, help="rounds that count (default: 31 at toy, 7 elsewhere)")
    p.add_argument(
        "--threads",
        type=int,
        help="threads of every contender (default: 1 at toy, the machine's cores elsewhere)",
    )
    p.add_argument(
        "--out", type=Path, default=Path("out/speed"), help="folder for results (out/speed)"
    )
    p.add_argument(
        "--redraw",
        action="store_true",
        help="measure nothing: draw the figures of --out again, from its result.json",
    )
    p.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return p


def plans(options: argparse.Namespace) -> list[study.Plan]:
    """Return what a command line asks for; raise InputError where it cannot be done."""
    if options.shape is not None:
        check_choice("shape", options.shape, SHAPES)
    if options.rounds is not None:
        check_integer("--rounds", options.rounds, 1, _MOST)
    if options.threads is not None:
        check_integer("--threads", options.threads, 1, _MOST)
    check_writable(options.out)
    found = []
    for name, shape in SHAPES.items():
        if options.shape not in (None, name):
            continue
        rounds = options.rounds or _ROUNDS.get(name, _FEW_ROUNDS)
        cores = options.threads or cpu_count(only_physical_cores=True)
        threads = 1 if name == "toy" and options.threads is None else cores
        python = options.peers_python if options.peers else None
        found.append(
            study.Plan(name, shape, rounds, 2, _STEPS.get(name, 1), threads, cores, python)
        )
    if options.peers:
        study.check_peers(options.peers_python)
    return found


def redraw(folder: Path) -> list[Path]:
    """Draw the figures of a results folder again; return their paths."""
    try:
        whole = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        drawn = {one["shape"]["name"]: report.figure(one) for one in whole.get("shapes", [whole])}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{str(folder)!r} cannot be drawn ({type(error).__name__}): expected a folder with the"
            f" {RESULT} of `python -m {MODULE}`"
        ) from error
    for name, figure in drawn.items():
        save_figure(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in drawn]


def do(options: argparse.Namespace, command: str) -> None:
    """Measure, write tables and figures, and print them."""
    if options.redraw:
        check_writable(options.out)
        print("\n".join(map(str, redraw(options.out))))
        return
    planned = plans(options)
    peak = study.memory()
    documents = [
        study.measure(plan, peak)
        for plan in tqdm(planned, desc="shapes", unit="shape", file=sys.stderr)
    ]
    origin = {
        "command": command,
        "versions": versions(),
        "cores": cpu_count(only_physical_cores=True),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    whole = documents[0] if options.shape is not None else {"shapes": documents}
    text = json.dumps(whole | {"provenance": origin}, indent=2, allow_nan=False)
    write_text(options.out / RESULT, text)
    table = report.markdown(documents, command)
    write_text(options.out / "table.md", table)
    for document in documents:
        name = document["shape"]["name"]
        save_figure(report.figure(document), options.out / f"{name}.png")
    print(json.dumps(whole | {"provenance": origin}) if options.json else table)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", MODULE, *map(shlex.quote, given)])
    return run(parser(), lambda options: do(options, command), given)


if __name__ == "__main__":
    sys.exit(main())
