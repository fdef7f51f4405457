"""Cross-entropy recovered: what a model's prediction keeps when its activations are replaced."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from realdata.models.language import LanguageModel, Replacement


@dataclass(frozen=True)
class CrossEntropyRecovered:
    """What the model's prediction keeps when its activations are replaced.

    Attributes
    ----------
    clean, spliced, ablated : float
        Mean cross-entropy in nats per token: of the model itself, with the replacement, and
        with zeros in its place.
    recovered : float
        (ablated - spliced) / (ablated - clean): 1 when nothing is lost, 0 when the
        replacement is as bad as zeros.
    """

    clean: float
    spliced: float
    ablated: float

    @property
    def recovered(self) -> float:
        """Return the share of the cross-entropy that is recovered."""
        return (self.ablated - self.spliced) / (self.ablated - self.clean)


def cross_entropies_recovered(
    model: LanguageModel, tokens: Int[np.ndarray, "b t"], replacements: Mapping[str, Replacement]
) -> dict[str, CrossEntropyRecovered]:
    """Return, for each of several replacements, what the model's prediction keeps.

    The two ends are computed once for all. Position 0 of each context keeps its own
    activation in every pass, as no SAE is trained on it.

    Parameters
    ----------
    model : LanguageModel
        The model at its hook point.
    tokens : (b, t) int
        Contexts; each costs two passes and one more for each replacement.
    replacements : mapping of str to callable
        As `LanguageModel.cross_entropy` takes them, by name.
    """

    def mean(replace: Replacement | None) -> float:
        return float(model.cross_entropy(tokens, replace).mean(dtype=np.float64))

    clean, ablated = mean(None), mean(np.zeros_like)
    return {
        name: CrossEntropyRecovered(clean, mean(replace), ablated)
        for name, replace in replacements.items()
    }
