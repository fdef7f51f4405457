"""Gemma Scope 2's params.safetensors, held to the formula of its authors' own class."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load

D, K = 8, 24


def arrays(seed=0, skip=False):
    generator = np.random.default_rng(seed)
    drawn = {
        "w_enc": generator.normal(size=(D, K)),
        "w_dec": generator.normal(size=(K, D)),
        "b_enc": generator.normal(size=K),
        "b_dec": generator.normal(size=D),
        "threshold": generator.uniform(0.5, 2, size=K),
    }
    if skip:
        drawn["affine_skip_connection"] = generator.normal(size=(D, D))
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def written(folder, tensors, **config):
    given = {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-270m-pt",
        "hf_hook_point_in": "model.layers.5.output",
        "width": K,
        "l0": 10,
    }
    folder.mkdir(exist_ok=True)
    save_file({n: torch.from_numpy(v) for n, v in tensors.items()}, folder / "params.safetensors")
    (folder / "config.json").write_text(json.dumps(given | config))
    return str(folder)


def of_the_authors(t, x):
    """JumpReLUSAE of the release's tutorial: encode, decode, and the affine connection."""
    before = x @ t["w_enc"] + t["b_enc"]
    latents = (before > t["threshold"]) * np.maximum(before, 0)
    reconstruction = latents @ t["w_dec"] + t["b_dec"]
    if "affine_skip_connection" in t:
        reconstruction = reconstruction + x @ t["affine_skip_connection"]
    return latents, reconstruction


@pytest.mark.parametrize("skip", [False, True])
def test_latents_and_reconstruction_are_those_of_the_authors_class(tmp_path, skip):
    stored = arrays(skip=skip)
    x = np.random.default_rng(9).normal(size=(40, D)).astype(np.float32)
    latents, reconstruction = of_the_authors(
        {name: value.astype(np.float64) for name, value in stored.items()}, x.astype(np.float64)
    )
    sae = load(written(tmp_path / "sae", stored, affine_connection=skip))
    made = sae.encode(torch.from_numpy(x))
    assert 0 < (latents != 0).mean() < 1
    np.testing.assert_allclose(made.numpy(), latents, rtol=1e-5, atol=1e-5)
    rebuilt = sae.decode(made, torch.from_numpy(x))
    np.testing.assert_allclose(rebuilt.numpy(), reconstruction, rtol=1e-5, atol=1e-4)


def test_the_affine_connection_is_not_transposed(tmp_path):
    stored = arrays(skip=True)
    sae = load(written(tmp_path / "sae", stored))
    np.testing.assert_array_equal(sae.skip.numpy(), stored["affine_skip_connection"])
    assert sae.metadata["transcoder"] is True


def test_model_and_hook_point_are_those_of_the_configuration(tmp_path):
    metadata = load(written(tmp_path / "sae", arrays())).metadata
    assert dict(metadata) == {
        "format": "gemma_scope_2",
        "model": "gemma-v3-270m-pt",
        "hook": "blocks.5.hook_resid_post",
        "transcoder": False,
    }
    site = "model.layers.5.self_attn.o_proj.input"
    other = load(written(tmp_path / "other", arrays(), hf_hook_point_in=site))
    assert other.metadata["hook"] == site
    out = {"hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output"}
    assert load(written(tmp_path / "transcoder", arrays(), **out)).metadata["transcoder"] is True


@pytest.mark.parametrize(
    ("tensors", "config", "said"),
    [
        ({}, {"architecture": "topk"}, "architecture"),
        ({}, {"width": 25}, "width = 25"),
        ({}, {"affine_connection": True}, "affine_skip_connection"),
        ({"w_dec": np.zeros((D, K), np.float32)}, {}, "w_dec"),
        ({"b_enc": np.full(K, np.nan, np.float32)}, {}, "NaN"),
        ({"more": np.zeros(2, np.float32)}, {}, "'more'"),
        ({"w_enc": np.zeros((3, D, K), np.float32)}, {}, "expected a matrix"),
    ],
)
def test_files_that_do_not_fit_together_or_are_of_several_layers_are_refused(
    tmp_path, tensors, config, said
):
    folder = written(tmp_path / "sae", arrays() | tensors, **config)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_weights_file_alone_names_the_checkpoint(tmp_path):
    folder = Path(written(tmp_path / "sae", arrays()))
    decoder = load(str(folder / "params.safetensors")).decoder
    np.testing.assert_array_equal(decoder, arrays()["w_dec"])
