"""The decoder of a checkpoint is read without what only its latents need."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from osae_theory.errors import InputError
from realdata.checkpoints import load, load_dictionary
from realdata.checkpoints.form import SparseAutoencoder, StoredDictionary
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours
from realdata.comparison.dictionaries import dictionaries

FIXTURES = Path(__file__).parent / "fixtures"
FOLDERS = sorted({path.parent for path in FIXTURES.rglob("expected.npz")} - {FIXTURES / "export"})
D, K = 8, 16


def draw(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def ours(folder):
    checkpoint = TopMCheckpoint(
        draw(D, K), draw(K), draw(K, D, seed=1), draw(D), draw(D, seed=2), draw(D).abs() + 0.5,
        m=4, activation="relu", origin=Origin("osae", model="a model", seed=3),
    )  # fmt: skip
    write_ours(folder, checkpoint)
    return folder


def gemma_scope_2(folder):
    folder.mkdir()
    tensors = {"w_enc": draw(D, K), "w_dec": draw(K, D), "b_enc": draw(K), "b_dec": draw(D)}
    save_file(tensors | {"threshold": draw(K).abs()}, folder / "params.safetensors")
    config = {"architecture": "jump_relu", "model_name": "gemma", "width": K}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def units(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def assert_same_atoms(one, other):
    np.testing.assert_allclose(units(one.decoder), units(other.decoder), atol=2e-7)


def refusal(read, *given):
    with pytest.raises(InputError) as caught:
        read(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: "-".join(path.parts[-3:]))
def test_atoms_are_those_of_the_whole_autoencoder(folder):
    whole, decoder = load(str(folder)), load_dictionary(str(folder))
    assert isinstance(decoder, StoredDictionary)
    assert_same_atoms(decoder, whole)
    assert (decoder.K, decoder.d) == (whole.K, whole.d)
    assert decoder.metadata["format"] == whole.metadata["format"]
    assert decoder.architecture == whole.architecture


@pytest.mark.parametrize("write", [ours, gemma_scope_2])
def test_atoms_of_formats_without_fixtures_are_those_of_the_whole_autoencoder(tmp_path, write):
    folder = str(write(tmp_path / "sae"))
    whole, decoder = load(folder), load_dictionary(folder)
    assert_same_atoms(decoder, whole)
    assert decoder.architecture == whole.architecture
    assert decoder.metadata == whole.metadata


# What of a checkpoint is changed so that its latents cannot be computed: the configuration's
# fields and the tensors, None for one that goes.
WITHOUT_LATENTS = {
    "saelens top-k without k": ("saelens/topk", {"k": None}, {}, "k = None"),
    "saelens of another architecture": (
        *("saelens/standard", {"architecture": "crystal"}, {}, "'crystal'"),
    ),
    "saelens without encoder": ("saelens/standard", {}, {"W_enc": None}, "'W_enc'"),
    "saelens without thresholds": ("saelens/jumprelu", {}, {"threshold": None}, "'threshold'"),
    "saelens with more": ("saelens/gated", {}, {"W_more": draw(2, 2)}, "'W_more'"),
    "saelens of version 3 without k": (
        *("saelens/v3_topk", {"activation_fn_kwargs": None}, {}, "without k"),
    ),
    "saelens with a wrong factor": (
        *("saelens/v3_finetuned", {}, {"scaling_factor": draw(3)}, "scaling_factor"),
    ),
    "sparsify without k": ("sparsify/top_k", {"k": None}, {}, "k = None"),
    "sparsify of an unknown activation": ("sparsify/top_k", {"activation": "x"}, {}, "'x'"),
    "sparsify with an unknown switch": ("sparsify/top_k", {"signed": True}, {}, "signed"),
    "sparsify without encoder": ("sparsify/top_k", {}, {"encoder.weight": None}, "encoder.weight"),
    "a class of dictionary_learning": (
        *("dictionary_learning/top_k", {"dict_class": "Crystal"}, {}, "'Crystal'"),
    ),
    "dictionary_learning without k": ("dictionary_learning/top_k", {"k": None}, {}, "k = None"),
    "dictionary_learning without thresholds": (
        *("dictionary_learning/jump_relu", {}, {"threshold": None}, "'threshold'"),
    ),
    "dictionary_learning without encoder": (
        *("dictionary_learning/auto_encoder_new", {}, {"encoder.weight": None}, "encoder.weight"),
    ),
    "ours without encoder": (ours, {}, {"encoder": None}, "'encoder'"),
    "ours without m": (ours, {"m": None}, {}, "m = None"),
    "ours of another schema": (ours, {"schema": 2}, {}, "schema = 2"),
    "gemma_scope_2 of another architecture": (
        *(gemma_scope_2, {"architecture": "crystal"}, {}, "'crystal'"),
    ),
    "gemma_scope_2 without thresholds": (gemma_scope_2, {}, {"threshold": None}, "'threshold'"),
    "gemma_scope_2 with more": (gemma_scope_2, {}, {"more": draw(2)}, "'more'"),
}


@pytest.fixture
def changed(tmp_path):
    """Make a copy of a checkpoint with some of its configuration and tensors changed."""

    def change(original, config, tensors):
        folder = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        if callable(original):
            original(folder)
        else:
            shutil.copytree(FIXTURES / original, folder)
        path = next(path for path in folder.iterdir() if path.name in ("cfg.json", "config.json"))
        content = json.loads(path.read_text())
        update(content.get("trainer", content), config)
        path.write_text(json.dumps(content))
        weights = next(path for path in folder.iterdir() if path.suffix in (".pt", ".safetensors"))
        torch_file = weights.suffix == ".pt"
        values = torch.load(weights, weights_only=True) if torch_file else load_file(weights)
        update(values, tensors)
        torch.save(values, weights) if torch_file else save_file(values, weights)
        return str(folder)

    return change


def update(values, changes):
    values.update(changes)
    for name, value in changes.items():
        if value is None:
            del values[name]


@pytest.mark.parametrize("case", WITHOUT_LATENTS)
def test_what_only_latents_need_is_not_needed_to_compare(changed, tmp_path, case):
    original, config, tensors, said = WITHOUT_LATENTS[case]
    whole = ours(tmp_path / "whole") if original is ours else None
    whole = gemma_scope_2(tmp_path / "whole") if original is gemma_scope_2 else whole
    location = changed(original, config, tensors)
    assert said in refusal(load, location)
    decoder = load_dictionary(location)
    assert_same_atoms(decoder, load(str(whole or FIXTURES / original)))
    [one] = dictionaries({"a": location})
    np.testing.assert_array_equal(one.decoder, decoder.decoder)


def test_gemma_scope_needs_its_decoder_alone(tmp_path):
    original = FIXTURES / "gemma_scope" / "layer_3" / "width_16" / "average_l0_5"
    with np.load(original / "params.npz") as arrays:
        np.savez(tmp_path / "params.npz", W_dec=arrays["W_dec"], odd=np.ones(3))
    refusal(load, str(tmp_path))
    assert_same_atoms(load_dictionary(str(tmp_path)), load(str(original)))


def test_a_dictionary_of_dictionary_learning_needs_no_configuration(tmp_path):
    for name in ("auto_encoder", "matryoshka"):
        original = FIXTURES / "dictionary_learning" / name
        shutil.copy(original / "ae.pt", tmp_path)
        assert "cannot be read" in refusal(load, str(tmp_path))
        decoder = load_dictionary(str(tmp_path))
        assert decoder.architecture == "unknown"
        assert_same_atoms(decoder, load(str(original)))


def test_activations_ask_for_the_latents_and_the_refusal_says_what_is_done_without(
    changed, tmp_path
):
    location = changed("saelens/topk", {"k": None}, {})
    np.save(tmp_path / "x.npy", np.eye(4, 8, dtype=np.float32))
    said = refusal(dictionaries, {"a": location}, None, tmp_path / "x.npy")
    assert "k = None" in said
    assert "its decoder is compared without --activations" in said
    whole = str(FIXTURES / "saelens" / "topk")
    [one] = dictionaries({"a": whole}, activations=tmp_path / "x.npy")
    assert isinstance(one.autoencoder, SparseAutoencoder)
    other = changed("sparsify/top_k", {}, {"W_dec": None})
    assert "--activations" not in refusal(dictionaries, {"a": other}, None, tmp_path / "x.npy")


def test_nothing_is_known_of_the_latents_of_a_dictionary_alone(changed):
    [one] = dictionaries({"a": changed("saelens/topk", {"k": None}, {})})
    assert "expected activations" in refusal(one.energies)


@pytest.mark.parametrize(
    ("original", "config", "tensors", "said"),
    [
        ("saelens/standard", {}, {"W_dec": None}, "no tensor 'W_dec'"),
        ("saelens/standard", {}, {"W_dec": torch.zeros(2, 8, 16)}, "expected a matrix"),
        ("saelens/standard", {}, {"W_dec": torch.zeros(8, 16)}, "d_in = 8"),
        ("saelens/standard", {}, {"W_dec": torch.full((16, 8), torch.nan)}, "NaN"),
        ("saelens/standard", {"normalize_activations": "x"}, {}, "normalize_activations"),
        ("sparsify/top_k", {}, {"W_dec": torch.zeros(3, 3)}, "d_in"),
        ("dictionary_learning/top_k", {}, {"decoder.weight": None}, "'decoder.weight'"),
        ("dictionary_learning/top_k", {"dict_size": 3}, {}, "dict_size = 3"),
        (ours, {"K": 3}, {}, "K = 3"),
        (ours, {}, {"input_scale": None}, "'input_scale'"),
        (ours, {}, {"input_scale": torch.zeros(D)}, "input_scale"),
        (gemma_scope_2, {"width": 3}, {}, "width = 3"),
        (gemma_scope_2, {}, {"w_dec": torch.zeros(3, K, D)}, "expected a matrix"),
    ],
)
def test_a_decoder_that_is_missing_misshaped_or_damaged_is_refused(
    changed, original, config, tensors, said
):
    location = changed(original, config, tensors)
    message = refusal(load_dictionary, location)
    assert said in message
    assert location in message


def test_the_version_that_wrote_a_saelens_checkpoint_is_told():
    folder = FIXTURES / "saelens" / "standard"
    stated = json.loads((folder / "cfg.json").read_text())["metadata"]["sae_lens_version"]
    for read in (load, load_dictionary):
        assert read(str(folder)).metadata["version"] == stated
