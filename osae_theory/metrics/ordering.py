"""Orders of the latents read off their codes: by frequency, by energy, or by any score."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError, check_finite, check_integer
from osae_theory.seeds import Axis, generator


@dataclass(frozen=True, eq=False)
class LatentStatistics:
    """What the codes say of each latent; the statistics of two chunks of samples add up.

    Attributes
    ----------
    counts : (K,) int
        On how many samples each latent is nonzero.
    energies : (K,) float64
        e_j, the sum of squares of each latent's row of the codes.
    n_samples : int
        How many samples were seen, at least 1.

    Notes
    -----
    Codes too large for memory go chunk by chunk::

        statistics = functools.reduce(operator.add, map(LatentStatistics.of, chunks))
    """

    counts: Int[np.ndarray, " K"]
    energies: Float[np.ndarray, " K"]
    n_samples: int

    @classmethod
    @at_the_door
    def of(cls, codes: Float[np.ndarray, "K N"]) -> "LatentStatistics":
        """Return the statistics of codes (K, N), one row a latent.

        Raises InputError if there is no sample, or an entry is NaN or infinite.
        """
        check_integer("the number of samples", codes.shape[1], 1)
        check_finite("codes", codes)
        values = np.asarray(codes, dtype=np.float64)
        energies = np.sum(values * values, axis=1)
        return cls(np.count_nonzero(values, axis=1), energies, codes.shape[1])

    def __add__(self, other: "LatentStatistics") -> "LatentStatistics":
        if len(self.counts) != len(other.counts):
            raise InputError(
                f"a chunk has {len(other.counts)} latents: expected {len(self.counts)}, as before"
            )
        return LatentStatistics(
            self.counts + other.counts,
            self.energies + other.energies,
            self.n_samples + other.n_samples,
        )

    @property
    def frequencies(self) -> Float[np.ndarray, " K"]:
        """The share, in [0, 1], of the samples on which each latent is nonzero."""
        return self.counts / self.n_samples

    @property
    def dead(self) -> Bool[np.ndarray, " K"]:
        """Which latents are never active."""
        return self.counts == 0

    def order_by_frequency(self, tie_seed: int | None = None) -> Int[np.ndarray, " K"]:
        """Return the latents from the most to the least frequent; see `order_by`."""
        return order_by(self.counts, self.dead, tie_seed)

    def order_by_energy(self, tie_seed: int | None = None) -> Int[np.ndarray, " K"]:
        """Return the latents from the most to the least energy, dead ones last; see `order_by`."""
        return order_by(self.energies, self.dead, tie_seed)


@at_the_door
def frequencies(codes: Float[np.ndarray, "K N"]) -> Float[np.ndarray, " K"]:
    """Return the share, in [0, 1], of the N samples on which each latent is nonzero.

    Raises InputError if there is no sample, or an entry is NaN or infinite.
    """
    return LatentStatistics.of(codes).frequencies


@at_the_door
def energies(codes: Float[np.ndarray, "K N"]) -> Float[np.ndarray, " K"]:
    """Return e_j, the sum of squares of each latent's row of the codes.

    Raises InputError if there is no sample, or an entry is NaN or infinite.
    """
    return LatentStatistics.of(codes).energies


@at_the_door
def order_by(
    scores: Real[np.ndarray, " K"],
    dead: Bool[np.ndarray, " K_dead"] | None = None,
    tie_seed: int | None = None,
) -> Int[np.ndarray, " K"]:
    """Return the latents in descending order of a score, dead latents last.

    Parameters
    ----------
    scores : (K,)
        One finite number a latent.
    dead : (K,) bool, optional
        Latents that go last whatever their score; none by default.
    tie_seed : int, optional
        Puts latents of equal score, and the dead ones, into an order drawn from the stream
        (tie_seed, Axis.TIES, 1). Without it the lower index comes first, which carries what
        order the latents had before into the new one: where Ord of sorted latents is measured,
        give each model a seed of its own.

    Returns
    -------
    (K,) int
        The index of the first latent, of the second, and so on: `D[:, order_by(scores)]` is
        the ordered dictionary.

    Raises
    ------
    InputError
        If a score is NaN or infinite, `dead` is not of the scores' length, or the seed is not a
        whole number of at least 0.
    """
    check_finite("scores", scores)
    last = np.zeros(len(scores), dtype=bool) if dead is None else dead
    if len(last) != len(scores):
        raise InputError(f"dead has length {len(last)}: expected {len(scores)}, one a score")
    places = np.arange(len(scores))
    if tie_seed is not None:
        places = generator(tie_seed, Axis.TIES, 1).permutation(len(scores))
    return np.lexsort((places, -np.asarray(scores, dtype=np.float64), last))


@at_the_door
def order_by_frequency(codes: Float[np.ndarray, "K N"]) -> Int[np.ndarray, " K"]:
    """Return the latents from the most to the least frequent, dead latents last.

    Parameters
    ----------
    codes : (K, N)
        One row a latent.

    Returns
    -------
    (K,) int
        As `order_by`.

    Raises
    ------
    InputError
        If there is no sample, or an entry is NaN or infinite.

    Notes
    -----
    Source: the order of the atoms in Theorem 3.1 of Wang et al. (2025).
    """
    return LatentStatistics.of(codes).order_by_frequency()


@at_the_door
def order_by_energy(codes: Float[np.ndarray, "K N"]) -> Int[np.ndarray, " K"]:
    """Return the latents from the most to the least energy e_j, dead latents last.

    Parameters
    ----------
    codes : (K, N)
        One row a latent, for a dictionary with unit-norm atoms: the energy is that of the
        codes alone.

    Returns
    -------
    (K,) int
        As `order_by`.

    Raises
    ------
    InputError
        If there is no sample, or an entry is NaN or infinite.
    """
    return LatentStatistics.of(codes).order_by_energy()
