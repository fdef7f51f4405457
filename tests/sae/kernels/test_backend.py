import warnings

import numba
import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import Run, RunSeeds, TrainingConfig, train
from osae_theory.sae.kernels import backend, compiled, use_compiled


@pytest.fixture
def broken_numba(monkeypatch):
    """A machine where numba cannot compile."""

    def fails(*arguments):
        raise OSError("no writable cache")

    monkeypatch.setattr(compiled, "bias_gradient", fails)
    backend._compiles.cache_clear()
    yield
    backend._compiles.cache_clear()


def test_float_tensors_on_the_cpu_are_compiled_and_others_left_to_torch():
    assert use_compiled("auto", torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    assert not use_compiled("auto", torch.zeros(1, dtype=torch.bfloat16))
    assert not use_compiled("auto", torch.zeros(1, device="meta"))
    assert not use_compiled("torch", torch.zeros(1))


def test_where_numba_cannot_compile_training_goes_on_with_one_warning(broken_numba):
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    config = TrainingConfig(1, n_steps=3, batch_size=10)
    runs = [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(5))]
    with pytest.warns(RuntimeWarning, match="numba does not compile here") as caught:
        result = train(x, 5, runs, config)
    assert len(caught) == 1
    assert result.losses.isfinite().all()
    with pytest.raises(InputError, match="numba cannot compile on this machine"):
        use_compiled("numba", x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not use_compiled("auto", x)


def test_the_compiled_kernels_do_what_their_source_says():
    # numba keeps the Python function: run it, without the functions made of vector code.
    rng = np.random.default_rng(0)
    indices = np.array([[0, 2], [1, -1]], np.int32)
    slopes = rng.standard_normal((2, 2))
    found, expected = np.empty(3), np.empty(3)
    compiled.bias_gradient(indices, slopes, found)
    compiled.bias_gradient.py_func(indices, slopes, expected)
    np.testing.assert_array_equal(found, expected)
    keys = rng.integers(0, 5, 40).astype(float)
    for m in (1, 7, 40):
        assert compiled._mth_largest(keys.copy(), 40, m) == np.sort(keys)[::-1][m - 1]
        assert compiled._mth_largest.py_func(keys.copy(), 40, m) == np.sort(keys)[::-1][m - 1]


def test_where_numba_is_told_not_to_compile_numpy_or_torch_trains(monkeypatch):
    # The smallest kernel runs as plain Python; those with vector code do not.
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    backend._compiles.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="NUMBA_DISABLE_JIT is set"):
            assert backend.backend_on("cpu") == "plain"
        assert backend.backend_on("cpu", "fast") == "torch"
    finally:
        backend._compiles.cache_clear()
