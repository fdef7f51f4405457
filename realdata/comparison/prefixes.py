"""At which prefixes dictionaries are compared, and what that takes."""

import math
from collections.abc import Mapping, Sequence
from itertools import count, takewhile

from osae_theory.errors import InputError, check_integer
from osae_theory.metrics.chance import MOST_DENSE
from realdata.comparison.dictionaries import Dictionary
from realdata.comparison.memory import available_memory

FIRST_PREFIX = 4
# Tables of 8 K^2 bytes that are held at once where K latents are matched by correlations: these,
# their absolute values, the same in a drawn order, and the solver's own copy.
_TABLES = 4


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
        Whether latents are compared by their correlations, too, of which a table is held up to
        4,096.

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
    free, held = available_memory(), max((p for p in sizes if p <= MOST_DENSE), default=0)
    if latents and free is not None and (needed := _TABLES * 8 * held**2) > free:
        most = math.isqrt(free // (_TABLES * 8))
        raise InputError(
            f"the correlations of {held:,} latents take {needed:,} bytes of memory: expected"
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
