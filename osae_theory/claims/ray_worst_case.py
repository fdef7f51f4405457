"""The worst dictionary of a given coherence at m = 1: the equiangular one, and when it is lost."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from osae_theory.claims.ray_minimum import set_partitions
from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.minimisers.losses import check_law
from osae_theory.minimisers.rays import cluster_energies
from osae_theory.prefixes import PrefixLaw

MOST_ATOMS = 8  # 4,140 set partitions
XTOL = 1e-12


def equiangular(K: int, mu: float) -> Float[np.ndarray, "K K"]:
    """Return K atoms of R^K with every cosine mu, in [0, 1)."""
    check_integer("K", K, 1)
    check_real("mu", mu, at_least=0, below=1)
    alone = (1 - mu) ** 0.5
    return alone * np.eye(K) + ((1 - mu + K * mu) ** 0.5 - alone) / K


def margin(energies: Float[np.ndarray, " K"], mu: float, law: PrefixLaw) -> float:
    """Return sum_k w_k e_k less the most that a partition with a merged block earns at mu.

    Parameters
    ----------
    energies : Float[np.ndarray, " K"]
        Positive, in any order; K is 2 to 8.
    mu : float
        Coherence, in [0, 1).
    law : PrefixLaw
        Law on {1..K}.

    Raises
    ------
    InputError
        If K or mu is outside its range, or the law is not on K atoms.
    """
    check_law(law, energies.size)
    e = -np.sort(-energies)
    if not 2 <= e.size <= MOST_ATOMS:
        raise InputError(
            f"{e.size} energies: expected 2 to {MOST_ATOMS}; `ray_minimiser` values one D* for"
            " up to 14 rays"
        )
    captured = cluster_energies(equiangular(e.size, mu), e)
    merged = max(
        float(law.survival[: len(blocks)] @ -np.sort(-captured[blocks]))
        for blocks in set_partitions(e.size)
        if len(blocks) < e.size
    )
    return float(law.survival @ e) - merged


def critical_coherence(energies: Float[np.ndarray, " K"], law: PrefixLaw) -> float:
    """Return mu_c, by bisection: the margin falls with mu, from above 0 to below.

    Parameters are those of `margin`; the law has full support.
    """
    return float(brentq(lambda mu: margin(energies, mu, law), 0.0, 1 - XTOL, xtol=XTOL))
