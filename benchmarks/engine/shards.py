"""Shares of a study for jobs that know nothing of each other: which settings belong to which."""

import hashlib
import re
from dataclasses import dataclass

from benchmarks.spec import RunSpec, Setting
from osae_theory.errors import InputError, shown
from osae_theory.sae import RunSeeds

_SEEDLESS = RunSeeds(0, 0, 0)


@dataclass(frozen=True)
class Shard:
    """One of several shares of a study: a setting, with all its runs and pairs, is in exactly one.

    Which one depends on nothing but the setting, so that shares may run at once, in any order and
    again, and a study that grows moves nothing from one to another.

    Attributes
    ----------
    index : int
        Which, from 1 to `n`.
    n : int
        How many there are, at least 1.

    Raises
    ------
    InputError
        If there is no such share.
    """

    index: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.n:
            raise _refused(f"{self.index}/{self.n}")

    @classmethod
    def read(cls, text: str) -> "Shard":
        """Return the shard that a text such as "2/4" names, the second of four.

        Raises
        ------
        InputError
            If it has not that form, or there is no such share.
        """
        found = re.fullmatch(r"\s*([0-9]{1,9})/([0-9]{1,9})\s*", text)
        if not found:
            raise _refused(text)
        return cls(int(found[1]), int(found[2]))

    def holds(self, setting: Setting) -> bool:
        """Say whether a setting belongs to this share."""
        # The runs' own seeds have no part in it: two runs that are compared are in one share.
        text = RunSpec(setting, _SEEDLESS).text
        return int(hashlib.sha256(text.encode()).hexdigest(), 16) % self.n == self.index - 1


def _refused(text: str) -> InputError:
    return InputError(f"shard {shown(text)}: expected I/N with I from 1 to N, such as 2/4")
