"""Activations of a language model at its hook point, and the rule of which are kept.

Two kinds of position are dropped, by a rule that is fixed before anything is collected:

- position 0 of every context, its beginning-of-sequence token or, in a model without one, the
  first token, which is an attention sink all the same;
- positions whose activation has a norm above three times the median norm. The median is that
  of the positions after 0 in the first contexts of what is collected, so that a stored and a
  streamed collection follow one limit; a collection that is fitted on another, as an
  experiment's evaluation part is on its training part, takes that one's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from realdata.activations.standardisation import STANDARDISATIONS, Standardisation
from realdata.models.language import LanguageModel, Replacement
from realdata.text.packing import PackedText

PRECISIONS = ("auto", "float32")


@dataclass(frozen=True, kw_only=True)
class CollectionSettings:
    """How activations are collected.

    Attributes
    ----------
    batch : int
        Contexts that go through the model at once.
    shard : int
        Contexts of a shard, a multiple of `batch`.
    calibration : int
        First contexts that give the median norm.
    norm_factor : float
        A norm above this many medians is dropped; above 1.
    standardise : str
        "dimension", "scale" or "none"; see `realdata.activations.standardisation.Standardisation`.
    precision : str
        "auto" stores a shard in float16 where it fits: no entry overflows, and in no dimension
        does the rounding have a root mean square above 0.001 of its standard deviation.
        "float32" never does.
    """

    batch: int = 8
    shard: int = 64
    calibration: int = 64
    norm_factor: float = 3.0
    standardise: str = "dimension"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("batch", "shard", "calibration"):
            check_integer(name, getattr(self, name), 1)
        if self.shard % self.batch:
            raise InputError(f"shard = {self.shard}: expected a multiple of batch = {self.batch}")
        check_real("norm_factor", self.norm_factor, above=1)
        check_choice("standardise", self.standardise, STANDARDISATIONS)
        check_choice("precision", self.precision, PRECISIONS)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is fixed before a collection.

    Attributes
    ----------
    norm_limit : float
        Activations with a greater norm are dropped.
    centre : (d,) float32
        The mean of those that are kept in the calibration contexts. Float16 shards hold
        differences to it, so that their resolution lies where the data vary.
    """

    norm_limit: float
    centre: Float32[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class Places:
    """Where in the text activations come from.

    Attributes
    ----------
    context, position : (n,) int
        The context, and the position in it.
    document, offset : (n,) int
        The document, and which of its tokens it is.
    token : (n,) int
        The token id.
    """

    context: Int[np.ndarray, " n"]
    position: Int[np.ndarray, " n"]
    document: Int[np.ndarray, " n"]
    offset: Int[np.ndarray, " n"]
    token: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Counts:
    """How many positions a collection kept and dropped."""

    kept: int
    dropped_first: int
    dropped_norm: int


def kept_rows(x: Float32[np.ndarray, "b t d"], norm_limit: float) -> Bool[np.ndarray, "b t"]:
    """Return which positions of contexts are kept, by the rule of this module."""
    keep = _norms(x) <= norm_limit
    keep[:, 0] = False
    return keep


def calibrate(model: LanguageModel, text: PackedText, settings: CollectionSettings) -> Calibration:
    """Return the norm limit and the centre, from the first contexts of a text.

    Raises
    ------
    InputError
        If the model gives activations that are not finite.
    """
    chunks = list(activation_batches(model, text.contexts[: settings.calibration], settings.batch))
    norms = np.concatenate([_norms(chunk)[:, 1:].ravel() for chunk in chunks])
    limit = float(settings.norm_factor * np.median(norms))
    kept = np.concatenate([chunk[kept_rows(chunk, limit)] for chunk in chunks])
    return Calibration(limit, kept.mean(axis=0, dtype=np.float64).astype(np.float32))


def splice(
    reconstruct: Callable[[Float32[np.ndarray, "n d"]], Float[np.ndarray, "n d"]],
    standardisation: Standardisation,
    norm_limit: float,
) -> Replacement:
    """Return what `LanguageModel.cross_entropy` puts in an SAE's place.

    `reconstruct` takes and gives standardised rows. Activations beyond the norm limit keep
    their own value, as the SAE was not trained on any.
    """

    def replace(x: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        replaced = standardisation.invert(reconstruct(standardisation.apply(x)))
        return np.where((_norms(x) <= norm_limit)[:, None], replaced, x)

    return replace


def activation_batches(
    model: LanguageModel, contexts: Int32[np.ndarray, "n t"], batch: int
) -> Iterator[Float32[np.ndarray, "b t d"]]:
    """Yield the activations of contexts, so many at a time; InputError if one is not finite."""
    for start in range(0, len(contexts), batch):
        x = model.activations(contexts[start : start + batch])
        if not np.isfinite(x).all():
            raise InputError(
                f"model {model.name} at {model.hook} gives NaN or Inf in contexts {start} to "
                f"{start + len(x) - 1}: expected finite activations"
            )
        yield x


def kept_activations(
    model: LanguageModel, contexts: Int32[np.ndarray, "n t"], batch: int, calibration: Calibration
) -> tuple[Float32[np.ndarray, "rows d"], Int32[np.ndarray, "rows 2"]]:
    """Return the activations of contexts that are kept, and each one's context and position."""
    rows, places = [], []
    for number, x in enumerate(activation_batches(model, contexts, batch)):
        keep = kept_rows(x, calibration.norm_limit)
        rows.append(x[keep])
        context, position = np.nonzero(keep)
        places.append(np.stack([number * batch + context, position], axis=1))
    return np.concatenate(rows), np.concatenate(places).astype(np.int32)


def _norms(x: Float32[np.ndarray, "*shape d"]) -> Float[np.ndarray, "*shape"]:
    return np.linalg.norm(x.astype(np.float64), axis=-1)
