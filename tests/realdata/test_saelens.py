"""SAELens checkpoints: what SAELens computes from them is what we compute.

Folders of fixtures/saelens are written by SAELens 6.54, 5.11 (v5_) and 3.22 (v3_) through
fixtures/make_saelens.py, each with its own latents and reconstructions. Those of training
checkpoints are of the model that SAELens saves for inference.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary
from realdata.checkpoints.form import JumpReLU, ReLU, TopK

FIXTURES = Path(__file__).parent / "fixtures" / "saelens"
FOLDERS = sorted(path.name for path in FIXTURES.iterdir())
DECODERS = sorted(path.name for path in (FIXTURES.parent / "saelens_decoders").iterdir())


def expected(name):
    with np.load(FIXTURES / name / "expected.npz") as stored:
        return stored["x"], stored["latents"], stored["reconstruction"]


@pytest.fixture
def changed(tmp_path):
    """Copy a checkpoint with some of its configuration and tensors changed; None drops."""

    def change(name, config=None, tensors=None):
        folder = tmp_path / "changed"
        shutil.copytree(FIXTURES / name, folder, dirs_exist_ok=True)
        for change, path, read, write in (
            (config, folder / "cfg.json", lambda p: json.loads(p.read_text()), write_json),
            (tensors, folder / "sae_weights.safetensors", load_file, save_file),
        ):
            values = {**read(path), **(change or {})}
            write({key: value for key, value in values.items() if value is not None}, path)
        return str(folder)

    return change


def write_json(values, path):
    path.write_text(json.dumps(values))


def refusal(location):
    with pytest.raises(InputError) as caught:
        load(location)
    message = str(caught.value)
    assert "\n" not in message
    assert location in message
    return message


def largest(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("name", FOLDERS)
def test_latents_and_reconstruction_are_the_librarys_own(name):
    x, latents, reconstruction = expected(name)
    sae = load(str(FIXTURES / name))
    made = sae.encode(torch.from_numpy(x))
    np.testing.assert_array_equal(made.numpy() != 0, latents != 0)
    assert largest(made.numpy(), latents) < 1e-6
    assert largest(sae.decode(made, torch.from_numpy(x)).numpy(), reconstruction) < 1e-6


def test_the_fixtures_cover_every_architecture_and_normalisation():
    configs = [json.loads((FIXTURES / name / "cfg.json").read_text()) for name in FOLDERS]
    assert {config["architecture"] for config in configs} >= {
        "standard",
        "topk",
        "abstopk",
        "jumprelu",
        "gated",
        "batchtopk",
        "matryoshka_batchtopk",
        "transcoder",
        "skip_transcoder",
        "jumprelu_transcoder",
        "jumprelu_skip_transcoder",
    }
    assert {config["normalize_activations"] for config in configs} == {
        "none",
        "layer_norm",
        "constant_norm_rescale",
        "expected_average_only_in",
        "covariance_whitening",
    }
    assert any(config["d_in"] == config["d_sae"] for config in configs)


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka", "batchtopk_not_rescaled"])
def test_batch_topk_is_stored_for_inference_as_jumprelu_with_one_threshold(name):
    sae = load(str(FIXTURES / f"inference_{name}"))
    assert sae.architecture == "jumprelu"
    assert isinstance(sae.activation, JumpReLU)
    assert sae.activation.threshold.tolist() == [pytest.approx(0.6)] * 16


@pytest.mark.parametrize("version", ["v3", "v5"])
def test_topk_of_version_3_under_architecture_standard_is_topk_and_no_relu(version):
    config = json.loads((FIXTURES / f"{version}_topk" / "cfg.json").read_text())
    assert config["architecture"] == "standard"
    sae = load(str(FIXTURES / f"{version}_topk"))
    assert sae.activation == TopK(4)
    latents = sae.encode(torch.from_numpy(expected(f"{version}_topk")[0]))
    assert int((latents != 0).sum(dim=1).max()) == 4


def test_topk_of_version_3_without_k_is_refused_and_no_relu(changed):
    for options in ({}, None, {"k": None}):
        assert "without k" in refusal(changed("v3_topk", {"activation_fn_kwargs": options}))


def test_topk_without_k_is_refused_and_not_100(changed):
    assert "k = None" in refusal(changed("topk", {"k": None}))


@pytest.mark.parametrize("k", [0, -1, 17, 4.0, True, "4", [4]])
def test_a_k_that_is_no_number_of_latents_is_refused(changed, k):
    assert "k = " in refusal(changed("topk", {"k": k}))


@pytest.mark.parametrize("k", [0, -1.5, 17, "4"])
def test_a_batch_topk_checkpoint_whose_k_is_no_number_of_latents_is_refused(changed, k):
    assert "k in" in refusal(changed("training_batchtopk", {"k": k}))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("standard", {"apply_b_dec_to_input": False}),
        ("topk", {"normalize_activations": "layer_norm"}),
        ("topk", {"normalize_activations": "constant_norm_rescale"}),
        ("topk", {"rescale_acts_by_decoder_norm": True}),
    ],
)
def test_each_setting_changes_the_reconstruction(changed, name, config):
    x, _, reconstruction = expected(name)
    sae = load(changed(name, config))
    x = torch.from_numpy(x)
    assert largest(sae.decode(sae.encode(x), x).numpy(), reconstruction) > 0.01


def test_a_true_normalisation_of_early_versions_is_the_average_one_that_load_leaves_out(changed):
    old = load(changed("v3_standard", {"normalize_activations": True}))
    x, latents, _ = expected("v3_standard")
    assert largest(old.encode(torch.from_numpy(x)).numpy(), latents) < 1e-6
    assert load(changed("v3_standard", {"normalize_activations": False})).K == 16


def test_early_names_of_the_configuration_are_understood(changed):
    config = {"architecture": None, "hook_name": None, "hook_point": "blocks.1.hook_resid_pre"}
    renamed = {"activation_fn_str": None, "activation_fn": "relu", "apply_b_dec_to_input": None}
    sae = load(changed("v3_standard", {**config, **renamed}))
    assert sae.metadata["hook"] == "blocks.1.hook_resid_pre"
    x, latents, _ = expected("v3_standard")
    assert largest(sae.encode(torch.from_numpy(x)).numpy(), latents) < 1e-6


def test_finetuning_factors_scale_the_reconstruction_and_not_the_latents(changed):
    x, latents, reconstruction = expected("v3_finetuned")
    ones = {"scaling_factor": torch.ones(16)}
    plain = load(changed("v3_finetuned", tensors=ones))
    x = torch.from_numpy(x)
    made = plain.encode(x)
    assert largest(made.numpy(), latents) < 1e-6
    assert largest(plain.decode(made, x).numpy(), reconstruction) > 0.01


def test_finetuning_factors_under_their_own_name_are_the_same(changed):
    stored = load_file(FIXTURES / "v3_finetuned" / "sae_weights.safetensors")["scaling_factor"]
    renamed = {"scaling_factor": None, "finetuning_scaling_factor": stored}
    sae = load(changed("v3_finetuned", tensors=renamed))
    torch.testing.assert_close(sae.latent_scale, stored)


def test_finetuning_factors_that_tensors_and_configuration_disagree_about_are_refused(changed):
    assert "0 tensors" in refusal(changed("v3_finetuned", tensors={"scaling_factor": None}))
    stated = {"finetuning_scaling_factor": False}
    assert "both or neither" in refusal(changed("v3_finetuned_topk", stated))


def test_ones_as_finetuning_factors_are_no_factors(changed):
    sae = load(changed("standard", tensors={"scaling_factor": torch.ones(16)}))
    assert sae.latent_scale is None


def test_a_logarithm_of_thresholds_is_what_early_training_checkpoints_store(changed):
    stored = load_file(FIXTURES / "jumprelu" / "sae_weights.safetensors")["threshold"]
    logs = {"threshold": None, "log_threshold": stored.log()}
    sae = load(changed("jumprelu", tensors=logs))
    torch.testing.assert_close(sae.activation.threshold, stored)


def test_a_training_checkpoint_gives_what_its_inference_model_gives():
    for kind in ("topk", "batchtopk", "matryoshka", "gated", "jumprelu", "standard"):
        x = torch.from_numpy(expected(f"training_{kind}")[0])
        during, after = (load(str(FIXTURES / f"{a}_{kind}")) for a in ("training", "inference"))
        torch.testing.assert_close(during.encode(x), after.encode(x), rtol=1e-5, atol=1e-6)


def test_the_input_scaling_beside_a_training_checkpoint_is_read_and_without_it_is_none(tmp_path):
    name = "training_topk_expected_average_only_in"
    shutil.copytree(FIXTURES / name, tmp_path / "alone")
    (tmp_path / "alone" / "activation_scaler.json").unlink()
    factor = json.loads((FIXTURES / name / "activation_scaler.json").read_text())["scaling_factor"]
    x = torch.from_numpy(expected(name)[0])
    beside, alone = load(str(FIXTURES / name)), load(str(tmp_path / "alone"))
    torch.testing.assert_close(beside.encode(x), alone.encode(x * factor), rtol=1e-5, atol=1e-6)


def test_whitened_training_without_its_matrix_is_refused(tmp_path):
    folder = tmp_path / "alone"
    shutil.copytree(FIXTURES / "training_topk_covariance_whitening", folder)
    (folder / "activation_whitening.safetensors").unlink()
    assert "activation_whitening.safetensors" in refusal(str(folder))


@pytest.mark.parametrize(
    "architecture",
    [
        "crosscoder",
        "Standard",
        "",
    ],
)
def test_an_architecture_that_is_not_read_is_refused_by_its_name(changed, architecture):
    said = refusal(changed("standard", {"architecture": architecture}))
    assert f"'{architecture}' is unknown" in said


@pytest.mark.parametrize("name", DECODERS)
def test_of_other_architectures_the_decoder_is_what_the_library_adds_for_a_unit_latent(name):
    folder = FIXTURES.parent / "saelens_decoders" / name
    found = load_dictionary(str(folder))
    added = np.load(folder / "added.npy")
    np.testing.assert_allclose(unit_rows(found.decoder), unit_rows(added), atol=2e-6)
    assert found.architecture == json.loads((folder / "cfg.json").read_text())["architecture"]
    assert found.d == (6 if name.startswith("transcoder") else 8)


@pytest.mark.parametrize("name", DECODERS)
def test_latents_of_other_architectures_are_refused_in_one_sentence(name):
    said = refusal(str(FIXTURES.parent / "saelens_decoders" / name))
    expected = "d_out = 6" if name == "transcoder_narrow" else "expected"
    assert expected in said


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"d_out": 7}, "d_out = 7"),
        ({"d_out": None}, "d_out = None"),
        ({"normalize_activations": "layer_norm"}, "'layer_norm' is unknown"),
        ({"apply_b_dec_to_input": True}, "apply_b_dec_to_input = true"),
    ],
)
def test_a_transcoder_that_the_internal_form_cannot_hold_is_refused(changed, config, said):
    assert said in refusal(changed("skip_transcoder", config))


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("standard", {"d_in": 9}, "d_in = 9"),
        ("standard", {"d_sae": 15}, "d_sae = 15"),
        ("standard", {"d_sae": None}, "d_sae = None"),
        ("standard", {"dtype": "float8"}, "dtype"),
        ("standard", {"dtype": 32}, "dtype"),
        ("standard", {"apply_b_dec_to_input": 1}, "apply_b_dec_to_input"),
        ("standard", {"normalize_activations": "batch_norm"}, "normalize_activations"),
        ("standard", {"normalize_activations": [1]}, "normalize_activations"),
        ("standard", {"metadata": [1]}, "metadata"),
        ("standard", {"metadata": {"sae_lens_version": "new"}}, "sae_lens_version"),
        ("standard", {"architecture": ["standard"]}, "architecture"),
        ("standard", {"activation_fn_str": "topk"}, "activations of one kind"),
        ("topk", {"rescale_acts_by_decoder_norm": "yes"}, "rescale_acts_by_decoder_norm"),
        ("v3_standard", {"activation_fn_str": "tanh-relu"}, "tanh-relu"),
        ("v3_standard", {"activation_fn": "topk"}, "expected the same"),
        ("v3_topk", {"activation_fn_kwargs": [4]}, "activation_fn_kwargs"),
        ("v3_topk", {"k": 5}, "expected one"),
        ("v3_gated", {"activation_fn_str": "topk"}, "activations of one kind"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(changed, name, config, said):
    assert said in refusal(changed(name, config))


@pytest.mark.parametrize(
    ("name", "tensors", "said"),
    [
        ("standard", {"W_dec": None}, "no tensor 'W_dec'"),
        ("standard", {"W_enc": None}, "no tensor 'W_enc'"),
        ("standard", {"b_enc": None}, "no tensor 'b_enc'"),
        ("jumprelu", {"threshold": None}, "no tensor 'threshold'"),
        ("gated", {"r_mag": None}, "no tensor 'r_mag'"),
        ("standard", {"threshold": torch.zeros(16)}, "'threshold'"),
        ("standard", {"W_dec": torch.zeros(8, 16)}, "W_dec"),
        ("standard", {"W_enc": torch.zeros(16, 8)}, "d_in = 8"),
        ("standard", {"b_dec": torch.zeros(16)}, "b_dec"),
        ("standard", {"W_enc": torch.zeros(8, 0), "W_dec": torch.zeros(0, 8)}, "not empty"),
        ("standard", {"b_enc": torch.full((16,), float("nan"))}, "NaN"),
        ("standard", {"W_dec": torch.full((16, 8), float("inf"))}, "Inf"),
        ("standard", {"b_enc": torch.zeros(16, dtype=torch.int64)}, "floating-point"),
        ("jumprelu", {"threshold": None, "log_threshold": torch.full((16,), 1e3)}, "inf"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(changed, name, tensors, said):
    assert said in refusal(changed(name, tensors=tensors))


def test_layer_norm_of_a_single_dimension_has_no_deviation_and_is_refused(changed):
    tensors = {
        "W_enc": torch.ones(1, 16),
        "W_dec": torch.ones(16, 1),
        "b_dec": torch.zeros(1),
        "b_enc": torch.zeros(16),
    }
    said = refusal(changed("standard_layer_norm", {"d_in": 1}, tensors))
    assert "layer_norm" in said


def test_the_model_and_the_hook_point_are_in_the_metadata():
    for name in ("standard", "v3_standard"):
        metadata = load(str(FIXTURES / name)).metadata
        assert metadata["model"] == "tiny"
        assert metadata["hook"] == "blocks.2.hook_resid_post"


def test_an_activation_of_zero_width_threshold_is_a_relu_where_training_never_set_it(changed):
    zero = {"topk_threshold": torch.zeros((), dtype=torch.float64)}
    sae = load(changed("training_batchtopk_not_rescaled", tensors=zero))
    x = torch.from_numpy(expected("training_batchtopk_not_rescaled")[0])
    pre = (x - sae.input_offset) @ sae.encoder + sae.encoder_bias
    torch.testing.assert_close(sae.encode(x), ReLU()(pre))


@pytest.mark.parametrize("factor", [10**400, 1e300, 5e-324, 1e-39, 1e39, 0.0, -1, True, "1"])
def test_a_scaling_factor_that_float32_cannot_divide_by_is_refused(tmp_path, factor):
    folder = tmp_path / "sae"
    shutil.copytree(FIXTURES / "training_topk_expected_average_only_in", folder)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
    assert "activation_scaler.json" in refusal(str(folder))


def test_a_scaling_that_is_there_but_cannot_be_read_is_not_left_out(tmp_path):
    folder = tmp_path / "sae"
    shutil.copytree(FIXTURES / "training_topk_expected_average_only_in", folder)
    scaler = folder / "activation_scaler.json"
    scaler.unlink()
    scaler.symlink_to("nowhere")
    assert "activation_scaler.json cannot be read" in refusal(str(folder))
    scaler.unlink()
    scaler.mkdir()
    assert "activation_scaler.json cannot be read" in refusal(str(folder))


@pytest.mark.parametrize("name", ["transcoder", "topk"])
def test_a_transcoder_says_that_it_is_one(name):
    found = load(str(FIXTURES / name)).metadata.get("transcoder", False)
    assert found is (name == "transcoder")
