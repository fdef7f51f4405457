"""What an experiment shows: fit, consistency, drift and stitching of its runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from osae_theory.errors import InputError
from realdata.activations.store import ActivationStore
from realdata.comparison.levels import Chance, chance_levels
from realdata.comparison.prefixes import checked_prefixes
from realdata.consistency.collection import (
    ORDERS,
    Checkpoint,
    CurvePoint,
    PairScore,
    Similarity,
    pair_scores,
    sorted_afterwards,
    summarise,
    with_liveness,
)
from realdata.consistency.differences import Difference, differences_from
from realdata.consistency.initialisation import (
    InitialisationScore,
    against_initialisation,
    summarise_initialisation,
)
from realdata.consistency.pairing import Pairing, equal_loss, equal_seconds
from realdata.consistency.stitching import Stitching, StitchingRule, stitch
from realdata.experiment.evaluation import Evaluation, residual_chunks, standardised_decoder
from realdata.experiment.presets import Preset
from realdata.experiment.stores import Stores
from realdata.latents.correlations import latent_correlations
from realdata.latents.quality import pca_fvu

MOVED_BELOW = 0.9
# What the others' consistency is held against, sorted afterwards.
PLAIN = "topk"
# Rows of the training part that the PCA is fitted on, at most.
_PCA_ROWS = 50_000


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run with all that was measured of it.

    Attributes
    ----------
    dataset : str
        The corpus it was trained on.
    folder : Path
        Its checkpoints.
    evaluation : Evaluation
        Fit and latents.
    spliced : mapping of str to float, or None
        From `realdata.experiment.evaluation.splice_all`, where that was done.
    """

    dataset: str
    folder: Path
    evaluation: Evaluation
    spliced: Mapping[str, float] | None = None

    @property
    def method(self) -> str:
        """Its method."""
        return self.evaluation.record["method"]

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.evaluation.record["seed"]

    @property
    def name(self) -> str:
        """What it is called: corpus, method and seed."""
        return f"{self.dataset}/{self.method}/seed-{self.seed}"

    @property
    def tokens(self) -> int:
        """The activations it has seen."""
        return self.evaluation.record["snapshots"][-1]["tokens"]

    @property
    def diverged(self) -> bool:
        """Whether its training diverged, so that its weights are its initial ones."""
        return self.evaluation.record["diverged"]

    def snapshots(self) -> list[Checkpoint]:
        """Return its checkpoints, their loss the held-out FVU."""
        return [
            Checkpoint(
                method=self.method,
                seed=self.seed,
                dataset=self.dataset,
                tokens=entry["tokens"],
                decoder=standardised_decoder(self.folder, entry["tokens"]),
                loss=self.evaluation.quality[entry["tokens"]]["fvu"],
                seconds=entry["seconds"],
            )
            for entry in self.evaluation.record["snapshots"]
        ]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything that tables and figures are made of.

    Attributes
    ----------
    runs : tuple of dict
        One a run: its label, fit, cross-entropies and training time.
    pca : mapping of str to (components, FVU)
        By corpus: the floor that an SAE is held against at its L0.
    prefixes : tuple of int
        At which consistency is measured; the last is K.
    chance : mapping of int to Chance
        Stab's level for unrelated dictionaries, by prefix.
    pairs : mapping of str to list of PairScore
        "decoder", and "activations" for Stab_Z and Ord_Z: final checkpoints, as trained and
        sorted afterwards.
    points : mapping of str to list of CurvePoint
        The same, summarised.
    differences : list of Difference
        Of the decoders' consistency from that of the plain top-m SAE, in each of ORDERS.
    over_training : list of CurvePoint
        Cross-seed pairs at every snapshot, as trained.
    initialisation : list of InitialisationScore
        Each snapshot against its run's initialisation.
    drift : list of CurvePoint
        The same, summarised.
    equal : mapping of str to (rule, points)
        Cross-seed pairs of checkpoints chosen at "equal loss" and "equal seconds".
    stitchings : mapping of str to list of Stitching
        By method: the wide SAE held against each of its runs on the first corpus.
    diverged : tuple of str
        Runs that are in nothing but `runs` and `other_m`.
    other_m : tuple of dict
        As `runs`, of those with other numbers of active latents, on the first corpus.
    wide : dict or None
        As one of `runs`, of the wide SAE: where many of its latents are dead, or it fits no
        better than a narrow one, the stitching says little.
    """

    runs: tuple[dict[str, Any], ...]
    pca: Mapping[str, tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]]]
    prefixes: tuple[int, ...]
    chance: Mapping[int, Chance]
    pairs: Mapping[str, list[PairScore]]
    points: Mapping[str, list[CurvePoint]]
    differences: list[Difference]
    over_training: list[CurvePoint]
    initialisation: list[InitialisationScore]
    drift: list[CurvePoint]
    equal: Mapping[str, tuple[str, list[CurvePoint]]]
    stitchings: Mapping[str, list[Stitching]]
    diverged: tuple[str, ...]
    other_m: tuple[dict[str, Any], ...] = ()
    wide: dict[str, Any] | None = None


def analyse(
    preset: Preset,
    runs: Sequence[Trained],
    other_m: Sequence[Trained],
    wide: Sequence[Trained],
    stores: Mapping[str, Stores],
) -> Analysis:
    """Return what the runs of an experiment show.

    Cosines are taken in standardised coordinates, one scale for both corpora: there the atoms
    have unit norm, as trained, and the chance level of isotropic atoms applies.

    Parameters
    ----------
    preset : Preset
        What was run.
    runs : sequence of Trained
        The runs with m active latents, as many as the preset says.
    other_m : sequence of Trained
        Those with other numbers of active latents.
    wide : sequence of Trained
        The wide SAE, or nothing.
    stores : mapping of str to Stores
        By corpus.

    Raises
    ------
    InputError
        If all runs diverged.
    """
    sound = [run for run in runs if not run.diverged]
    if not sound:
        raise InputError("every run diverged: expected a learning rate at which one does not")
    prefixes = checked_prefixes(None, preset.K)
    snapshots = [checkpoint for run in sound for checkpoint in run.snapshots()]
    last = {run.name: run.tokens for run in sound}
    final = [c for c in snapshots if c.tokens == last[_name(c)]]
    by_name = {run.name: run for run in sound}
    ordered = [with_liveness(c, by_name[_name(c)].evaluation.statistics) for c in final] + [
        sorted_afterwards(c, by_name[_name(c)].evaluation.statistics, order)
        for order in ORDERS
        for c in final
    ]
    pairs = {
        "decoder": pair_scores(ordered, prefixes),
        "activations": pair_scores(ordered, prefixes, _activation_similarity(by_name)),
    }
    initialisation = against_initialisation(snapshots, prefixes, MOVED_BELOW)
    over_training = pair_scores(snapshots, prefixes, kinds=("cross-seed",))
    pca = {name: _pca(own, preset) for name, own in stores.items()}
    return Analysis(
        runs=tuple(_run_fields(run, pca[run.dataset]) for run in runs),
        pca=pca,
        prefixes=prefixes,
        chance=chance_levels(final[0].decoder.shape[1], prefixes),
        pairs=pairs,
        points={name: summarise(scores) for name, scores in pairs.items()},
        differences=[
            found for order in ORDERS for found in differences_from(pairs["decoder"], PLAIN, order)
        ],
        over_training=summarise(over_training),
        initialisation=initialisation,
        drift=summarise_initialisation(initialisation),
        equal={
            "equal loss": _equal(equal_loss, snapshots, prefixes),
            "equal seconds": _equal(equal_seconds, snapshots, prefixes),
        },
        stitchings=_stitchings(preset, sound, wide, stores),
        diverged=tuple(run.name for run in (*runs, *other_m, *wide) if run.diverged),
        other_m=tuple(_run_fields(run, pca[run.dataset]) for run in other_m),
        wide=_run_fields(wide[0], pca[wide[0].dataset]) if wide else None,
    )


def _name(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.dataset}/{checkpoint.method}/seed-{checkpoint.seed}"


def _activation_similarity(runs: Mapping[str, Trained]) -> Similarity:
    """Return the correlations of final latents; each pair of runs is correlated once."""
    known: dict[tuple[str, str], Float[np.ndarray, "K K"]] = {}

    def similarity(a: Checkpoint, b: Checkpoint, width: int) -> Float[np.ndarray, "p p"]:
        names = _name(a), _name(b)
        if names not in known:
            one, other = (runs[name].evaluation.latents for name in names)
            known[names] = latent_correlations([one], [other])
        first, second = (
            np.arange(width) if c.permutation is None else c.permutation[:width] for c in (a, b)
        )
        return known[names][np.ix_(first, second)]

    return similarity


def _equal(
    choose: Callable[[Sequence[Checkpoint]], Pairing],
    snapshots: Sequence[Checkpoint],
    prefixes: Sequence[int],
) -> tuple[str, list[CurvePoint]]:
    chosen = choose(snapshots)
    scores = pair_scores(chosen.checkpoints, prefixes, kinds=("cross-seed",), across_tokens=True)
    return chosen.rule, summarise(scores)


def _pca(
    own: Stores, preset: Preset
) -> tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]]:
    """Return PCA's held-out FVU for numbers of components around m."""
    store = own.training
    chosen = np.linspace(0, store.n - 1, min(store.n, _PCA_ROWS)).astype(np.int64)
    most = min(len(chosen) - 1, store.d)
    counts = np.arange(1, min(8 * max(preset.m, *preset.other_m, 1), most) + 1)
    fvu = pca_fvu(store.rows(chosen), own.evaluation.read_all(), counts.tolist())
    return counts.astype(np.float64), fvu


