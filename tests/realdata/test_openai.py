"""OpenAI's .pt files, held to the formula of its library's own class."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary

D, K, M = 8, 24, 3


def state(seed=0, activation="TopK", **changes):
    rng = np.random.default_rng(seed)
    drawn = OrderedDict(
        (name, torch.from_numpy(rng.normal(size=shape).astype(np.float32)))
        for name, shape in (
            ("pre_bias", D),
            ("latent_bias", K),
            ("encoder.weight", (K, D)),
            ("decoder.weight", (D, K)),
            ("latents_activation_frequency", K),
            ("latents_mean_square", K),
        )
    )
    drawn["stats_last_nonzero"] = torch.zeros(K, dtype=torch.long)
    if activation is not None:
        drawn["activation"] = activation
        options = OrderedDict({"k": M, "postact_fn": "ReLU"}) if activation == "TopK" else {}
        drawn["activation_state_dict"] = options
    drawn.update(changes)
    return OrderedDict((name, value) for name, value in drawn.items() if value is not None)


def written(folder, content):
    torch.save(content, folder / "6.pt")
    return str(folder / "6.pt")


def of_the_library(s, x):
    """Autoencoder of its module `model`: encode and decode, in float64."""
    t = {name: s[name].double().numpy() for name in s if "." in name or "bias" in name}
    layer_normed = s.get("activation") == "TopK"
    mean, deviation = np.zeros((len(x), 1)), np.ones((len(x), 1))
    z = x
    if layer_normed:
        mean = x.mean(axis=1, keepdims=True)
        deviation = (x - mean).std(axis=1, ddof=1, keepdims=True)
        z = (x - mean) / (deviation + 1e-5)
    before = (z - t["pre_bias"]) @ t["encoder.weight"].T + t["latent_bias"]
    latents = np.maximum(before, 0)
    if layer_normed:
        latents[before < np.sort(before, axis=1)[:, -M, None]] = 0
    rebuilt = latents @ t["decoder.weight"].T + t["pre_bias"]
    return latents, rebuilt * deviation + mean


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_wrappers_prefix_does_not_hide_the_activation(tmp_path, prefix):
    plain = load(written(tmp_path, state()))
    wrapped = load(written(tmp_path, {prefix + name: value for name, value in state().items()}))
    x = torch.randn(20, D, generator=torch.Generator().manual_seed(0))
    assert wrapped.architecture == "TopK"
    torch.testing.assert_close(wrapped.encode(x), plain.encode(x))


@pytest.mark.parametrize("activation", ["TopK", "ReLU", None])
def test_latents_and_reconstruction_are_those_of_the_librarys_class(tmp_path, activation):
    stored = state(activation=activation)
    x = np.random.default_rng(9).normal(2, 3, size=(40, D))
    latents, rebuilt = of_the_library(stored, x)
    sae = load(written(tmp_path, stored))
    given = torch.from_numpy(x).float()
    made = sae.encode(given)
    assert 0 < (latents != 0).mean() < 1
    np.testing.assert_allclose(made.numpy(), latents, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sae.decode(made, given).numpy(), rebuilt, rtol=1e-4, atol=1e-3)
    assert sae.architecture == (activation or "ReLU")
    assert sae.metadata.get("k") == (M if activation == "TopK" else None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (state(activation="Identity"), "'Identity' is unknown"),
        (state(activation_state_dict={"postact_fn": "ReLU"}), "k = None"),
        (state(activation_state_dict={"k": M, "postact_fn": "Identity"}), "'Identity' is unknown"),
        (state(activation_state_dict={"k": K + 1, "postact_fn": "ReLU"}), "at most 24"),
        (state(activation_state_dict=None), "postact_fn"),
        (state(more=torch.ones(2)), "'more'"),
        (state(**{"encoder.weight": None}), "'encoder.weight'"),
        (state(latent_bias=torch.zeros(3)), "latent_bias"),
    ],
)
def test_what_is_not_known_of_the_latents_is_refused_and_the_decoder_compared(
    tmp_path, content, said
):
    location = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        load(location)
    assert said in str(caught.value)
    assert location in str(caught.value)
    assert "\n" not in str(caught.value)
    found = load_dictionary(location)
    np.testing.assert_array_equal(found.decoder, content["decoder.weight"].T.numpy())
    assert found.metadata["format"] == "openai"


@pytest.mark.parametrize("content", [state(**{"decoder.weight": None}), [1], torch.ones(3)])
def test_a_file_without_a_decoder_is_refused(tmp_path, content):
    for read in (load, load_dictionary):
        with pytest.raises(InputError, match="expected"):
            read(written(tmp_path, content))


def test_of_any_state_dictionary_with_a_linear_decoder_its_columns_are_compared(tmp_path):
    # As DeepSeek-R1-Distill's SAE is published: encoder and decoder are linear layers.
    decoder = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    content = {"encoder.weight": decoder.T, "encoder.bias": torch.zeros(6)}
    content |= {"decoder.weight": decoder, "decoder.bias": torch.zeros(4)}
    torch.save(content, tmp_path / "sae.pt")
    path = str(tmp_path / "sae.pt")
    np.testing.assert_array_equal(load_dictionary(path).decoder, decoder.T.numpy())
    with pytest.raises(InputError, match=r"holds a tensor 'decoder\.bias': expected only"):
        load(path)


def test_a_file_with_code_in_it_is_refused_and_the_code_never_runs(tmp_path):
    marker = tmp_path / "marker"

    class Payload:
        def __reduce__(self):
            return open, (str(marker), "w")

    location = written(tmp_path, state(activation=Payload()))
    for read in (load, load_dictionary):
        with pytest.raises(InputError, match="would run code"):
            read(location)
    assert not marker.exists()


def test_a_folder_of_such_files_asks_for_one_by_its_name(tmp_path):
    written(tmp_path, state())
    with pytest.raises(InputError, match=r"\*\.pt by its name \(openai\)"):
        load(str(tmp_path))
