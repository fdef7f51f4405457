"""`python -m benchmarks.peers.measure`: training steps of peers and ours, timed in turn.

Reads a job as JSON and prints one JSON document. In each round every contender takes one
turn on the same batch, in an order drawn anew for each round: a slow minute of the machine
falls on all of them alike, and so does what the contender before left in the caches.

    {"shape": {"d": 80, "K": 100, "m": 5, "batch": 1024},
     "contenders": [
        {"peer": "ours", "kind": "uniform"},
        {"peer": "saelens", "kind": "topk", "matched": true},
        {"peer": "saelens", "kind": "matryoshka", "prefixes": 5},
        {"peer": "dictionary_learning", "kind": "matryoshka", "prefixes": "all", "batch": 32}],
     "rounds": 15, "warmup": 3, "steps": 1, "threads": 2, "seed": 0}

"prefixes" is a number of equal groups, a list of lengths or "all"; a contender's own "batch"
takes that many first rows of each batch. "steps" is the number of steps a turn.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.peers import PEERS, Shape
from benchmarks.peers.base import check_task, library
from osae_theory import __version__
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.prefixes import equal_group_ends
from osae_theory.seeds import Axis, generator, torch_generator
from osae_theory.threads import limited_threads

OURS = "ours"
Step = Callable[[Float[Tensor, "n d"]], object]


@dataclass(frozen=True)
class Contender:
    """One training step to time.

    Attributes
    ----------
    peer : str
        A name in `benchmarks.peers.PEERS`, or "ours".
    kind : str
        One of `benchmarks.peers.KINDS`; for "ours" a kind of survival weights.
    prefixes : tuple of int
        Prefix lengths, ascending, the last one K; empty unless the kind is "matryoshka".
    matched : bool
        Whether features are matched.
    batch : int
        Samples a step, at most the shape's.
    """

    peer: str
    kind: str
    prefixes: tuple[int, ...]
    matched: bool
    batch: int


@dataclass(frozen=True)
class Job:
    """What to time, and how often.

    Attributes
    ----------
    shape : Shape
        d, K, m and the samples of a batch.
    contenders : tuple of Contender
        At least one.
    rounds, warmup : int
        Rounds that count, at least 1, and rounds before them that do not, at least 0.
    steps : int
        Steps of a contender's turn, at least 1; the time given is that of one.
    threads : int
        Threads of torch and of our kernel, at least 1.
    seed : int
        Of initial weights and data, at least 0.
    """

    shape: Shape
    contenders: tuple[Contender, ...]
    rounds: int
    warmup: int
    steps: int
    threads: int
    seed: int


_DEFAULTS = {"rounds": 15, "warmup": 3, "steps": 1, "threads": 2, "seed": 0}
_MINIMA = {"rounds": 1, "warmup": 0, "steps": 1, "threads": 1, "seed": 0}


def parse_job(text: str) -> Job:
    """Return the job that a JSON document describes, checked.

    Raises
    ------
    InputError
        If it is not JSON, misses or has an unknown field, or a value cannot be used.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"the job is not JSON ({error}): expected one JSON object") from None
    _check_fields("the job", document, {"shape", "contenders"}, _DEFAULTS)
    _check_fields("shape", document["shape"], {"d", "K", "m", "batch"}, ())
    shape = Shape(**document["shape"])
    listed = document["contenders"]
    if not isinstance(listed, list) or not listed:
        raise InputError(f"contenders = {listed!r}: expected a list of at least one")
    numbers = {name: document.get(name, default) for name, default in _DEFAULTS.items()}
    for name, number in numbers.items():
        check_integer(name, number, _MINIMA[name])
    return Job(shape, tuple(_contender(fields, shape) for fields in listed), **numbers)


def measure(
    job: Job, build: Callable[[Contender, Shape, int], Step] | None = None
) -> dict[str, Any]:
    """Build the contenders, time them, and return what the command prints.

    Parameters
    ----------
    job : Job
        What to time.
    build : callable, optional
        Makes a contender's step from it, the shape with its batch, and the seed; the
        libraries' by default.

    Returns
    -------
    dict
        The job, the versions, and for each contender in the job's order its fields with
        "seconds", a list of the seconds of a step, one number a round.

    Raises
    ------
    InputError
        If a library is not installed.
    """
    build = _build if build is None else build
    with limited_threads(job.threads):
        turns = []
        for contender in job.contenders:
            step = build(contender, replace(job.shape, batch=contender.batch), job.seed)
            turns.append(_first_rows(step, contender.batch))
        batches = [_batch(job, i) for i in range(job.warmup + job.rounds)]
        seconds = interleaved(turns, batches, job.steps)
    results = [
        asdict(contender) | {"prefixes": len(contender.prefixes), "seconds": taken[job.warmup :]}
        for contender, taken in zip(job.contenders, seconds, strict=True)
    ]
    fields = {name: getattr(job, name) for name in _DEFAULTS}
    return {
        "shape": asdict(job.shape),
        **fields,
        "versions": versions(contender.peer for contender in job.contenders),
        "contenders": results,
    }


