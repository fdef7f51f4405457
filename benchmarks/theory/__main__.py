"""`python -m benchmarks.theory`: the figures and tables of the corrected theory at work."""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.files import save_figure, write_text
from benchmarks.provenance import versions
from benchmarks.theory import (
    exact_penalty,
    limit_order,
    lost_order,
    noise_bound,
    order_from_counts,
    penalised_loss,
    recovery_threshold,
    vanishing_truncation,
)
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_choice
from osae_theory.files import check_writable

MODULE = "benchmarks.theory"
MADE_BY = "made_by.md"


@dataclass(frozen=True)
class Study:
    """A figure of the theory: what it measures, with which settings, and how it is drawn.

    Attributes
    ----------
    settings : Any
        The module's frozen settings.
    measure : callable
        Gives the table of the numbers.
    draw : callable
        Gives the figure of a table.
    """

    settings: Any
    measure: Callable[[Any], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "recovery_threshold": Study(
            recovery_threshold.RecoveryThreshold(),
            recovery_threshold.measure,
            recovery_threshold.draw,
        ),
        "noise_bound": Study(noise_bound.NoiseBound(), noise_bound.measure, noise_bound.draw),
        "vanishing_truncation": Study(
            vanishing_truncation.Settings(), vanishing_truncation.measure, vanishing_truncation.draw
        ),
        "limit_order": Study(limit_order.Settings(), limit_order.measure, limit_order.draw),
        "penalised_loss": Study(
            penalised_loss.Settings(), penalised_loss.measure, penalised_loss.draw
        ),
        "order_from_counts": Study(
            order_from_counts.Settings(), order_from_counts.measure, order_from_counts.draw
        ),
        "lost_order": Study(lost_order.Settings(), lost_order.measure, lost_order.draw),
        "exact_penalty": Study(exact_penalty.Settings(), exact_penalty.measure, exact_penalty.draw),
    }
)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Measure and draw the corrected theory at work.")
    p.add_argument(
        "--only", default=",".join(STUDIES), help=f"comma-separated, of {', '.join(STUDIES)}"
    )
    p.add_argument(
        "--out", type=Path, default=Path("out/theory"), help="folder (default: out/theory)"
    )
    p.add_argument(
        "--redraw",
        action="store_true",
        help="measure nothing: draw the figures of --out again, from its tables",
    )
    return p


def redraw(folder: Path, names: Sequence[str]) -> list[Path]:
    """Draw the figures of a results folder again; return their paths."""
    paths = []
    for name in names:
        try:
            figure = STUDIES[name].draw(pd.read_csv(folder / f"{name}.csv"))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{str(folder)!r} cannot be drawn ({type(error).__name__}): expected a folder with"
                f" the {name}.csv of `python -m {MODULE}`"
            ) from error
        paths.append(folder / f"{name}.png")
        save_figure(figure, paths[-1])
    return paths


def do(options: argparse.Namespace, command: list[str]) -> None:
    """Make each study's table (CSV) and figure (PNG)."""
    names = options.only.split(",")
    for name in names:
        check_choice("study", name, STUDIES)
    if len(set(names)) < len(names):
        raise InputError(f"studies {options.only!r}: expected each once")
    check_writable(options.out)
    if options.redraw:
        print("\n".join(map(str, redraw(options.out, names))))
        return
    for name in tqdm(names, desc="studies", file=sys.stderr):
        study = STUDIES[name]
        frame = study.measure(study.settings)
        options.out.mkdir(parents=True, exist_ok=True)
        write_text(options.out / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
        save_figure(study.draw(frame), options.out / f"{name}.png")
    used = ", ".join(f"{library} {number}" for library, number in versions().items())
    settings = "\n".join(f"- {name}: `{STUDIES[name].settings}`" for name in names)
    origin = f"Made by `{' '.join(command)}` with {used}.\n\n{settings}\n"
    file = options.out / MADE_BY
    write_text(file, "\n".join([*_still_so(file, names), origin]))
    print(f"Written to {options.out}")


def _still_so(file: Path, names: Sequence[str]) -> list[str]:
    """Return how those studies of a folder were made that are not among some names."""
    if not file.is_file():
        return []
    kept = []
    for paragraph in file.read_text(encoding="utf-8").split("Made by ")[1:]:
        head, *lines = paragraph.rstrip().split("\n")
        others = [line for line in lines if not line.startswith(tuple(f"- {n}:" for n in names))]
        if any(others):
            kept.append("\n".join([f"Made by {head}", *others, ""]))
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = ["python", "-m", MODULE, *map(shlex.quote, given)]
    return run(parser(), lambda options: do(options, command), given)


if __name__ == "__main__":
    sys.exit(main())
