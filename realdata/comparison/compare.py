"""Stab and Ord of any two or more SAEs over prefixes, with intervals and chance levels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from osae_theory.errors import InputError, check_finite, check_real
from osae_theory.metrics import (
    ChanceLevel,
    SubspaceAgreement,
    chance_stability,
    cosines,
    sinkhorn_stability,
    subspace_agreement,
)
from osae_theory.metrics.chance import MOST_DENSE
from osae_theory.metrics.intervals import Bounds, Estimate, estimate_shared
from osae_theory.metrics.matching import Liveness
from osae_theory.metrics.similarities import Cosines, Similarities
from realdata.comparison.dictionaries import TRAINED, Dictionary
from realdata.comparison.levels import Chance, chance_levels, zero_rows
from realdata.comparison.prefixes import planned_prefixes, shapes_of
from realdata.comparison.progress import OnProgress, Tell, teller
from realdata.comparison.scores import BOUNDS, PrefixScore, large_score, prefix_scores
from realdata.latents.correlations import LatentCorrelations, latent_correlations

# The same of their spans; these have no place in what is estimated of correlations.
SUBSPACE_BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {"overlap": (0.0, 1.0), "largest_angle": (0.0, 90.0)}
)
SOFT_BOUNDS: Mapping[str, Bounds] = MappingProxyType({"soft_stab": (-1.0, 1.0)})
# A plan takes hundreds of passes over all similarities: over more atoms there is none.
MOST_SOFT = 1024
SOFT_DRAWS = 10


@dataclass(frozen=True)
class Pair:
    """The scores of one pair of named dictionaries at one prefix.

    Attributes
    ----------
    a, b : str
        Their names.
    score : PrefixScore
        Of their atoms one by one.
    subspace : SubspaceAgreement or None
        Of what their atoms span; None of correlations, from prefix d on, and where a side has no
        atom but zero rows.
    soft_stab : float or None
        Soft Stab; None where it was not asked for, and beyond 1,024 atoms.
    """

    a: str
    b: str
    score: PrefixScore
    subspace: SubspaceAgreement | None = None
    soft_stab: float | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    names : tuple of str
        The dictionaries, in the order given.
    d : int
        The length of their atoms.
    prefixes : tuple of int
        In ascending order.
    pairs : tuple of Pair
        Every pair at every prefix: pairs in the order of `names`, prefixes within a pair.
    estimates : mapping of int to (mapping of str to Estimate)
        By prefix and by the names in BOUNDS, of decoders also in SUBSPACE_BOUNDS and
        SOFT_BOUNDS: over all pairs, the interval by the jackknife over dictionaries.
    chance : mapping of int to Chance
        By prefix: the level of dictionaries with as many zero rows as these have. Of
        correlations there is none.
    order : str
        In which the latents stood: a name in `realdata.comparison.dictionaries.ORDERS`.
    temperature : float or None
        Of soft Stab, where it was asked for.
    soft_chance : mapping of int to ChanceLevel
        The level of soft Stab, by prefix up to 1,024.
    """

    names: tuple[str, ...]
    d: int
    prefixes: tuple[int, ...]
    pairs: tuple[Pair, ...]
    estimates: Mapping[int, Mapping[str, Estimate]]
    chance: Mapping[int, Chance]
    order: str = TRAINED
    temperature: float | None = None
    soft_chance: Mapping[int, ChanceLevel] = field(default_factory=dict)


