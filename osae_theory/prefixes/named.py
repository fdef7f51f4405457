"""Laws of the prefix length by the names that parameters and configurations hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from osae_theory.prefixes.exact_penalty import ExactPenalty
from osae_theory.prefixes.laws import PrefixLaw, matryoshka_group_ends
from osae_theory.prefixes.schedules import FitSchedule


@dataclass(frozen=True)
class NamedLaw:
    """What a name stands for.

    Attributes
    ----------
    build : callable
        Gives the law of K atoms; of K atoms and a number, where it takes one.
    takes_number : bool
        Whether it takes a number: an exponent, a ratio, a share.
    default : float or None
        The number where none is given; None where there has to be one.
    """

    build: Callable[..., PrefixLaw | FitSchedule]
    takes_number: bool = False
    default: float | None = None

    def of(self, K: int) -> PrefixLaw | FitSchedule:
        """Return the law of K atoms with its default number, if it takes one."""
        return self.build(K, self.default) if self.takes_number else self.build(K)


LAWS: Mapping[str, NamedLaw] = MappingProxyType(
    {
        "uniform": NamedLaw(PrefixLaw.uniform),
        "full": NamedLaw(PrefixLaw.full),
        "piecewise": NamedLaw(lambda K: PrefixLaw.piecewise(K, matryoshka_group_ends(K))),
        "zipf": NamedLaw(PrefixLaw.zipf, takes_number=True, default=1.0),
        "geometric": NamedLaw(PrefixLaw.geometric, takes_number=True),
        "massed": NamedLaw(PrefixLaw.massed, takes_number=True),
        "exact-penalty": NamedLaw(lambda K: ExactPenalty(PrefixLaw.uniform(K))),
    }
)
"""Every law that has a name; who takes one by name says which of these."""
