"""`python -m benchmarks.peers.synthetic`: SAELens's own synthetic model, its SAEs and ours in it.

Everything that can be SAELens's is: the data (its `SyntheticModel`, with a hierarchy whose siblings
exclude each other and low-rank correlation), the training loop (its synthetic runner, which here
takes a seed) and its metrics. Beside them stand Stab, and Ord as trained and sorted afterwards.
A draw is a synthetic model of its own and a training of its own; each method's learning rate is
the one with the highest explained variance on draws that are in no table. Needs the environment of
`make setup-peers`.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count

from benchmarks.analysis.comparisons import Comparison, compare, leaders
from benchmarks.files import write_text
from benchmarks.peers.base import library
from benchmarks.peers.synthetic_runs import BATCH, CONTESTANTS, DEAD_AFTER, D, K, Task, named
from benchmarks.provenance import provenance
from benchmarks.report.markdown import markdown
from osae_theory.command_line import Parser, run
from osae_theory.errors import JobError, check_integer
from osae_theory.files import check_writable
from osae_theory.metrics import chance_stability
from osae_theory.metrics.intervals import Estimate, estimate
from osae_theory.progress import progress
from osae_theory.seeds import Axis, derived_seed
from osae_theory.workers import in_workers

MODULE = "benchmarks.peers.synthetic"
N_TUNING_DRAWS = 2
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
RESULT, TABLE = "result.json", "table.md"
# Title, bounds, and whether more is better; None where neither is.
_METRICS = {
    "explained_variance": ("explained variance", (-np.inf, 1.0), True),
    "mcc": ("MCC, absolute cosine", (0.0, 1.0), True),
    "stab": ("Stab(D, D\\*)", (-1.0, 1.0), True),
    "uniqueness": ("uniqueness", (0.0, 1.0), True),
    "f1": ("F1", (0.0, 1.0), True),
    "ord": ("Ord, as trained", (-1.0, 1.0), True),
    "ord_by_energy": ("Ord, sorted by energy", (-1.0, 1.0), True),
    "ord_by_frequency": ("Ord, sorted by frequency", (-1.0, 1.0), True),
    "l0": ("active latents", (0.0, np.inf), None),
    "dead": ("dead latents", (0.0, np.inf), None),
}
_MARGIN = 0.02


def tasks(
    names: Iterable[str], seeds: Sequence[int], rate: float, n: int, folder: Path
) -> list[Task]:
    """Return the trainings of some contestants on some draws at one rate."""
    return [
        Task(name, seed, rate, n, folder / "runs" / f"{name}-{seed}-{rate:g}-{n}.json")
        for name in names
        for seed in seeds
    ]


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(MODULE, "SAELens's synthetic model: its SAEs and ours, in its runner.", resumes=True)
    p.add_argument("--draws", type=int, default=5, help="synthetic models (default: 5)")
    p.add_argument("--steps", type=int, default=1500, help="training steps (default: 1500)")
    p.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    p.add_argument(
        "--workers", type=int, default=cpu_count(), help="processes (default: the machine's cores)"
    )
    p.add_argument(
        "--out",
        type=Path,
        default=Path("out/synth-sae"),
        help="folder of the table and of the runs (default: out/synth-sae)",
    )
    return p


def do(options: argparse.Namespace) -> None:
    """Tune, train, measure and write the table."""
    for name, least in (("draws", 1), ("steps", 2), ("seed", 0), ("workers", 1)):
        check_integer(f"--{name}", getattr(options, name), least)
    check_writable(options.out, files=(RESULT, TABLE))
    library("sae_lens")
    n, names = options.steps, list(CONTESTANTS)
    draws = [derived_seed(options.seed, Axis.PROBLEM_DRAW, i) for i in range(options.draws)]
    tuning = [derived_seed(options.seed, Axis.TUNING, i) for i in range(N_TUNING_DRAWS)]
    total = len(names) * (len(RATES) * len(tuning) + len(draws))
    with progress(total, "trainings") as bar:

        def trained(wanted: list[Task]) -> dict[Task, dict[str, float]]:
            done = {}
            for task, found in in_workers(named, wanted, options.workers):
                done[task] = found
                bar.update(1)
            return {task: done[task] for task in wanted}

        tried = trained([t for rate in RATES for t in tasks(names, tuning, rate, n, options.out)])
        rates = {name: _best_rate(name, tried) for name in names}
        wanted = [t for name in names for t in tasks([name], draws, rates[name], n, options.out)]
        found = trained(wanted)
    failed = [f"{t.name} on draw {t.seed}" for t in wanted if "stab" not in found[t]]
    if failed:
        raise JobError(f"diverged: {', '.join(failed)}; no table is written")
    runs = {name: [found[t] for t in wanted if t.name == name] for name in names}
    command = ["python", "-m", MODULE, "--draws", str(options.draws), "--steps", str(n)]
    command += ["--seed", str(options.seed)] if options.seed else []
    write_results(options.out, runs, rates, tried, command, options)
    print((options.out / TABLE).read_text(encoding="utf-8"))


def _best_rate(name: str, tried: Mapping[Task, Mapping[str, float]]) -> float:
    explained = {
        rate: float(
            np.mean(
                [
                    found["explained_variance"]
                    for task, found in tried.items()
                    if (task.name, task.rate) == (name, rate)
                ]
            )
        )
        for rate in RATES
    }
    finite = [rate for rate in RATES if np.isfinite(explained[rate])]
    if not finite:
        raise JobError(f"{name}: no learning rate of {RATES} trains to the end")
    best = max(finite, key=lambda rate: explained[rate])
    if best in (RATES[0], RATES[-1]):
        raise JobError(
            f"{name}: the best learning rate, {best:g}, is at the edge of {RATES}: expected one"
            " inside"
        )
    return best


def write_results(
    folder: Path,
    runs: Mapping[str, Sequence[Mapping[str, float]]],
    rates: Mapping[str, float],
    tried: Mapping[Task, Mapping[str, float]],
    command: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Write the table, and beside it every value, rate, estimate and comparison as JSON."""
    comparisons = {
        metric: compare(
            metric, {name: [one[metric] for one in own] for name, own in runs.items()}, _MARGIN
        )
        for metric, (_, _, better) in _METRICS.items()
        if better is not None
    }
    first = next(iter(runs.values()))
    chance = chance_stability(D, K, K, seed=0)
    ceiling = float(np.mean([one["ceiling_ord"] for one in first]))
    versions = provenance(command, options.seed, options.workers)
    versions["versions"] |= {"sae-lens": library("sae_lens").__version__}
    document = {
        "shape": {"d": D, "K": K, "batch": BATCH, "steps": options.steps},
        "draws": len(first),
        "rates": dict(rates),
        "tuning": [
            {"name": t.name, "seed": t.seed, "rate": t.rate, **found} for t, found in tried.items()
        ],
        "runs": {name: [dict(one) for one in own] for name, own in runs.items()},
        "chance_stab": asdict(chance),
        "ceiling_ord": ceiling,
        "comparisons": [asdict(one) for found in comparisons.values() for one in found],
        "provenance": versions,
    }
    write_text(folder / RESULT, json.dumps(document, indent=2) + "\n")
    true_l0 = float(np.mean([one["true_l0"] for one in first]))
    text = (
        f"SAELens's synthetic model with {K} features in {D} dimensions ({true_l0:.1f} active a"
        f" sample; trees of exclusive children, low-rank correlation), its runner, {options.steps}"
        f" steps of {BATCH}, latents dead after {DEAD_AFTER} steps without firing. Mean ± half of"
        f" the 95% interval over {len(first)} draws, each of a synthetic model and a training;"
        " bold: the best, and those not told apart from it of all"
        f" {len(runs)} (t-tests within draws, Holm's correction over all pairs). Stab of unrelated"
        f" dictionaries: {chance.mean:.3f}; Ord of the true codes on as many samples as the latents"
        f" are sorted by: {ceiling:.4f}. Learning rates by explained variance on {N_TUNING_DRAWS}"
        f" other draws, of {', '.join(f'{rate:g}' for rate in RATES)}."
    )
    table = table_of(runs, rates, comparisons)
    write_text(folder / TABLE, markdown(table, text, f"Made by `{shlex.join(command)}`."))


def table_of(
    runs: Mapping[str, Sequence[Mapping[str, float]]],
    rates: Mapping[str, float],
    comparisons: Mapping[str, Sequence[Comparison]],
) -> pd.DataFrame:
    """Return a row a measurement, a column a contestant."""
    rows: dict[str, dict[str, str]] = {}
    for metric, (title, bounds, better) in _METRICS.items():
        found = {
            name: estimate([one[metric] for one in own], bounds=bounds)
            for name, own in runs.items()
        }
        means = {name: one.mean for name, one in found.items()}
        best = () if better is None else leaders(comparisons[metric], means, better)
        rows[title] = {
            CONTESTANTS[name].title: f"**{_shown(one)}**" if name in best else _shown(one)
            for name, one in found.items()
        }
    rows["learning rate"] = {CONTESTANTS[name].title: f"{rate:g}" for name, rate in rates.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = ""
    return table


def _shown(found: Estimate) -> str:
    if found.mean is None:
        return "–"
    interval = found.ci95
    half = "" if interval is None else f" ± {(interval[1] - interval[0]) / 2:.3f}"
    return f"{found.mean:.3f}{half}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(parser, do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
