"""What methods that learn atoms alone share: codes by pursuit, and random samples to start from."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, FitFunction, Fitted, Params, Shape
from benchmarks.encoders.pursuit import Pursuit
from benchmarks.parameters import Parameter
from osae_theory.errors import InputError
from osae_theory.pursuit import refine
from osae_theory.sae import RunSeeds
from osae_theory.seeds import Axis, generator

SIGNED = Parameter(
    "signed",
    "choice",
    "whether codes may be negative, off or on",
    default="off",
    choices=("off", "on"),
)
MOMENTUM = Parameter(
    "momentum",
    "real",
    "most momentum of the atoms, at least 0 and below 1; 0 for the classical algorithm",
    default=0,
    at_least=0,
    below=1,
)


def is_signed(params: Params) -> bool:
    """Return whether a method's codes may be negative."""
    return params["signed"] == "on"


def pursued(atoms: Float[np.ndarray, "K d"], data: Data, params: Params) -> Fitted:
    """Return unit-norm atoms, given as rows, with codes by pursuit."""
    dictionary = np.ascontiguousarray(atoms.T)
    return Fitted(dictionary, Pursuit(dictionary, data.m, is_signed(params)))


def scaled(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return rows in float64 with norm 1; zero rows stay."""
    found = rows.astype(np.float64)
    norms = np.sqrt(np.add.reduce(found * found, axis=1))[:, None]
    return found / np.where(norms > 0, norms, 1.0)


def random_samples(data: Data, own: RunSeeds) -> Float[np.ndarray, "K d"]:
    """Return K samples, none twice and none 0, scaled to norm 1, in the order drawn.

    Raises
    ------
    InputError
        If there are fewer samples that are not 0.
    """
    usable = np.flatnonzero((data.rows != 0).any(axis=1))
    if len(usable) < data.K:
        raise InputError(f"{len(usable)} samples are not 0: expected at least K = {data.K}")
    rng = generator(own.initialisation, Axis.INITIALISATION)
    return scaled(data.rows[rng.choice(usable, data.K, replace=False)])


def too_few_samples(params: Params, shape: Shape) -> str | None:
    """Return that there are fewer samples than atoms, if so."""
    return "K > N: there are fewer samples than atoms" if shape.K > shape.N else None


def each_run(
    atoms: Callable[[Data, Fit, RunSeeds], Float[np.ndarray, "K d"]],
) -> FitFunction:
    """Return a method's function that fits one run after another, with codes by pursuit."""

    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        return [pursued(atoms(data, how, own), data, how.params) for own in seeds]

    return fit


def alternating(update: str) -> FitFunction:
    """Return the alternation of pursuit and an update of the atoms, from random samples on."""

    def atoms(data: Data, how: Fit, own: RunSeeds) -> Float[np.ndarray, "K d"]:
        return refine(
            data.rows,
            random_samples(data, own),
            data.m,
            iterations=how.budget.amount,
            update=update,
            signed=is_signed(how.params),
            momentum=float(how.params["momentum"]),
        ).atoms

    return each_run(atoms)
