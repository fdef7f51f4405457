"""Stab and Ord of any two or more SAEs over prefixes, with intervals and chance levels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, count, takewhile
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from osae_theory.errors import InputError, check_finite, check_integer, check_real
from osae_theory.metrics import (
    CandidateMatching,
    ChanceLevel,
    Matching,
    SubspaceAgreement,
    chance_stability,
    cosines,
    live_atoms,
    match_candidates,
    match_similarities,
    orderedness_range,
    sinkhorn_stability,
    subspace_agreement,
)
from osae_theory.metrics.assignment import ENUMERABLE
from osae_theory.metrics.candidates import ASSIGNMENT
from osae_theory.metrics.chance import MOST_DENSE
from osae_theory.metrics.intervals import Bounds, Estimate, estimate_shared
from osae_theory.metrics.matching import Liveness, both_alive
from osae_theory.progress import Step
from realdata.comparison.dictionaries import TRAINED, Dictionary
from realdata.comparison.memory import available_memory
from realdata.latents.sparse import latent_correlations

SCORES = ("stab", "stab_abs", "ord", "ord_abs")
# All that is estimated of a pair, with the least and the greatest value it can have.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "stab": (-1.0, 1.0),
        "stab_abs": (0.0, 1.0),
        "ord": (-1.0, 1.0),
        "ord_abs": (-1.0, 1.0),
        "left_out": (0.0, 1.0),
        "left_out_abs": (0.0, 1.0),
    }
)
# The same of their spans; these have no place in what is estimated of correlations.
SUBSPACE_BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {"overlap": (0.0, 1.0), "largest_angle": (0.0, 90.0)}
)
SOFT_BOUNDS: Mapping[str, Bounds] = MappingProxyType({"soft_stab": (-1.0, 1.0)})
# A plan takes hundreds of passes over all similarities: over more atoms there is none.
MOST_SOFT = 1024
SOFT_DRAWS = 10
FIRST_PREFIX = 4
# Draws of the chance level: as many as this many atoms in all allow, within the bounds. The
# deviation of one draw falls with the prefix faster than the number of draws does.
CHANCE_ATOMS = 12_800
CHANCE_DRAWS = (4, 200)
# From so many atoms on a matching takes so long that people are told of each.
SLOW_ATOMS = 1024
OnProgress = Callable[[Step], None]
# Tells of one prefix: how much is done of how much, and what is being done.
_Tell = Callable[[int, int, int, str], None]
# Tables of 8 K^2 bytes that are held at once where K latents are matched by correlations: these,
# their absolute values, the same in a drawn order, and the solver's own copy.
_TABLES = 4


@dataclass(frozen=True)
class PrefixScore:
    """Stab and Ord of two dictionaries truncated to one prefix.

    Attributes
    ----------
    prefix : int
        How many of the first atoms of each were matched.
    stab, ord : float, float or None
        From the matching on signed similarities. Stab is over all pairs, Ord over those whose
        latents are alive on both sides; None where these are fewer than two.
    stab_abs, ord_abs : float, float or None
        From the matching on absolute similarities.
    left_out, left_out_abs : float
        The share of the pairs that Ord leaves out, in either matching.
    ord_least, ord_greatest : float or None
        The range of Ord over all signed matchings of the same greatest sum, where it was looked
        for (up to 8 atoms) and Ord is defined in one of them; equal where the best is the only one.
    stab_bound, stab_abs_bound : float or None
        What no matching exceeds, where so many atoms were matched over their nearest alone; None
        where the matching is the best.
    """

    prefix: int
    stab: float
    stab_abs: float
    ord: float | None
    ord_abs: float | None
    left_out: float = 0.0
    left_out_abs: float = 0.0
    ord_least: float | None = None
    ord_greatest: float | None = None
    stab_bound: float | None = None
    stab_abs_bound: float | None = None


@dataclass(frozen=True)
class Chance:
    """The level of Stab for unrelated dictionaries at one prefix, signed and absolute."""

    signed: ChanceLevel
    absolute: ChanceLevel


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


def default_prefixes(K: int) -> tuple[int, ...]:
    """Return 4, 8, 16, ... below K, then K itself.

    Raises InputError unless K is a whole number of at least 1.
    """
    check_integer("K", K, 1)
    doublings = (FIRST_PREFIX * 2**i for i in count())
    return (*takewhile(lambda prefix: prefix < K, doublings), int(K))


def checked_prefixes(prefixes: Sequence[int] | None, K: int) -> tuple[int, ...]:
    """Return the prefixes in ascending order, or the default ones of a dictionary of K atoms.

    Raises InputError if there is none, one is not a whole number in 1..K, or one occurs twice.
    """
    if prefixes is None:
        return default_prefixes(K)
    if len(prefixes) == 0:
        raise InputError("prefixes is empty: expected at least one prefix")
    for prefix in prefixes:
        check_integer("prefix", prefix, 1)
        if prefix > K:
            raise InputError(
                f"prefix = {prefix}: expected at most {K}, the width of the narrowest dictionary"
            )
    if len(set(prefixes)) < len(prefixes):
        raise InputError(f"prefixes {list(prefixes)}: expected each prefix once")
    return tuple(sorted(int(prefix) for prefix in prefixes))


def planned_prefixes(
    shapes: Mapping[str, tuple[int, ...]],
    prefixes: Sequence[int] | None = None,
    *,
    latents: bool = False,
) -> tuple[int, ...]:
    """Return the prefixes at which dictionaries are compared, before anything is computed.

    Parameters
    ----------
    shapes : mapping of str to (K, d)
        Of the decoders, by name.
    prefixes : sequence of int, optional
        As in `compare`.
    latents : bool
        Whether latents are compared by their correlations, too, of which a table is held.

    Raises
    ------
    InputError
        If there are fewer than two dictionaries, one is empty, atoms differ in length, a prefix
        is not in 1..K of the narrowest, or correlations would take more memory than is free.
    """
    if len(shapes) < 2:
        raise InputError(f"{len(shapes)} dictionaries: expected at least two to compare")
    first, (_, length) = next(iter(shapes.items()))
    for name, (K, d) in shapes.items():
        if K == 0 or d == 0:
            raise InputError(f"{name} has shape {(K, d)}: expected at least one atom")
        if d != length:
            raise InputError(f"{name} has atoms of length {d}: expected {length}, as in {first}")
    sizes = checked_prefixes(prefixes, min(K for K, _ in shapes.values()))
    free = available_memory()
    if latents and free is not None and (needed := _TABLES * 8 * sizes[-1] ** 2) > free:
        most = math.isqrt(free // (_TABLES * 8))
        raise InputError(
            f"the correlations of {sizes[-1]:,} latents take {needed:,} bytes of memory: expected"
            f" at most {free:,}, which are free (--prefixes of at most {most:,}, or no"
            " --activations)"
        )
    return sizes


def shapes_of(dictionaries: Sequence[Dictionary]) -> dict[str, tuple[int, int]]:
    """Return the shapes of decoders by name."""
    return {one.name: (one.autoencoder.K, one.autoencoder.d) for one in dictionaries}


def long_work(prefix: int, matched: int = 0) -> str | None:
    """Return what people should know before very many atoms are compared, in one sentence.

    Parameters
    ----------
    prefix : int
        The longest.
    matched : int
        How many latents are matched besides, whatever the prefixes.
    """
    if max(prefix, matched) <= MOST_DENSE:
        return None
    without = ", without --matches and --activations," if matched > MOST_DENSE else ""
    return (
        f"comparing {max(prefix, matched):,} atoms takes minutes (65,536 about ten and 2.4 GB of"
        f" memory): --prefixes of at most {MOST_DENSE:,}{without} are the cheaper way"
    )


def prefix_scores(
    S: Float[np.ndarray, "K K_other"],
    prefixes: Sequence[int],
    live: Liveness | None = None,
    tie_seed: int = 0,
    tell: _Tell = lambda prefix, done, total, stage: None,
) -> tuple[PrefixScore, ...]:
    """Return Stab and Ord at each prefix, from the similarities of two sets of atoms or latents.

    Parameters
    ----------
    S : (K, K')
        Cosines, or correlations of activations, each side in its own order.
    prefixes : sequence of int
        Each at most K and K'. The first atoms of both sides are matched anew at each.
    live : pair of (K,) and (K',) bool, optional
        Which latents are ever active; all by default. Those whose similarities are all zero, as a
        zero row's and a constant stream's are, count as dead in any case.
    tie_seed : int
        Decides among matchings of the same sum: one of its own for each pair.
    tell : callable, optional
        Called as tell(prefix, done, total, stage) before and after each prefix.

    Raises
    ------
    InputError
        As `osae_theory.metrics.match_similarities`.
    """
    alive = both_alive(live, live_atoms(S.T), live_atoms(S))
    found = []
    for prefix in prefixes:
        tell(prefix, 0, 1, ASSIGNMENT)
        found.append(_prefix_score(S, prefix, alive, tie_seed))
        tell(prefix, 1, 1, ASSIGNMENT)
    return tuple(found)


def _prefix_score(
    S: Float[np.ndarray, "K K_other"], prefix: int, live: Liveness, tie_seed: int
) -> PrefixScore:
    signed = match_similarities(S, prefix=prefix, live=live, tie_seed=tie_seed)
    absolute = match_similarities(S, absolute=True, prefix=prefix, live=live, tie_seed=tie_seed)
    ends = orderedness_range(S, prefix=prefix, live=live) if prefix <= ENUMERABLE else (None, None)
    return replace(
        _score(prefix, signed, absolute),
        ord_least=_defined(ends[0]),
        ord_greatest=_defined(ends[1]),
    )


def _large_score(
    D: Float[np.ndarray, "d K"],
    E: Float[np.ndarray, "d K_other"],
    prefix: int,
    live: Liveness | None,
    tie_seed: int,
    tell: _Tell,
) -> PrefixScore:
    """Return Stab and Ord of so many atoms that their cosines do not fit into memory."""

    def found(absolute: bool) -> CandidateMatching:
        before = prefix if absolute else 0

        def report(stage: str, done: int) -> None:
            tell(prefix, before + done, 2 * prefix, stage)

        return match_candidates(
            D, E, absolute, prefix, live=live, tie_seed=tie_seed, on_progress=report
        )

    signed, absolute = found(absolute=False), found(absolute=True)
    bounds = {"stab_bound": signed.upper_bound, "stab_abs_bound": absolute.upper_bound}
    return replace(_score(prefix, signed, absolute), **bounds)


def _score(prefix: int, signed: Matching, absolute: Matching) -> PrefixScore:
    return PrefixScore(
        prefix=prefix,
        stab=signed.stability,
        stab_abs=absolute.stability,
        ord=_defined(signed.orderedness),
        ord_abs=_defined(absolute.orderedness),
        left_out=signed.left_out,
        left_out_abs=absolute.left_out,
    )


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def chance_levels(
    d: int,
    prefixes: Sequence[int],
    zeros: Mapping[int, tuple[int, int]] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[int, Chance]:
    """Return Stab's level for unrelated isotropic dictionaries of atoms of length d, by prefix.

    Few atoms are drawn often and many seldom: 12,800 divided by the prefix, at least 4 and at
    most 200 draws, and none once the level is known to half of its third decimal; of more than
    4,096 atoms two. Each level says its draws and its standard error.

    Parameters
    ----------
    d : int
        The length of the atoms.
    prefixes : sequence of int
        How many atoms; from some 2,000 on a draw takes seconds.
    zeros : mapping of int to pair of int, optional
        By prefix, how many of the atoms are zero in the one and in the other dictionary.
    on_progress : callable, optional
        Called before the first draw of each level and after each, from 1,024 atoms on.
    """
    levels = {}
    tell, tell_absolute = (
        _teller(what, on_progress) for what in ("chance level", "chance level, absolute")
    )
    for prefix in prefixes:
        draws = int(np.clip(CHANCE_ATOMS // prefix, *CHANCE_DRAWS))
        draws = 2 if prefix > MOST_DENSE else draws
        signed, absolute = (
            chance_stability(
                d,
                prefix,
                absolute=without_sign,
                n_draws=draws,
                zeros=(0, 0) if zeros is None else zeros[prefix],
                on_progress=partial(_tell_draw, tell, prefix),
            )
            for without_sign, tell in ((False, tell), (True, tell_absolute))
        )
        levels[prefix] = Chance(signed, absolute)
    return levels


def _tell_draw(tell: _Tell, prefix: int, done: int, most: int) -> None:
    tell(prefix, done, most, "draws at most")


def _teller(what: str, on_progress: OnProgress | None) -> _Tell:
    """Return what tells of the prefixes of some work that take long."""

    def tell(prefix: int, done: int, total: int, stage: str) -> None:
        if on_progress is not None and prefix >= SLOW_ATOMS:
            on_progress(Step(f"{what}, first {prefix:,}", done, total, stage))

    return tell


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
    dense = [prefix for prefix in sizes if prefix <= MOST_DENSE]
    most = dense[-1] if dense else 0

    def scores(a: str, b: str, alive: Liveness | None, place: int) -> list[PrefixScore]:
        D, E = decoders[a].T, decoders[b].T
        tell = _teller(f"{a} with {b}", on_progress)
        found = []
        if dense:
            known = None if alive is None else (alive[0][:most], alive[1][:most])
            found += prefix_scores(cosines(D[:, :most], E[:, :most]), dense, known, place, tell)
        found += [_large_score(D, E, size, alive, place, tell) for size in sizes[len(dense) :]]
        return found

    found = _compared(tuple(decoders), d, sizes, scores, live, order)
    pairs = tuple(
        _with_soft(_with_subspace(pair, decoders, d), decoders, temperature) for pair in found.pairs
    )
    estimates = {size: {**found.estimates[size], **_further(pairs, size)} for size in sizes}
    zeros = _zero_rows([*decoders.values()], sizes)
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

    def scores(a: str, b: str, alive: Liveness | None, place: int) -> tuple[PrefixScore, ...]:
        first, second = by_name[a], by_name[b]
        kept = [one.order[: sizes[-1]] for one in (first, second)]
        S = latent_correlations(first.latents, second.latents, *kept)
        known = None if alive is None else (alive[0][: sizes[-1]], alive[1][: sizes[-1]])
        tell = _teller(f"{a} with {b} by activations", on_progress)
        return prefix_scores(S, sizes, known, place, tell)

    live = {one.name: one.live for one in dictionaries}
    d, order = dictionaries[0].autoencoder.d, dictionaries[0].order_name
    return _compared(tuple(by_name), d, sizes, scores, live, order)


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


def _zero_rows(
    decoders: Sequence[Float[np.ndarray, "_ _"]], prefixes: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Return by prefix how many zero rows the two have, or all of them on average."""
    found = {}
    for prefix in prefixes:
        counts = [int((~live_atoms(decoder[:prefix].T)).sum()) for decoder in decoders]
        mean = round(sum(counts) / len(counts))
        found[prefix] = (counts[0], counts[1]) if len(counts) == 2 else (mean, mean)
    return found
