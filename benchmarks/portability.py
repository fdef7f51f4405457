"""`python -m benchmarks.portability`: the bits of a small training, under many settings.

Portable arithmetic promises the same bits on any machine. One machine can pretend to be others:
each setting below makes a library take the path that it takes on another processor. A small cell
is drawn, trained and measured under each, in a process of its own, and the hashes are compared
with those that this project's authors committed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from benchmarks import catalogue
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.spec import Budget, Case, Setting
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError
from osae_theory.metrics import chance_stability
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import DeadLatentLoss, Run, RunSeeds, TrainingConfig, train
from osae_theory.threads import limited_threads
from osae_theory.workers import in_workers

MODULE = "benchmarks.portability"
EXIT_DIFFERENT = 1
PINNED = resources.files("benchmarks") / "portability.json"
# The second fits a computation in plain Python; the third wakes a second thread.
SIZES: Mapping[str, tuple[Mapping[str, int], int]] = {
    "small": ({"d": 20, "K": 33, "m": 3, "N": 3000}, 80),
    "tiny": ({"d": 5, "K": 7, "m": 2, "N": 150}, 8),
    "wide": ({"d": 64, "K": 128, "m": 16, "N": 2048}, 6),
}
_BATCH_SIZE = 512
# The shapes of the sweep: in fast arithmetic a run in a batch is not always the run alone.
SWEPT = tuple(
    (d, K)
    for d in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 20, 24, 31, 40)
    for K in (d + 1, d + 4, 2 * d, 2 * d + 1)
)


@dataclass(frozen=True)
class Pretence:
    """One way of pretending to be another machine.

    Attributes
    ----------
    name : str
        What it says to the libraries.
    size : str
        A name in SIZES.
    environment : mapping
        Environment variables.
    threads, workers : int
        Intra-op threads, and worker processes.
    """

    name: str
    size: str = "small"
    environment: Mapping[str, str] | None = None
    threads: int = 1
    workers: int = 1


def _set(variables: str, size: str = "small") -> Pretence:
    pairs = dict(pair.split("=", 1) for pair in variables.split())
    return Pretence(variables, size, pairs)


_OLD_NUMPY = "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX"
SETTINGS = (
    Pretence("default"),
    Pretence("two workers", workers=2),
    Pretence("default", "wide"),
    Pretence("two threads", "wide", threads=2),
    _set("MKL_CBWR=COMPATIBLE"),
    _set("MKL_CBWR=AVX2"),
    _set("MKL_ENABLE_INSTRUCTIONS=SSE4_2"),
    _set("MKL_ENABLE_INSTRUCTIONS=AVX2"),
    _set("OPENBLAS_CORETYPE=Nehalem"),
    _set("OPENBLAS_CORETYPE=Haswell"),
    _set("ATEN_CPU_CAPABILITY=default"),
    Pretence("numpy without AVX2 and FMA3", environment={"NPY_DISABLE_CPU_FEATURES": _OLD_NUMPY}),
    _set("NUMBA_CPU_NAME=nehalem NUMBA_CPU_FEATURES="),
    _set("NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2,+fma"),
    Pretence("default", "tiny"),
    _set("NUMBA_DISABLE_JIT=1", "tiny"),
)


def fingerprints(size: str, threads: int = 1, workers: int = 1) -> dict[str, str]:
    """Return the hashes of what a size's cell gives here: data, dictionaries, measurements.

    Two methods are trained, two runs each; "everything" is a training with the options that a
    method may use beside: signed codes, a decoder bias, an auxiliary loss.
    """
    params, n_steps = SIZES[size]
    case = catalogue.case_of("toy", params, 0)
    found: dict[str, str] = {}
    tasks = [_task(case, n_steps, method) for method in ("topk", "osae")]
    if workers > 1:
        tasks = [replace(task, runs=(run,)) for task in tasks for run in task.runs]
    for outcomes in in_workers(run_task, tasks, workers):
        for outcome in outcomes:
            name = f"{outcome.spec.setting.method} {outcome.spec.seeds.initialisation}"
            found[name] = outcome.dictionary_sha256
            measured = dict(outcome.values) | {"dictionary_sha256": outcome.dictionary_sha256}
            found[f"{name}, measured"] = _digest(json.dumps(measured, sort_keys=True).encode())
    with limited_threads(threads):
        spec = catalogue.problem_spec(case)
        problem = spec.draw()
        data = np.ascontiguousarray(problem.data)
        found["data"] = _digest(data.tobytes())
        found["everything"] = _everything(problem.rows()[0], spec.K, spec.m, n_steps)
        level = chance_stability(spec.d, spec.K, n_draws=4)
        found["chance"] = _digest(np.float64(level.mean).tobytes())
    return dict(sorted(found.items()))


def _task(case: Case, n_steps: int, method: str) -> FitTask:
    found = catalogue.variant(f"{method}[lr=0.01]")
    budget = Budget("steps", n_steps, min(catalogue.shape_of(case).N, _BATCH_SIZE))
    runs = catalogue.run_specs(Setting(case, method, found.identity, budget), 2)
    return FitTask(tuple(runs), code_of("toy", method))


def _everything(rows: np.ndarray, K: int, m: int, n_steps: int) -> str:
    config = TrainingConfig(
        m,
        n_steps=n_steps,
        batch_size=min(len(rows), _BATCH_SIZE),
        activation="signed",
        use_decoder_bias=True,
        dead_latent_loss=DeadLatentLoss(dead_after=2),
    )
    runs = [
        Run(RunSeeds.same(0), 0.01, RandomPrefixes(K)),
        Run(RunSeeds.same(1), 0.02, PrefixLaw.geometric(K, 0.9)),
    ]
    model = train(torch.from_numpy(rows), K, runs, config).model
    return _digest(b"".join(p.detach().contiguous().numpy().tobytes() for p in model.parameters()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def under(setting: Pretence) -> dict[str, str]:
    """Return the fingerprints that a process of its own finds under a setting.

    Raises
    ------
    InputError
        If it fails; the message ends with what it said.
    """
    command = [sys.executable, "-W", "ignore", "-m", MODULE, "--child", setting.size]
    command += ["--threads", str(setting.threads), "--workers", str(setting.workers)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **(setting.environment or {})},
        check=False,
    )
    if done.returncode:
        raise InputError(f"{setting.name}: the process failed: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def pinned() -> dict[str, dict[str, str]]:
    """Return the committed fingerprints, by size."""
    return json.loads(PINNED.read_text(encoding="utf-8"))


def unequal(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return the names of what differs."""
    return [name for name in expected if found.get(name) != expected[name]]


