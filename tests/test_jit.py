"""Kernels of a module of the test's own, with a cache of its own."""

import importlib.util
import warnings

import numba
import numpy as np
import pytest
from numba.core.caching import CacheImpl

from osae_theory.jit import kernel

SOURCE = """
def double(x):
    return 2 * x

def triple(x):
    return 3 * x
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """Return a function that imports the module anew, as another process would."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "small_kernels.py"
    path.write_text(SOURCE)

    def imported():
        spec = importlib.util.spec_from_file_location("small_kernels", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported


def files(tmp_path, pattern):
    return sorted((tmp_path / "cache").rglob(pattern))


def from_cache(compiled):
    return sum(compiled.stats.cache_hits.values())


def test_a_compiled_kernel_is_taken_from_the_cache_by_the_next_process(functions, tmp_path):
    first, second = (kernel(functions().double) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [first(3), second(3)] == [6, 6]
    assert [from_cache(first), from_cache(second)] == [0, 1]
    assert second(1.5) == 3.0
    third = kernel(functions().double)
    assert [third(3), third(1.5)] == [6, 3.0]
    assert from_cache(third) == 2


@pytest.mark.parametrize("which", ["*.nbi", "*.nbc", "*"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[: len(b) // 2],
        lambda b: bytes(len(b)),
        lambda b: b[:-9] + bytes([b[-9] ^ 4]) + b[-8:],
        lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:],
    ],
)
def test_a_damaged_cache_is_said_and_compiled_anew(functions, tmp_path, which, damage):
    assert kernel(functions().double)(3) == 6
    for path in files(tmp_path, which):
        if path.is_file():
            path.write_bytes(damage(path.read_bytes()))
    again = kernel(functions().double)
    with pytest.warns(RuntimeWarning, match="is damaged .* compiled anew"):
        assert again(3) == 6
    assert from_cache(again) == 0
    mended = kernel(functions().double)
    assert mended(3) == 6
    assert from_cache(mended) == 1


def test_the_file_of_another_kernel_is_not_taken_for_the_kernels(functions, tmp_path):
    module = functions()
    assert kernel(module.double)(3) == 6
    assert kernel(module.triple)(3) == 9
    [own], [other] = (files(tmp_path, f"*{name}*.nbc") for name in ("double", "triple"))
    own.write_bytes(other.read_bytes())
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert kernel(functions().double)(3) == 6


def test_where_the_cache_cannot_be_written_kernels_are_compiled_all_the_same(
    functions, monkeypatch
):
    def nowhere(self, function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(CacheImpl, "__init__", nowhere)
    with pytest.warns(RuntimeWarning, match="cannot be written .* NUMBA_CACHE_DIR"):
        compiled = kernel(functions().double)
    assert compiled(3) == 6


def test_a_cache_on_a_full_disk_is_said_and_the_kernel_works(functions, tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._open_for_write", full)
    compiled = kernel(functions().double)
    with pytest.warns(RuntimeWarning, match="cannot be written .No space left on device"):
        assert compiled(3) == 6
    assert files(tmp_path, "*.nb?") == []


def test_a_kernel_adds_in_the_order_that_its_source_says(functions):
    # No fast-math: (1 + 1e16) - 1e16 is 0 in this order.
    def total(x):
        s = 0.0
        for value in x:
            s += value
        return s

    assert kernel(total)(np.array([1.0, 1e16, -1e16])) == 0.0
