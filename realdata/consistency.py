"""Consistency of a collection of SAEs over seeds, datasets and training tokens, and their fit."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from osae_theory.errors import InputError, check_choice, check_finite, check_integer, check_real
from osae_theory.metrics import LatentStatistics, cosines, order_by
from osae_theory.metrics.intervals import Estimate, estimate_shared
from realdata.compare import SCORES, PrefixScore, checked_prefixes, flat_intervals, prefix_scores
from realdata.latents import LatentChunk, latent_correlations, latent_statistics

TRAINED = "trained"
# Rows of activations held at once, in float64, where whole arrays are not needed.
BATCH_ROWS = 8192


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

    @property
    def key(self) -> tuple[str, int, str, int]:
        """Its label: method, seed, dataset and tokens."""
        return self.method, self.seed, self.dataset, self.tokens

    @property
    def run(self) -> tuple[str, int, str]:
        """The label of its run: method, seed and dataset."""
        return self.method, self.seed, self.dataset


def _by_frequency(
    statistics: LatentStatistics, decoder: Float[np.ndarray, "K d"]
) -> Int[np.ndarray, " K"]:
    return statistics.order_by_frequency()


def _by_energy(
    statistics: LatentStatistics, decoder: Float[np.ndarray, "K d"]
) -> Int[np.ndarray, " K"]:
    # What a latent adds to the reconstruction: its activation times its row, of whatever norm.
    energies = statistics.energies * np.sum(decoder.astype(np.float64) ** 2, axis=1)
    return order_by(energies, statistics.dead)


# Orders given to the latents after training, the same for every method.
ORDERS: Mapping[
    str, Callable[[LatentStatistics, Float[np.ndarray, "K d"]], Int[np.ndarray, " K"]]
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
        Of its latents, from `realdata.latents.latent_statistics`: best over the tokens it was
        trained on, so that the held-out text decides nothing.
    order : str
        A name in ORDERS: "by frequency", from the most often active latent down, or "by
        energy", from the greatest sum of squared activations times the decoder row's squared
        norm down; dead latents last, ties by lower index.

    Raises
    ------
    InputError
        If the order is unknown, the statistics are of another number of latents, or the
        checkpoint is sorted already.
    """
    check_choice("order", order, ORDERS)
    check_trained_order(checkpoint)
    K = len(checkpoint.decoder)
    if len(statistics.counts) != K:
        raise InputError(f"statistics of {len(statistics.counts)} latents: expected {K}")
    permutation = ORDERS[order](statistics, checkpoint.decoder)
    decoder = checkpoint.decoder[permutation]
    return replace(checkpoint, decoder=decoder, order=order, permutation=permutation)


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
        As in `realdata.compare.compare`, of the narrowest dictionary.
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
    return [
        PairScore(method, order, kind, tokens, (a.seed, b.seed), (a.dataset, b.dataset), score)
        for (method, order, tokens), own in groups.items()
        for a, b in combinations(own, 2)
        for kind in kinds
        if PAIR_KINDS[kind](a, b)
        for score in prefix_scores(similarity(a, b, sizes[-1]), sizes)
    ]


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
        By the names in SCORES, and "moved" against an initialisation. The interval is the
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
    leaving out a seed leaves it out in every dataset. One pair, or a single seed, has none.
    """
    groups: dict[tuple[str, str, str, int | None, int], list[PairScore]] = {}
    for s in scores:
        groups.setdefault((s.method, s.order, s.kind, s.tokens, s.score.prefix), []).append(s)
    return [
        curve_point(
            label,
            [set(s.seeds) for s in own],
            {name: [getattr(s.score, name) for s in own] for name in SCORES},
        )
        for label, own in groups.items()
    ]


def curve_point(
    label: tuple[str, str, str, int | None, int],
    seeds: Sequence[set[int]],
    values: Mapping[str, Sequence[float | None]],
) -> CurvePoint:
    """Return the point of one group, from the seeds and the values of its pairs or runs."""
    estimates = {name: estimate_shared(own, seeds) for name, own in values.items()}
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
    """Return one row a point, each estimate in five columns (mean, std, low, high, n), for CSV."""
    rows = []
    for point in points:
        fields: dict[str, Any] = {
            key: getattr(point, key)
            for key in ("method", "order", "kind", "tokens", "prefix", "pairs", "seeds")
        }
        for name, found in point.estimates.items():
            fields |= {f"{name}_{key}": value for key, value in asdict(found).items()}
        rows.append(flat_intervals(fields))
    return pd.DataFrame(rows)


# How well a run reconstructs, and what it is held against.


@dataclass(frozen=True)
class RunQuality:
    """The fit of one SAE on held-out activations.

    Attributes
    ----------
    fvu : float
        Fraction of variance unexplained, at least 0.
    mse : float
        Squared error averaged over all entries, in squared units of the activations.
    l0 : float
        Mean number of active latents.
    dead_share : float
        Share, in [0, 1], of latents active on no sample.
    n_samples : int
        How many samples.
    """

    fvu: float
    mse: float
    l0: float
    dead_share: float
    n_samples: int


def run_quality(
    chunks: Iterable[tuple[Float[np.ndarray, "_ _"], LatentChunk, Float[np.ndarray, "_ _"]]],
) -> RunQuality:
    """Return FVU, MSE, L0 and dead share over chunks of (activations, latents, reconstruction).

    The activations and their reconstruction stand in one space, standardised or not. Memory is
    that of a chunk. FVU is `osae_theory.metrics.fraction_of_variance_unexplained`.

    Raises
    ------
    InputError
        If there is no sample, shapes within or between chunks differ, an entry is NaN or
        infinite, or the activations do not vary.
    """
    scaler, statistics, squares = StandardScaler(), None, 0.0
    low, high = math.inf, -math.inf
    for x, latents, reconstruction in chunks:
        if len(x) == 0:
            continue
        own = latent_statistics([latents])
        _check_chunk(x, reconstruction, own.n_samples, scaler)
        data = x.astype(np.float64)
        squares += float(np.sum((data - reconstruction) ** 2))
        scaler.partial_fit(data)
        low, high = np.minimum(low, data.min(axis=0)), np.maximum(high, data.max(axis=0))
        statistics = own if statistics is None else statistics + own
    if statistics is None:
        raise InputError("the activations are empty: expected at least one sample")
    if not np.any(high > low):
        raise InputError("the activations have no variance: expected at least two different")
    n, variances = statistics.n_samples, _variances(scaler)
    return RunQuality(
        fvu=squares / (n * float(variances.sum())),
        mse=squares / (n * len(variances)),
        l0=float(statistics.counts.sum() / n),
        dead_share=float(statistics.dead.mean()),
        n_samples=n,
    )


def _variances(scaler: StandardScaler) -> Float[np.ndarray, " d"]:
    return np.asarray(scaler.var_, dtype=np.float64)


def _check_chunk(
    x: Float[np.ndarray, "n d"],
    reconstruction: Float[np.ndarray, "n_hat d_hat"],
    n_latents: int,
    scaler: StandardScaler,
) -> None:
    d = getattr(scaler, "n_features_in_", x.shape[1])
    if x.shape[1] != d:
        raise InputError(f"a chunk has activations of length {x.shape[1]}: expected {d}, as before")
    if reconstruction.shape != x.shape:
        raise InputError(f"a reconstruction has shape {reconstruction.shape}: expected {x.shape}")
    if n_latents != len(x):
        raise InputError(f"latents of {n_latents} samples: expected {len(x)}")
    check_finite("activations", x)
    check_finite("reconstruction", reconstruction)


def pca_fvu(
    train: Float[np.ndarray, "n d"],
    held_out: Float[np.ndarray, "n_other d_other"],
    components: Sequence[int],
) -> Float[np.ndarray, " counts"]:
    """Return the held-out FVU of PCA with each number of components: the floor at equal L0.

    A PCA spends one shared set of r directions, an SAE chooses its r latents sample by sample:
    an SAE above this curve at r = L0 has bought nothing with its dictionary.

    Parameters
    ----------
    train, held_out : (n, d) and (n', d)
        Activations; mean and directions come from `train`. `train` is held twice in float64.
    components : sequence of int
        Each in 0..min(n - 1, d), since n samples span n - 1 directions; 0 is reconstruction by
        the mean. Take ceil(L0), so that the PCA never has fewer components than the SAE has
        active latents.

    Raises
    ------
    InputError
        If the shapes do not agree, an entry is NaN or infinite, `train` has fewer than two
        samples, `held_out` does not vary, or a number of components is out of range.
    """
    if held_out.shape[1] != train.shape[1]:
        raise InputError(f"held_out has length {held_out.shape[1]}: expected {train.shape[1]}")
    check_finite("train", train)
    check_finite("held_out", held_out)
    if len(train) < 2:
        raise InputError(f"train holds {len(train)} samples: expected at least two")
    most = min(len(train) - 1, train.shape[1])
    for count in components:
        check_integer("components", count, 0)
        if count > most:
            raise InputError(f"components = {count}: expected at most {most}")
    if len(held_out) == 0 or not np.ptp(held_out, axis=0).any():
        raise InputError("held_out has no variance: expected at least two different samples")
    # Directions in full: one fit answers for every number of components.
    pca = PCA(svd_solver="covariance_eigh" if len(train) >= train.shape[1] else "full")
    pca.fit(train.astype(np.float64))
    explained, total = np.zeros(most), 0.0
    scaler = StandardScaler()
    for rows in gen_batches(len(held_out), BATCH_ROWS):
        data = held_out[rows].astype(np.float64)
        explained += np.sum(pca.transform(data)[:, :most] ** 2, axis=0)
        total += float(np.sum((data - pca.mean_) ** 2))
        scaler.partial_fit(data)
    left = total - np.concatenate([[0.0], np.cumsum(explained)])
    variance = len(held_out) * float(_variances(scaler).sum())
    return np.maximum(left, 0.0)[list(components)] / variance


def pareto_front(
    l0: Float[np.ndarray, " n"], fvu: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Return which points no other beats: none has both L0 and FVU as low and one of them lower.

    Raises InputError if an entry is NaN or infinite.
    """
    check_finite("l0", l0)
    check_finite("fvu", fvu)
    as_low = (l0[:, None] <= l0) & (fvu[:, None] <= fvu)
    lower = (l0[:, None] < l0) | (fvu[:, None] < fvu)
    return ~np.any(as_low & lower, axis=0)


# Which checkpoints to compare: at equal loss, at equal tokens, at equal seconds.


@dataclass(frozen=True, eq=False)
class Pairing:
    """One checkpoint a run, chosen by one rule.

    Attributes
    ----------
    rule : str
        The rule, for the caption of what is drawn from it.
    target : float
        The common loss, tokens or seconds.
    checkpoints : tuple of Checkpoint
        One for each run and order, in the order in which they first occur.
    """

    rule: str
    target: float
    checkpoints: tuple[Checkpoint, ...]


def equal_loss(checkpoints: Sequence[Checkpoint], target: float | None = None) -> Pairing:
    """Choose for each run the checkpoint whose held-out loss is nearest to a common target.

    The default target is the greatest of the runs' lowest losses: the worst run decides, so
    that every run reaches it. Ties go to fewer tokens. Compare the result with
    `pair_scores(..., across_tokens=True)`.

    Raises InputError if there is no checkpoint, a loss is missing or not finite, or the target
    is not finite.
    """
    runs = _runs(checkpoints, "loss")
    lowest = [min(_known(c, "loss") for c in own) for own in runs]
    common = max(lowest) if target is None else target
    check_real("target", common)
    chosen = [min(own, key=lambda c: (abs(_known(c, "loss") - common), c.tokens)) for own in runs]
    return Pairing(f"held-out loss nearest to {common:.4g}", float(common), tuple(chosen))


def equal_tokens(checkpoints: Sequence[Checkpoint], tokens: int | None = None) -> Pairing:
    """Choose for each run the checkpoint with one common number of tokens.

    The default is the greatest number that every run has.

    Raises InputError if there is no checkpoint, or no such number, or a run lacks the one given.
    """
    runs = _runs(checkpoints)
    shared = set.intersection(*({c.tokens for c in own} for own in runs))
    if tokens is None and not shared:
        raise InputError("the runs share no number of tokens: expected at least one")
    common = max(shared) if tokens is None else tokens
    check_integer("tokens", common, 0)
    chosen = []
    for own in runs:
        found = [c for c in own if c.tokens == common]
        if not found:
            raise InputError(f"{own[0].run} has no checkpoint of {common} tokens")
        chosen += found
    return Pairing(f"{common} tokens", float(common), tuple(chosen))


def equal_seconds(checkpoints: Sequence[Checkpoint], seconds: float | None = None) -> Pairing:
    """Choose for each run its last checkpoint within a common time of training.

    The default is the least of the runs' whole times, which the quickest run spends in full and
    the others in part. Compare the result with `pair_scores(..., across_tokens=True)`.

    Raises InputError if there is no checkpoint, a time is missing or not finite, or a run has
    no checkpoint within the time.
    """
    runs = _runs(checkpoints, "seconds")
    whole = [max(_known(c, "seconds") for c in own) for own in runs]
    common = min(whole) if seconds is None else seconds
    check_real("seconds", common)
    chosen = []
    for own in runs:
        within = [c for c in own if _known(c, "seconds") <= common]
        if not within:
            raise InputError(f"{own[0].run} has no checkpoint within {common:g} seconds")
        chosen.append(max(within, key=lambda c: (_known(c, "seconds"), c.tokens)))
    return Pairing(f"at most {common:.4g} s of training", float(common), tuple(chosen))


def _runs(checkpoints: Sequence[Checkpoint], needed: str | None = None) -> list[list[Checkpoint]]:
    """Return the checkpoints by run and order, once each has what the rule needs."""
    if not checkpoints:
        raise InputError("there are no checkpoints: expected at least one")
    check_labels(checkpoints, across_tokens=False)
    runs: dict[tuple[tuple[str, int, str], str], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        if needed is not None:
            check_real(f"{needed} of {checkpoint.key}", getattr(checkpoint, needed))
        runs.setdefault((checkpoint.run, checkpoint.order), []).append(checkpoint)
    return list(runs.values())


def _known(checkpoint: Checkpoint, field: str) -> float:
    return float(getattr(checkpoint, field))
