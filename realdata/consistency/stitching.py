"""SAE stitching: which latents of a wide SAE are new to a narrow one (Leask et al., 2025)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.metrics import roc_auc_score
from sklearn.utils import gen_batches

from osae_theory.errors import InputError, check_choice, check_finite, check_real
from osae_theory.metrics import cosines
from realdata.latents.sparse import LatentChunk, as_sparse

NOVEL, RECONSTRUCTION, NO_CHANGE = "novel", "reconstruction", "no MSE change"
CLASSES = (NOVEL, RECONSTRUCTION, NO_CHANGE)
# Wide latents taken at once: a block of cosines and one of products fit in memory.
BLOCK = 4096


@dataclass(frozen=True)
class StitchingRule:
    """How a latent of the wide SAE is classed.

    Leask et al. (2025) class by effect: a latent of the larger SAE is novel when adding it to
    the smaller one improves the reconstruction, and a reconstruction latent when it does not.
    They give its greatest cosine to the smaller SAE's decoder as a cheap predictor: low for
    novel latents, high for reconstruction latents. The class "no MSE change" is one of Table 2
    of Wang et al. (2025); how it is bounded here is ours.

    Attributes
    ----------
    decide_by : str
        "cosine": novel below the threshold, reconstruction from it on. "effect": novel when the
        MSE falls, reconstruction when it rises. Either after "no MSE change", which goes first.
        The default is the predictor; both are kept in the result.
    threshold : float
        Of the greatest signed cosine, in [-1, 1]. The default 0.7 is ours.
    tolerance : float
        A latent leaves the MSE unchanged when adding it changes the narrow SAE's MSE by at most
        this share of it, at least 0. The default 1e-7 is ours: it holds latents that are never
        active, which change nothing at all, and those whose effect is of that size.
    """

    decide_by: str = "cosine"
    threshold: float = 0.7
    tolerance: float = 1e-7

    def __post_init__(self) -> None:
        check_choice("decide_by", self.decide_by, _DECISIONS)
        check_real("threshold", self.threshold, at_least=-1.0, at_most=1.0)
        check_real("tolerance", self.tolerance, at_least=0.0)


def _novel_by_cosine(
    rule: StitchingRule, cosine: Float[np.ndarray, " K"], change: Float[np.ndarray, " K"]
) -> Bool[np.ndarray, " K"]:
    return cosine < rule.threshold


def _novel_by_effect(
    rule: StitchingRule, cosine: Float[np.ndarray, " K"], change: Float[np.ndarray, " K"]
) -> Bool[np.ndarray, " K"]:
    return change < 0


_DECISIONS = MappingProxyType({"cosine": _novel_by_cosine, "effect": _novel_by_effect})


@dataclass(frozen=True, eq=False)
class Stitching:
    """The latents of a wide SAE, each held against a narrow one.

    Attributes
    ----------
    rule : StitchingRule
        What `classes` goes by.
    greatest_cosines : (K,) float64
        Of each wide latent's decoder row with any of the narrow SAE's, signed, in [-1, 1].
    nearest : (K,) int
        Which narrow latent has it.
    mse_changes : (K,) float64
        The narrow SAE's MSE with that one latent added, minus without.
    mse : float
        The narrow SAE's own MSE on the same activations.
    n_samples : int
        How many activations.
    """

    rule: StitchingRule
    greatest_cosines: Float[np.ndarray, " K"]
    nearest: Int[np.ndarray, " K"]
    mse_changes: Float[np.ndarray, " K"]
    mse: float
    n_samples: int

    @property
    def unchanged(self) -> Bool[np.ndarray, " K"]:
        """Which latents leave the MSE within the rule's tolerance."""
        return np.abs(self.mse_changes) <= self.rule.tolerance * self.mse

    @property
    def classes(self) -> tuple[str, ...]:
        """The class of each wide latent, one of CLASSES."""
        decide = _DECISIONS[self.rule.decide_by]
        novel = decide(self.rule, self.greatest_cosines, self.mse_changes)
        codes = np.where(self.unchanged, 2, np.where(novel, 0, 1))
        return tuple(CLASSES[code] for code in codes)

    @property
    def shares(self) -> dict[str, float]:
        """The share, in [0, 1], of the wide latents in each class."""
        classes = self.classes
        return {name: classes.count(name) / len(classes) for name in CLASSES}

    @property
    def predictive_auc(self) -> float | None:
        """How well a low cosine tells, of the latents that change the MSE, those that lower it.

        The area under the ROC curve, in [0, 1], 0.5 by chance; None where all lower it or none.
        """
        changed = ~self.unchanged
        lowers = self.mse_changes[changed] < 0
        if lowers.all() or not lowers.any():
            return None
        return float(roc_auc_score(lowers, -self.greatest_cosines[changed]))


