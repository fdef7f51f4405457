"""Chance levels: what unrelated dictionaries score in Stab, and unrelated orders in Ord."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.metrics.candidates import match_candidates
from osae_theory.metrics.intervals import student_quantile
from osae_theory.metrics.matching import common_width, cosines
from osae_theory.metrics.stability import stability
from osae_theory.metrics.transport import sinkhorn_stability
from osae_theory.portable import standard_normal
from osae_theory.seeds import Axis, generator

# Half of the third decimal, which is the last that tables print.
PRECISION = 0.0005
# More atoms than these are matched over their nearest, of which unrelated ones need but a few.
MOST_DENSE = 4096
# Fewer draws say too little of their own spread.
FEWEST_DRAWS = 4


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
    zeros : pair of int
        How many atoms of the one and of the other dictionary were zero, the smaller first.
    """

    mean: float
    standard_error: float
    standard_deviation: float
    n_draws: int
    absolute: bool
    zeros: tuple[int, int] = (0, 0)


def chance_stability(
    d: int,
    K: int,
    prefix: int | None = None,
    absolute: bool = False,
    n_draws: int = 50,
    seed: int = 0,
    *,
    zeros: tuple[int, int] = (0, 0),
    temperature: float | None = None,
    precision: float = PRECISION,
    on_progress: Callable[[int, int], None] | None = None,
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
        The greatest number of pairs, at least 2.
    seed : int
        Draw number i uses the stream (seed, Axis.CHANCE, i).
    zeros : pair of int
        How many of the atoms that are matched are zero in the one dictionary and in the other,
        as they are where latents were pruned or never fired. They lower the level.
    temperature : float, optional
        The level of soft Stab at this temperature: see `sinkhorn_stability`.
    precision : float
        From the fourth draw on, drawing ends when half of Student's 95% interval of the mean is
        at most this; at 0 all n_draws are made, unless they are all equal. The draws alone
        decide, so that their number is the same everywhere.
    on_progress : callable, optional
        Called as on_progress(done, n_draws) with done = 0 before the first draw, and after each.

    Returns
    -------
    ChanceLevel
        The estimate and its error. Draws are remembered: an equal question costs nothing.

    Raises
    ------
    InputError
        If a number is not whole or too small, the prefix exceeds K, there are more zeros than
        atoms, or the precision is not a finite number of at least 0.

    Notes
    -----
    A draw costs a product of 2 d p^2 operations and an assignment of p atoms, p the prefix or K,
    whose time grows like p^3: on one core about 0.1 s at p = 1,000 and 6 s at 4,096. Beyond that
    atoms are matched by `match_candidates`, which can be below the level by its bound. The
    deviation of a draw falls with p, so that the precision is reached with the fewest draws where
    one costs most.

    The null is isotropic only: unrelated dictionaries whose atoms share preferred
    directions, as those of one data set's models may, score higher.
    """
    check_integer("d", d, 1)
    check_integer("K", K, 1)
    check_integer("n_draws", n_draws, 2)
    check_integer("seed", seed, 0)
    check_real("precision", precision, at_least=0.0)
    width = common_width(K, K, prefix)
    few, many = sorted(_checked_zeros(zeros, width))
    if temperature is not None:
        check_real("temperature", temperature, above=0.0)
    report = on_progress or (lambda done, most: None)
    report(0, n_draws)
    values: list[float] = []
    while len(values) < n_draws and not _is_precise(values, precision):
        draw = len(values)
        asked = (int(d), width, bool(absolute), int(seed), few, many, draw, temperature)
        values.append(_drawn(*asked))
        report(len(values), n_draws)
    deviation = float(np.std(values, ddof=1))
    return ChanceLevel(
        mean=float(np.mean(values)),
        standard_error=deviation / math.sqrt(len(values)),
        standard_deviation=deviation,
        n_draws=len(values),
        absolute=bool(absolute),
        zeros=(few, many),
    )


def _checked_zeros(zeros: tuple[int, int], width: int) -> tuple[int, int]:
    first, second = zeros
    for count in (first, second):
        check_integer("zeros", count, 0)
        if count > width:
            raise InputError(f"zeros = {count}: expected at most {width}, the atoms to match")
    return int(first), int(second)


def _is_precise(values: list[float], precision: float) -> bool:
    n = len(values)
    if n < FEWEST_DRAWS:
        return False
    return student_quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n) <= precision


@lru_cache(maxsize=65536)
def _drawn(
    d: int,
    width: int,
    absolute: bool,
    seed: int,
    zeros: int,
    zeros_other: int,
    draw: int,
    temperature: float | None,
) -> float:
    """Return Stab of one drawn pair, their last atoms zero; its arguments are known to be sound."""
    pair = _gaussian_pair(d, width, seed, draw)
    pair[0, :, width - zeros :] = 0.0
    pair[1, :, width - zeros_other :] = 0.0
    if temperature is not None:
        S = cosines(pair[0], pair[1])
        return sinkhorn_stability(np.abs(S) if absolute else S, temperature)
    if width > MOST_DENSE:
        return match_candidates(pair[0], pair[1], absolute).stability
    return stability(pair[0], pair[1], absolute)


def _gaussian_pair(d: int, width: int, seed: int, draw: int) -> Float[np.ndarray, "2 d width"]:
    return standard_normal(generator(seed, Axis.CHANCE, draw), (2, d, width))


@dataclass(frozen=True)
class OrderednessLevel:
    """Ord of unrelated orders.

    Attributes
    ----------
    mean, standard_deviation : float
        Exact but for the last rounding: no draws are made.
    """

    mean: float
    standard_deviation: float


def chance_orderedness(
    blocks: Int[np.ndarray, " K"], other: Int[np.ndarray, " K_other"] | None = None
) -> OrderednessLevel:
    """Return the level of Ord where a latent meets only latents of its own block, at random.

    All permutations that take each block onto itself are equally likely. One block of all n
    live latents, as in the Ord of this package, has mean 0 and deviation 1 / sqrt(n - 1). Where
    every one of K pairs is counted and both sides put their dead latents last, the dead are a
    block of their own, and Ord of unrelated models is above 0: with 10 dead of 100 it is 0.27.
    Equal latents, such as copies of one atom, are a block too: which of them meets which is
    chance.

    Parameters
    ----------
    blocks : (K,) int
        The label of each latent's block, in the order of the latents; K is at least 2.
    other : (K,) int, optional
        The same of the second side, each label as often as in the first; equal by default.

    Raises
    ------
    InputError
        If there are fewer than two latents, or a label is not equally frequent on both sides.
    """
    second = blocks if other is None else other
    width = len(blocks)
    check_integer("the number of latents", width, 2)
    if not np.array_equal(np.sort(blocks), np.sort(second)):
        raise InputError("other holds labels as often as blocks does not: expected them as often")
    # The sum over latents of place times matched place: of each block on its own, and all that
    # Ord depends on.
    products, variance = Fraction(0), Fraction(0)
    for label in np.unique(blocks):
        first = [int(place) for place in np.flatnonzero(blocks == label)]
        matched = [int(place) for place in np.flatnonzero(second == label)]
        n = len(first)
        products += Fraction(sum(first) * sum(matched), n)
        if n > 1:
            variance += _spread(first) * _spread(matched) / (n - 1)
    squares = sum(place * place for place in range(width))
    scale = Fraction(12, width * (width * width - 1))
    return OrderednessLevel(
        mean=float(1 - scale * (squares - products)),
        standard_deviation=math.sqrt(scale * scale * variance),
    )


def _spread(places: list[int]) -> Fraction:
    """Return the sum of squared distances from the mean."""
    return sum(place * place for place in places) - Fraction(sum(places) ** 2, len(places))
