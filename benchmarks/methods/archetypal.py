"""Archetypal SAE: atoms are mixtures of candidate points, near the data, in their norm free.

Atoms are the unit-norm rows of W C + L: C are n candidates (n x d), W has rows of numbers of at
least 0 that sum to 1, and each row of L, the relaxation, is at most `relaxation` times the
candidates' typical norm. W and L are put back into their sets after each step. Candidates are
k-means centroids of the training samples, n = 5 K or fewer where there are fewer samples: eight of
Lloyd's iterations over at most 100 n samples, from samples drawn by the run's seed. Each atom
starts at a candidate of its own, and the encoder at the atoms' transpose. Codes and recipe are
those of the top-m SAE. The centroids are work beside the budget.

The control `archetypal-random` has isotropic Gaussian candidates of the samples' typical norm: what
the parametrisation does without the data.

Source: Fel et al. (2025), "Archetypal SAE", arXiv 2502.12892: A-SAE and its relaxation RA-SAE; the
unit norm is ours, as the other methods here have it.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.contracts import Params
from benchmarks.methods._dense import dense_method
from benchmarks.parameters import Parameter
from benchmarks.training.dense import (
    DenseModel,
    Moment,
    Start,
    TopMModel,
    mean_energy,
    numpy_of,
    parameter,
)
from benchmarks.training.portable_autograd import Operations, row_sums
from osae_theory.portable import matmul, standard_normal
from osae_theory.seeds import Axis, generator


def _relaxation(candidates: tuple[float, ...]) -> Parameter:
    return Parameter(
        "relaxation",
        "real",
        "largest norm of an atom's part outside the mixture, in units of the candidates' typical"
        " norm, at least 0",
        candidates=candidates,
        at_least=0,
    )


# Where it never binds, atoms are free: an optimum there is not at an edge.
RELAXATION = _relaxation((0.3, 1.0, 3.0, 10.0, 30.0))
RANDOM_RELAXATION = _relaxation((0.0, 0.1, 0.3, 1.0, 3.0))
_CANDIDATES_AN_ATOM = 5
_SAMPLES_A_CANDIDATE = 100
_ITERATIONS = 8

Candidates = Callable[[Start, int, np.random.Generator], Float[np.ndarray, "n d"]]


class Archetypal(TopMModel):
    """One run's archetypal SAE.

    Parameters
    ----------
    start : Start
        What it starts from; its initial decoder is not used.
    params : mapping
        With "relaxation".
    candidates : callable
        Gives so many candidate points by a random stream.
    """

    on_sphere = ()
    points: Float[Tensor, "n d"]

    def __init__(self, start: Start, params: Params, candidates: Candidates) -> None:
        rng = generator(start.seeds.initialisation, Axis.CHOICE)
        K = len(start.atoms)
        n = min(_CANDIDATES_AN_ATOM * K, max(len(start.rows), K))
        points = torch.from_numpy(candidates(start, n, rng)).to(start.rows)
        self._radius = float(params["relaxation"]) * mean_energy(start.ops, points) ** 0.5
        mixture = points.new_zeros(K, n)
        mixture[torch.arange(K), torch.from_numpy(rng.permutation(n)[:K])] = 1
        DenseModel.__init__(self)  # its atoms are no parameter
        self.ops, self.m = start.ops, start.m
        self.hold("points", points)
        self.mixture = parameter(mixture)
        self.relaxation = parameter(points.new_zeros(K, points.shape[1]))
        self.encoder = parameter(self.atoms())
        self.bias = parameter(points.new_zeros(K))

    def atoms(self) -> Float[Tensor, "K d"]:
        """Return the mixtures with their relaxation, at unit norm."""
        mixed = self.ops.matmul(self.mixture, self.points)
        return self.ops.unit_rows(mixed + self.relaxation)

    @torch.no_grad()
    def stepped(self, moment: Moment, rate: float) -> None:
        """Put mixtures and relaxation back into their sets."""
        mixture, relaxation = self.mixture, self.relaxation
        mixture.copy_(mixtures(self.ops, mixture))
        norms = self.ops.row_sums(relaxation * relaxation).sqrt()
        beyond = (norms > self._radius)[:, None]
        relaxation.copy_(
            torch.where(beyond, relaxation / norms[:, None] * self._radius, relaxation)
        )


def mixtures(ops: Operations, weights: Float[Tensor, "K n"]) -> Float[Tensor, "K n"]:
    """Return rows of numbers of at least 0 that sum to 1: cut off at 0, divided by their sums.

    A row without a positive number becomes uniform.
    """
    positive = weights.relu()
    sums = ops.row_sums(positive)[:, None]
    uniform = torch.ones_like(weights) / weights.shape[1]
    return torch.where(sums > 0, positive / sums, uniform)


def centroids(start: Start, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Return k-means centroids of some of the training samples; their bits are defined.

    A centroid that no sample is nearest to stays where it is.
    """
    chosen = rng.permutation(len(start.rows))[: _SAMPLES_A_CANDIDATE * n]
    rows = np.ascontiguousarray(numpy_of(start.rows)[chosen])
    if len(rows) < n:  # fewer samples than atoms: some candidates are there twice
        return rows[np.arange(n) % len(rows)]
    found = rows[:n].copy()
    for _ in range(_ITERATIONS):
        nearest = (matmul(rows, found.T) - (found * found).sum(axis=1) / 2).argmax(axis=1)
        # Samples by centroid, in their order: `reduceat` adds each centroid's own.
        order = np.argsort(nearest, kind="stable")
        held, first, counts = np.unique(nearest[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(rows[order].astype(np.float64), first, axis=0)
        found[held] = sums / counts[:, None]
    return found


def random_points(start: Start, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Return isotropic Gaussian points of the samples' typical norm."""
    drawn = torch.from_numpy(standard_normal(rng, (n, start.rows.shape[1])))
    norms = row_sums(drawn * drawn).sqrt()[:, None]
    scale = mean_energy(start.ops, start.rows) ** 0.5
    return numpy_of((drawn / norms * scale).to(start.rows))


METHODS = (
    dense_method(
        "archetypal",
        "archetypal SAE",
        lambda start, params: Archetypal(start, params, centroids),
        (RELAXATION,),
    ),
    dense_method(
        "archetypal-random",
        "archetypal SAE (random candidates)",
        lambda start, params: Archetypal(start, params, random_points),
        (RANDOM_RELAXATION,),
    ),
)