def compare(
    decoders: Mapping[str, Float[np.ndarray, "_ _"]],
    prefixes: Sequence[int] | None = None,
    on_progress: OnProgress | None = None,
    *,
    live: Mapping[str, Bool[np.ndarray, " _"]] | None = None,
    order: str = TRAINED,
    temperature: float | None = None,
) -> Comparison:
    """Compare every pair of decoders at every prefix.

    Parameters
    ----------
    decoders : mapping of str to (K, d)
        At least two, each under a name of its own: decoder rows, that is atoms, in the order in
        which they are compared and of any norm. Their widths K may differ, d may not.
    prefixes : sequence of int, optional
        A prefix p takes the first p atoms of both dictionaries and matches them anew. By
        default 4, 8, 16, ... below the narrowest width, and that width. Zero rows are dead
        latents: they count 0 in Stab and have no place in Ord.
    on_progress : callable, optional
        Called before, during and after each matching and each chance level, from 1,024 atoms on.
    live : mapping of str to (K,) bool, optional
        By name, which latents are ever active: others have no place in Ord either. All by default.
    order : str
        What is said of the order in which the latents stand.
    temperature : float, optional
        Above 0: adds soft Stab, by `osae_theory.metrics.sinkhorn_stability`, up to 1,024 atoms.

    Returns
    -------
    Comparison
        The same for the same decoders, to the last bit on one machine.

    Raises
    ------
    InputError
        If there are fewer than two decoders, one is empty or holds NaN or Inf, atoms differ
        in length, a prefix is not in 1..K of the narrowest, the temperature is not above 0, or
        `live` does not fit.
    """
    sizes = planned_prefixes({name: one.shape for name, one in decoders.items()}, prefixes)
    for name, decoder in decoders.items():
        check_finite(name, decoder)
    if temperature is not None:
        check_real("temperature", temperature, above=0.0)
    d = next(iter(decoders.values())).shape[1]

    def scores(a: str, b: str, alive: Liveness | None, place: int) -> list[PrefixScore]:
        D, E = decoders[a].T, decoders[b].T
        return _scores(
            sizes,
            lambda most: cosines(D[:, :most], E[:, :most]),
            lambda size: Cosines.of(D[:, :size], E[:, :size]),
            alive,
            place,
            teller(f"{a} with {b}", on_progress),
        )

    found = _compared(tuple(decoders), d, sizes, scores, live, order)
    pairs = tuple(
        _with_soft(_with_subspace(pair, decoders, d), decoders, temperature) for pair in found.pairs
    )
    estimates = {size: {**found.estimates[size], **_further(pairs, size)} for size in sizes}
    zeros = zero_rows([*decoders.values()], sizes)
    return replace(
        found,
        pairs=pairs,
        estimates=estimates,
        chance=chance_levels(d, sizes, zeros, on_progress),
        temperature=temperature,
        soft_chance={
            size: chance_stability(
                d, size, n_draws=SOFT_DRAWS, zeros=zeros[size], temperature=temperature
            )
            for size in sizes
            if temperature is not None and size <= MOST_SOFT
        },
    )


def _with_subspace(pair: Pair, decoders: Mapping[str, Float[np.ndarray, "_ _"]], d: int) -> Pair:
    prefix = pair.score.prefix
    if prefix >= d:
        return pair
    first, second = (decoders[name][:prefix].T for name in (pair.a, pair.b))
    return replace(pair, subspace=subspace_agreement(first, second))


def _with_soft(
    pair: Pair, decoders: Mapping[str, Float[np.ndarray, "_ _"]], temperature: float | None
) -> Pair:
    prefix = pair.score.prefix
    if temperature is None or prefix > MOST_SOFT:
        return pair
    S = cosines(*(decoders[name][:prefix].T for name in (pair.a, pair.b)))
    return replace(pair, soft_stab=sinkhorn_stability(S, temperature))


def _further(pairs: Sequence[Pair], prefix: int) -> dict[str, Estimate]:
    """Return the estimates of what is known of decoders only."""
    own = [pair for pair in pairs if pair.score.prefix == prefix]
    values = {
        name: [None if pair.subspace is None else getattr(pair.subspace, name) for pair in own]
        for name in SUBSPACE_BOUNDS
    }
    values["soft_stab"] = [pair.soft_stab for pair in own]
    bounds = {**SUBSPACE_BOUNDS, **SOFT_BOUNDS}
    units = [(pair.a, pair.b) for pair in own]
    return {
        name: estimate_shared(found, units, bounds=bounds[name]) for name, found in values.items()
    }


