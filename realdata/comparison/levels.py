"""The levels of Stab that unrelated dictionaries reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from osae_theory.metrics import (
    ChanceLevel,
    chance_stability,
    live_atoms,
)
from osae_theory.metrics.chance import MOST_DENSE
from realdata.comparison.progress import OnProgress, Tell, teller

# Draws of the chance level: as many as this many atoms in all allow, within the bounds. The
# deviation of one draw falls with the prefix faster than the number of draws does.
CHANCE_ATOMS = 12_800
CHANCE_DRAWS = (4, 200)


@dataclass(frozen=True)
class Chance:
    """The level of Stab for unrelated dictionaries at one prefix, signed and absolute."""

    signed: ChanceLevel
    absolute: ChanceLevel


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
        teller(what, on_progress) for what in ("chance level", "chance level, absolute")
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


def _tell_draw(tell: Tell, prefix: int, done: int, most: int) -> None:
    tell(prefix, done, most, "draws at most")


def zero_rows(
    decoders: Sequence[Float[np.ndarray, "_ _"]], prefixes: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Return by prefix how many zero rows the two have, or all of them on average."""
    found = {}
    for prefix in prefixes:
        counts = [int((~live_atoms(decoder[:prefix].T)).sum()) for decoder in decoders]
        mean = round(sum(counts) / len(counts))
        found[prefix] = (counts[0], counts[1]) if len(counts) == 2 else (mean, mean)
    return found
