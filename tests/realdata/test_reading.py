"""Checkpoint files are read without trusting them."""

import io
import json
import os
import pickle
import warnings
import zipfile
from reprlib import repr as brief

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Config, Tensors, positive
from realdata.checkpoints.files import read_json, read_npz, read_safetensors, read_torch


class Payload:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def refusal(read, path):
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_torch_file_with_code_in_it_is_refused_with_its_name_and_the_code_never_runs(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "ae.pt"
    torch.save({"weight": Payload(marker)}, path)
    assert "would run code" in refusal(read_torch, path)
    path.write_bytes(pickle.dumps(Payload(marker)))
    refusal(read_torch, path)
    assert not marker.exists()


def test_an_npz_with_objects_is_refused_and_they_are_never_unpickled(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "params.npz"
    np.savez(path, W_enc=np.array([Payload(marker)], dtype=object))
    refusal(read_npz, path)
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    weights = torch.arange(600.0).reshape(20, 30)
    files = {
        read_safetensors: tmp_path / "a.safetensors",
        read_npz: tmp_path / "a.npz",
        read_torch: tmp_path / "a.pt",
    }
    save_file({"w": weights}, files[read_safetensors])
    np.savez(files[read_npz], w=weights.numpy())
    torch.save({"w": weights}, files[read_torch])
    for read, path in files.items():
        assert torch.equal(read(path)["w"], weights)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        refusal(read, path)


def test_a_torch_file_with_a_flipped_byte_in_its_numbers_is_refused(tmp_path):
    path = tmp_path / "ae.pt"
    torch.save({"w": torch.full((50,), 1.5)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(np.full(50, 1.5, np.float32).tobytes()) + 9] ^= 1
    path.write_bytes(content)
    assert "cannot be read" in refusal(read_torch, path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for read in (read_json, read_safetensors, read_npz, read_torch):
        assert "cannot be read" in refusal(read, tmp_path / "nothing")
        assert "cannot be read" in refusal(read, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "null", "\x00", "[" * 100_000, '{"k": ' + "9" * 5000 + "}"]
)
def test_what_is_not_a_json_object_is_refused(tmp_path, text):
    path = tmp_path / "cfg.json"
    path.write_text(text)
    assert "expected a JSON object" in refusal(read_json, path)


def test_an_array_without_an_archive_is_not_an_npz(tmp_path):
    path = tmp_path / "params.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "not a zip file" in refusal(read_npz, path)


def test_big_endian_arrays_are_read_as_the_numbers_they_hold(tmp_path):
    path = tmp_path / "params.npz"
    np.savez(path, w=np.array([1.5, -2.0], dtype=">f4"))
    assert read_npz(path)["w"].tolist() == [1.5, -2.0]


def test_a_member_that_is_no_array_is_refused(tmp_path):
    path = tmp_path / "params.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("note.txt", "hello")
    assert "expected an npz file of numeric arrays" in refusal(read_npz, path)


def test_tensors_are_checked_by_name_shape_kind_and_value(tmp_path):
    bad = {
        "nan": torch.tensor([1.0, float("nan")]),
        "inf": torch.tensor([1.0, float("inf")]),
        "whole": torch.tensor([1, 2]),
        "overflows": torch.tensor([1.0, 1e300], dtype=torch.float64),
        "sparse": torch.tensor([1.0, 0.0]).to_sparse(),
        "meta": torch.zeros(2, device="meta"),
        "no_tensor": [1.0, 2.0],
        "misshaped": torch.zeros(3),
        "expanded": torch.zeros(1).expand(2**55),
    }
    tensors = Tensors(bad, tmp_path / "weights")
    for name in [*bad, "missing"]:
        shape = (2**55,) if name == "expanded" else (2,)
        with pytest.raises(InputError, match="expected") as caught:
            tensors.take(name, shape)
        assert str(tmp_path / "weights") in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_precision_are_given_in_float32_row_by_row(tmp_path, dtype):
    stored = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=dtype)
    taken = Tensors({"w": stored.T.contiguous().T}, tmp_path).take("w", (2, 3))
    assert taken.dtype == torch.float32
    assert taken.is_contiguous()
    assert taken.tolist() == stored.tolist()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (), (1, 2, 3)])
