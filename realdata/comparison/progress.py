"""How a comparison tells what it is doing, where that takes long."""

from collections.abc import Callable

from osae_theory.progress import Step

# From so many atoms on a matching takes so long that people are told of each.
SLOW_ATOMS = 1024
OnProgress = Callable[[Step], None]
# Tells of one prefix: how much is done of how much, and what is being done.
Tell = Callable[[int, int, int, str], None]


def teller(what: str, on_progress: OnProgress | None) -> Tell:
    """Return what tells of the prefixes of some work that take long."""

    def tell(prefix: int, done: int, total: int, stage: str) -> None:
        if on_progress is not None and prefix >= SLOW_ATOMS:
            on_progress(Step(f"{what}, first {prefix:,}", done, total, stage))

    return tell
