"""`python -m benchmarks.speed`: what exact ordered training costs, in ratios within one run.

All contenders of a shape are timed in turn, round by round, on the same data; what is
printed are medians of ratios between contenders of the same round. Prints, with --json, one
document a shape: {"shape", "ratios", "spread", "losses", "peers", "memory", ...}. With
--device cuda loss and gradients alone are timed, on a GPU (`benchmarks.speed.on_device`).
"""

import argparse
import json
import shlex
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from joblib import cpu_count
from tqdm import tqdm

from benchmarks.files import save_figure, write_text
from benchmarks.provenance import versions
from benchmarks.speed import on_device, report, study
from benchmarks.speed.shapes import OF_GPU, SHAPES, Shape
from osae_theory.command_line import Parser, run
from osae_theory.devices import check_device
from osae_theory.errors import InputError, JobError, check_choice, check_integer
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
    p.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    p.add_argument(
        "--shape",
        help=f"one of {', '.join(SHAPES)} (default: all, one by one; on a CPU not those of a GPU,"
        f" {' and '.join(OF_GPU)})",
    )
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
        "--out", type=Path, help="folder for results (out/speed; out/speed-cuda on a GPU)"
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
    _check(options)
    if options.threads is not None:
        check_integer("--threads", options.threads, 1, _MOST)
    found = []
    for name, shape in _chosen(options):
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


def device_plans(options: argparse.Namespace) -> list[on_device.Plan]:
    """Return what a command line asks of a GPU; raise InputError where it cannot be done."""
    _check(options)
    if options.peers:
        raise InputError("--peers with --device cuda: expected cpu, where their steps are built")
    if options.threads is not None:
        raise InputError(f"--threads = {options.threads} with --device cuda: expected none there")
    return [
        on_device.Plan(
            name, shape, options.rounds or _ROUNDS.get(name, _FEW_ROUNDS), 2, _STEPS.get(name, 1)
        )
        for name, shape in _chosen(options)
    ]


def _check(options: argparse.Namespace) -> None:
    if options.shape is not None:
        check_choice("shape", options.shape, SHAPES)
    if options.rounds is not None:
        check_integer("--rounds", options.rounds, 1, _MOST)
    options.out = _folder(options)
    check_writable(options.out)


def _folder(options: argparse.Namespace) -> Path:
    """Return where results go: a device's do not take the place of the study's on a CPU."""
    if options.out is not None:
        return options.out
    return Path("out/speed" if options.device == "cpu" else f"out/speed-{options.device}")


def _chosen(options: argparse.Namespace) -> list[tuple[str, Shape]]:
    """Return the shape that is named, or all that are a device's."""
    if options.shape is not None:
        return [(options.shape, SHAPES[options.shape])]
    on_gpu = options.device == "cuda"
    return [(name, shape) for name, shape in SHAPES.items() if on_gpu or name not in OF_GPU]


def redraw(folder: Path) -> list[Path]:
    """Draw the figures of a results folder again; return their paths."""
    try:
        whole = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        of_device = "device" in whole
        shown = [] if of_device else whole.get("shapes", [whole])
        drawn = {one["shape"]["name"]: report.figure(one) for one in shown}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{str(folder)!r} cannot be drawn ({type(error).__name__}): expected a folder with the"
            f" {RESULT} of `python -m {MODULE}`"
        ) from error
    if of_device:
        raise InputError(f"{str(folder)!r} is of a GPU: there are no figures of these")
    for name, figure in drawn.items():
        save_figure(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in drawn]


def do(options: argparse.Namespace, command: str) -> None:
    """Measure, write tables and figures, and print them."""
    if options.redraw:
        options.out = _folder(options)
        check_writable(options.out)
        print("\n".join(map(str, redraw(options.out))))
        return
    check_choice("--device", options.device, on_device.DEVICES)
    if options.device == "cuda":
        _do_on_device(options, command)
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


def _do_on_device(options: argparse.Namespace, command: str) -> None:
    """Measure on a GPU, write the document and its table, and print one of them."""
    planned = device_plans(options)
    device = check_device(options.device)
    kernels = on_device.kernels_on(device)
    if kernels.reason is not None:
        warnings.warn(kernels.reason, RuntimeWarning, stacklevel=1)
    documents, failed = [], []
    for plan in tqdm(planned, desc="shapes", unit="shape", file=sys.stderr):
        try:
            documents.append(on_device.measure(plan, device, kernels))
        except JobError as error:
            failed.append(str(error))
    if not documents:
        raise JobError("; ".join(failed))
    described = on_device.described_device(device)
    whole = documents[0] if options.shape is not None else {"shapes": documents}
    whole = whole | {
        "device": described,
        "kernels": asdict(kernels),
        "provenance": {"command": command, "versions": versions()},
    }
    write_text(options.out / RESULT, json.dumps(whole, indent=2, allow_nan=False))
    table = report.device_markdown(documents, described, command)
    write_text(options.out / "table.md", table)
    print(json.dumps(whole) if options.json else table)
    if failed:
        raise JobError(f"not measured: {'; '.join(failed)}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python", "-m", MODULE, *map(shlex.quote, given)])
    return run(parser(), lambda options: do(options, command), given)


if __name__ == "__main__":
    sys.exit(main())
