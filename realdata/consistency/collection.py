"""Consistency of a collection of SAEs over seeds, datasets and training tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from osae_theory.errors import InputError, check_choice
from osae_theory.metrics import LatentStatistics, cosines
from osae_theory.metrics.intervals import Estimate, estimate_shared
from osae_theory.seeds import Axis, derived_seed
from realdata.comparison.prefixes import checked_prefixes
from realdata.comparison.scores import BOUNDS, PrefixScore, prefix_scores
from realdata.comparison.text import estimate_fields, flat_intervals
from realdata.latents.correlations import latent_correlations
from realdata.latents.sparse import LatentChunk, order_by_contribution

TRAINED = "trained"
SHARE = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One dictionary of the collection: an SAE at one moment of its training.

    Attributes
    ----------
    method : str
        The method's name, such as "osae".
    seed : int
        The seed of the run. Runs of one seed share their initialisation, also across datasets.
    dataset : str
        The name of the corpus it was trained on.
    tokens : int
        How many tokens it has seen; 0 is the run's initialisation.
    decoder : (K, d)
        Decoder rows in the order of the latents.
    loss : float or None
        Held-out loss, where it is known.
    seconds : float or None
        Seconds of training so far, where they are known.
    order : str
        "trained", or the name in ORDERS of the order in which its latents were put afterwards.
    permutation : (K,) int or None
        The latents' trained positions, in this order; None as trained.
    live : (K,) bool or None
        Which of the latents, in this order, were ever active on the text it was trained on; None
        where that is not known, which counts as all. Dead ones have no place in Ord.
    """

    method: str
    seed: int
    dataset: str
    tokens: int
    decoder: Float[np.ndarray, "K d"]
    loss: float | None = None
    seconds: float | None = None
    order: str = TRAINED
    permutation: Int[np.ndarray, " K"] | None = None
    live: Bool[np.ndarray, " K"] | None = None

    @property
    def key(self) -> tuple[str, int, str, int]:
        """Its label: method, seed, dataset and tokens."""
        return self.method, self.seed, self.dataset, self.tokens

    @property
    def run(self) -> tuple[str, int, str]:
        """The label of its run: method, seed and dataset."""
        return self.method, self.seed, self.dataset


def _by_frequency(
    statistics: LatentStatistics, decoder: Float[np.ndarray, "K d"], tie_seed: int
) -> Int[np.ndarray, " K"]:
    return statistics.order_by_frequency(tie_seed)


def _by_energy(
    statistics: LatentStatistics, decoder: Float[np.ndarray, "K d"], tie_seed: int
) -> Int[np.ndarray, " K"]:
    lengths = np.sum(decoder.astype(np.float64) ** 2, axis=1)
    return order_by_contribution(statistics, lengths, tie_seed)


# Orders given to the latents after training, the same for every method.
ORDERS: Mapping[
    str, Callable[[LatentStatistics, Float[np.ndarray, "K d"], int], Int[np.ndarray, " K"]]
] = MappingProxyType({"by frequency": _by_frequency, "by energy": _by_energy})


def sorted_afterwards(
    checkpoint: Checkpoint, statistics: LatentStatistics, order: str
) -> Checkpoint:
    """Return the same SAE with its latents put into an order after training.

    Parameters
    ----------
    checkpoint : Checkpoint
        As trained.
    statistics : LatentStatistics
        Of its latents, from `realdata.latents.sparse.latent_statistics`: best over the tokens it
        was trained on, so that the held-out text decides nothing.
    order : str
        A name in ORDERS: "by frequency", from the most often active latent down, or "by
        energy", from the greatest sum of squared activations times the decoder row's squared
        norm down; dead latents last. Ties, and the dead among themselves, stand in an order
        drawn for this method, seed and dataset, so that nothing of the trained order is left.

    Raises
    ------
    InputError
        If the order is unknown, the statistics are of another number of latents, or the
        checkpoint is sorted already.
    """
    check_choice("order", order, ORDERS)
    known = with_liveness(checkpoint, statistics)
    label = crc32(f"{checkpoint.method} {checkpoint.dataset}".encode())
    tie_seed = derived_seed(checkpoint.seed, Axis.TIES, label)
    permutation = ORDERS[order](statistics, checkpoint.decoder, tie_seed)
    return replace(
        known,
        decoder=checkpoint.decoder[permutation],
        order=order,
        permutation=permutation,
        live=~statistics.dead[permutation],
    )


