"""Work counted beforehand, in subsets, programs or products, against a bound that can be raised."""

import math
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from osae_theory.errors import InputError, check_integer

_Item = TypeVar("_Item")
_LONGEST_COUNT = 10**12
_SECONDS_WITHOUT_A_BAR = 5.0


def check_work(amount: int, what: str, name: str, bound: int, instead: str = "") -> None:
    """Refuse work beyond its bound before it begins.

    Parameters
    ----------
    amount : int
        How much there is to do.
    what : str
        What is counted: "subsets of atoms".
    name : str
        The argument that holds the bound, which the caller may raise.
    bound : int
        The most that is done, at least 1.
    instead : str
        What to do besides raising the bound: "use spark_mip".

    Raises
    ------
    InputError
        If there is more; the message has the amount, the bound and both ways out. Also if the
        bound is not a whole number of at least 1.
    """
    check_integer(name, bound, 1)
    if amount > bound:
        ways = f"{instead}, or raise {name}" if instead else f"raise {name}"
        raise InputError(f"{counted(amount)} {what}: expected at most {bound}; {ways}")


def counted(amount: int) -> str:
    """Return a count as text, by its power of ten if it is long."""
    if amount <= _LONGEST_COUNT:
        return str(amount)
    return f"about 10^{int(math.log10(amount))}"  # log10 takes whole numbers of any length


def progress(items: Iterable[_Item], total: int | None, what: str) -> Iterator[_Item]:
    """Return the items; a bar stands on the terminal, if there is one, once they take long."""
    bar = tqdm(
        items,
        desc=what,
        total=total,
        file=sys.stderr,
        delay=_SECONDS_WITHOUT_A_BAR,
        disable=None,
        leave=False,
    )
    return iter(bar)
