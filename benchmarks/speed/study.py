"""Everything that is measured at one shape, as one document."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed import arithmetic, costs, losses, steps, timing
from benchmarks.speed.memory import step_memory
from benchmarks.speed.shapes import MEMORY, WIDE, Shape
from benchmarks.speed.timing import Ratio, medians, named, paired, relative_to, timed
from osae_theory import __version__
from osae_theory.errors import InputError
from osae_theory.threads import limited_threads

YARDSTICK = "plain dense"
N_TOGETHER = 10
# The ratios that have a name in the document: (numerator, denominator).
_NAMED = {
    "exact_over_plain_same_kernel": ("exact, fused", "plain, fused"),
    "exact_over_plain_dense": ("exact, fused", YARDSTICK),
    "plain_fused_over_plain_dense": ("plain, fused", YARDSTICK),
    "plain_sparse_over_plain_dense": ("plain sparse", YARDSTICK),
    "encoder_product_over_plain_dense": ("encoder product alone", YARDSTICK),
    "exact_residual_gram_over_plain_dense": ("exact, residual Gram", YARDSTICK),
    "exact_gram_over_plain_dense": ("exact, Gram", YARDSTICK),
}


@dataclass(frozen=True)
class Plan(timing.Plan):
    """What to measure on a CPU.

    Attributes
    ----------
    threads, cores : int
        Threads of every contender; and those for runs together, which use them all.
    peers_python : Path or None
        The Python of the environment with the peers, where they are to be timed.
    """

    threads: int
    cores: int
    peers_python: Path | None


def memory() -> dict[str, Any]:
    """Return peak memory of the exact and the plain loss at a dictionary of 65,536."""
    found = {law: step_memory(law, MEMORY) for law in ("plain", "uniform")}
    return {
        "shape": asdict(MEMORY),
        "plain_bytes": found["plain"],
        "exact_bytes": found["uniform"],
        "exact_over_plain": found["uniform"] / found["plain"],
    }


def measure(plan: Plan, peak: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of one shape; see the module `benchmarks.speed.__main__`."""
    with limited_threads(plan.threads):
        seconds = _losses(plan)
        ratios = named(seconds, _NAMED)
        prefixes = costs.over_prefixes(plan.shape, plan.rounds, plan.warmup, plan.steps)
        ratios["all_prefixes_over_one"] = prefixes[plan.shape.K]
        sizes = (
            {}
            if plan.name in WIDE
            else costs.over_sizes(plan.shape, plan.rounds, plan.warmup, plan.steps)
        )
        agreement = dict(losses.agreement(plan.shape))
        ratios["portable_over_fast_step"] = arithmetic.step_ratio(
            plan.shape, plan.rounds, plan.warmup, plan.steps
        )
        if plan.name == "toy":
            ratios["portable_over_fast_training"] = arithmetic.training_ratio()
    if plan.name == "toy":
        with limited_threads(plan.cores):
            ratios["ten_together_over_ten_separate"] = _together(plan)
    document = {
        "shape": {"name": plan.name, **asdict(plan.shape)},
        "threads": plan.threads,
        "ratios": {name: ratio.median for name, ratio in ratios.items()},
        "spread": {name: asdict(ratio) for name, ratio in ratios.items()},
        "losses": _plain(relative_to(seconds, YARDSTICK)),
        "seconds": medians(seconds),
        "over_prefixes": _plain(prefixes),
        "over_sizes": {name: _plain(found) for name, found in sizes.items()},
        "agreement": agreement,
        "peers": {},
        "memory": dict(peak),
    }
    if plan.peers_python is not None:
        document["peers"] = peers(plan)
    return document


def _plain(ratios: Mapping[Any, Ratio]) -> dict[str, dict[str, float]]:
    return {str(name): asdict(ratio) for name, ratio in ratios.items()}


def _losses(plan: Plan) -> dict[str, list[float]]:
    """Return the seconds of each way of computing loss and gradients."""
    ways = losses.ways(plan.shape)
    ways["encoder product alone"] = losses.encoder_product(plan.shape)
    return timed(ways, plan)


def _together(plan: Plan) -> Ratio:
    found = timed(
        {
            "together": steps.together(plan.shape, N_TOGETHER),
            "separate": steps.one_after_another(plan.shape, N_TOGETHER),
        },
        plan,
    )
    return paired(found["together"], found["separate"])