def compare_latents(
    dictionaries: Sequence[Dictionary],
    prefixes: Sequence[int] | None = None,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compare every pair of SAEs by the correlations of their latents: Stab_Z and Ord_Z.

    Parameters
    ----------
    dictionaries : sequence of Dictionary
        At least two, with their latents on the same activations.
    prefixes, on_progress
        As in `compare`.

    Raises
    ------
    InputError
        As `planned_prefixes` of latents, or if there are no latents.
    """
    if any(not one.latents for one in dictionaries):
        raise InputError("there are no latents: expected SAEs with activations")
    sizes = planned_prefixes(shapes_of(dictionaries), prefixes, latents=True)
    by_name = {one.name: one for one in dictionaries}

    def scores(a: str, b: str, alive: Liveness | None, place: int) -> list[PrefixScore]:
        first, second = by_name[a], by_name[b]
        sides = (first.latents, second.latents)
        return _scores(
            sizes,
            lambda most: latent_correlations(*sides, first.order[:most], second.order[:most]),
            lambda size: LatentCorrelations.of(*sides, first.order[:size], second.order[:size]),
            alive,
            place,
            teller(f"{a} with {b} by activations", on_progress),
        )

    live = {one.name: one.live for one in dictionaries}
    d, order = dictionaries[0].autoencoder.d, dictionaries[0].order_name
    return _compared(tuple(by_name), d, sizes, scores, live, order)


def _scores(
    sizes: Sequence[int],
    table: Callable[[int], Float[np.ndarray, "p p_other"]],
    some: Callable[[int], Similarities],
    alive: Liveness | None,
    tie_seed: int,
    tell: Tell,
) -> list[PrefixScore]:
    """Return the scores of a pair at all prefixes: by a table up to 4,096, over candidates beyond.

    Parameters
    ----------
    sizes : sequence of int
        The prefixes, rising.
    table, some : callable
        Take a prefix, and return all similarities of so many, and similarities that are not held.
    alive, tie_seed, tell
        As in `prefix_scores`.
    """

    def known(prefix: int) -> Liveness | None:
        return None if alive is None else (alive[0][:prefix], alive[1][:prefix])

    dense = [prefix for prefix in sizes if prefix <= MOST_DENSE]
    found: list[PrefixScore] = []
    if dense:
        most = dense[-1]
        found += prefix_scores(table(most), dense, known(most), tie_seed, tell)
    large = sizes[len(dense) :]
    return found + [large_score(some(size), known(size), tie_seed, tell) for size in large]


def _compared(
    names: tuple[str, ...],
    d: int,
    sizes: tuple[int, ...],
    scores: Callable[[str, str, Liveness | None, int], Sequence[PrefixScore]],
    live: Mapping[str, Bool[np.ndarray, " _"]] | None,
    order: str,
) -> Comparison:
    """Return a comparison by what scores a pair at all prefixes, without chance."""
    pairs: list[Pair] = []
    for place, (a, b) in enumerate(combinations(names, 2)):
        alive = None if live is None else (live[a], live[b])
        pairs += [Pair(a, b, score) for score in scores(a, b, alive, place)]
    estimates = {
        prefix: _estimates([pair for pair in pairs if pair.score.prefix == prefix])
        for prefix in sizes
    }
    return Comparison(names, d, sizes, tuple(pairs), estimates, {}, order)


def _estimates(pairs: Sequence[Pair]) -> dict[str, Estimate]:
    return {
        name: estimate_shared(
            [getattr(pair.score, name) for pair in pairs],
            [(pair.a, pair.b) for pair in pairs],
            bounds=bounds,
        )
        for name, bounds in BOUNDS.items()
    }
