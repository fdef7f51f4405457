"""What the SAEs of the dense trainer share: one recipe, and a model made from parameters."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from benchmarks.contracts import Fit, Fitted, Method, Params, Part, Recipe
from benchmarks.methods._sae import LEARNING_RATE
from benchmarks.parameters import Parameter
from benchmarks.training.dense import DenseConfig, DenseModel, DenseRun, Start, train_dense
from benchmarks.training.together import fit_by

Model = Callable[[Start, Params], DenseModel]


def _one(params: Params) -> int:
    return 1


@dataclass(frozen=True)
class DenseRecipe(Recipe):
    """How a method's runs are trained, where each is an SAE of the dense trainer.

    Attributes
    ----------
    model : callable
        Makes a run's model from what it starts from and the method's parameters.
    trained : callable
        Gives, for the method's parameters, how many SAEs a run trains, which share its steps.
    """

    model: Model
    trained: Callable[[Params], int] = _one

    def shared(self, K: int, m: int, how: Fit) -> Hashable | None:
        """Return all but the learning rate in fast arithmetic: portable operations know one run."""
        if how.arithmetic == "portable":
            return None
        own = {name: value for name, value in how.params.items() if name != LEARNING_RATE.name}
        return self, self._config(m, how), tuple(sorted(own.items()))

    def train(
        self, parts: Sequence[Part], x: Float[Tensor, "sets N d"], sets: Sequence[int]
    ) -> list[Fitted | None]:
        """Train all runs of parts that can share a program; see `Recipe`."""
        data, how = parts[0].data, parts[0].how

        def made(start: Start) -> DenseModel:
            return self.model(start, how.params)

        runs = [
            DenseRun(own, float(part.how.params[LEARNING_RATE.name]), made)
            for part in parts
            for own in part.seeds
        ]
        places = [place for place, part in zip(sets, parts, strict=True) for _ in part.seeds]
        found = train_dense(x, places, data.K, runs, self._config(data.m, how))
        return [None if model is None else model.fitted() for model in found]

    def _config(self, m: int, how: Fit) -> DenseConfig:
        return config_of(m, how, how.budget.amount // self.trained(how.params))


def dense_method(
    name: str,
    title: str,
    model: Model,
    parameters: Sequence[Parameter] = (),
    trained: Callable[[Params], int] = _one,
) -> Method:
    """Return an SAE of the dense trainer as a method.

    Parameters
    ----------
    name, title : str
        As in `Method`.
    model, trained : callable
        As in `DenseRecipe`.
    parameters : sequence of Parameter
        Its own, besides the learning rate.
    """
    recipe = DenseRecipe(model, trained)
    return Method(name, title, fit_by(recipe), (*parameters, LEARNING_RATE), recipe=recipe)


def config_of(m: int, how: Fit, n_steps: int) -> DenseConfig:
    """Return the common recipe over a number of steps, at least one."""
    return DenseConfig(m, max(n_steps, 1), how.budget.batch_size, how.arithmetic)
