"""Gemma Scope's params.npz: what SAELens's loader of it computes is what we compute."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary

FIXTURES = Path(__file__).parent / "fixtures" / "gemma_scope"
FOLDERS = sorted(path.parent for path in FIXTURES.glob("*/*/*/params.npz"))
LAYER = FIXTURES / "layer_3" / "width_16" / "average_l0_5"
EMBEDDING = FIXTURES / "embedding" / "width_16" / "average_l0_5"


def arrays(folder):
    with np.load(folder / "params.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.parts[-3])
def test_latents_and_reconstruction_are_those_of_saelens(folder):
    with np.load(folder / "expected.npz") as stored:
        x, latents, reconstruction = (stored[name] for name in ("x", "latents", "reconstruction"))
    sae = load(str(folder))
    made = sae.encode(torch.from_numpy(x))
    np.testing.assert_array_equal(made.numpy() != 0, latents != 0)
    np.testing.assert_allclose(made.numpy(), latents, rtol=1e-6, atol=1e-6)
    rebuilt = sae.decode(made, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(rebuilt, reconstruction, rtol=1e-6, atol=1e-6)


def test_nothing_is_subtracted_from_the_input():
    stored = arrays(LAYER)
    x = np.random.default_rng(0).normal(size=(10, 8))
    pre = x @ stored["W_enc"] + stored["b_enc"]
    latents = load(str(LAYER)).encode(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(latents, pre * (pre > stored["threshold"]), rtol=1e-5, atol=1e-5)


def test_the_embedding_layer_is_rescaled_by_root_d_and_others_are_not():
    stored = arrays(EMBEDDING)
    sae = load(str(EMBEDDING))
    np.testing.assert_allclose(sae.encoder.numpy(), stored["W_enc"] / 8**0.5, rtol=1e-6)
    np.testing.assert_allclose(sae.decoder, stored["W_dec"] * 8**0.5, rtol=1e-6)
    np.testing.assert_array_equal(load(str(LAYER)).decoder, arrays(LAYER)["W_dec"])


def test_a_layer_kept_in_a_folder_called_embedding_is_a_layer(tmp_path):
    inside = tmp_path / "embedding" / "layer_3" / "width_16"
    shutil.copytree(LAYER, inside)
    np.testing.assert_array_equal(load(str(inside)).decoder, arrays(LAYER)["W_dec"])


def test_the_folder_is_found_out_from_inside_it_too(monkeypatch):
    monkeypatch.chdir(EMBEDDING)
    assert load("params.npz").decoder.tolist() == load(str(EMBEDDING)).decoder.tolist()


def test_the_path_of_the_repository_gives_model_and_hook_point(tmp_path):
    inside = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82"
    shutil.copytree(LAYER, inside)
    metadata = load(str(inside)).metadata
    assert metadata["model"] == "google/gemma-2-2b"
    assert metadata["hook"] == "blocks.12.hook_resid_post"
    assert "model" not in load(str(LAYER)).metadata


@pytest.mark.parametrize("load", [load, load_dictionary])
def test_a_transcoder_is_one_whose_path_says_so(tmp_path, load):
    inside = tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_3" / "width_16k" / "average_l0_8"
    shutil.copytree(LAYER, inside)
    metadata = load(str(inside)).metadata
    assert metadata["transcoder"] is True
    assert metadata["model"] == "google/gemma-2-2b"
    assert metadata["hook"] == "blocks.3.ln2.hook_normalized"
    assert "transcoder" not in load(str(LAYER)).metadata


def test_small_letters_name_the_same_tensors(tmp_path):
    stored = arrays(LAYER)
    renamed = {name.replace("W_", "w_"): value for name, value in stored.items()}
    np.savez(tmp_path / "params.npz", **renamed)
    np.testing.assert_array_equal(load(str(tmp_path)).decoder, stored["W_dec"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"W_dec": None}, "no tensor 'W_dec'"),
        ({"threshold": None}, "no tensor 'threshold'"),
        ({"threshold": np.zeros(15, np.float32)}, "threshold"),
        ({"W_dec": np.zeros((8, 16), np.float32)}, "W_dec"),
        ({"W_enc": np.zeros((8, 0), np.float32)}, "not empty"),
        ({"b_enc": np.full(16, np.nan, np.float32)}, "NaN"),
        ({"b_dec": np.array([object()] * 8)}, "cannot be read"),
        ({"b_enc": np.zeros(16, np.int64)}, "floating-point"),
        ({"b_enc": np.array(["a"] * 16)}, "cannot be read"),
        ({"w_enc": np.zeros((8, 16), np.float32)}, "twice"),
        ({"scaling_factor": np.full(16, 2, np.float32)}, "scaling_factor"),
        ({"extra": np.zeros(1, np.float32)}, "'extra'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, said):
    changed = {**arrays(LAYER), **changes}
    path = tmp_path / "params.npz"
    np.savez(path, **{name: value for name, value in changed.items() if value is not None})
    with pytest.raises(InputError) as caught:
        load(str(tmp_path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_factors_of_one_are_no_factors(tmp_path):
    ones = np.ones(16, np.float32)
    np.savez(tmp_path / "params.npz", scaling_factor=ones, **arrays(LAYER))
    np.testing.assert_array_equal(load(str(tmp_path)).decoder, arrays(LAYER)["W_dec"])