def test_a_matrix_without_latents_or_width_is_refused(tmp_path, shape):
    with pytest.raises(InputError, match="expected a matrix"):
        Tensors({"W": torch.zeros(shape)}, tmp_path).shape("W")


@pytest.mark.parametrize("value", [None, True, 1.0, "1", [1], 0, -3, 6])
def test_a_whole_number_in_a_configuration_is_nothing_else(tmp_path, value):
    with pytest.raises(InputError, match="k"):
        Config({"k": value}, tmp_path).whole("k", 1, 5)
    assert Config({"k": 5}, tmp_path).whole("k", 1, 5) == 5


def test_a_choice_and_a_flag_are_nothing_else(tmp_path):
    config = Config({"a": "yes", "b": 1, "c": None}, tmp_path)
    assert config.choice("c", ["x", "y"], "y") == "y"
    for refused in (
        lambda: config.choice("a", ["x"]),
        lambda: config.choice("b", ["x"]),
        lambda: config.choice("c", ["x"]),
        lambda: config.flag("a", True),
        lambda: config.flag("b", True),
        lambda: config.flag("c", True),
    ):
        with pytest.raises(InputError, match="expected"):
            refused()


def test_a_torch_file_in_the_old_format_is_read(tmp_path):
    path = tmp_path / "ae.pt"
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3)}, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())
    assert read_torch(path)["w"].tolist() == [1.0, 1.0, 1.0]


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 302123456\n"


@pytest.mark.parametrize("read", [read_json, read_safetensors, read_npz, read_torch])
def test_a_git_lfs_pointer_is_named_as_what_it_is(tmp_path, read):
    path = tmp_path / "weights"
    path.write_text(POINTER)
    said = refusal(read, path)
    assert "Git-LFS pointer" in said
    assert "never downloaded" in said
    assert "git lfs pull, or hf download" in said


@pytest.mark.parametrize("read", [read_json, read_safetensors, read_npz, read_torch])
def test_a_pipe_and_a_device_are_refused_without_opening_them(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        assert "no regular file" in refusal(read, tmp_path / name)


def test_a_configuration_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "cfg.json"
    with path.open("wb") as file:
        file.truncate(2**24 + 1)
    assert "more than 16777216 bytes" in refusal(read_json, path)


@pytest.mark.parametrize("number", [10**309, -(10**400)])
def test_a_whole_number_beyond_float64_is_refused_wherever_it_stands(tmp_path, number):
    path = tmp_path / "cfg.json"
    path.write_text(json.dumps({"a": [{"b": number}]}))
    assert "expected a JSON object" in refusal(read_json, path)
    path.write_text(json.dumps({"seed": 2**128}))
    assert read_json(path) == {"seed": 2**128}


def with_member(path, name, shape, content, fortran=False):
    """Add to an archive an array whose header states a shape, with any content after it."""
    start = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_2_0(start, header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.npy", start.getvalue() + content)


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [("bomb", (10**15,), 2**20), ("bomb", (-1, 8), 64), ("bomb", (0, 2**62), 64), ("w", (2,), 8)],
)
def test_an_array_that_is_not_of_the_size_it_states_or_is_there_twice_is_refused(
    tmp_path, name, shape, size
):
    path = tmp_path / "params.npz"
    np.savez(path, w=np.zeros(2, np.float32))
    with_member(path, name, shape, bytes(size))
    assert "cannot be read" in refusal(read_npz, path)


def test_shapes_are_judged_before_an_array_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "params.npz"
    np.savez(path, w=np.zeros((2, 3), np.float32))
    with_member(path, "bomb", (2**18,), bytes(2**20))
    monkeypatch.setattr(np, "load", None)

    def check(shapes):
        assert shapes == {"w": (2, 3), "bomb": (2**18,)}
        raise InputError("expected w alone")

    with pytest.raises(InputError, match="expected w alone"):
        read_npz(path, check)


def test_an_array_whose_header_alone_is_long_is_refused(tmp_path):
    path = tmp_path / "params.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "w.npy", b"\x93NUMPY\x02\x00" + (2**26).to_bytes(4, "little") + bytes(2**26)
        )
    assert "cannot be read" in refusal(read_npz, path)


