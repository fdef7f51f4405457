import numpy as np
import pytest

from benchmarks.store import RunRecord, RunStore
from small_runs import small_configs


def record():
    [config] = small_configs(n=1)
    arrays = {"dictionary": np.arange(6.0).reshape(2, 3), "permutation": np.array([2, 0, 1])}
    return RunRecord(config, "done", {"mse": 0.1 + 0.2, "ord_recovered": None}, arrays)


def test_a_record_comes_back_bit_for_bit(tmp_path):
    store, saved = RunStore(tmp_path / "deep" / "store"), record()
    assert store.load(saved.config) is None
    store.save(saved)
    loaded = store.load(saved.config)
    assert (loaded.config, loaded.status, loaded.scalars) == (
        saved.config,
        saved.status,
        saved.scalars,
    )
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    store.discard()
    assert not store.folder.exists()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-3], lambda b: b[:5], lambda b: b"", lambda b: b"x" * 99]
)
def test_a_damaged_file_counts_as_not_there(tmp_path, damage):
    store, saved = RunStore(tmp_path), record()
    store.save(saved)
    path = store.path(saved.config)
    path.write_bytes(damage(path.read_bytes()))
    assert store.load(saved.config) is None
