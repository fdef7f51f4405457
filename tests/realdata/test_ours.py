"""Our own checkpoints: written whole, read back as they were, refused when they do not fit."""

import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from osae_theory.metrics import match
from osae_theory.sae import OrderedSAE, TopMSAE
from realdata.checkpoints import load, load_dictionary
from realdata.checkpoints.locations import locate
from realdata.checkpoints.ours import (
    FORMAT,
    Origin,
    TopMCheckpoint,
    form_of,
    read_ours,
    write_ours,
)

D, K, M = 6, 10, 3
ORIGIN = Origin(
    "osae",
    order="frequency",
    model="tiny",
    hook="blocks.2.hook_resid_post",
    layer=3,
    seed=7,
    dataset="prose",
    dataset_hash="abc",
    n_tokens=1000,
    details={"steps": 5},
)


def draw(*shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def checkpoint(**changes):
    parts = {
        "encoder": draw(D, K, seed=1),
        "encoder_bias": draw(K, seed=2),
        "decoder": torch.nn.functional.normalize(draw(K, D, seed=3), dim=1),
        "decoder_bias": draw(D, seed=4),
        "input_mean": draw(D, seed=5),
        "input_scale": draw(D, seed=6).abs() + 0.5,
        "m": M,
        "activation": "relu",
        "origin": ORIGIN,
    }
    return TopMCheckpoint(**{**parts, **changes})


def trained(made):
    """The same autoencoder as the training code has it, for one run."""
    return TopMSAE(
        made.encoder[None],
        made.encoder_bias[None],
        made.decoder[None],
        made.decoder_bias[None],
        made.activation,
    )


@pytest.mark.parametrize("activation", ["relu", "signed"])
def test_a_read_checkpoint_computes_what_was_trained_on_standardised_activations(
    tmp_path, activation
):
    made = checkpoint(activation=activation)
    write_ours(tmp_path / "sae", made)
    sae = load(str(tmp_path / "sae"))
    x = draw(50, D, seed=8) * 3
    z = (x - made.input_mean) / made.input_scale
    with torch.no_grad():
        codes = trained(made).encode(z[None], M)
        expected = trained(made).decode(codes)[0] * made.input_scale + made.input_mean
    latents = sae.encode(x)
    torch.testing.assert_close(latents, codes[0])
    torch.testing.assert_close(sae.decode(latents, x), expected)


def test_batch_topk_is_kept_as_thresholds(tmp_path):
    made = checkpoint(activation="jumprelu", threshold=torch.full((K,), 0.4))
    write_ours(tmp_path / "sae", made)
    sae = load(str(tmp_path / "sae"))
    x = draw(50, D, seed=8)
    z = (x - made.input_mean) / made.input_scale
    pre = (z - made.decoder_bias) @ made.encoder + made.encoder_bias
    torch.testing.assert_close(sae.encode(x), pre * (pre > 0.4))


def test_what_is_read_is_what_was_written(tmp_path):
    made = checkpoint()
    write_ours(tmp_path / "sae", made)
    back = read_ours(locate(str(tmp_path / "sae"), None, FORMAT.files))
    assert back.origin == replace(made.origin)
    assert (back.m, back.activation, back.threshold) == (M, "relu", None)
    for name, value in made.tensors().items():
        assert torch.equal(back.tensors()[name], value)


def test_an_origin_of_a_method_alone_is_enough(tmp_path):
    write_ours(tmp_path / "sae", checkpoint(origin=Origin("topk")))
    back = read_ours(locate(str(tmp_path / "sae"), None, FORMAT.files))
    assert back.origin == Origin("topk")
    assert load(str(tmp_path / "sae")).architecture == "topk"


def test_the_decoder_is_in_the_coordinates_of_the_activations():
    made = checkpoint()
    expected = (made.decoder * made.input_scale).numpy()
    np.testing.assert_allclose(form_of(made).decoder, expected)


def test_float64_weights_are_stored_in_float32(tmp_path):
    single = checkpoint()
    double = checkpoint(**{name: value.double() for name, value in single.tensors().items()})
    write_ours(tmp_path / "sae", double)
    stored = load_file(tmp_path / "sae" / "sae.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float32}
    assert torch.equal(stored["encoder"], single.encoder)


def test_an_older_checkpoint_is_replaced_and_nothing_is_left_beside(tmp_path):
    write_ours(tmp_path / "sae", checkpoint())
    write_ours(tmp_path / "sae", checkpoint(m=4))
    assert load(str(tmp_path / "sae")).metadata["k"] == 4
    assert os.listdir(tmp_path) == ["sae"]


def test_a_write_that_fails_leaves_the_older_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    write_ours(tmp_path / "sae", checkpoint())

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("osae_theory.sae.checkpoint.save_file", no_room)
    with pytest.raises(InputError, match="No space left"):
        write_ours(tmp_path / "sae", checkpoint(m=4))
    assert load(str(tmp_path / "sae")).metadata["k"] == M
    assert os.listdir(tmp_path) == ["sae"]


def test_a_folder_with_anything_else_in_it_is_never_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_ours(tmp_path, checkpoint())
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_the_files_are_as_open_as_the_folder(tmp_path):
    write_ours(tmp_path / "sae", checkpoint())
    folder = stat.S_IMODE((tmp_path / "sae").stat().st_mode)
    for path in (tmp_path / "sae").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == folder & 0o666


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"m": 0}, "m = 0"),
        ({"m": K + 1}, f"m = {K + 1}"),
        ({"activation": "tanh"}, "tanh"),
        ({"activation": "jumprelu"}, "threshold"),
        ({"threshold": torch.zeros(K)}, "threshold"),
        ({"encoder": torch.full((D, K), float("nan"))}, "encoder"),
        ({"input_scale": torch.zeros(D)}, "input_scale"),
    ],
)
def test_a_checkpoint_that_makes_no_sense_cannot_be_made(changes, said):
    with pytest.raises(InputError, match="expected") as caught:
        checkpoint(**changes)
    assert said in str(caught.value)


