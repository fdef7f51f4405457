"""Adam against torch.optim.Adam, and the sphere against its definition."""

import pytest
import torch

from osae_theory import threads
from osae_theory.sae.kernels import AdamConfig, AdamState, adam_step

RATES = [1e-2, 3e-3]


def draw(seed, shape=(2, 5, 37), dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_steps_equal_torchs_adam_with_a_rate_for_each_run(backend, dtype):
    state = AdamState.of(draw(0, dtype=dtype))
    runs = [torch.nn.Parameter(p.clone()) for p in state.parameter]
    adam = torch.optim.Adam(
        [{"params": [run], "lr": rate} for run, rate in zip(runs, RATES, strict=True)],
        betas=(0.8, 0.95),
    )
    for step in range(1, 8):
        gradient = draw(step, dtype=dtype)
        state.gradient.copy_(gradient)
        adam_step(state, step, RATES, AdamConfig((0.8, 0.95)), scale=0.5, backend=backend)
        for run, slope in zip(runs, gradient, strict=True):
            run.grad = 0.5 * slope
        adam.step()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for found, run in zip(state.parameter, runs, strict=True):
        torch.testing.assert_close(found, run.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_on_the_sphere_the_radial_part_goes_before_and_the_norm_comes_back_after(backend):
    start = torch.nn.functional.normalize(draw(0), dim=-1)
    state = AdamState.of(start.clone(), on_sphere=True)
    gradient = draw(1)
    state.gradient.copy_(gradient)
    adam_step(state, 1, RATES, AdamConfig(), backend=backend)
    tangent = gradient - (gradient * start).sum(-1, keepdim=True) * start
    moved = start - torch.tensor(RATES)[:, None, None] * tangent / (tangent.abs() + 1e-8)
    expected = torch.nn.functional.normalize(moved, dim=-1)
    torch.testing.assert_close(state.parameter, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("on_sphere", [True, False])
def test_frozen_rows_keep_their_values_but_not_their_moments(backend, on_sphere):
    start = torch.nn.functional.normalize(draw(0), dim=-1)
    state = AdamState.of(start.clone(), on_sphere=on_sphere)
    state.gradient.copy_(draw(1))
    adam_step(state, 1, RATES, AdamConfig(), frozen=2, backend=backend)
    assert torch.equal(state.parameter[:, :2], start[:, :2])
    assert (state.parameter[:, 2:] != start[:, 2:]).any(dim=-1).all()
    assert (state.square > 0).all()


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_the_largest_row_norm_is_returned_and_a_nan_is_not_hidden(backend):
    state = AdamState.of(torch.zeros(3, 4, 5))
    state.parameter[0, 1] = 3
    state.parameter[1, 2, 0] = torch.nan
    state.parameter[2, 0, 0] = torch.inf
    norms = adam_step(state, 1, [1.0, 1.0, 1.0], AdamConfig(), frozen=4, backend=backend)
    assert float(norms[0]) == pytest.approx(3 * 5**0.5)
    assert not norms[1] < 1e30
    assert not norms[2] < 1e30


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "_WORTH_IT", 0)
    results = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        try:
            state = AdamState.of(draw(0, dtype=torch.float32), draw(1, dtype=torch.float32), True)
            adam_step(state, 1, RATES, AdamConfig(), backend="numba")
        finally:
            torch.set_num_threads(1)
        results.append(state.parameter)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