def _run_fields(
    run: Trained, pca: tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]]
) -> dict[str, Any]:
    record, quality = run.evaluation.record, run.evaluation.quality[run.tokens]
    components = math.ceil(quality["l0"])
    floor = pca[1][components - 1] if 1 <= components <= len(pca[1]) else None
    spliced = run.spliced or {}
    return {
        "dataset": run.dataset,
        "method": run.method,
        "seed": run.seed,
        "m": run.evaluation.m,
        "learning_rate": record["learning_rate"],
        "diverged": run.diverged,
        "tokens": run.tokens,
        "seconds": record["snapshots"][-1]["seconds"],
        **quality,
        "pca_fvu": None if floor is None else float(floor),
        **{
            f"ce_{name}": spliced.get(name) for name in ("clean", "spliced", "ablated", "recovered")
        },
    }


def _stitchings(
    preset: Preset,
    runs: Sequence[Trained],
    wide: Sequence[Trained],
    stores: Mapping[str, Stores],
) -> dict[str, list[Stitching]]:
    if not wide or wide[0].diverged:
        return {}
    first = preset.corpora[0]
    heldout: ActivationStore = stores[first].evaluation
    folder = wide[0].folder
    decoder = standardised_decoder(folder, wide[0].tokens)
    found: dict[str, list[Stitching]] = {}
    for run in runs:
        if run.dataset == first:
            narrow = standardised_decoder(run.folder, run.tokens)
            chunks = residual_chunks(folder, run.folder, heldout)
            found.setdefault(run.method, []).append(
                stitch(decoder, narrow, chunks, StitchingRule())
            )
    return found
