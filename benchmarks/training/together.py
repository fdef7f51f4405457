"""Runs of several methods and draws trained in one program, side by side along the run axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.contracts import Data, Fit, Fitted, Recipe
from benchmarks.encoders.top_m import TopM
from osae_theory.errors import InputError
from osae_theory.sae import Run, RunSeeds, TopMSAE
from osae_theory.sae.training import train_on_sets


@dataclass(frozen=True, eq=False)
class Part:
    """Runs of one method on one draw.

    Attributes
    ----------
    recipe : Recipe
        The method's.
    data : Data
        The draw's; parts on one draw share the rows.
    how : Fit
        What the runs share.
    seeds : sequence of RunSeeds
        One for each.
    """

    recipe: Recipe
    data: Data
    how: Fit
    seeds: Sequence[RunSeeds]


def train_together(parts: Sequence[Part]) -> list[list[Fitted | None]]:
    """Train all runs of all parts in one program; return what each gives, None if it diverged.

    Each run is the same as alone: bit for bit in portable arithmetic, to rounding of each step in
    fast arithmetic. Random numbers, the problem's and the run's, are drawn on the CPU, and so the
    same on any device.

    Raises
    ------
    InputError
        If the parts differ in their configuration, the shape of their data or their device.
    """
    first = parts[0]
    K, m = first.data.K, first.data.m
    config = first.recipe.config(K, m, first.how)
    for part in parts:
        same = part.recipe.config(part.data.K, part.data.m, part.how) == config
        shapes = part.data.rows.shape == first.data.rows.shape and (part.data.K, part.data.m)
        if not same or shapes != (K, m) or part.how.device != first.how.device:
            raise InputError("runs of other configurations, shapes or devices: expected the same")
    rows = list({id(part.data.rows): part.data.rows for part in parts}.values())
    places = {id(one): place for place, one in enumerate(rows)}
    runs, sets = [], []
    for part in parts:
        law, rate = part.recipe.schedule(K, part.how.params), float(part.how.params["lr"])
        runs += [Run(own, rate, law) for own in part.seeds]
        sets += [places[id(part.data.rows)]] * len(part.seeds)
    result = train_on_sets(
        _on_device(rows, first.how.device),
        sets,
        K,
        runs,
        config,
        initial_atoms=_starts(parts),
    )
    fits = iter(
        [
            None if diverged else _fitted(result.model.run(s), m)
            for s, diverged in enumerate(result.diverged.tolist())
        ]
    )
    return [[next(fits) for _ in part.seeds] for part in parts]


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


def _starts(parts: Sequence[Part]) -> Float[torch.Tensor, "S K d"] | None:
    """Return the atoms that the runs start from; None where none says its own."""
    starts = [
        None if part.recipe.start is None else part.recipe.start(part.data, own)
        for part in parts
        for own in part.seeds
    ]
    said = [one for one in starts if one is not None]
    if said and len(said) < len(starts):
        raise InputError("runs with and without a start of their own: expected all or none")
    return torch.from_numpy(np.stack(said)) if said else None


def _fitted(model: TopMSAE, m: int) -> Fitted:
    model.activation = "relu"
    return Fitted(model.atoms[0].detach().cpu().double().numpy().T, TopM(model, m))
