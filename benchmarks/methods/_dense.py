"""What the SAEs of the dense trainer share: one recipe, and a model made from parameters."""

from collections.abc import Callable, Sequence

from benchmarks.contracts import Data, Fit, Fitted, Method, Params
from benchmarks.methods._sae import LEARNING_RATE
from benchmarks.parameters import Parameter
from benchmarks.training.dense import DenseConfig, DenseModel, Start, train_dense
from osae_theory.sae import RunSeeds

Model = Callable[[Start, Params], DenseModel]


def dense_method(
    name: str, title: str, model: Model, parameters: Sequence[Parameter] = ()
) -> Method:
    """Return an SAE of the dense trainer as a method.

    Parameters
    ----------
    name, title : str
        As in `Method`.
    model : callable
        Makes a run's model from what it starts from and the method's parameters.
    parameters : sequence of Parameter
        Its own, besides the learning rate.
    """

    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        trained = train_dense(
            data.rows,
            data.K,
            seeds,
            config_of(data, how, how.budget.amount),
            lambda start: model(start, how.params),
        )
        return [None if found is None else found.fitted() for found in trained]

    return Method(name, title, fit, (*parameters, LEARNING_RATE))


def config_of(data: Data, how: Fit, n_steps: int) -> DenseConfig:
    """Return the common recipe over a number of steps, at least one."""
    return DenseConfig(
        data.m,
        float(how.params["lr"]),
        max(n_steps, 1),
        how.budget.batch_size,
        how.arithmetic,
        how.device,
    )
