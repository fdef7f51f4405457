"""Made-up results of valid runs over problems, draws and methods, many in little time.

    python tests/made_up_runs.py 300000 100

times a store of so many, with 100 latents each.
"""

import subprocess
import sys
import time
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import catalogue
from benchmarks.analysis.study import study
from benchmarks.analysis.summary import MOST_DETAILED, summarised
from benchmarks.outcome import VECTORS, Measurement, Outcome, Results
from benchmarks.report import writing
from benchmarks.report.whole import Report
from benchmarks.spec import RunSpec, Setting, draw_seed
from benchmarks.store import Store
from benchmarks.store.export import export
from osae_theory.provenance import Provenance, dictionary_sha256

METHODS = ("topk", "msae-fixed", "osae", "truth")
PROVENANCE = Provenance(
    commit="0" * 40,
    dirty=False,
    package="0.0",
    processor="a processor",
    system="a system",
    python="3.11",
    numpy="2.0",
    torch="2.4",
    numba="0.61",
    scipy="1.13",
    backend="numba",
    triton="3.9.0",
    device="cpu",
)


def made_up_specs(n_cells=2, n_draws=3, n_seeds=2, methods=METHODS, K=8, budget=None):
    """Return the runs of a study: problems of the toy, draws, methods, seeds.

    They differ in N, the first has 400 samples.
    """
    variants = [catalogue.variant(name, {"lr": 0.01} if _has_lr(name) else {}) for name in methods]
    found: list[RunSpec] = []
    for cell, draw in product(range(n_cells), range(n_draws)):
        problem = {"d": max(2, 3 * K // 4), "K": K, "m": 2, "N": 400 * (cell + 1)}
        case = catalogue.case_of("toy", problem, draw_seed(0, draw))
        for one in variants:
            amounts = {"steps": 30} if budget is None else budget
            how = catalogue.budget_of(one.method, amounts, 100)
            found += catalogue.run_specs(Setting(case, one.method.name, one.identity, how), n_seeds)
    return found


def made_up_outcomes(specs, seed=0, K=8, arrays=False, failing=0.0, code="0123456789abcdef"):
    """Return an outcome a run, which depends on the run and the seed and on no other run.

    A share `failing` of them is not done.
    """
    metrics = [m for m in catalogue.metrics().values() if m.of_run is not None]
    low = np.array([max(m.bounds[0], -1.0) for m in metrics])
    high = np.array([min(m.bounds[1], 1.0) for m in metrics])
    found = []
    for spec in specs:
        rng = np.random.default_rng([seed, int(spec.id, 16)])
        common = {"seconds": float(rng.uniform(1, 9)), "provenance": PROVENANCE, "code": code}
        if rng.random() < failing:
            status = ("diverged", "timeout", "error")[rng.integers(3)]
            found.append(Outcome(spec, status, f"made up: {status}", **common))
            continue
        share = np.clip(_share(spec.setting.method) + rng.normal(0, 0.03, len(metrics)), 0, 1)
        values = (low + share * (high - low)).tolist()
        vectors = (rng.permutation(K), rng.uniform(0.5, 1, K), np.arange(K), np.arange(K)[::-1])
        D = rng.normal(size=(3, K))
        found.append(
            Outcome(
                spec,
                "done",
                values={m.name: v for m, v in zip(metrics, values, strict=True)},
                vectors=dict(zip(VECTORS, vectors, strict=True)),
                arrays={"dictionary": D} if arrays else {},
                encoder="truth" if spec.setting.method == "truth" else "top-m",
                dictionary_sha256=dictionary_sha256(D),
                **common,
            )
        )
    return found


def made_up_pairs(outcomes, seed=0):
    """Return the measurements of the pairs of done runs of one setting."""
    rng = np.random.default_rng(seed)
    metrics = [m.name for m in catalogue.metrics().values() if m.of_pair is not None]
    settings: dict[Setting, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == "done":
            settings.setdefault(outcome.spec.setting, []).append(outcome.spec.id)
    return [
        Measurement(*pair, metric, float(rng.uniform(0.6, 1.0)))
        for ids in settings.values()
        for pair in combinations(sorted(ids), 2)
        for metric in metrics
    ]


def made_up_results(specs, **how):
    """Return outcomes and pairs of a study's runs."""
    outcomes = made_up_outcomes(specs, **how)
    return Results(outcomes, made_up_pairs(outcomes))


def other_machine(outcome, **changes):
    """Return the same outcome as another machine would have it."""
    return replace(
        outcome,
        seconds=outcome.seconds + 5,
        provenance=replace(PROVENANCE, processor="another processor"),
        **changes,
    )


def _share(method):
    """Return where in a metric's range a method's values lie."""
    return 0.35 + 0.1 * METHODS.index(method) if method in METHODS else 0.5


def _has_lr(name):
    return any(parameter.name == "lr" for parameter in catalogue.methods()[name].parameters)


def write_tables(store):
    """Write the tables of a store's report, without its figures and its page."""
    frames = store.frames(vectors=False)
    found = study(frames)
    order = list(range(len(found.tables)))[:MOST_DETAILED]
    report = Report(found, summarised(found, order), order, frames, ["a command"])
    with TemporaryDirectory() as folder:
        writing._write_grid(Path(folder), report, writing.rankings(report.grid))
        writing._write_analyses(Path(folder), report)


OPERATIONS = {
    "statuses": lambda store: len(store.statuses()),
    "measured": lambda store: len(store.measured()),
    "frames": lambda store: len(store.frames().measurements),
    "no vectors": lambda store: len(store.frames(vectors=False).measurements),
    "check": lambda store: len(store.check()),
    "tables": write_tables,
    "merge": lambda store: store.merge(),
    "frames again": lambda store: len(store.frames().measurements),
    "export": lambda store: export(store, store.folder.with_name("copy")),
}


def time_one(name: str, folder: Path) -> None:
    """Print the processor's time and the memory that one operation takes, in its own process."""
    store = Store.at(folder)
    begun = time.process_time()
    OPERATIONS[name](store)
    seconds = time.process_time() - begun
    # Of this process alone: what `resource` says begins with what the one before it had.
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    peak = int(line.split()[1]) / 2**20
    print(f"{name:<12} {seconds:7.1f} s, peak {peak:.2f} GiB", flush=True)


def main(n_runs: int, K: int) -> None:
    """Time a store of about so many runs that were added 500 at a time."""
    draws, seeds = 20, 10
    specs = made_up_specs(n_runs // (draws * (3 * seeds + 1)), draws, seeds, K=K)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "store"
        store = Store.at(folder, create=True)
        seconds = 0.0
        for begin in range(0, len(specs), 500):
            some = made_up_results(specs[begin : begin + 500], seed=begin, K=K)
            begun = time.process_time()
            store.add(some)
            seconds += time.process_time() - begun
        print(f"{len(specs)} runs, K = {K}: added in {seconds:.1f} s", flush=True)
        for name in OPERATIONS:
            subprocess.run([sys.executable, __file__, name, str(folder)], check=True)


if __name__ == "__main__":
    if sys.argv[1] in OPERATIONS:
        time_one(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
