"""Runs of several methods and draws trained in one program, side by side along the run axis."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, FitFunction, Fitted, Part, Recipe
from osae_theory.errors import InputError
from osae_theory.sae import RunSeeds


def fit_by(recipe: Recipe) -> FitFunction:
    """Return a method's `fit` that trains its runs by a recipe."""

    def fit(data: Data, how: Fit, seeds: Sequence[RunSeeds]) -> list[Fitted | None]:
        [fits] = train_together([Part(recipe, data, how, seeds)])
        return fits

    return fit


def train_together(parts: Sequence[Part]) -> list[list[Fitted | None]]:
    """Train all runs of all parts in one program; return what each gives, None if it diverged.

    Each run is the same as alone: bit for bit in portable arithmetic, to rounding of each step in
    fast arithmetic. Random numbers, the problem's and the run's, are drawn on the CPU, and so the
    same on any device.

    Raises
    ------
    InputError
        If the parts differ in their configuration, the shape of their data or their device, or are
        several of a method whose runs train alone.
    """
    first, *others = parts
    shared = _shared(first)
    if others and (shared is None or any(_shared(part) != shared for part in others)):
        raise InputError("runs of other configurations, shapes or devices: expected the same")
    rows = list({id(part.data.rows): part.data.rows for part in parts}.values())
    places = {id(one): place for place, one in enumerate(rows)}
    sets = [places[id(part.data.rows)] for part in parts]
    fits = iter(first.recipe.train(parts, _on_device(rows, first.how.device), sets))
    return [[next(fits) for _ in part.seeds] for part in parts]


def _shared(part: Part) -> Hashable | None:
    data, how = part.data, part.how
    found = part.recipe.shared(data.K, data.m, how)
    return None if found is None else (found, data.rows.shape, data.K, data.m, how.device)


def _on_device(
    rows: Sequence[Float[np.ndarray, "N d"]], device: str
) -> Float[torch.Tensor, "sets N d"]:
    """Return data sets side by side, without a copy of all of them on the way."""
    sets = [torch.from_numpy(one) for one in rows]
    if len(sets) == 1:
        return sets[0][None].to(device)
    x = torch.empty(len(sets), *sets[0].shape, dtype=sets[0].dtype, device=device)
    for into, one in zip(x, sets, strict=True):
        into.copy_(one)
    return x
