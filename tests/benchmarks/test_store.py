import stat

import numpy as np
import pytest

from benchmarks.store import RunRecord, RunStore, check_writable, write_atomically
from osae_theory.errors import InputError
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


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fails(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions(tmp_path):
    ordinary, path = tmp_path / "ordinary", tmp_path / "atomic"
    ordinary.touch()
    write_atomically(path, lambda temporary: temporary.write_text("x"))
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_folder_below_a_file_or_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="is a file"):
            check_writable(bad)
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="can be written to"):
        check_writable(tmp_path / "new")
