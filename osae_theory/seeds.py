"""Random streams, one per axis: two runs can share one axis and differ in another.

Every stream is named by (seed, axis, index) and comes from numpy's SeedSequence, so that
the problem a run trains on does not change when its initialisation does, and the other
way round.
"""

from enum import IntEnum

import numpy as np
import torch

from osae_theory.errors import check_integer


class Axis(IntEnum):
    """What a random stream is for. The numbers are part of the results: never renumber."""

    DICTIONARY = 0
    SUPPORTS = 1
    VALUES = 2
    NOISE = 3
    INITIALISATION = 4
    DATA_ORDER = 5
    PREFIXES = 6
    CHANCE = 7
    TUNING = 8
    TIES = 9
    RESAMPLES = 10
    PROBLEM_DRAW = 11
    CHOICE = 12
    KMEANS = 13
    LAWS = 14


def sequence(seed: int, axis: Axis, index: int = 0) -> np.random.SeedSequence:
    """Return the SeedSequence of one axis.

    Parameters
    ----------
    seed : int
        The seed a user gives, at least 0.
    axis : Axis
        What the stream is for.
    index : int
        Which of the axis's streams, at least 0: a run's number, or a split of the data.

    Raises
    ------
    InputError
        If `seed` or `index` is not a whole number of at least 0.
    """
    check_integer("seed", seed, 0)
    check_integer("index", index, 0)
    return np.random.SeedSequence(entropy=int(seed), spawn_key=(int(axis), int(index)))


def generator(seed: int, axis: Axis, index: int = 0) -> np.random.Generator:
    """Return a numpy Generator for one axis; see `sequence`."""
    return np.random.default_rng(sequence(seed, axis, index))


def torch_generator(seed: int, axis: Axis, index: int = 0) -> torch.Generator:
    """Return a CPU torch Generator for one axis; see `sequence`.

    It lives on the CPU whatever the device of the training, so that a run draws the same
    numbers everywhere.
    """
    state = sequence(seed, axis, index).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def derived_seed(seed: int, axis: Axis, index: int = 0) -> int:
    """Return a whole number in [0, 2**32) that seeds a family of further streams."""
    return int(sequence(seed, axis, index).generate_state(1, np.uint32)[0])
