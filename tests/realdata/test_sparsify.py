"""Checkpoints of sparsify, held to what that library computed from them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load
from realdata.checkpoints.sparsify import GroupMax

FIXTURES = Path(__file__).parent / "fixtures" / "sparsify"
NAMES = sorted(folder.name for folder in FIXTURES.iterdir())
TRANSCODERS = ["transcoder", "skip_transcoder"]


def expected(folder):
    with np.load(folder / "expected.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def latents_and_reconstruction(location, x):
    autoencoder = load(str(location))
    latents = autoencoder.encode(x)
    return latents, autoencoder.decode(latents, x)


def assert_equal(found, wanted):
    scale = float(wanted.abs().max())
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6, atol=1e-6 * scale)


def edited(tmp_path, name, *, tensors=None, config=None):
    """A copy of a fixture, with its tensors and configuration edited in place."""
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    if tensors is not None:
        values = load_file(folder / "sae.safetensors")
        tensors(values)
        save_file(
            {key: value.contiguous() for key, value in values.items()}, folder / "sae.safetensors"
        )
    if config is not None:
        fields = json.loads((folder / "cfg.json").read_text())
        config(fields)
        (folder / "cfg.json").write_text(json.dumps(fields))
    return folder


def assert_refused(folder, words):
    with pytest.raises(InputError, match=words) as caught:
        load(str(folder))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message


@pytest.mark.parametrize("name", NAMES)
def test_latents_and_reconstruction_are_those_of_the_library(name):
    wanted = expected(FIXTURES / name)
    latents, reconstruction = latents_and_reconstruction(FIXTURES / name, wanted["x"])
    assert_equal(latents, wanted["latents"])
    assert_equal(reconstruction, wanted["reconstruction"])


@pytest.mark.parametrize("name", NAMES)
def test_a_latents_decoder_row_is_what_one_unit_of_it_adds(name):
    autoencoder = load(str(FIXTURES / name))
    x = torch.ones(autoencoder.K, autoencoder.d)
    added = autoencoder.decode(torch.eye(autoencoder.K), x) - autoencoder.decode(
        torch.zeros(autoencoder.K, autoencoder.K), x
    )
    np.testing.assert_allclose(autoencoder.decoder, added.numpy(), atol=2e-6)


def test_a_square_decoder_is_not_transposed():
    stored = load_file(FIXTURES / "top_k_square" / "sae.safetensors")["W_dec"]
    assert stored.shape == (12, 12)
    np.testing.assert_array_equal(load(str(FIXTURES / "top_k_square")).decoder, stored)


def test_multi_topk_gives_k_latents_not_4k():
    wanted = expected(FIXTURES / "multi_topk")
    latents, _ = latents_and_reconstruction(FIXTURES / "multi_topk", wanted["x"])
    assert int((latents > 0).sum(dim=1).max()) == 3


@pytest.mark.parametrize("name", ["skip", "skip_transcoder"])
def test_the_skip_connection_starts_at_the_raw_input(name):
    stored = load_file(FIXTURES / name / "sae.safetensors")
    wanted = expected(FIXTURES / name)
    latents, reconstruction = latents_and_reconstruction(FIXTURES / name, wanted["x"])
    without = latents @ stored["W_dec"] + stored["b_dec"]
    assert float((reconstruction - without).abs().max()) > 0.1
    np.testing.assert_allclose(
        reconstruction - without, wanted["x"] @ stored["W_skip"].T, atol=1e-5
    )


@pytest.mark.parametrize("name", TRANSCODERS)
def test_a_transcoder_does_not_subtract_its_decoder_bias_from_the_input(tmp_path, name):
    folder = edited(tmp_path, name, tensors=lambda values: values["b_dec"].add_(100))
    wanted = expected(folder)
    latents, reconstruction = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])
    np.testing.assert_allclose(reconstruction, wanted["reconstruction"] + 100, rtol=1e-6)
    assert load(str(folder)).metadata["transcoder"] is True


def test_no_latents_stated_means_expansion_factor_times_the_width(tmp_path):
    fields = json.loads((FIXTURES / "top_k" / "cfg.json").read_text())
    assert fields["num_latents"] == 0
    assert load(str(FIXTURES / "top_k")).K == fields["expansion_factor"] * fields["d_in"] == 16
    folder = edited(tmp_path / "old", "top_k", config=lambda f: f.pop("num_latents"))
    assert load(str(folder)).K == 16
    folder = edited(tmp_path / "other", "top_k", config=lambda f: f.update(expansion_factor=3))
    assert_refused(folder, "expected \\(24, 8\\)")


def test_the_expansion_factor_does_not_matter_where_latents_are_stated(tmp_path):
    folder = edited(tmp_path, "skip", config=lambda fields: fields.update(expansion_factor=7))
    assert load(str(folder)).K == 16


def test_a_configuration_of_2024_without_later_fields_is_read(tmp_path):
    def keep_old(fields):
        for name in ("activation", "num_latents", "multi_topk", "skip_connection", "transcode"):
            del fields[name]
        fields["signed"] = False

    folder = edited(tmp_path, "top_k", config=keep_old)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])


@pytest.mark.parametrize("name", ["signed", "embed_skip", "gram_lookup", "normalize_io"])
def test_a_switch_that_the_library_drops_but_that_changed_the_result_is_refused(tmp_path, name):
    folder = edited(tmp_path, "top_k", config=lambda fields: fields.update({name: True}))
    assert_refused(folder, f"{name} = true in .* is not known here")


def test_other_fields_that_the_library_drops_are_dropped(tmp_path):
    folder = edited(tmp_path, "top_k", config=lambda f: f.update(hookpoint="layers.3", lookup=4))
    assert load(str(folder)).K == 16


@pytest.mark.parametrize("k", [0, -1, 17, 4.0, "4", None, True, 10**30])
def test_a_k_that_cannot_be_is_refused(tmp_path, k):
    assert_refused(edited(tmp_path, "top_k", config=lambda fields: fields.update(k=k)), "k = ")


def test_no_k_is_refused_although_the_library_would_take_32(tmp_path):
    assert_refused(edited(tmp_path, "top_k", config=lambda fields: fields.pop("k")), "k = None")


def test_a_k_that_does_not_divide_the_width_is_refused_with_groupmax(tmp_path):
    folder = edited(tmp_path, "group_max", config=lambda fields: fields.update(k=5))
    assert_refused(folder, "k = 5 in .* expected a divisor of 24")
    with pytest.raises(InputError, match="k = 5 with groupmax: expected a divisor of K = 24"):
        GroupMax(5).check(24)


def test_groupmax_keeps_the_largest_of_each_group_if_it_is_positive():
    preactivations = torch.tensor([[1.0, 3.0, -2.0, -1.0], [0.0, -1.0, 2.0, 2.5]])
    kept = GroupMax(2)(preactivations)
    np.testing.assert_array_equal(kept, [[0, 3, 0, 0], [0, 0, 0, 2.5]])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "relu"),
        ("activation", 3),
        ("d_in", 9),
        ("d_in", None),
        ("d_in", True),
        ("num_latents", -1),
        ("num_latents", 24),
        ("num_latents", "16"),
        ("expansion_factor", 0),
        ("expansion_factor", 2.0),
        ("skip_connection", 1),
        ("skip_connection", True),
        ("transcode", None),
        ("multi_topk", "no"),
    ],
)
def test_a_field_that_cannot_be_is_refused(tmp_path, field, value):
    folder = edited(tmp_path, "top_k", config=lambda fields: fields.update({field: value}))
    assert_refused(folder, "expected")


def test_a_skip_matrix_that_the_configuration_denies_is_refused(tmp_path):
    folder = edited(tmp_path, "skip", config=lambda fields: fields.update(skip_connection=False))
    assert_refused(folder, "'W_skip'")


def test_a_coder_saved_without_its_decoder_is_refused(tmp_path):
    folder = edited(tmp_path, "top_k", tensors=lambda values: values.pop("W_dec"))
    assert_refused(folder, "no tensor 'W_dec'")


def test_tensors_of_several_types_are_refused(tmp_path):
    folder = edited(tmp_path, "top_k", tensors=lambda v: v.update(W_dec=v["W_dec"].bfloat16()))
    assert_refused(folder, "torch.bfloat16 and torch.float32")


def test_float64_is_computed_in_float64(tmp_path):
    def to_double(values):
        for name in list(values):
            values[name] = values[name].double()

    folder = edited(tmp_path, "top_k", tensors=to_double)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"].double())
    assert latents.dtype == torch.float64
    np.testing.assert_allclose(latents, wanted["latents"], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bfloat16"])
def test_every_tensor_is_checked(tmp_path, name):
    stored = load_file(FIXTURES / name / "sae.safetensors")
    assert len(stored) in (4, 5)
    for key, value in stored.items():
        damages = {
            "NaN": torch.full_like(value, torch.nan),
            "Inf": torch.full_like(value, -torch.inf),
            "shape": value.unsqueeze(0),
        }
        for damage, damaged in damages.items():
            folder = edited(
                tmp_path / key / damage,
                name,
                tensors=lambda v, key=key, damaged=damaged: v.update({key: damaged}),
            )
            assert_refused(folder, key)


def test_whole_numbers_for_weights_are_refused(tmp_path):
    def to_whole(values):
        for name in list(values):
            values[name] = values[name].int()

    assert_refused(edited(tmp_path, "top_k", tensors=to_whole), "floating-point numbers")


def test_a_coder_without_latents_is_refused(tmp_path):
    def empty(values):
        values |= {
            "W_dec": torch.zeros(0, 8),
            "encoder.weight": torch.zeros(0, 8),
            "encoder.bias": torch.zeros(0),
        }

    folder = edited(
        tmp_path, "top_k", tensors=empty, config=lambda fields: fields.update(expansion_factor=0)
    )
    assert_refused(folder, "expansion_factor = 0")


def test_a_truncated_file_is_refused(tmp_path):
    folder = edited(tmp_path, "top_k")
    content = (folder / "sae.safetensors").read_bytes()
    (folder / "sae.safetensors").write_bytes(content[:-7])
    assert_refused(folder, "cannot be read")


def test_weights_without_a_configuration_are_refused(tmp_path):
    folder = edited(tmp_path, "top_k")
    (folder / "cfg.json").unlink()
    assert_refused(folder, r"without cfg.json \(sparsify\)")