def with_liveness(checkpoint: Checkpoint, statistics: LatentStatistics) -> Checkpoint:
    """Return a checkpoint, as trained, that knows which of its latents are ever active.

    Raises InputError if the statistics are of another number of latents, or the checkpoint was
    sorted afterwards.
    """
    check_trained_order(checkpoint)
    K = len(checkpoint.decoder)
    if len(statistics.counts) != K:
        raise InputError(f"statistics of {len(statistics.counts)} latents: expected {K}")
    return replace(checkpoint, live=~statistics.dead)


def check_trained_order(checkpoint: Checkpoint) -> None:
    """Raise InputError if a checkpoint was sorted afterwards."""
    if checkpoint.order != TRAINED:
        raise InputError(
            f"{checkpoint.key} is in the order {checkpoint.order!r}: expected {TRAINED!r}"
        )


def _cross_seed(a: Checkpoint, b: Checkpoint) -> bool:
    return a.seed != b.seed and a.dataset == b.dataset


def _cross_dataset_cross_seed(a: Checkpoint, b: Checkpoint) -> bool:
    return a.seed != b.seed and a.dataset != b.dataset


def _cross_dataset_same_seed(a: Checkpoint, b: Checkpoint) -> bool:
    return a.seed == b.seed and a.dataset != b.dataset


# Pairs, by what the two runs share.
PAIR_KINDS: Mapping[str, Callable[[Checkpoint, Checkpoint], bool]] = MappingProxyType(
    {
        "cross-seed": _cross_seed,
        "cross-dataset cross-seed": _cross_dataset_cross_seed,
        "cross-dataset same-seed": _cross_dataset_same_seed,
    }
)

# From two checkpoints and a width: the similarities of their first atoms or latents.
Similarity = Callable[[Checkpoint, Checkpoint, int], Float[np.ndarray, "p p"]]


def decoder_similarity(
    a: Checkpoint, b: Checkpoint, width: int
) -> Float[np.ndarray, "width width"]:
    """Return the cosines of the first `width` atoms of both: the paper's Stab and Ord."""
    return cosines(a.decoder[:width].T, b.decoder[:width].T)


def activation_similarity(
    latents: Mapping[tuple[str, int, str, int], Sequence[LatentChunk]],
) -> Similarity:
    """Return the similarity of Stab_Z and Ord_Z: correlations of latents on held-out text.

    Parameters
    ----------
    latents : mapping of Checkpoint.key to a sequence of chunks
        Of every checkpoint that is compared, as trained, on the same samples in the same
        chunks; a checkpoint that was sorted afterwards takes its columns in its own order.
    """

    def similarity(a: Checkpoint, b: Checkpoint, width: int) -> Float[np.ndarray, "width width"]:
        for checkpoint in (a, b):
            if checkpoint.key not in latents:
                raise InputError(f"there are no latents of {checkpoint.key}")
        return latent_correlations(
            latents[a.key], latents[b.key], _first_latents(a, width), _first_latents(b, width)
        )

    return similarity


def _first_latents(checkpoint: Checkpoint, width: int) -> Int[np.ndarray, " width"]:
    order = checkpoint.permutation
    return np.arange(width) if order is None else order[:width]


@dataclass(frozen=True)
class PairScore:
    """The scores of two checkpoints of one method at one prefix.

    Attributes
    ----------
    method, order : str
        Of both.
    kind : str
        A name in PAIR_KINDS.
    tokens : int or None
        Of both; None where checkpoints of different tokens are paired.
    seeds, datasets : pairs of int and of str
        Of the two.
    score : PrefixScore
        Stab and Ord.
    """

    method: str
    order: str
    kind: str
    tokens: int | None
    seeds: tuple[int, int]
    datasets: tuple[str, str]
    score: PrefixScore


