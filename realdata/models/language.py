"""A language model with one hook point: its activations there, and what replacing them costs.

Position 0 of a context (its beginning-of-sequence token, where the model has one) is an
attention sink with a norm far from all others': it is computed, but neither collected nor
replaced.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

Replacement = Callable[[Float32[np.ndarray, "n d"]], Float[np.ndarray, "n d"]]


class LanguageModel(ABC):
    """A causal language model with one hook point.

    Attributes
    ----------
    name, hook : str
        The model and the hook point.
    weights : str
        What identifies its weights: a checksum, or a hub id with its commit.
    d : int
        Width of the activations at the hook point.
    context : int
        The greatest number of tokens it takes at once.
    bos : int or None
        The token id that opens every context; None where the model has none.
    """

    name: str
    hook: str
    weights: str
    d: int
    context: int
    bos: int | None

    @abstractmethod
    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without special tokens."""

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""

    @abstractmethod
    def activations(self, tokens: Int[np.ndarray, "b t"]) -> Float32[np.ndarray, "b t d"]:
        """Return the activations at the hook point; later blocks are not computed."""

    @abstractmethod
    def cross_entropy(
        self, tokens: Int[np.ndarray, "b t"], replace: Replacement | None = None
    ) -> Float32[np.ndarray, "b t-1"]:
        """Return the cross-entropy in nats of every next token.

        Parameters
        ----------
        tokens : (b, t)
            Contexts of at least two tokens.
        replace : callable, optional
            Takes all activations at the hook point but those at position 0, as rows, and
            returns what the rest of the model goes on with, such as an SAE's reconstruction.
        """
