"""The kernels in numpy against the compiled ones: the same bits, not nearly the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import DeadLatentLoss, Run, RunSeeds, TrainingConfig, UnitSweep, train
from osae_theory.sae.kernels import (
    AdamConfig,
    AdamState,
    adam_step,
    encoder_gradients,
    prefix_gradients,
    select_sparse,
)


def numbers(*shape, dtype, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(shape)
    return torch.from_numpy(drawn.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("d", "K", "m"), [(1, 1, 1), (5, 7, 3), (16, 9, 9), (35, 40, 4), (170, 12, 2)]
)
def test_loss_and_gradients_have_the_same_bits(d, K, m, dtype):
    S, n = 2, 20
    x, scores = numbers(S, n, d, dtype=dtype), numbers(S, n, K, dtype=dtype, seed=1)
    atoms = numbers(S, K, d, dtype=dtype, seed=2)
    survival = torch.from_numpy(
        np.stack([PrefixLaw.zipf(K).survival, PrefixLaw.uniform(K).survival])
    )
    codes = select_sparse(scores, m, backend="numba")
    plain_codes = select_sparse(scores, m, backend="plain")
    assert torch.equal(codes.indices, plain_codes.indices)
    assert torch.equal(codes.values, plain_codes.values)
    assert (codes.indices < 0).any() or m == 1 or K > 30
    found, expected = (
        prefix_gradients(x, codes, atoms, survival, with_x=True, backend=backend)
        for backend in ("numba", "plain")
    )
    for name in ("loss", "values", "atoms", "x"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    through = [
        encoder_gradients(x, codes.indices, found.values, K, backend=backend)
        for backend in ("numba", "plain")
    ]
    assert torch.equal(through[0].encoder, through[1].encoder)
    assert torch.equal(through[0].bias, through[1].bias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("on_sphere", [False, True])
@pytest.mark.parametrize("width", [1, 16, 37])
def test_adam_steps_have_the_same_bits(width, on_sphere, dtype):
    states = []
    for _ in range(2):
        state = AdamState.of(
            numbers(2, 6, width, dtype=dtype), numbers(2, 6, width, dtype=dtype, seed=1), on_sphere
        )
        states.append(state)
    for step in range(1, 4):
        norms = [
            adam_step(
                state, step, [1e-2, 3e-1], AdamConfig(), scale=1 / 7, frozen=2, backend=backend
            )
            for state, backend in zip(states, ("numba", "plain"), strict=True)
        ]
        assert torch.equal(*norms)
        for name in ("parameter", "mean", "square"):
            assert torch.equal(getattr(states[0], name), getattr(states[1], name)), name


K = 9
CONFIG = TrainingConfig(2, n_steps=14, batch_size=17)
CONFIGS = {
    "plain": CONFIG,
    "signed, with everything": replace(
        CONFIG,
        activation="signed",
        use_decoder_bias=True,
        dead_latent_loss=DeadLatentLoss(dead_after=2),
        unit_sweep=UnitSweep(5, 3),
    ),
    "by batch": replace(CONFIG, activation="batch"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_whole_trainings_have_the_same_bits(name):
    x = numbers(60, 6, dtype=np.float32)
    runs = [
        Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(K)),
        Run(RunSeeds.same(1), 3e-2, RandomPrefixes(K)),
    ]
    compiled, plain = (
        train(x, K, runs, replace(CONFIGS[name], backend=backend)) for backend in ("numba", "plain")
    )
    assert torch.equal(compiled.losses, plain.losses)
    for a, b in zip(compiled.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "torch"}, "arithmetic = 'portable' with backend = 'torch'"),
        ({"arithmetic": "exact"}, "arithmetic 'exact'"),
    ],
)
def test_portable_arithmetic_is_refused_where_its_bits_cannot_be_had(change, message):
    x = numbers(20, 3, dtype=np.float32)
    runs = [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(4))]
    with pytest.raises(InputError, match=message):
        train(x, 4, runs, replace(TrainingConfig(1, n_steps=2), **change))


def test_portable_arithmetic_is_refused_in_other_precisions():
    x = torch.zeros(20, 3, dtype=torch.float16)
    runs = [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(4))]
    with pytest.raises(InputError, match=r"portable' in torch\.float16: expected float32"):
        train(x, 4, runs, TrainingConfig(1, n_steps=2))
