"""`python -m benchmarks.speed.gpu_check`: one part of tools/gpu_check.sh, or its summary.

A part writes its document to the folder as it goes: {"part", "status", "reason", ...}.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed import bare
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, JobError, check_choice
from osae_theory.files import write_atomically

MODULE = "benchmarks.speed.gpu_check"
PARTS = ("tests", "speed", "training")
# `timeout` ends a command with the first; what it had to kill ends with the second.
_TIMED_OUT = (124, 137)
WHAT = ("ready", *PARTS, "summary")


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Do one part of tools/gpu_check.sh.")
    p.add_argument("what", help=f"one of {', '.join(WHAT)}")
    p.add_argument("--out", type=Path, required=True, help="folder for the documents")
    p.add_argument("--tiny", action="store_true", help="tiny sizes on a CPU")
    p.add_argument(
        "--exit", action="append", default=[], help="PART=CODE, for the summary: how a part ended"
    )
    return p


def exits(given: list[str]) -> dict[str, int]:
    """Return how each part ended, from PART=CODE."""
    found = {}
    for text in given:
        part, _, code = text.partition("=")
        check_choice("part", part, PARTS)
        if not code.isdecimal():
            raise InputError(f"--exit {text!r}: expected PART=CODE with an exit code")
        found[part] = int(code)
    return found


def summarise(out: Path, ended: Mapping[str, int]) -> str:
    """Write summary.json from the parts' documents and exit codes; return a line for each part.

    Raises
    ------
    JobError
        If a part is not done; the summary is written all the same.
    """
    found: dict[str, Any] = {}
    for part, code in ended.items():
        try:
            document = json.loads((out / f"{part}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            document = {}
        status, reason = document.get("status", "no document"), document.get("reason")
        if code in _TIMED_OUT:
            status, reason = "out of time", "its limit was reached"
        elif code != 0 and status in ("done", "unfinished"):
            status, reason = "failed", f"it ended with exit code {code}"
        found[part] = {"status": status, "reason": reason, "exit": code}
        for field in ("device", "headline"):
            found[part][field] = document.get(field)
    done = [part for part, one in found.items() if one["status"] == "done" and not one["exit"]]
    device = next((one["device"] for one in found.values() if one["device"]), None)
    whole = {
        "device": device,
        "done": done,
        "parts": {
            part: {name: value for name, value in one.items() if name != "device"}
            for part, one in found.items()
        },
    }
    text = json.dumps(whole, indent=2, allow_nan=False)
    write_atomically(out / "summary.json", lambda new: new.write_text(text, encoding="utf-8"))
    lines = [
        f"{part}: {one['status']}" + (f" ({one['reason']})" if one["reason"] else "")
        for part, one in found.items()
    ]
    if len(done) < len(found):
        raise JobError(f"{'; '.join(lines)}: see {out / 'summary.json'}")
    return "\n".join(lines)


def do(options: argparse.Namespace) -> None:
    """Do what is asked for; what is missing of the packages is stood in for first."""
    check_choice("part", options.what, WHAT)
    ended = exits(options.exit)
    if options.what == "summary":
        print(summarise(options.out, ended))
        return
    # First: torch looks for some of them itself, and does without.
    importlib.import_module("torch")
    absent = bare.stand_in()
    parts = importlib.import_module("benchmarks.speed.gpu_parts")
    if options.what == "ready":
        print(parts.ready(options.tiny))
    else:
        print(parts.do(options.what, options.out, options.tiny, absent))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
