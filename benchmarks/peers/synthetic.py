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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from joblib import cpu_count

from benchmarks.analysis.comparisons import Comparison, compare, leaders
from benchmarks.files import write_text
from benchmarks.peers.base import library
from benchmarks.provenance import provenance
from benchmarks.report.markdown import markdown
from osae_theory.command_line import Parser, run
from osae_theory.errors import JobError, check_integer
from osae_theory.files import check_writable
from osae_theory.metrics import chance_stability, match, order_by, orderedness
from osae_theory.metrics.intervals import Estimate, estimate
from osae_theory.prefixes import matryoshka_group_ends
from osae_theory.progress import progress
from osae_theory.seeds import Axis, derived_seed
from osae_theory.workers import in_workers

MODULE = "benchmarks.peers.synthetic"
D, K, BATCH = 48, 128, 512
N_TUNING_DRAWS = 2
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
# Steps without firing after which a latent is dead and enters the auxiliary loss.
DEAD_AFTER = 100
N_HELDOUT = 50_000
N_FOR_ORDER = 200_000
RESULT, TABLE = "result.json", "table.md"
_OURS = "osae_theory.integrations.sae_lens"
_THEIRS = "sae_lens"
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


@dataclass(frozen=True)
class Contestant:
    """One SAE of the table.

    Attributes
    ----------
    title : str
        What the table calls it.
    module, kind : str
        Where its training class is.
    warmed : bool
        Whether k falls from all latents over the first half.
    options : tuple of pairs
        Of its configuration, beside d_in, d_sae and k.
    """

    title: str
    module: str
    kind: str
    warmed: bool = False
    options: tuple[tuple[str, Any], ...] = ()


_WIDTHS = ("matryoshka_widths", matryoshka_group_ends(K))
CONTESTANTS: Mapping[str, Contestant] = {
    "topk": Contestant("TopK", _THEIRS, "TopKTrainingSAE"),
    "batchtopk": Contestant("BatchTopK", _THEIRS, "BatchTopKTrainingSAE"),
    "matryoshka": Contestant(
        "Matryoshka", _THEIRS, "MatryoshkaBatchTopKTrainingSAE", options=(_WIDTHS,)
    ),
    "ordered": Contestant("ordered (ours)", _OURS, "OrderedTopKTrainingSAE"),
    "matryoshka-exact": Contestant(
        "Matryoshka, exact (ours)", _OURS, "MatryoshkaExactTrainingSAE", options=(_WIDTHS,)
    ),
    "topk-warmed": Contestant(
        "TopK, k warm-up", _OURS, "OrderedTopKTrainingSAE", True, (("law", "full"),)
    ),
    "ordered-warmed": Contestant("ordered, k warm-up", _OURS, "OrderedTopKTrainingSAE", True),
}


@dataclass(frozen=True)
class Task:
    """One training: of which contestant, on which draw, at which rate, how long, kept where."""

    name: str
    seed: int
    rate: float
    n_steps: int
    file: Path


def synthetic_model(seed: int) -> Any:
    """Return the synthetic model of a draw: 128 features in 48 dimensions."""
    synthetic = library("sae_lens.synthetic")
    return synthetic.SyntheticModel(
        synthetic.SyntheticModelConfig(
            num_features=K,
            hidden_dim=D,
            firing_probability=synthetic.ZipfianFiringProbabilityConfig(
                exponent=0.5, max_prob=0.4, min_prob=0.01
            ),
            hierarchy=synthetic.HierarchyConfig(
                total_root_nodes=4,
                branching_factor=3,
                max_depth=2,
                mutually_exclusive_portion=1.0,
                compensate_probabilities=True,
            ),
            correlation=synthetic.LowRankCorrelationConfig(rank=4, correlation_scale=0.1),
            std_firing_magnitudes=0.5,
            seed=seed,
        )
    )


