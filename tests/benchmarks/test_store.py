import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks import store as store_module
from benchmarks.store import RunRecord, RunStore
from osae_theory.errors import InputError
from osae_theory.provenance import provenance_here
from small_runs import small_configs


def record(place=0):
    config = small_configs(n=place + 1)[place]
    arrays = {"dictionary": np.arange(6.0).reshape(2, 3), "permutation": np.array([2, 0, 1])}
    scalars = {"mse": 0.1 + 0.2, "ord_recovered": None, "dictionary_sha256": "ab"}
    return RunRecord(config, "done", scalars, arrays, provenance_here())


def loaded_anew(store, config):
    """Load a run whose file is bad: nothing comes, and a word is said."""
    with pytest.warns(RuntimeWarning, match="the run is trained anew"):
        return store.load(config) is None


def test_a_record_comes_back_bit_for_bit(tmp_path):
    store, saved = RunStore(tmp_path / "deep" / "store"), record()
    assert store.load(saved.config) is None
    store.save(saved)
    loaded = store.load(saved.config)
    assert (loaded.config, loaded.status, loaded.scalars, loaded.provenance) == (
        saved.config,
        saved.status,
        saved.scalars,
        saved.provenance,
    )
    assert set(loaded.arrays) == set(saved.arrays)
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype
    store.discard([saved.config])
    assert not store.folder.exists()


def test_a_run_that_diverged_has_no_arrays_and_comes_back(tmp_path):
    store, saved = RunStore(tmp_path), replace(record(), status="diverged", arrays={})
    store.save(saved)
    assert store.load(saved.config).status == "diverged"


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-3], lambda b: b[:5], lambda b: b"", lambda b: b"x" * 99, lambda b: b + b"x"],
)
def test_a_damaged_file_counts_as_not_there(tmp_path, damage):
    store, saved = RunStore(tmp_path), record()
    store.save(saved)
    path = store.path(saved.config)
    path.write_bytes(damage(path.read_bytes()))
    assert loaded_anew(store, saved.config)


def test_no_flipped_bit_of_a_file_goes_unseen(tmp_path):
    store, saved = RunStore(tmp_path), record()
    store.save(saved)
    path = store.path(saved.config)
    whole = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for bit in range(0, 8 * len(whole), 3):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            loaded = store.load(saved.config)
            # A flip may be of no consequence (a space between the header and the arrays).
            assert loaded is None or (
                loaded.scalars == saved.scalars
                and loaded.provenance == saved.provenance
                and all(np.array_equal(loaded.arrays[k], v) for k, v in saved.arrays.items())
            )


def test_another_runs_file_is_not_taken_for_the_run(tmp_path):
    store, first, second = RunStore(tmp_path), record(0), record(1)
    store.save(second)
    store.path(second.config).rename(store.path(first.config))
    assert loaded_anew(store, first.config)


@pytest.mark.parametrize("change", [{"status": "dnoe"}, {"scalars": {"mse": float("nan")}}, {}])
def test_an_edited_file_is_not_believed(tmp_path, change):
    store, saved = RunStore(tmp_path), record()
    store.save(saved)
    path = store.path(saved.config)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    content = json.loads(metadata["content"]) | change
    if not change:
        arrays["dictionary"][0, 0] += 1
    save_file(arrays, path, metadata | {"content": json.dumps(content, sort_keys=True)})
    assert loaded_anew(store, saved.config)


def test_a_status_that_is_none_is_not_believed_even_with_its_checksum(tmp_path):
    store, saved = RunStore(tmp_path), replace(record(), status="dnoe")
    store.save(saved)
    assert loaded_anew(store, saved.config)


def test_a_measurement_that_is_no_number_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        RunStore(tmp_path).save(replace(record(), scalars={"mse": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_run_is_refused(tmp_path):
    store, saved = RunStore(tmp_path), record()
    store.path(saved.config).mkdir()
    with pytest.raises(InputError, match="expected a finished run's file, not a folder"):
        store.load(saved.config)


def test_runs_of_other_code_are_not_found_and_are_removed_with_the_job(tmp_path, monkeypatch):
    store, saved = RunStore(tmp_path / "store"), record()
    store.save(saved)
    monkeypatch.setattr(store_module, "code_fingerprint", lambda: "0" * 64)
    assert store.load(saved.config) is None
    store.discard([saved.config])
    assert not store.folder.exists()


def test_a_job_that_ends_leaves_the_runs_of_others(tmp_path):
    store, own, other = RunStore(tmp_path), record(0), record(1)
    store.save(own)
    store.save(other)
    store.discard([own.config])
    assert store.load(own.config) is None
    assert store.load(other.config) is not None
