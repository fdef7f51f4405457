"""Llama Scope's folders, held to the formula of its library in the units of its training."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary

D, K, M = 8, 24, 3
NORMS = "dataset_average_activation_norm"
CONFIG = {
    "hook_point_in": "blocks.8.hook_resid_post",
    "hook_point_out": "blocks.8.hook_resid_post",
    "d_model": D,
    "d_sae": K,
    "expansion_factor": 3,
    "use_decoder_bias": True,
    "apply_decoder_bias_to_pre_encoder": False,
    "act_fn": "jumprelu",
    "jump_relu_threshold": 0.3,
    "norm_activation": "dataset-wise",
    NORMS: {"in": 6.5, "out": 6.5},
    "sparsity_include_decoder_norm": True,
    "use_glu_encoder": False,
    "top_k": M,
}
TRANSCODER = {NORMS: {"in": 6.5, "out": 2.5}, "hook_point_out": "blocks.8.hook_mlp_out"}


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"encoder.weight": (K, D), "encoder.bias": K, "decoder.weight": (D, K)}
    shapes["decoder.bias"] = D
    return {
        name: torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        for name, shape in shapes.items()
    }


def written(folder, stored, **changes):
    (folder / "checkpoints").mkdir(parents=True)
    save_file(stored, folder / "checkpoints" / "final.safetensors")
    config = {name: value for name, value in (CONFIG | changes).items() if value is not None}
    (folder / "hyperparams.json").write_text(json.dumps(config))
    return str(folder)


def in_units_of_training(t, config, x):
    """The reconstruction, and the latents by what one of them adds: its own length.

    Activations enter times sqrt(d) over their average norm and what is predicted leaves divided
    by that of its own; a latent is kept where what it adds, at its length there, is above the
    threshold.
    """
    scaled = config["norm_activation"] == "dataset-wise"
    factors = [D**0.5 / config[NORMS][side] if scaled else 1.0 for side in ("in", "out")]
    rows = t["decoder.weight"].T
    z = x * factors[0]
    if config["apply_decoder_bias_to_pre_encoder"]:
        z = z - t["decoder.bias"] * factors[0] / factors[1]
    a = z @ t["encoder.weight"].T + t["encoder.bias"]
    counted = config["sparsity_include_decoder_norm"]
    lengths = np.linalg.norm(rows, axis=1) / factors[1] if counted else np.ones(K) / factors[0]
    ranked = a * lengths
    kept = ranked > 0
    if config["act_fn"] == "topk" and not config.get("jump_relu_threshold"):
        kept &= ranked >= np.sort(ranked, axis=1)[:, -M, None]
    elif config["act_fn"] != "relu":
        kept &= ranked > config["jump_relu_threshold"]
    rebuilt = ((a * kept) @ rows + t["decoder.bias"]) / factors[1]
    return ranked * kept, rebuilt


@pytest.mark.parametrize(
    "changes",
    [
        {},
        TRANSCODER,
        {"apply_decoder_bias_to_pre_encoder": True},
        {**TRANSCODER, "apply_decoder_bias_to_pre_encoder": True},
        {"sparsity_include_decoder_norm": False},
        {"act_fn": "topk"},
        {"act_fn": "topk", "jump_relu_threshold": 0.0},
        {"act_fn": "relu"},
        {"norm_activation": "none"},
    ],
    ids=str,
)
def test_latents_and_reconstruction_are_those_of_the_librarys_formula(tmp_path, changes):
    stored, x = tensors(), np.random.default_rng(9).normal(size=(40, D))
    t = {name: value.double().numpy() for name, value in stored.items()}
    latents, rebuilt = in_units_of_training(t, CONFIG | changes, x)
    sae = load(written(tmp_path / "sae", stored, **changes))
    given = torch.from_numpy(x).float()
    made = sae.encode(given)
    assert 0 < (latents != 0).mean() < 1
    np.testing.assert_allclose(made.numpy(), latents, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sae.decode(made, given).numpy(), rebuilt, rtol=1e-4, atol=1e-4)


def test_it_gives_what_saelens_gives_its_latents_times_the_factor_of_the_input():
    folder = Path(__file__).parent / "fixtures" / "llama_scope" / "residual"
    with np.load(folder / "expected.npz") as arrays:
        x, latents, rebuilt = (arrays[name] for name in ("x", "latents", "reconstruction"))
    sae, given = load(str(folder)), torch.from_numpy(x)
    made = sae.encode(given)
    assert 0 < (latents != 0).mean() < 1
    np.testing.assert_allclose(made.numpy() * D**0.5 / 6.3125, latents, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae.decode(made, given).numpy(), rebuilt, rtol=1e-5, atol=1e-5)


def test_without_a_decoder_bias_there_is_none(tmp_path):
    stored = tensors()
    zero = stored | {"decoder.bias": torch.zeros(D)}
    bias = stored.pop("decoder.bias")
    assert bias.any()
    x = torch.randn(9, D, generator=torch.Generator().manual_seed(1))
    made = []
    for name, values, used in (("a", stored, False), ("b", zero, True)):
        sae = load(written(tmp_path / name, values, use_decoder_bias=used))
        made.append(sae.decode(sae.encode(x), x))
    torch.testing.assert_close(*made)


def test_hook_point_and_kind_are_those_of_the_configuration(tmp_path):
    found = load(written(tmp_path / "sae", tensors()))
    assert dict(found.metadata) == {
        **{"format": "llama_scope", "hook": "blocks.8.hook_resid_post", "k": M},
        "transcoder": False,
    }
    assert load(written(tmp_path / "other", tensors(), **TRANSCODER)).metadata["transcoder"] is True


@pytest.mark.parametrize(
    ("changed", "config", "said"),
    [
        ({}, {"jump_relu_threshold": None}, "jump_relu_threshold"),
        ({}, {"jump_relu_threshold": -1.0}, "at least 0"),
        ({}, {"jump_relu_threshold": 1e300}, "jump_relu_threshold"),
        ({}, {"act_fn": "gelu"}, "'gelu' is unknown"),
        ({}, {"norm_activation": "token-wise"}, "'token-wise' is unknown"),
        ({}, {NORMS: None}, NORMS),
        ({}, {NORMS: {"in": 0.0, "out": 1.0}}, f"{NORMS}.in"),
        ({}, {NORMS: {"in": 1.0}}, f"{NORMS}.out"),
        ({}, {"use_glu_encoder": True}, "use_glu_encoder"),
        ({}, {"act_fn": "topk", "jump_relu_threshold": 0, "top_k": None}, "top_k"),
        ({"more": torch.ones(2)}, {}, "'more'"),
        ({"encoder.weight": torch.ones(2, 2)}, {}, "encoder.weight"),
    ],
)
def test_what_is_not_known_of_the_latents_is_refused_and_the_decoder_compared(
    tmp_path, changed, config, said
):
    stored = tensors() | changed
    location = written(tmp_path / "sae", stored, **config)
    with pytest.raises(InputError) as caught:
        load(location)
    assert said in str(caught.value)
    assert location in str(caught.value)
    assert "\n" not in str(caught.value)
    rows = load_dictionary(location).decoder
    np.testing.assert_array_equal(rows, stored["decoder.weight"].T.numpy())


def test_a_zero_column_has_no_norm_to_move_into_the_encoder(tmp_path):
    stored = tensors()
    stored["decoder.weight"][:, 3] = 0
    location = written(tmp_path / "sae", stored)
    with pytest.raises(InputError, match="decoder norms that are 0"):
        load(location)
    assert not load_dictionary(location).decoder[3].any()


@pytest.mark.parametrize("config", [{"d_model": 9}, {"d_sae": 23}])
def test_a_decoder_of_other_widths_than_stated_is_refused(tmp_path, config):
    for read in (load, load_dictionary):
        with pytest.raises(InputError, match="expected"):
            read(written(tmp_path / read.__name__, tensors(), **config))


def test_it_is_named_among_those_below_a_folder(tmp_path):
    written(tmp_path / "layers" / "L8R-8x", tensors())
    with pytest.raises(InputError, match=r"expected one of those below it: L8R-8x$"):
        load(str(tmp_path / "layers"))
