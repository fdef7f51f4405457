"""The chance level of Stab: what two unrelated dictionaries score."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from osae_theory.errors import check_integer
from osae_theory.metrics.matching import common_width
from osae_theory.metrics.stability import stability
from osae_theory.seeds import Axis, generator


@dataclass(frozen=True)
class ChanceLevel:
    """Stab of unrelated random dictionaries, estimated from independent pairs.

    Attributes
    ----------
    mean : float
        The level S0.
    standard_error : float
        Of `mean`: standard_deviation / sqrt(n_draws).
    standard_deviation : float
        Of a single pair's Stab, from n_draws - 1 degrees of freedom.
    n_draws : int
        The number of pairs.
    absolute : bool
        Whether the cosines were taken without sign.
    """

    mean: float
    standard_error: float
    standard_deviation: float
    n_draws: int
    absolute: bool


def chance_stability(
    d: int,
    K: int,
    prefix: int | None = None,
    absolute: bool = False,
    n_draws: int = 50,
    seed: int = 0,
) -> ChanceLevel:
    """Estimate Stab of two independent dictionaries with isotropic Gaussian atoms.

    Parameters
    ----------
    d, K : int
        The length and the number of the atoms, at least 1.
    prefix : int, optional
        The level of Stab truncated to the first `prefix` atoms. The atoms are independent
        and alike, so it is the level of two (d, prefix) dictionaries, which is what is drawn.
        It falls with the prefix: correct each prefix by its own.
    absolute : bool
        The level of Stab on |cosine|.
    n_draws : int
        The number of pairs, at least 2. The cost is that of n_draws matchings of that width.
    seed : int
        Draw number i uses the stream (seed, Axis.CHANCE, i).

    Returns
    -------
    ChanceLevel
        The estimate and its error. Equal questions are answered from a cache.

    Raises
    ------
    InputError
        If a number is not whole or too small, or the prefix exceeds K.

    Notes
    -----
    The null is isotropic only: unrelated dictionaries whose atoms share preferred
    directions, as those of one data set's models may, score higher.
    """
    check_integer("d", d, 1)
    check_integer("K", K, 1)
    check_integer("n_draws", n_draws, 2)
    check_integer("seed", seed, 0)
    width = common_width(K, K, prefix)
    return _chance_level(int(d), width, bool(absolute), int(n_draws), int(seed))


@lru_cache(maxsize=1024)
def _chance_level(d: int, width: int, absolute: bool, n_draws: int, seed: int) -> ChanceLevel:
    """Return the level of two (d, width) dictionaries; its arguments are known to be sound."""
    values = np.empty(n_draws)
    for draw in range(n_draws):
        first, second = generator(seed, Axis.CHANCE, draw).standard_normal((2, d, width))
        values[draw] = stability(first, second, absolute)
    deviation = float(values.std(ddof=1))
    return ChanceLevel(
        mean=float(values.mean()),
        standard_error=deviation / math.sqrt(n_draws),
        standard_deviation=deviation,
        n_draws=n_draws,
        absolute=absolute,
    )
