"""Aligned top-m SAEs: a group trained together, matched atoms of its members pulled together.

R members start from decoders of their own and see the same batches, each for 1/R of the steps, so
that a group costs what one SAE of the budget costs. Loss, per sample: the sum of the members'
squared errors, plus pull * E||x||^2 * (1/K) sum_j (1 - ||mean over members of atom j||^2), where
atom j of a member is the one matched to atom j of the first: 0 where all agree. The pull grows
linearly from 0 over the first half, as the sparsity warm-up goes; the matching, by the greatest sum
of cosines, is made anew every 20 steps. A run is a group, and gives its first member.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.contracts import Fitted, Params
from benchmarks.methods._dense import dense_method
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
)
from osae_theory.metrics import match_rows

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

    pull: Float[Tensor, ""]
    matched: Int[Tensor, "others K"]

    def __init__(self, start: Start, params: Params) -> None:
        super().__init__()
        K, R = len(start.atoms), int(params["members"])
        seeds = [member_seeds(start.seeds, r) for r in range(R)]
        self.members = [
            TopMModel(start.with_atoms(initial_atoms(own, K, start.rows))) for own in seeds
        ]
        for r, member in enumerate(self.members):
            self.add_module(str(r), member)
        self.on_sphere = [f"{r}.decoder" for r in range(R)]
        self._ops = start.ops
        self.hold("matched", self._matching())
        self.hold("pull", float(params["pull"]) * mean_energy(start.ops, start.rows))

    def loss(self, batch: Float[Tensor, "n d"], moment: Moment) -> Float[Tensor, ""]:
        """Return the members' squared errors, and the penalty on their atoms' distances."""
        pull = self.pull * min(2 * moment.step / moment.n_steps, 1.0)
        found = self.distance() * pull.to(batch.dtype)
        for member in self.members:
            found = found + member.loss(batch, moment)
        return found

    def distance(self) -> Float[Tensor, ""]:
        """Return how far matched atoms are from each other, in [0, 1]."""
        total = self.members[0].atoms()
        for member, places in zip(self.members[1:], self.matched, strict=True):
            total = total + member.atoms().index_select(0, places)
        mean = total / len(self.members)
        return 1 - self._ops.total(mean * mean) / len(mean)

    def stepped(self, moment: Moment, rate: float) -> None:
        """Match the members' atoms anew, every so many steps."""
        if (moment.step + 1) % _EVERY == 0:
            self.matched.copy_(self._matching())

    def fitted(self) -> Fitted:
        """Return the first member."""
        return self.members[0].fitted()

    def _matching(self) -> Int[Tensor, "others K"]:
        """Return for each member but the first which of its atoms are those of the first."""
        first, *others = (numpy_of(member.atoms()) for member in self.members)
        found = np.stack([match_rows(first, other).permutation for other in others])
        return torch.from_numpy(found).to(self.members[0].atoms().device)


METHOD = dense_method(
    "aligned",
    "aligned top-m SAEs",
    Group,
    (MEMBERS, PULL),
    trained=lambda params: int(params["members"]),
)