def test_numbers_beyond_float32_are_refused_before_anything_is_written(tmp_path):
    single = checkpoint()
    double = {name: value.double() for name, value in single.tensors().items()}
    double["input_mean"] = torch.full((D,), 1e300, dtype=torch.float64)
    with pytest.raises(InputError, match="input_mean overflows"):
        write_ours(tmp_path / "sae", checkpoint(**double))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": None}, "schema"),
        ({"d": D + 1}, "d = "),
        ({"K": K - 1}, "K = "),
        ({"m": 0}, "m = 0"),
        ({"m": K + 1}, "m = "),
        ({"m": 2.5}, "m = "),
        ({"activation": "gelu"}, "activation"),
        ({"activation": "jumprelu"}, "threshold"),
        ({"order": "random"}, "order"),
        ({"method": None}, "method"),
        ({"method": 3}, "method"),
        ({"seed": "7"}, "seed"),
        ({"seed": True}, "seed"),
        ({"details": [1]}, "details"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_with_its_file(tmp_path, config, said):
    write_ours(tmp_path / "sae", checkpoint())
    path = tmp_path / "sae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "sae"))
    assert said in str(caught.value)
    assert str(tmp_path / "sae") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"decoder": None}, "decoder"),
        ({"input_scale": None}, "input_scale"),
        ({"input_scale": torch.zeros(D)}, "input_scale"),
        ({"decoder": torch.zeros(D, K)}, "decoder"),
        ({"encoder": torch.zeros(D, 0)}, "encoder"),
        ({"encoder_bias": torch.full((K,), float("inf"))}, "encoder_bias"),
        ({"threshold": torch.zeros(K)}, "threshold"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_their_folder(tmp_path, tensors, said):
    write_ours(tmp_path / "sae", checkpoint())
    path = tmp_path / "sae" / "sae.safetensors"
    changed = {**load_file(path), **tensors}
    save_file({name: value for name, value in changed.items() if value is not None}, path)
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "sae"))
    assert said in str(caught.value)
    assert str(tmp_path / "sae") in str(caught.value)


def assert_compared_by_the_same_atoms(sae, folder):
    """The decoder alone is the estimator's atoms, up to the factor of its scale."""
    found = load_dictionary(str(folder))
    rows = found.decoder / np.linalg.norm(found.decoder, axis=1, keepdims=True)
    atoms = sae.components_ / np.linalg.norm(sae.components_, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, atoms, atol=1e-6)
    assert (found.architecture, found.metadata["k"]) == ("osae", M)


def test_an_estimator_of_float64_is_computed_with_in_float64(tmp_path):
    data = draw(300, D, seed=9).numpy().astype(np.float64)
    sae = OrderedSAE(K, M, n_steps=20, random_state=0).fit(data)
    assert sae.components_.dtype == np.float64
    sae.save(tmp_path / "sae")
    assert_compared_by_the_same_atoms(sae, tmp_path / "sae")
    back = load(str(tmp_path / "sae"))
    latents = back.encode(torch.from_numpy(data))
    codes = sae.transform(data)
    np.testing.assert_allclose(latents.numpy() * sae.scale_, codes, rtol=1e-12, atol=1e-12)
    rebuilt = back.decode(latents, torch.from_numpy(data)).numpy()
    np.testing.assert_allclose(rebuilt, sae.inverse_transform(codes), rtol=1e-12, atol=1e-12)


def test_a_saved_estimator_is_a_checkpoint_with_the_same_codes_and_reconstructions(tmp_path):
    data = draw(300, D, seed=9).numpy() * np.float32(1e-4)
    for options in (
        {},
        {"activation": "signed", "use_decoder_bias": True},
        {"activation": "batch"},
    ):
        sae = OrderedSAE(K, M, n_steps=20, random_state=0, **options).fit(data)
        sae.save(tmp_path / "sae")
        back = load(str(tmp_path / "sae"))
        codes = sae.transform(data)
        latents = back.encode(torch.from_numpy(data))
        torch.testing.assert_close(latents * sae.scale_, torch.from_numpy(codes))
        rebuilt = back.decode(latents, torch.from_numpy(data)).numpy()
        np.testing.assert_allclose(rebuilt, sae.inverse_transform(codes), rtol=1e-4, atol=1e-9)
        assert_compared_by_the_same_atoms(sae, tmp_path / "sae")
        cosines = (back.decoder / np.linalg.norm(back.decoder, axis=1, keepdims=True)).T
        assert match(cosines, sae.components_.T).stability == pytest.approx(1, abs=1e-6)
        assert (back.architecture, back.metadata["k"]) == ("osae", M)