def interleaved(
    steps: Sequence[Step],
    batches: Iterable[Float[Tensor, "n d"]],
    n_repeats: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Give every step one turn a batch, in an order of each round's own; return seconds.

    Parameters
    ----------
    steps : sequence of callables
        The contenders.
    batches : iterable of tensors
        One for each round.
    n_repeats : int
        Steps a turn, at least 1; what is returned is the time of one.
    clock : callable
        Seconds, monotonic.

    Returns
    -------
    list of lists
        For each contender its seconds a step, round by round.
    """
    seconds: list[list[float]] = [[] for _ in steps]
    orders = generator(0, Axis.DATA_ORDER)
    collecting = gc.isenabled()
    gc.disable()
    # What is there already is not looked at again before each round.
    gc.freeze()
    try:
        for batch in batches:
            gc.collect()
            for i in orders.permutation(len(steps)):
                start = clock()
                for _ in range(n_repeats):
                    steps[i](batch)
                seconds[i].append((clock() - start) / n_repeats)
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
    return seconds


def versions(peers: Iterable[str]) -> dict[str, str]:
    """Return the versions of torch, of this project and of the peers."""
    named = {PEERS[peer].distribution for peer in peers if peer != OURS}
    return {"osae-theory": __version__} | {
        name: version(name) for name in ("torch", *sorted(named))
    }


def ours(contender: Contender, shape: Shape) -> Step:
    """Return our training step with survival weights of the contender's kind."""
    return library("benchmarks.speed.steps").training_step(shape, contender.kind)


def _build(contender: Contender, shape: Shape, seed: int) -> Step:
    if contender.peer == OURS:
        return ours(contender, shape)
    peer = PEERS[contender.peer]
    return peer.build(contender.kind, shape, contender.prefixes, contender.matched, seed).step


def _batch(job: Job, index: int) -> Tensor:
    g = torch_generator(job.seed, Axis.VALUES, index)
    return torch.randn(job.shape.batch, job.shape.d, generator=g)


def _first_rows(step: Step, n: int) -> Step:
    return lambda batch: step(batch[:n])


def _contender(fields: Any, shape: Shape) -> Contender:
    _check_fields("a contender", fields, {"peer", "kind"}, {"prefixes", "matched", "batch"})
    name, kind, matched = fields["peer"], fields["kind"], fields.get("matched", False)
    for field in ("peer", "kind"):
        if not isinstance(fields[field], str):
            raise InputError(f"{field} = {fields[field]!r}: expected a name")
    check_choice("peer", name, [OURS, *PEERS])
    if not isinstance(matched, bool):
        raise InputError(f"matched = {matched!r}: expected true or false")
    batch = fields.get("batch", shape.batch)
    check_integer("a contender's batch", batch, 1)
    if batch > shape.batch:
        raise InputError(f"a contender's batch = {batch}: expected at most {shape.batch}")
    prefixes = _prefixes(fields.get("prefixes", []), shape.K)
    if name != OURS:
        check_task(PEERS[name], kind, shape, prefixes)
    elif prefixes:
        raise InputError(f"{fields!r}: expected ours with a kind of survival weights alone")
    return Contender(name, kind, prefixes, matched, batch)


def _prefixes(given: Any, K: int) -> tuple[int, ...]:
    if given == "all":
        return tuple(range(1, K + 1))
    if isinstance(given, list):
        for length in given:
            check_integer("prefix length", length, 1)
        return tuple(given)
    check_integer("prefixes", given, 1)
    if given > K:
        raise InputError(f"prefixes = {given}: expected at most K = {K}")
    return equal_group_ends(K, given)


def _check_fields(
    what: str, fields: Any, needed: Collection[str], optional: Collection[str] | Mapping[str, Any]
) -> None:
    if not isinstance(fields, dict):
        raise InputError(f"{what} {fields!r}: expected a JSON object")
    for name in fields:
        check_choice(f"{what}: field", name, [*needed, *optional])
    missing = sorted(set(needed) - set(fields))
    if missing:
        raise InputError(
            f"{what} has no {', '.join(missing)}: expected {', '.join(sorted(needed))}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = Parser("benchmarks.peers.measure", "Time training steps in turn; JSON in and out.")
    parser.add_argument("job", nargs="?", default="-", help="the job as JSON; - reads it (default)")

    def job(options: argparse.Namespace) -> None:
        parsed = parse_job(sys.stdin.read() if options.job == "-" else options.job)
        # Some libraries print when they are imported.
        with redirect_stdout(sys.stderr):
            result = measure(parsed)
        print(json.dumps(result))

    return run(parser, job, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