def test_records_of_a_torch_file_that_are_larger_than_it_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "ae.pt"
    torch.save({"w": torch.ones(3)}, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/bomb", bytes(2**22))
    monkeypatch.setattr(zipfile.ZipFile, "testzip", None)
    assert "more than in the file" in refusal(read_torch, path)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_names_of_a_compiled_or_data_parallel_module_are_those_of_the_module(tmp_path, prefix):
    path = tmp_path / "a.safetensors"
    save_file({f"{prefix}w": torch.ones(2), f"{prefix}b": torch.zeros(1)}, path)
    assert set(read_safetensors(path)) == {"w", "b"}
    save_file({f"{prefix}w": torch.ones(2), "b": torch.zeros(1)}, path)
    assert set(read_safetensors(path)) == {f"{prefix}w", "b"}


FULL = torch.arange(6.0).reshape(2, 3) + 1


KINDS = {
    "meta": lambda: FULL.to("meta"),
    "sparse_coo": FULL.to_sparse,
    "sparse_csr": FULL.to_sparse_csr,
    "nested": lambda: torch.nested.nested_tensor([FULL[0], FULL[1]]),
    "quantised": lambda: torch.quantize_per_tensor(FULL, 1.0, 0, torch.qint8),
    "expanded": lambda: torch.ones(1, 1).expand(2, 3),
    "expanded ": lambda: torch.ones(4).as_strided((2, 3), (1, 1)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, on what it calls beta
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_that_is_not_stored_in_full_is_named_by_its_kind(tmp_path, kind):
    tensors = Tensors({"w": KINDS[kind]()}, tmp_path)
    for ask in (
        lambda: tensors.shape("w"),
        lambda: tensors.take("w", (2, 3)),
        lambda: tensors.whole_numbers("w"),
    ):
        with pytest.raises(InputError, match=rf"a {kind.strip()} tensor .* stored in full"):
            ask()


def test_views_that_torch_saves_lazily_are_given_as_numbers(tmp_path):
    negated = torch.complex(torch.zeros_like(FULL), -FULL).conj().imag
    for value, wanted in ((negated, FULL), (FULL.T, FULL.T), (torch.nn.Parameter(FULL), FULL)):
        taken = Tensors({"w": value}, tmp_path).take("w", tuple(wanted.shape))
        np.testing.assert_array_equal(taken.numpy(), wanted.numpy())


@pytest.mark.parametrize("value", [True, 4.5, [[4]], [], float("nan"), float("inf"), 4 + 0j])
def test_what_is_no_whole_number_in_the_weights_is_refused(tmp_path, value):
    with pytest.raises(InputError, match=r"k in .* expected whole numbers"):
        Tensors({"k": torch.tensor(value)}, tmp_path).whole_numbers("k")
    assert Tensors({"k": torch.tensor(4.0)}, tmp_path).whole_numbers("k") == [4]


def test_a_row_or_column_that_would_vanish_in_float32_is_refused_and_single_entries_may(tmp_path):
    small = torch.ones(2, 3, dtype=torch.float64)
    small[0, 1] = 1e-60
    assert Tensors({"w": small}, tmp_path).take("w", (2, 3))[0, 1] == 0
    for place in ((slice(None), 1), (0, slice(None))):
        gone = torch.ones(2, 3, dtype=torch.float64)
        gone[place] = 1e-60
        with pytest.raises(InputError, match=r"so small that they are 0 in torch\.float32"):
            Tensors({"w": gone}, tmp_path).take("w", (2, 3))
        gone[place] = 0.0
        assert Tensors({"w": gone}, tmp_path).take("w", (2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    "value",
    [0, -1.0, True, "1", None, float("nan"), float("inf"), 1e-39, 1e39, 5e-324, 10**400],
    ids=brief,
)
def test_a_factor_that_float32_cannot_divide_by_is_refused_in_a_short_sentence(value):
    with pytest.raises(InputError, match=r"factor .* expected a finite number above 0") as caught:
        positive("factor", value, torch.float32)
    assert len(str(caught.value)) < 200
    with pytest.raises(InputError, match="digits"):  # which Python does not print
        positive("factor", 10**9000, torch.float32)
    assert positive("factor", 1e-39, torch.float64) == 1e-39
    assert positive("factor", 2, torch.float32) == 2.0
