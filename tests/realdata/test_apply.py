"""Latents and reconstructions of stored activations, written whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata import apply as applying
from realdata.apply import apply_checkpoint

FIXTURES = Path(__file__).parent / "fixtures"
TOPK = FIXTURES / "saelens" / "topk"
CHECKPOINTS = sorted(
    path.parent
    for library in ("saelens", "gemma_scope")
    for path in (FIXTURES / library).rglob("expected.npz")
)


@pytest.fixture
def activations(tmp_path):
    """Store an array; return its path."""

    def store(array):
        np.save(tmp_path / "x.npy", array)
        return tmp_path / "x.npy"

    return store


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda p: "-".join(p.parts[-3:]))
def test_apply_writes_what_the_library_computes(tmp_path, activations, folder):
    with np.load(folder / "expected.npz") as expected:
        path = activations(expected["x"])
        written = apply_checkpoint(str(folder), None, path, tmp_path / "out" / "deep")
        for name, file in zip(("latents", "reconstruction"), written, strict=True):
            made = np.load(file, allow_pickle=False)
            assert made.dtype == expected[name].dtype
            np.testing.assert_allclose(made, expected[name], rtol=1e-5, atol=3e-6)
    assert sorted(os.listdir(tmp_path / "out" / "deep")) == ["latents.npy", "reconstruction.npy"]


def test_chunks_make_no_difference(tmp_path, activations, monkeypatch):
    path = activations(np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    whole = [np.load(p) for p in apply_checkpoint(str(TOPK), None, path, tmp_path / "a")]
    monkeypatch.setattr(applying, "CHUNK", 7)
    parts = [np.load(p) for p in apply_checkpoint(str(TOPK), None, path, tmp_path / "b")]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4"])
def test_other_precisions_and_orders_of_bytes_are_read(tmp_path, activations, dtype):
    x = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float16)
    first = apply_checkpoint(str(TOPK), None, activations(x.astype(dtype)), tmp_path / "a")
    second = apply_checkpoint(str(TOPK), None, activations(x.astype("f4")), tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.load(one), np.load(other))


def test_activations_stored_column_by_column_are_read(tmp_path, activations):
    x = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    first = apply_checkpoint(str(TOPK), None, activations(np.asfortranarray(x)), tmp_path / "a")
    second = apply_checkpoint(str(TOPK), None, activations(x), tmp_path / "b")
    np.testing.assert_array_equal(np.load(first[0]), np.load(second[0]))


def with_entry(value, row=11):
    x = np.zeros((20, 8))
    x[row, 3] = value
    return x


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 9)), "width 9: expected 8"),
        (np.zeros(8), "shape (8,)"),
        (np.zeros((2, 3, 8)), "shape (2, 3, 8)"),
        (np.zeros((0, 8)), "shape (0, 8)"),
        (np.zeros((5, 8), dtype=np.int64), "int64"),
        (np.zeros((5, 8), dtype=complex), "complex"),
        (np.zeros((5, 8), dtype=np.longdouble), "floating-point"),
        (with_entry(np.nan), "row 11"),
        (with_entry(-np.inf), "row 11"),
        (with_entry(1e300), "row 11"),
        (np.array([[object()] * 8]), "cannot be read"),
    ],
    ids=str,
)
def test_activations_that_cannot_be_used_are_refused_before_anything_is_written(
    tmp_path, activations, array, said
):
    path = activations(array)
    with pytest.raises(InputError) as caught:
        apply_checkpoint(str(TOPK), None, path, tmp_path / "out")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_first_bad_row_is_named_beyond_the_first_chunk(tmp_path, activations, monkeypatch):
    monkeypatch.setattr(applying, "CHUNK", 4)
    with pytest.raises(InputError, match="row 11"):
        apply_checkpoint(str(TOPK), None, activations(with_entry(np.nan)), tmp_path / "out")


def test_a_file_that_is_no_array_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(InputError, match="cannot be read"):
        apply_checkpoint(str(TOPK), None, path, tmp_path / "out")
    for content in (b"", b"hello", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            apply_checkpoint(str(TOPK), None, path, tmp_path / "out")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8)))
    with pytest.raises(InputError, match="archive"):
        apply_checkpoint(str(TOPK), None, tmp_path / "x.npz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_array_is_refused(tmp_path, activations):
    path = activations(np.zeros((20, 8)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="cannot be read"):
        apply_checkpoint(str(TOPK), None, path, tmp_path / "out")


def test_a_result_that_is_not_finite_is_refused_and_leaves_earlier_files_as_they_were(
    tmp_path, activations
):
    # constant_norm_rescale divides by the norm: 0 / 0 for an activation of zeros.
    folder = FIXTURES / "saelens" / "standard_constant_norm_rescale"
    good = np.random.default_rng(0).normal(size=(3, 8))
    kept = [np.load(p) for p in apply_checkpoint(str(folder), None, activations(good), tmp_path)]
    bad = np.vstack([good, np.zeros((1, 8))])
    with pytest.raises(InputError, match="row 3 is not finite"):
        apply_checkpoint(str(folder), None, activations(bad), tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "latents.npy"), kept[0])
    np.testing.assert_array_equal(np.load(tmp_path / "reconstruction.npy"), kept[1])
    assert sorted(os.listdir(tmp_path)) == ["latents.npy", "reconstruction.npy", "x.npy"]


def test_too_little_room_is_said_before_anything_is_written(tmp_path, activations, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(applying.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="has room for"):
        apply_checkpoint(str(TOPK), None, activations(np.zeros((5, 8))), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, activations):
    path = activations(np.zeros((5, 8)))
    with pytest.raises(InputError, match="is a file"):
        apply_checkpoint(str(TOPK), None, path, path)
