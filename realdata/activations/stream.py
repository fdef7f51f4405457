"""Activations as they are needed, by the rule of `realdata.activations.rule`, without a store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from osae_theory.errors import check_integer
from osae_theory.seeds import Axis, generator
from realdata.activations.rule import (
    Calibration,
    CollectionSettings,
    activation_batches,
    calibrate,
    kept_rows,
)
from realdata.activations.standardisation import Standardisation, fit_standardisation
from realdata.models.language import LanguageModel
from realdata.text.packing import PackedText


@dataclass(frozen=True, eq=False)
class ActivationStream:
    """Activations computed as they are needed and never stored.

    Attributes
    ----------
    model, text, settings : as given to `stream`
    calibration : Calibration
        As that of a store of the same text.
    standardisation : Standardisation
        Fitted on the calibration contexts alone: an estimate of a store's.
    """

    model: LanguageModel
    text: PackedText
    settings: CollectionSettings
    calibration: Calibration
    standardisation: Standardisation

    def batches(
        self, size: int, *, buffer: int = 65_536, seed: int = 0, passes: int = 1
    ) -> Iterator[Float32[np.ndarray, "size d"]]:
        """Yield shuffled batches of standardised activations.

        Parameters
        ----------
        size : int
            Rows of a batch; what is left at the end, shorter than one, is not given.
        buffer : int
            Rows that are mixed: filled, shuffled, given out down to one half, filled again.
            At least twice `size`.
        seed : int
            Of the order.
        passes : int
            Times to go through the text.
        """
        check_integer("size", size, 1)
        check_integer("buffer", buffer, 2 * size)
        check_integer("passes", passes, 1)
        random = generator(seed, Axis.DATA_ORDER)
        held: list[np.ndarray] = []
        for _ in range(passes):
            for x in activation_batches(self.model, self.text.contexts, self.settings.batch):
                held.append(x[kept_rows(x, self.calibration.norm_limit)])
                if sum(map(len, held)) >= buffer:
                    mixed = _mixed(held, random)
                    n_given = (len(mixed) - buffer // 2) // size * size
                    yield from self._cut(mixed[:n_given], size)
                    held = [mixed[n_given:]]
        yield from self._cut(_mixed(held, random), size)

    def _cut(self, x: np.ndarray, size: int) -> Iterator[Float32[np.ndarray, "size d"]]:
        for start in range(0, len(x) - size + 1, size):
            yield self.standardisation.apply(x[start : start + size])


def stream(
    model: LanguageModel, text: PackedText, settings: CollectionSettings | None = None
) -> ActivationStream:
    """Return the activations of a text as a stream that stores nothing.

    The rule is a store's own; the standardisation is fitted on the calibration contexts.
    """
    settings = settings or CollectionSettings()
    calibration = calibrate(model, text, settings)
    chunks = activation_batches(model, text.contexts[: settings.calibration], settings.batch)
    kept = (x[kept_rows(x, calibration.norm_limit)] for x in chunks)
    fitted = fit_standardisation((x for x in kept if len(x)), model.d, settings.standardise)
    return ActivationStream(model, text, settings, calibration, fitted)


def _mixed(held: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    rows = np.concatenate(held)
    return rows[random.permutation(len(rows))]
