"""One training on SAELens's synthetic model: its data, its runner, what is measured."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from benchmarks.code_state import code_state
from benchmarks.files import write_text
from benchmarks.peers.base import library, seeded
from osae_theory.metrics import match, order_by, orderedness
from osae_theory.prefixes import matryoshka_group_ends
from osae_theory.seeds import Axis, derived_seed

MODULE = "benchmarks.peers.synthetic_runs"
D, K, BATCH = 48, 128, 512
# Steps without firing after which a latent is dead and enters the auxiliary loss.
DEAD_AFTER = 100
N_HELDOUT = 50_000
N_FOR_ORDER = 200_000
_OURS = "osae_theory.integrations.sae_lens"
_THEIRS = "sae_lens"


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
    """Train one SAE in SAELens's runner and measure it, unless its file says that it was.

    A training that diverges has an explained variance of NaN and nothing else.
    """
    made_by = _made_by()
    if task.file.exists():
        kept = json.loads(task.file.read_text(encoding="utf-8"))
        if kept.get("made_by") == made_by:
            return kept["found"]
    ours, config = library(_OURS), library("sae_lens.config")
    contestant = CONTESTANTS[task.name]
    model = synthetic_model(task.seed)
    with seeded(derived_seed(task.seed, Axis.VALUES)):
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
    try:
        done = runner.run()
        found = _theirs(done.final_eval) | _ours(done.sae, model, truth, rows)
    except ValueError:
        # Ours refuses scores that are no numbers, and the evaluations refuse such weights.
        if bool(runner.sae.W_dec.isfinite().all()):
            raise
        found = {"explained_variance": math.nan}
    task.file.parent.mkdir(parents=True, exist_ok=True)
    write_text(task.file, json.dumps({"made_by": made_by, "found": found}, indent=2) + "\n")
    return found


def _made_by() -> dict[str, str]:
    """Return what decides a run beside its task: another answer, and it is trained again."""
    return {"code": code_state(MODULE, _OURS), "sae-lens": library("sae_lens").__version__}


def named(task: Task) -> tuple[Task, dict[str, float]]:
    """Return a task with what `measured` gives: workers end in any order."""
    return task, measured(task)


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
    matched = match(D_found, D_true, live=(~dead, np.ones(K, dtype=bool)))
    scores = {
        "ord_by_energy": codes.square().mean(dim=0).numpy(),
        "ord_by_frequency": (codes != 0).double().mean(dim=0).numpy(),
    }
    found = {"stab": matched.stability, "ord": matched.orderedness}
    for name, score in scores.items():
        order: Int[np.ndarray, " K"] = order_by(score, dead, tie_seed=0)
        found[name] = matched.reordered(order).orderedness
    heldout_energies = truth[:N_HELDOUT].double().square().mean(dim=0).numpy()
    order = order_by(heldout_energies[order_by(energies)])
    found["ceiling_ord"] = orderedness(D_true, D_true[:, order])
    return found


def _columns(rows: torch.Tensor) -> Float[np.ndarray, "d K"]:
    return rows.detach().double().numpy().T.copy()
