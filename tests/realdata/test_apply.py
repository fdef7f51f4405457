"""Latents and reconstructions of stored activations, written whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.latents import apply as applying
from realdata.latents import rows as reading
from realdata.latents.apply import apply_checkpoint

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
    monkeypatch.setattr(reading, "CHUNK", 7)
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
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype}{value.shape}",
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
    monkeypatch.setattr(reading, "CHUNK", 4)
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
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"GB free: expected .* for latents and reconstructions"):
        apply_checkpoint(str(TOPK), None, activations(np.zeros((5, 8))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, activations):
    path = activations(np.zeros((5, 8)))
    with pytest.raises(InputError, match="is a file"):
        apply_checkpoint(str(TOPK), None, path, path)


def test_the_input_is_never_replaced_by_a_result(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    for name in ("latents.npy", "reconstruction.npy"):
        folder = tmp_path / name.removesuffix(".npy")
        folder.mkdir()
        np.save(folder / name, x)
        (folder / "link.npy").symlink_to(name)
        for given in (folder / name, folder / ".." / folder.name / name, folder / "link.npy"):
            with pytest.raises(InputError, match="would be replaced"):
                apply_checkpoint("never read", None, given, folder)
        np.testing.assert_array_equal(np.load(folder / name), x)
        assert sorted(os.listdir(folder)) == sorted(["link.npy", name])


def test_a_folder_in_the_place_of_a_result_is_refused_before_the_work(tmp_path, activations):
    path = activations(np.zeros((5, 8)))
    (tmp_path / "out" / "latents.npy").mkdir(parents=True)
    with pytest.raises(InputError, match=r"latents\.npy in it is a folder"):
        apply_checkpoint("never read", None, path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["latents.npy"]


def test_a_failure_leaves_no_folder_that_was_not_there(tmp_path, activations):
    folder = FIXTURES / "saelens" / "standard_constant_norm_rescale"
    with pytest.raises(InputError, match="not finite"):
        apply_checkpoint(str(folder), None, activations(np.zeros((3, 8))), tmp_path / "new" / "out")
    assert os.listdir(tmp_path) == ["x.npy"]


def test_a_disk_that_fills_up_is_one_sentence_and_nothing_is_left(
    tmp_path, activations, monkeypatch
):
    def fills(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(applying, "_write", fills)
    with pytest.raises(InputError, match="No space left on device"):
        apply_checkpoint(str(TOPK), None, activations(np.zeros((3, 8))), tmp_path / "out")
    assert os.listdir(tmp_path) == ["x.npy"]


def test_results_go_through_links(tmp_path, activations):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "latents.npy").symlink_to(elsewhere / "big.npy")
    path = activations(np.random.default_rng(0).normal(size=(3, 8)))
    latents, _ = apply_checkpoint(str(TOPK), None, path, tmp_path / "out")
    assert latents.is_symlink()
    assert np.load(elsewhere / "big.npy").shape == (3, 16)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "zeros.npy").symlink_to("/dev/zero")
    (tmp_path / "pointer.npy").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    for name, said in (
        ("pipe.npy", "no regular file"),
        ("zeros.npy", "no regular file"),
        ("pointer.npy", "Git-LFS pointer"),
    ):
        with pytest.raises(InputError, match=said):
            apply_checkpoint(str(TOPK), None, tmp_path / name, tmp_path / "out")


# An encoder that says when it is asked, and then waits: the results are half written.
WAITING = """
import signal, sys
from pathlib import Path
from realdata.latents.apply import apply_checkpoint
from realdata.checkpoints.form import SparseAutoencoder

signal.signal(signal.SIGTERM, signal.SIG_DFL)
decode = SparseAutoencoder.decode

def waits(*given):
    print("under way", flush=True)
    sys.stdin.read()
    return decode(*given)

SparseAutoencoder.decode = waits
location, x, out = sys.argv[1:]
apply_checkpoint(location, None, Path(x), Path(out))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_apply_that_is_told_to_end_or_killed_leaves_nothing_that_the_next_does_not_remove(
    tmp_path, activations
):
    path, out = activations(np.random.default_rng(0).normal(size=(3, 8))), tmp_path / "out"
    for number in (signal.SIGTERM, signal.SIGKILL):
        arguments = [sys.executable, "-c", WAITING, str(TOPK), str(path), str(out)]
        with subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            process.send_signal(number)
            assert process.wait() == -number
        assert not out.exists()
        assert (os.listdir(tmp_path) == ["x.npy"]) == (number == signal.SIGTERM)
    apply_checkpoint(str(TOPK), None, path, out)
    assert sorted(os.listdir(tmp_path)) == ["out", "x.npy"]
    assert sorted(os.listdir(out)) == ["latents.npy", "reconstruction.npy"]