def pair_scores(
    checkpoints: Sequence[Checkpoint],
    prefixes: Sequence[int] | None = None,
    similarity: Similarity = decoder_similarity,
    kinds: Sequence[str] = tuple(PAIR_KINDS),
    across_tokens: bool = False,
) -> list[PairScore]:
    """Return the scores of every pair of checkpoints of one method, order and number of tokens.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        No two with the same method, seed, dataset, tokens and order.
    prefixes : sequence of int, optional
        As in `realdata.comparison.compare.compare`, of the narrowest dictionary.
    similarity : callable
        `decoder_similarity`, or one that `activation_similarity` returns.
    kinds : sequence of str
        Which kinds of pairs, by their names in PAIR_KINDS.
    across_tokens : bool
        Pair checkpoints whatever their tokens, as equal-loss comparisons need; then each run
        may come once only.

    Raises
    ------
    InputError
        If a label occurs twice, a kind is unknown, atoms differ in length, or a prefix is not
        in 1..K of the narrowest.
    """
    for kind in kinds:
        check_choice("kind", kind, PAIR_KINDS)
    check_labels(checkpoints, across_tokens)
    sizes = checked_prefixes(prefixes, min((len(c.decoder) for c in checkpoints), default=1))
    groups: dict[tuple[str, str, int | None], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        tokens = None if across_tokens else checkpoint.tokens
        groups.setdefault((checkpoint.method, checkpoint.order, tokens), []).append(checkpoint)
    found: list[PairScore] = []
    for (method, order, tokens), own in groups.items():
        for place, (a, b) in enumerate(combinations(own, 2)):
            for kind in kinds:
                if PAIR_KINDS[kind](a, b):
                    label = (method, order, kind, tokens, (a.seed, b.seed), (a.dataset, b.dataset))
                    S = similarity(a, b, sizes[-1])
                    live = _live(a, sizes[-1]), _live(b, sizes[-1])
                    found += [PairScore(*label, s) for s in prefix_scores(S, sizes, live, place)]
    return found


def _live(checkpoint: Checkpoint, width: int) -> Bool[np.ndarray, " width"]:
    return np.ones(width, dtype=bool) if checkpoint.live is None else checkpoint.live[:width]


def check_labels(checkpoints: Sequence[Checkpoint], across_tokens: bool) -> None:
    """Raise InputError if a label occurs twice; across tokens, these are no part of it."""
    seen = set()
    for checkpoint in checkpoints:
        label = checkpoint.run if across_tokens else checkpoint.key
        if (label, checkpoint.order) in seen:
            raise InputError(f"{(*label, checkpoint.order)} occurs twice: expected it once")
        seen.add((label, checkpoint.order))


@dataclass(frozen=True, eq=False)
class CurvePoint:
    """One point of a curve: the estimates over the pairs, or runs, of one group at one prefix.

    Attributes
    ----------
    method, order : str
        What was compared with itself.
    kind : str
        A name in PAIR_KINDS, or "own initialisation".
    tokens : int or None
        As in PairScore.
    prefix : int
        How many of the first atoms.
    pairs, seeds : int
        How many pairs, or runs, and how many different seeds stand behind it.
    estimates : mapping of str to Estimate
        By the names in BOUNDS, and "moved" against an initialisation. The interval is the
        jackknife's over seeds: leaving out a seed leaves out all that it enters.
    """

    method: str
    order: str
    kind: str
    tokens: int | None
    prefix: int
    pairs: int
    seeds: int
    estimates: Mapping[str, Estimate]


def summarise(scores: Sequence[PairScore]) -> list[CurvePoint]:
    """Return one point for each method, order, kind of pair, number of tokens and prefix.

    Seeds are the units of the intervals: runs of one seed share their initialisation, so that
    leaving out a seed leaves it out in every dataset. Below three seeds there is none.
    """
    groups: dict[tuple[str, str, str, int | None, int], list[PairScore]] = {}
    for s in scores:
        groups.setdefault((s.method, s.order, s.kind, s.tokens, s.score.prefix), []).append(s)
    return [
        curve_point(
            label,
            [set(s.seeds) for s in own],
            {name: [getattr(s.score, name) for s in own] for name in BOUNDS},
        )
        for label, own in groups.items()
    ]


def curve_point(
    label: tuple[str, str, str, int | None, int],
    seeds: Sequence[set[int]],
    values: Mapping[str, Sequence[float | None]],
) -> CurvePoint:
    """Return the point of one group, from the seeds and the values of its pairs or runs."""
    estimates = {
        name: estimate_shared(own, seeds, bounds=BOUNDS.get(name, SHARE))
        for name, own in values.items()
    }
    return CurvePoint(*label, len(seeds), len(set().union(*seeds)), estimates)


def score_frame(scores: Sequence[PairScore]) -> pd.DataFrame:
    """Return one row a pair and prefix, for CSV."""
    rows = []
    for s in scores:
        labels = {"method": s.method, "order": s.order, "kind": s.kind, "tokens": s.tokens}
        sides = {"seed": s.seeds[0], "seed_other": s.seeds[1]}
        sides |= {"dataset": s.datasets[0], "dataset_other": s.datasets[1]}
        rows.append(labels | sides | asdict(s.score))
    return pd.DataFrame(rows)


def point_frame(points: Sequence[CurvePoint]) -> pd.DataFrame:
    """Return one row a point, seven columns an estimate (see `estimate_fields`), for CSV."""
    rows = []
    for point in points:
        fields: dict[str, Any] = {
            key: getattr(point, key)
            for key in ("method", "order", "kind", "tokens", "prefix", "pairs", "seeds")
        }
        for name, found in point.estimates.items():
            fields |= estimate_fields(name, found)
        rows.append(flat_intervals(fields))
    return pd.DataFrame(rows)