def greatest_cosines(
    wide: Float[np.ndarray, "K d"], narrow: Float[np.ndarray, "K_narrow d_narrow"]
) -> tuple[Float[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Return each wide atom's greatest signed cosine to a narrow one, and to which.

    Parameters
    ----------
    wide, narrow : (K, d) and (K', d)
        Decoder rows of any norm; a row of norm zero has cosine 0 with all. Memory is that of
        4,096 wide rows against all narrow ones.

    Returns
    -------
    (K,) float64 and (K,) int
        In [-1, 1]; of equal cosines, the lower index.

    Raises
    ------
    InputError
        If a dictionary is empty, an entry is NaN or infinite, or atoms differ in length.
    """
    for name, decoder in (("wide", wide), ("narrow", narrow)):
        if decoder.size == 0:
            raise InputError(f"{name} has shape {decoder.shape}: expected at least one atom")
    values, places = np.empty(len(wide)), np.empty(len(wide), dtype=np.int64)
    for rows in gen_batches(len(wide), BLOCK):
        S = cosines(wide[rows].T, narrow.T)
        places[rows] = S.argmax(axis=1)
        values[rows] = S.max(axis=1)
    return values, places


def stitch(
    wide: Float[np.ndarray, "K d"],
    narrow: Float[np.ndarray, "K_narrow d_narrow"],
    chunks: Iterable[tuple[LatentChunk, Float[np.ndarray, "_ _"]]],
    rule: StitchingRule | None = None,
) -> Stitching:
    """Hold each latent of a wide SAE against a narrow one, by cosine and by its effect on MSE.

    A wide latent is added alone: its activation, as the wide SAE's own encoder gives it, times
    its decoder row, on top of the narrow SAE's whole reconstruction. The narrow SAE's own
    latents stay as they are, so its top-m selection is not made anew. The change of the MSE is
    exact and needs one pass: for residuals r, activations z and a row w it is the mean of
    z^2 ||w||^2 - 2 z <r, w>.

    Parameters
    ----------
    wide, narrow : (K, d) and (K', d)
        Decoder rows, in one space: that of the activations, or both standardised alike.
    chunks : iterable of pairs
        For the same samples, the wide SAE's latents and the residuals of the narrow one, (n, d):
        activations minus its reconstruction, in that space.
    rule : StitchingRule, optional
        The default rule, if none.

    Returns
    -------
    Stitching
        One value a wide latent.

    Raises
    ------
    InputError
        If there is no sample, shapes do not agree, or an entry is NaN or infinite.

    References
    ----------
    Leask et al. (2025), "Sparse Autoencoders Do Not Find Canonical Units of Analysis",
    arXiv 2502.04878. Wang et al. (2025), Table 2.
    """
    values, places = greatest_cosines(wide, narrow)
    rows = wide.astype(np.float64)
    products, energies = np.zeros(len(rows)), np.zeros(len(rows))
    squares, n = 0.0, 0
    for latents, residuals in chunks:
        _check_chunk(latents, residuals, rows.shape)
        Z, r = as_sparse(latents).tocsc(), residuals.astype(np.float64)
        for block in gen_batches(len(rows), BLOCK):
            products[block] += np.einsum("kd,kd->k", Z[:, block].T @ r, rows[block])
        energies += np.asarray(Z.multiply(Z).sum(axis=0), dtype=np.float64).ravel()
        squares += float(np.sum(r**2))
        n += len(r)
    if n == 0:
        raise InputError("the chunks are empty: expected at least one sample")
    entries = n * rows.shape[1]
    changes = (energies * np.sum(rows**2, axis=1) - 2 * products) / entries
    rule = StitchingRule() if rule is None else rule
    return Stitching(rule, values, places, changes, squares / entries, n)


def _check_chunk(
    latents: LatentChunk, residuals: Float[np.ndarray, "n_other d_other"], shape: tuple[int, ...]
) -> None:
    K, d = shape
    n, width = (
        latents.shape if isinstance(latents, np.ndarray) else (len(latents.indices), latents.K)
    )
    if width != K:
        raise InputError(
            f"a chunk has {width} latents: expected {K}, one a row of the wide decoder"
        )
    if residuals.shape != (n, d):
        raise InputError(f"residuals have shape {residuals.shape}: expected {(n, d)}")
    check_finite("residuals", residuals)


def share_frame(stitchings: Mapping[str, Stitching]) -> pd.DataFrame:
    """Return the shares in percent, one row a method, after Table 2 of Wang et al. (2025)."""
    rows = [
        {name: 100 * share for name, share in found.shares.items()}
        | {"AUC of the cosine": found.predictive_auc}
        for found in stitchings.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(list(stitchings), name="method"))
