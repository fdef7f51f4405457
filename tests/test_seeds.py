import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.seeds import Axis, derived_seed, generator, torch_generator


def test_the_same_name_gives_the_same_stream():
    first = generator(3, Axis.SUPPORTS, 1).random(5)
    assert np.array_equal(first, generator(3, Axis.SUPPORTS, 1).random(5))


def test_streams_differ_by_seed_by_axis_and_by_index():
    names = [(s, a, i) for s in range(3) for a in Axis for i in range(3)]
    draws = {generator(*name).random() for name in names}
    torch_draws = {torch.rand(1, generator=torch_generator(*name)).item() for name in names}
    assert len(draws) == len(torch_draws) == len(names)
    assert len({derived_seed(*name) for name in names}) == len(names)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1), (1.5, 0)])
def test_seeds_and_indices_are_whole_numbers_from_zero(seed, index):
    with pytest.raises((InputError, TypeError)):
        generator(seed, Axis.NOISE, index)