def sweep(arithmetic: str, shapes: Sequence[tuple[int, int]] = SWEPT) -> list[tuple[int, int]]:
    """Return the shapes (d, K) at which a run among three is not, bit for bit, the run alone."""
    config = TrainingConfig(2, n_steps=20, batch_size=100, arithmetic=arithmetic)
    different = []
    for d, K in shapes:
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((300, d), dtype=np.float32))
        runs = [Run(RunSeeds.same(s), 1e-2, PrefixLaw.uniform(K)) for s in range(3)]
        together = train(x, K, runs, config).model.atoms
        alone = [train(x, K, [one], config).model.atoms[0] for one in runs]
        if not all(torch.equal(a, b) for a, b in zip(together, alone, strict=True)):
            different.append((d, K))
    return different


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "Compare a small training's bits under many settings with the pinned ones.")
    p.add_argument("--pin", action="store_true", help="write this machine's default as the pinned")
    p.add_argument("--sweep", action="store_true", help="batch against alone over 68 shapes")
    p.add_argument("--child", choices=tuple(SIZES), help=argparse.SUPPRESS)
    p.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    p.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    return p


def study(options: argparse.Namespace) -> bool:
    """Do what the options ask; return whether nothing differs."""
    if options.child:
        print(json.dumps(fingerprints(options.child, options.threads, options.workers)))
        return True
    if options.pin:
        found = {size: under(Pretence("default", size)) for size in SIZES}
        text = json.dumps(found, indent=2) + "\n"
        with resources.as_file(PINNED) as path:
            path.write_text(text, encoding="utf-8")
        return True
    agreed = _print_settings()
    return _print_sweep() and agreed if options.sweep else agreed


def _print_settings() -> bool:
    expected = pinned()
    rows = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for setting, found in zip(SETTINGS, pool.map(under, SETTINGS), strict=True):
            different = unequal(found, expected[setting.size])
            said = "equal" if not different else f"differs: {', '.join(different)}"
            rows.append((setting.name, setting.size, said))
            print(f"{setting.size:6} {setting.name}: {said}", file=sys.stderr, flush=True)
    columns = pd.Index(["setting", "size", "bits"])
    print(pd.DataFrame(rows, columns=columns).to_markdown(index=False))
    return all(said == "equal" for _, _, said in rows)


def _print_sweep() -> bool:
    found = {arithmetic: sweep(arithmetic) for arithmetic in ("portable", "fast")}
    print()
    for arithmetic, different in found.items():
        print(
            f"{arithmetic}: a run among three is not the run alone at {len(different)} of"
            f" {len(SWEPT)} shapes"
        )
    return not found["portable"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 where all is equal, 1 otherwise."""
    given = sys.argv[1:] if arguments is None else arguments
    agreed: list[bool] = []
    code = run(parser(), lambda options: agreed.append(study(options)), given)
    return code if code or agreed == [True] else EXIT_DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
