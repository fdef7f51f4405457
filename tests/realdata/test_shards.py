"""Weights in shards with an index are those of the one file that they were."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary

FIXTURES = Path(__file__).parent / "fixtures"
FOLDERS = [FIXTURES / "saelens" / "topk", FIXTURES / "sparsify" / "top_k"]


def sharded(folder, path):
    """Put the tensors of a file into a shard each, as the hub's libraries lay them out."""
    tensors = load_file(path)
    path.unlink()
    places = {}
    for place, (name, value) in enumerate(tensors.items(), start=1):
        places[name] = f"{path.stem}-{place:05}-of-{len(tensors):05}.safetensors"
        save_file({name: value}, folder / places[name])
    size = sum(value.nbytes for value in tensors.values())
    write_index(path, places, {"total_size": size})
    return tensors


def write_index(path, places, metadata=None):
    index = {"metadata": metadata or {}, "weight_map": places}
    path.with_name(path.name + ".index.json").write_text(json.dumps(index))


@pytest.fixture
def copied(tmp_path):
    """A checkpoint in shards, and where its file was."""
    folder = tmp_path / "sae"
    shutil.copytree(FOLDERS[0], folder)
    path = folder / "sae_weights.safetensors"
    sharded(folder, path)
    return folder, path


def refusal(location):
    with pytest.raises(InputError) as caught:
        load(str(location))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("original", FOLDERS, ids=lambda path: path.parent.name)
def test_latents_and_reconstruction_are_those_of_the_whole_file(tmp_path, original):
    folder = tmp_path / "sae"
    shutil.copytree(original, folder)
    [path] = folder.glob("*.safetensors")
    sharded(folder, path)
    with np.load(original / "expected.npz") as arrays:
        x = torch.from_numpy(arrays["x"])
        wanted = arrays["latents"], arrays["reconstruction"]
    for location in (folder, path.with_name(path.name + ".index.json")):
        sae = load(str(location))
        made = sae.encode(x)
        np.testing.assert_allclose(made.numpy(), wanted[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(sae.decode(made, x).numpy(), wanted[1], rtol=1e-5, atol=1e-5)
        whole = load_dictionary(str(original))
        np.testing.assert_array_equal(load_dictionary(str(location)).decoder, whole.decoder)


def test_the_whole_file_is_taken_where_both_are_there(copied):
    folder, path = copied
    shutil.copy(FOLDERS[0] / path.name, folder)
    path.with_name(path.name + ".index.json").write_text("{")
    assert load(str(folder)).K == 16


def test_a_single_matrix_is_a_dictionary_in_a_shard_too(tmp_path):
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    save_file({"atoms": rows}, tmp_path / "model.safetensors")
    sharded(tmp_path, tmp_path / "model.safetensors")
    found = load_dictionary(str(tmp_path / "model.safetensors.index.json"))
    np.testing.assert_array_equal(found.decoder, rows.numpy())


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "x"]
)
def test_an_index_names_files_beside_it_and_no_others(copied, name):
    folder, path = copied
    write_index(path, {"W_dec": name})
    assert "expected a .safetensors file beside it" in refusal(folder)


@pytest.mark.parametrize("places", [None, {}, [1], "x"])
def test_an_index_without_places_is_refused(copied, places):
    folder, path = copied
    write_index(path, places)
    assert "weight_map" in refusal(folder)


def test_shards_that_are_missing_or_say_something_else_are_refused(copied):
    folder, _ = copied
    shards = sorted(folder.glob("*-of-*.safetensors"))
    stated = shards[0].read_bytes()
    save_file({"other": torch.ones(2)}, shards[0])
    said = refusal(folder)
    assert str(shards[0]) in said
    assert "'other'" in said
    shards[0].write_bytes(stated[:-5])
    assert "cannot be read" in refusal(folder)
    shards[0].unlink()
    assert "cannot be read" in refusal(folder)
