"""A dictionary alone in one file: its rows are atoms, and it has no latents."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary
from realdata.comparison.compare import compare
from realdata.comparison.dictionaries import dictionaries
from realdata.latents.apply import apply_checkpoint


def drawn(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def in_npy(folder, rows):
    np.save(folder / "atoms.npy", rows)
    return str(folder / "atoms.npy")


def in_safetensors(folder, rows):
    save_file({"any name": torch.from_numpy(rows)}, folder / "atoms.safetensors")
    return str(folder / "atoms.safetensors")


def refusal(read, *given):
    with pytest.raises(InputError) as caught:
        read(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("write", [in_npy, in_safetensors])
@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_rows_are_atoms_whatever_the_shape_and_the_shape_is_told(tmp_path, write, shape, dtype):
    rows = drawn(*shape, dtype=dtype)
    found = load_dictionary(write(tmp_path, rows))
    np.testing.assert_array_equal(found.decoder, rows.astype(np.float32))
    assert (found.K, found.d) == shape
    assert found.metadata["read"] == f"{shape[0]} rows as atoms of length {shape[1]}"


def test_the_two_files_of_one_dictionary_are_compared_as_equal(tmp_path):
    rows = drawn(12, 5)
    locations = {"a": in_npy(tmp_path, rows), "b": in_safetensors(tmp_path, rows[::-1].copy())}
    found = dictionaries(locations)
    assert found[0].description() == {
        **{"name": "a", "architecture": "dictionary", "d": 5, "K": 12, "format": "npy"},
        "read": "12 rows as atoms of length 5",
    }
    [pair] = compare({one.name: one.decoder for one in found}, [12]).pairs
    assert pair.score.stab == pytest.approx(1)
    assert pair.score.ord == -1


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_in_other_orders_of_bytes_and_of_entries_are_the_numbers_they_hold(tmp_path, order):
    rows = drawn(6, 4)
    location = in_npy(tmp_path, np.asarray(rows, dtype=">f4", order=order))
    np.testing.assert_array_equal(load_dictionary(location).decoder, rows)


@pytest.mark.parametrize("write", [in_npy, in_safetensors])
def test_it_has_no_latents_to_apply_or_to_sort_by(tmp_path, write):
    location = write(tmp_path, drawn(12, 5))
    np.save(tmp_path / "x.npy", drawn(3, 5))
    said = refusal(apply_checkpoint, location, None, tmp_path / "x.npy", tmp_path / "out")
    assert said == (
        f"{location} is a dictionary alone (12 rows as atoms of length 5): expected a checkpoint "
        "with an encoder"
    )
    assert not (tmp_path / "out").exists()
    said = refusal(dictionaries, {"a": location}, None, tmp_path / "x.npy")
    assert "expected a checkpoint with an encoder" in said


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (drawn(5), "shape (5,): expected a matrix"),
        (drawn(2, 3, 4), "shape (2, 3, 4): expected a matrix"),
        (drawn(0, 4), "not empty"),
        (np.ones((2, 3), int), "floating-point"),
        (np.ones((2, 3), complex), "floating-point"),
        (np.full((2, 3), np.nan), "NaN"),
        (np.array([[object()]]), "cannot be read"),
        (np.array([["a"]]), "cannot be read"),
        (np.ones((2, 3), np.longdouble), "cannot be read"),
    ],
    ids=["vector", "cube", "empty", "integers", "complex", "nan", "objects", "text", "long"],
)
def test_what_is_no_matrix_of_numbers_is_refused_with_its_file(tmp_path, array, said):
    location = in_npy(tmp_path, array)
    for read in (load, load_dictionary):
        message = refusal(read, location)
        assert said in message
        assert location in message


def test_a_damaged_file_is_refused_and_one_that_states_more_than_it_holds(tmp_path):
    location = in_npy(tmp_path, drawn(12, 5))
    whole = (tmp_path / "atoms.npy").read_bytes()
    states_more = whole.replace(b"(12, 5)", b"(9012345678, 5)").replace(b"        }", b"}")
    for content in (whole[:-3], whole[:40], b"", b"PK\x03\x04", states_more):
        (tmp_path / "atoms.npy").write_bytes(content)
        assert "cannot be read" in refusal(load_dictionary, location)
    with (tmp_path / "atoms.npy").open("wb") as file:
        np.savez(file, atoms=drawn(12, 5))
    assert "does not begin as one" in refusal(load_dictionary, location)
    (tmp_path / "atoms.npy").write_text("0.5 1.5\n")
    assert "does not begin as one" in refusal(load_dictionary, location)


def test_several_tensors_without_a_configuration_are_no_dictionary(tmp_path):
    tensors = {"a": torch.ones(2, 3), "b": torch.ones(2, 3)}
    save_file(tensors, tmp_path / "atoms.safetensors")
    for read in (load, load_dictionary):
        message = refusal(read, str(tmp_path / "atoms.safetensors"))
        assert "holds 2 tensors" in message


def test_an_array_is_only_looked_at_where_it_is_named(tmp_path):
    in_npy(tmp_path, drawn(12, 5))
    said = refusal(load_dictionary, str(tmp_path))
    assert "holds no known checkpoint" in said
    assert "*.npy by its name (npy)" in said