def measured(task: Task) -> dict[str, float]:
    """Train one SAE in SAELens's runner and measure it, unless its file is there already."""
    if task.file.exists():
        return json.loads(task.file.read_text(encoding="utf-8"))
    ours, config = library(_OURS), library("sae_lens.config")
    contestant = CONTESTANTS[task.name]
    model = synthetic_model(task.seed)
    with library("sae_lens.util").temporary_seed(derived_seed(task.seed, Axis.VALUES)):
        truth = model.activation_generator.sample(N_FOR_ORDER)
        heldout = truth[:N_HELDOUT]
        rows = model.feature_dict(heldout)
    warm_up = {"k_warm_up_steps": task.n_steps // 2} if contestant.warmed else {}
    sae = getattr(library(contestant.module), f"{contestant.kind}Config")(
        d_in=D,
        d_sae=K,
        k=_active(truth),
        **{name: list(v) if isinstance(v, tuple) else v for name, v in contestant.options},
        **warm_up,
    )
    runner = ours.SeededSyntheticSAERunner(
        ours.SyntheticSAERunnerConfig(
            synthetic_model=model.cfg,
            sae=sae,
            training_samples=task.n_steps * BATCH,
            batch_size=BATCH,
            lr=task.rate,
            lr_decay_steps=task.n_steps // 2,
            lr_end=0.0,
            lr_scheduler_name="constant",
            dead_feature_window=DEAD_AFTER,
            eval_samples=N_HELDOUT,
            checkpoint_path=None,
            output_path=None,
            logger=config.LoggingConfig(log_to_wandb=False),
        ),
        task.seed,
        override_synthetic_model=model,
    )
    done = runner.run()
    found = _theirs(done.final_eval) | _ours(done.sae, model, truth, rows)
    task.file.parent.mkdir(parents=True, exist_ok=True)
    write_text(task.file, json.dumps(found, indent=2) + "\n")
    return found


def _active(truth: torch.Tensor) -> int:
    """Return how many features fire a sample, rounded: what every SAE may use."""
    return max(1, round(float((truth > 0).sum(dim=-1).float().mean())))


def _theirs(result: Any) -> dict[str, float]:
    return {
        "explained_variance": float(result.explained_variance),
        "mcc": float(result.mcc),
        "uniqueness": float(result.uniqueness),
        "f1": float(result.classification.f1_score),
        "l0": float(result.sae_l0),
        "true_l0": float(result.true_l0),
        "dead": float(result.dead_latents),
    }


@torch.no_grad()
def _ours(sae: Any, model: Any, truth: torch.Tensor, rows: torch.Tensor) -> dict[str, float]:
    """Return Stab, and Ord against the order of the true energies: as trained and sorted."""
    D_true = _columns(model.feature_dict.feature_vectors)
    energies = truth.double().square().mean(dim=0).numpy()
    D_true = D_true[:, order_by(energies)]
    D_found = _columns(sae.W_dec)
    codes = torch.cat([sae.encode(part).to_dense() for part in rows.split(BATCH)]).double()
    if not sae.cfg.rescale_acts_by_decoder_norm:
        codes = codes * sae.W_dec.double().norm(dim=-1)
    dead = (codes == 0).all(dim=0).numpy()
    scores = {
        "ord_by_energy": codes.square().mean(dim=0).numpy(),
        "ord_by_frequency": (codes != 0).double().mean(dim=0).numpy(),
    }
    found = {"stab": match(D_true, D_found).stability, "ord": orderedness(D_true, D_found)}
    for name, score in scores.items():
        order: Int[np.ndarray, " K"] = order_by(score, dead, tie_seed=0)
        found[name] = orderedness(D_true, D_found[:, order])
    heldout_energies = truth[:N_HELDOUT].double().square().mean(dim=0).numpy()
    order = order_by(heldout_energies[order_by(energies)])
    found["ceiling_ord"] = orderedness(D_true, D_true[:, order])
    return found


def _columns(rows: torch.Tensor) -> Float[np.ndarray, "d K"]:
    return rows.detach().double().numpy().T.copy()


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
            for _ in in_workers(measured, wanted, options.workers):
                bar.update(1)
            return {task: measured(task) for task in wanted}

        tried = trained([t for rate in RATES for t in tasks(names, tuning, rate, n, options.out)])
        rates = {name: _best_rate(name, tried) for name in names}
        wanted = [t for name in names for t in tasks([name], draws, rates[name], n, options.out)]
        found = trained(wanted)
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
