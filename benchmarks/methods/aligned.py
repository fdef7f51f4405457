"""Aligned top-m SAEs: a group trained together, matched atoms of its members pulled together.

R members start from decoders of their own and see the same batches, each for 1/R of the steps, so
that a group costs what one SAE of the budget costs. Loss, per sample: the sum of the members'
squared errors, plus pull * E||x||^2 * (1/K) sum_j (1 - ||mean over members of atom j||^2), where
atom j of a member is the one matched to atom j of the first: 0 where all agree. The pull grows
linearly from 0 over the first half, as the sparsity warm-up goes; the matching, by the greatest sum
of cosines, is made anew every 20 steps. A run is a group, and gives its first member.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.contracts import Data, Fit, Fitted, Method, Params
from benchmarks.methods._dense import config_of
from benchmarks.methods._sae import LEARNING_RATE
from benchmarks.parameters import Parameter
from benchmarks.training.dense import (
    DenseModel,
    Moment,
    Start,
    TopMModel,
    initial_atoms,
    mean_energy,
    member_seeds,
    numpy_of,
    train_dense,
)
from osae_theory.metrics import match_rows
from osae_theory.sae import RunSeeds

MEMBERS = Parameter(
    "members",
    "integer",
    "how many SAEs a group has, 2..4",
    default=2,
    at_least=2,
    at_most=4,
)
PULL = Parameter(
    "pull",
    "real",
    "weight of the penalty on the distance of matched atoms, at least 0",
    candidates=(0.0, 0.03, 0.1, 0.3, 1.0),
    at_least=0,
)
_EVERY = 20


class Group(DenseModel):
    """One run's group of top-m SAEs."""

    def __init__(self, start: Start, params: Params) -> None:
        K, R = len(start.atoms), int(params["members"])
        seeds = [member_seeds(start.seeds, r) for r in range(R)]
        self.members = [
            TopMModel(start.with_atoms(initial_atoms(own, K, start.rows))) for own in seeds
        ]
        self.weights = {
            f"{name}.{r}": weights
            for r, member in enumerate(self.members)
            for name, weights in member.weights.items()
        }
        self._ops, self._matched = start.ops, self._matching()
        self._pull = float(params["pull"]) * mean_energy(start.ops, start.rows)

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the members' squared errors, and the penalty on their atoms' distances."""
        pull = self._pull * min(2 * moment.step / moment.n_steps, 1.0)
        found = self.distance() * pull
        for member in self.members:
            found = found + member.loss(batch, moment)
        return found

    def distance(self) -> Float[Tensor, ""]:
        """Return how far matched atoms are from each other, in [0, 1]."""
        total = self.members[0].atoms()
        for member, places in zip(self.members[1:], self._matched, strict=True):
            total = total + member.atoms().index_select(0, places)
        mean = total / len(self.members)
        return 1 - self._ops.total(mean * mean) / len(mean)

    def stepped(self, moment: Moment) -> None:
        """Match the members' atoms anew, every so many steps."""
        if (moment.step + 1) % _EVERY == 0:
            self._matched = self._matching()

    def fitted(self) -> Fitted:
        """Return the first member."""
        return self.members[0].fitted()

    def _matching(self) -> list[Int[Tensor, " K"]]:
        """Return for each member but the first which of its atoms are those of the first."""
        atoms = [numpy_of(member.atoms()) for member in self.members]
        device = self.members[0].atoms().device
        found = [match_rows(atoms[0], other).permutation for other in atoms[1:]]
        return [torch.from_numpy(places).to(device) for places in found]


def _fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
    config = config_of(data, how, how.budget.amount // int(how.params["members"]))
    groups = train_dense(data.rows, data.K, seeds, config, lambda start: Group(start, how.params))
    return [None if group is None else group.fitted() for group in groups]


METHOD = Method("aligned", "aligned top-m SAEs", _fit, (MEMBERS, PULL, LEARNING_RATE))
