"""The exact penalty as a law that follows the fit of the data (claim A)."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from osae_theory.arrays import ArrayLike
from osae_theory.errors import InputError, check_integer, check_real, shown
from osae_theory.prefixes.laws import PrefixLaw
from osae_theory.prefixes.schedules import as_law


@dataclass(frozen=True, init=False)
class ExactPenalty:
    """The loss whose residual is not squared, as a law that follows the fit (claim A).

    The gradient of ||X - D Y||_F + lambda L_q is, up to its length, that of nested dropout with
    mass 1 / (1 + c rho) on l = K and the rest spread as q, where rho = ||X - D Y||_F / ||X||_F
    and c = 2 lambda ||X||_F: the better the fit, the closer to the plain loss. The form by
    samples, sum_n ||x_n - D y_n|| + lambda L_q, gives besides each sample's full residual a
    weight in inverse proportion to its length.

    Attributes
    ----------
    law : PrefixLaw
        The law q of the ordering loss; its probabilities will do. Mass that it has on l = K adds
        a term to the loss that is 0 wherever the data are fitted exactly: what claim A says of q
        without it stays true.
    strength : float
        c, above 0: how much the ordering loss weighs, in units of the data's norm. By default
        what the benchmark's protocol chose at the paper's toy cell.
    by_sample : bool
        Whether residuals are taken sample by sample.
    every : int
        Steps between two measurements of rho, at least 1.
    """

    law: PrefixLaw
    strength: float
    by_sample: bool
    every: int

    def __init__(
        self,
        law: PrefixLaw | ArrayLike,
        strength: float = 0.5,
        *,
        by_sample: bool = False,
        every: int = 10,
    ) -> None:
        check_real("strength", strength, above=0, at_most=1e300)
        check_integer("every", every, 1)
        if not isinstance(by_sample, (bool, np.bool_)):
            raise InputError(f"by_sample = {shown(by_sample)}: expected True or False")
        for name, value in (
            ("law", as_law("law", law)),
            ("strength", float(strength)),
            ("by_sample", bool(by_sample)),
            ("every", int(every)),
        ):
            object.__setattr__(self, name, value)

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.law.K

    def share_for(self, residual: float) -> float:
        """Return the mass c rho / (1 + c rho) of q at the relative residual rho."""
        check_real("residual", residual, at_least=0)
        weight = self.strength * residual
        return weight / (1 + weight) if math.isfinite(weight) else 1.0

    def survival_for(self, residual: float) -> Float[np.ndarray, " K"]:
        """Return the survival weights at the relative residual rho, of all samples together."""
        share = self.share_for(residual)
        return share * self.law.survival + (1 - share)
