"""Checkpoint files are read without trusting them."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osae_theory.errors import InputError
from realdata.checkpoints.reading import (
    Config,
    Tensors,
    read_json,
    read_npz,
    read_safetensors,
    read_torch,
)


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
    assert "a single array" in refusal(read_npz, path)


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
