"""How well an SAE reconstructs, and what it is held against."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from osae_theory.errors import InputError, check_finite, check_integer
from realdata.latents.sparse import LatentChunk, latent_statistics

# Rows of activations held at once, in float64, where whole arrays are not needed.
BATCH_ROWS = 8192


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