def contenders(name: str, shape: Shape) -> list[dict[str, Any]]:
    """Return the whole training steps that are timed at a shape, as the peers' job lists them."""
    libraries = ("saelens", "dictionary_learning", "sparsify", "overcomplete")
    found: list[dict[str, Any]] = [
        {"peer": "ours", "kind": kind} for kind in ("uniform", "plain", "featured")
    ]
    for matched in (False, True):
        found += [{"peer": peer, "kind": "topk", "matched": matched} for peer in libraries]
        found += [
            {"peer": peer, "kind": "batchtopk", "matched": matched}
            for peer in libraries
            if peer != "sparsify" and name not in WIDE
        ]
        found += [
            {"peer": peer, "kind": "ordered", "matched": matched}
            for peer in ("saelens", "dictionary_learning")
        ]
        for peer in ("saelens", "dictionary_learning"):
            for n in (5, 10, 50) if name not in WIDE else (5,):
                found.append(
                    {"peer": peer, "kind": "matryoshka", "prefixes": n, "matched": matched}
                )
    # Every index a prefix: at the toy shape as it is, at the middle one on fewer samples.
    if name not in WIDE:
        few = {"batch": shape.batch if name == "toy" else 32}
        found += [
            {"peer": peer, "kind": "matryoshka", "prefixes": "all", **few}
            for peer in ("saelens", "dictionary_learning")
        ]
        if name == "lm":
            found.append({"peer": "ours", "kind": "uniform", **few})
    return found


def peers(plan: Plan) -> dict[str, Any]:
    """Time whole training steps of the peers and ours, in the peers' environment.

    Returns
    -------
    dict
        "ratios": each library's step over ours with the exact loss; "seconds": medians;
        "agreement": relative differences between their losses and ours; "versions".

    Raises
    ------
    InputError
        If the measurement fails.
    """
    assert plan.peers_python is not None
    job = {
        "shape": asdict(plan.shape),
        "contenders": contenders(plan.name, plan.shape),
        "rounds": plan.rounds,
        "warmup": plan.warmup,
        "steps": plan.steps,
        "threads": plan.threads,
    }
    found = _ask(plan.peers_python, "benchmarks.peers.measure", [json.dumps(job)])
    return summary(found, plan.shape) | {
        "agreement": _ask(plan.peers_python, "benchmarks.peers.agreement", [])
    }


def summary(found: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Turn the peers' seconds into ratios to our exact step on as many samples."""
    own = {
        (c["kind"], c["batch"]): c["seconds"] for c in found["contenders"] if c["peer"] == "ours"
    }
    ratios: dict[str, dict[str, float]] = {}
    seconds: dict[str, Sequence[float]] = {}
    for contender in found["contenders"]:
        name = contender_name(contender, shape)
        seconds[name] = contender["seconds"]
        ratios[name] = asdict(paired(seconds[name], own["uniform", contender["batch"]]))
    return {"ratios": ratios, "seconds": medians(seconds), "versions": found["versions"]}


def contender_name(contender: Mapping[str, Any], shape: Shape) -> str:
    """Return a contender's name in tables: library, kind, prefixes, matched or as shipped."""
    parts = [contender["peer"], contender["kind"]]
    if contender["prefixes"]:
        parts.append(str(contender["prefixes"]))
    if contender["peer"] != "ours":
        parts.append("matched" if contender["matched"] else "as shipped")
    if contender["batch"] != shape.batch:
        parts.append(f"batch {contender['batch']}")
    return " ".join(parts)


def check_peers(python: Path) -> None:
    """Raise InputError unless there is an environment that can run our side of the peers."""
    expected = "expected the environment with the peers (make setup-peers)"
    if not python.is_file():
        raise InputError(f"no {python}: {expected}")
    command = [str(python), "-m", "benchmarks.peers.measure", "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"{python} cannot be run ({error.strerror}): {expected}") from error
    if done.returncode != 0 or done.stdout.strip() != __version__:
        last = (done.stderr.strip().splitlines() or ["it printed no version"])[-1]
        raise InputError(f"{python} has not this project ({last}): {expected}")


def _ask(python: Path, module: str, arguments: list[str]) -> Any:
    done = subprocess.run(
        [str(python), "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{module} failed in {python}: {last}")
    return json.loads(done.stdout)
