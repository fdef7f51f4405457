"""Checkpoints of dictionary_learning, held to what that library computed from them."""

import json
import pickle
import shutil
from pathlib import Path
from reprlib import repr as brief

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from realdata.checkpoints import load

FIXTURES = Path(__file__).parent / "fixtures" / "dictionary_learning"
NAMES = sorted(folder.name for folder in FIXTURES.iterdir())
WITH_THRESHOLD = ["batch_top_k", "batch_top_k_no_threshold", "matryoshka"]


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


def edited(tmp_path, name, *, tensors=None, trainer=None):
    """A copy of a fixture, with its state dictionary and trainer section edited in place."""
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    state = torch.load(folder / "ae.pt", weights_only=True)
    if tensors is not None:
        tensors(state)
        torch.save(state, folder / "ae.pt")
    if trainer is not None:
        config = json.loads((folder / "config.json").read_text())
        trainer(config["trainer"])
        (folder / "config.json").write_text(json.dumps(config))
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


def test_the_fixtures_cover_every_class():
    covered = {load(str(FIXTURES / name)).architecture for name in NAMES}
    assert covered == {
        "AutoEncoder",
        "AutoEncoderNew",
        "AutoEncoderTopK",
        "BatchTopKSAE",
        "GatedAutoEncoder",
        "JumpReluAutoEncoder",
        "MatryoshkaBatchTopKSAE",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_latents_decoder_row_is_what_one_unit_of_it_adds(name):
    autoencoder = load(str(FIXTURES / name))
    x = torch.zeros(autoencoder.K, autoencoder.d)
    added = autoencoder.decode(torch.eye(autoencoder.K), x) - autoencoder.decode(
        torch.zeros(autoencoder.K, autoencoder.K), x
    )
    np.testing.assert_allclose(autoencoder.decoder, added.numpy(), atol=2e-6)


def test_the_model_and_the_hook_point_are_told():
    metadata = load(str(FIXTURES / "top_k")).metadata
    assert metadata["model"] == "EleutherAI/pythia-70m-deduped"
    assert metadata["hook"] == "resid_post_layer_3"
    assert metadata["layer"] == 3


def test_weights_may_be_stored_with_transposed_strides(tmp_path):
    stored = torch.load(FIXTURES / "top_k_square" / "ae.pt", weights_only=True)
    assert not stored["encoder.weight"].is_contiguous()

    def make_contiguous(state):
        for name, value in list(state.items()):
            state[name] = value.clone(memory_format=torch.contiguous_format)

    folder = edited(tmp_path, "top_k_square", tensors=make_contiguous)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])


def test_an_auto_encoder_is_renormalised_as_by_its_loader():
    wanted = expected(FIXTURES / "auto_encoder")
    stored = torch.load(FIXTURES / "auto_encoder" / "ae.pt", weights_only=True)
    raw = torch.relu(
        (wanted["x"] - stored["bias"]) @ stored["encoder.weight"].T + stored["encoder.bias"]
    )
    latents, reconstruction = latents_and_reconstruction(FIXTURES / "auto_encoder", wanted["x"])
    assert float((latents - raw).abs().max()) > 0.1
    np.testing.assert_allclose(
        reconstruction, raw @ stored["decoder.weight"].T + stored["bias"], atol=1e-5
    )
    decoder = load(str(FIXTURES / "auto_encoder")).decoder
    np.testing.assert_allclose(np.linalg.norm(decoder, axis=1), 1, rtol=1e-6)


def test_an_auto_encoder_of_unit_norm_is_left_as_it_is():
    stored = torch.load(FIXTURES / "auto_encoder_unit_norm" / "ae.pt", weights_only=True)
    decoder = load(str(FIXTURES / "auto_encoder_unit_norm")).decoder
    np.testing.assert_array_equal(decoder, stored["decoder.weight"].T)


def test_an_auto_encoder_with_a_zero_column_is_refused_as_its_loader_fails_on_it(tmp_path):
    def zero(state):
        state["decoder.weight"][:, 3] = 0

    folder = edited(tmp_path, "auto_encoder", tensors=zero)
    assert_refused(folder, "decoder columns that cannot be scaled to norm 1")


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1e9])
def test_top_k_ignores_the_threshold_it_stores(tmp_path, threshold):
    folder = edited(
        tmp_path, "top_k", tensors=lambda s: s.update(threshold=torch.tensor(threshold))
    )
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])


def test_top_k_of_2024_without_k_and_threshold_takes_k_from_its_configuration(tmp_path):
    def drop(state):
        del state["k"], state["threshold"]

    folder = edited(tmp_path, "top_k", tensors=drop)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])


@pytest.mark.parametrize("name", ["batch_top_k", "matryoshka"])
def test_batch_top_k_selects_by_its_threshold_not_by_k(name):
    wanted = expected(FIXTURES / name)
    latents, _ = latents_and_reconstruction(FIXTURES / name, wanted["x"])
    active = (latents > 0).sum(dim=1)
    assert int(active.max()) > 4 > int(active.min())


@pytest.mark.parametrize("name", WITH_THRESHOLD)
def test_batch_top_k_without_its_threshold_is_refused(tmp_path, name):
    folder = edited(tmp_path, name, tensors=lambda state: state.pop("threshold"))
    assert_refused(folder, "no tensor 'threshold'")


def test_a_batch_top_k_threshold_of_minus_one_is_the_relu():
    name = "batch_top_k_no_threshold"
    stored = torch.load(FIXTURES / name / "ae.pt", weights_only=True)
    assert float(stored["threshold"]) == -1
    x = expected(FIXTURES / name)["x"]
    latents, _ = latents_and_reconstruction(FIXTURES / name, x)
    relu = torch.relu((x - stored["b_dec"]) @ stored["encoder.weight"].T + stored["encoder.bias"])
    assert_equal(latents, relu)


def test_jump_relu_never_subtracts_its_decoder_bias(tmp_path):
    folder = edited(tmp_path, "jump_relu_square", tensors=lambda s: s["b_dec"].add_(100))
    wanted = expected(folder)
    latents, reconstruction = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])
    np.testing.assert_allclose(reconstruction, wanted["reconstruction"] + 100, rtol=1e-6)


def test_a_negative_jump_relu_threshold_lets_no_negative_latent_through():
    stored = torch.load(FIXTURES / "jump_relu_square" / "ae.pt", weights_only=True)
    assert float(stored["threshold"].min()) < 0
    wanted = expected(FIXTURES / "jump_relu_square")
    latents, _ = latents_and_reconstruction(FIXTURES / "jump_relu_square", wanted["x"])
    assert float(latents.min()) >= 0


def test_auto_encoder_new_gives_the_latents_of_encode_not_those_times_decoder_norms():
    folder = FIXTURES / "auto_encoder_new"
    stored = torch.load(folder / "ae.pt", weights_only=True)
    norms = stored["decoder.weight"].norm(dim=0)
    assert float((norms - 1).abs().min()) > 0.01
    x = expected(folder)["x"]
    latents, _ = latents_and_reconstruction(folder, x)
    relu = torch.relu(x @ stored["encoder.weight"].T + stored["encoder.bias"])
    assert_equal(latents, relu)


def test_a_backup_is_read_as_the_run_would_have_saved_it_had_it_ended_there():
    content = torch.load(FIXTURES / "backup_gated" / "ae.pt", weights_only=True)
    assert set(content) == {"step", "ae", "optimizer", "config", "norm_factor"}
    wanted = expected(FIXTURES / "gated")
    latents, reconstruction = latents_and_reconstruction(FIXTURES / "backup_gated", wanted["x"])
    assert_equal(latents, wanted["latents"])
    assert_equal(reconstruction, wanted["reconstruction"])
    assert load(str(FIXTURES / "backup_gated")).metadata["step"] == 20


def test_the_biases_of_a_backup_in_half_precision_are_not_rounded_a_second_time(tmp_path):
    def to_half(content):
        for name, value in content["ae"].items():
            content["ae"][name] = value.half()

    folder = edited(tmp_path, "backup_gated", tensors=to_half)
    stored = torch.load(folder / "ae.pt", weights_only=True)["ae"]
    scaled = stored["decoder_bias"].float() * 2.5
    autoencoder = load(str(folder))
    np.testing.assert_array_equal(autoencoder.decoder_bias, scaled)
    assert not torch.equal(scaled, scaled.half().float())


def test_a_backup_whose_biases_overflow_when_scaled_is_refused(tmp_path):
    folder = edited(
        tmp_path, "backup_gated", tensors=lambda content: content["ae"]["mag_bias"].fill_(3e38)
    )
    assert_refused(folder, "mag_bias times norm_factor .* overflows")


@pytest.mark.parametrize("absent", [True, False])
def test_a_backup_of_a_run_without_a_norm_factor_is_read_as_it_stands(tmp_path, absent):
    finished = torch.load(FIXTURES / "top_k" / "ae.pt", weights_only=True)

    def replace(content):
        content["ae"] = finished
        content["norm_factor"] = None
        if absent:
            del content["norm_factor"]

    folder = edited(tmp_path, "backup_top_k", tensors=replace)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert_equal(latents, wanted["latents"])


@pytest.mark.parametrize(
    "factor",
    [0, -1.0, float("nan"), float("inf"), "2.5", True, [2.5], 1e-39, 10**400],
    ids=brief,
)
def test_a_backup_whose_norm_factor_is_no_positive_number_is_refused(tmp_path, factor):
    folder = edited(
        tmp_path, "backup_top_k", tensors=lambda content: content.update(norm_factor=factor)
    )
    assert_refused(folder, "norm_factor in .* expected a finite number above 0")


def test_a_backup_without_a_state_dictionary_is_refused(tmp_path):
    folder = edited(tmp_path, "backup_top_k", tensors=lambda content: content.update(ae=3))
    assert_refused(folder, "backup without a state dictionary")


def test_a_snapshot_of_a_run_is_read_with_the_configuration_one_folder_up():
    snapshots = FIXTURES / "top_k" / "checkpoints"
    wanted = expected(snapshots)
    found = latents_and_reconstruction(snapshots / "ae_20.pt", wanted["x"])
    assert_equal(found[0], wanted["latents"])
    assert_equal(found[1], wanted["reconstruction"])
    assert float((wanted["latents"] - expected(FIXTURES / "top_k")["latents"]).abs().max()) > 0.1


def test_a_folder_with_snapshots_beside_gives_the_finished_dictionary(tmp_path):
    folder = edited(tmp_path, "top_k")
    shutil.copy(folder / "checkpoints" / "ae_20.pt", folder)
    wanted = expected(folder)
    assert_equal(latents_and_reconstruction(folder, wanted["x"])[0], wanted["latents"])
    wanted = expected(folder / "checkpoints")
    found = latents_and_reconstruction(folder / "ae_20.pt", wanted["x"])
    assert_equal(found[0], wanted["latents"])


def test_weights_of_other_precision_are_read_as_float32(tmp_path):
    def to_double(state):
        for name, value in list(state.items()):
            state[name] = value.double() if value.is_floating_point() else value

    folder = edited(tmp_path, "gated", tensors=to_double)
    wanted = expected(folder)
    latents, _ = latents_and_reconstruction(folder, wanted["x"])
    assert latents.dtype == torch.float32
    assert_equal(latents, wanted["latents"])


@pytest.mark.parametrize("k", [0, -4, 25, 4.0, "4", None, True, 10**30])
def test_a_k_that_cannot_be_is_refused(tmp_path, k):
    folder = edited(tmp_path, "top_k", trainer=lambda section: section.update(k=k))
    assert_refused(folder, "k = ")


@pytest.mark.parametrize("k", [5, torch.tensor(5), torch.tensor(4.5), torch.tensor([4, 4])])
def test_a_k_that_differs_between_weights_and_configuration_is_refused(tmp_path, k):
    folder = edited(tmp_path, "batch_top_k", tensors=lambda state: state.update(k=k))
    assert_refused(folder, "(k = 5.*expected 4|k in .*expected whole|tensor 'k'|k = .*one number)")


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("top_k", "dict_size", 8),
        ("top_k", "activation_dim", 24),
        ("matryoshka", "dict_size", 17),
        ("jump_relu", "activation_dim", "8"),
    ],
)
def test_widths_that_differ_from_the_configuration_are_refused(tmp_path, name, field, value):
    folder = edited(tmp_path, name, trainer=lambda section: section.update({field: value}))
    assert_refused(folder, field)


@pytest.mark.parametrize("sizes", [[4, 4, 9], [0, 8, 8], [], [[8, 8]], [8.5, 7.5], None])
def test_group_sizes_that_do_not_sum_to_the_width_are_refused(tmp_path, sizes):
    def replace(state):
        state["group_sizes"] = sizes if sizes is None else torch.tensor(sizes)

    assert_refused(edited(tmp_path, "matryoshka", tensors=replace), "group_sizes")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("backup")])
def test_every_tensor_is_checked(tmp_path, name):
    state = torch.load(FIXTURES / name / "ae.pt", weights_only=True)
    floats = [key for key, value in state.items() if value.is_floating_point()]
    assert len(floats) >= 4
    for key in floats:
        damages = {
            "NaN": torch.full_like(state[key], torch.nan),
            "Inf": torch.full_like(state[key], torch.inf),
            "shape": state[key].unsqueeze(0),
            "whole": state[key].int(),
        }
        for damage, value in damages.items():
            folder = edited(
                tmp_path / key / damage,
                name,
                tensors=lambda s, key=key, value=value: s.update({key: value}),
            )
            assert_refused(folder, key)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("backup")])
def test_a_missing_or_an_unknown_tensor_is_refused(tmp_path, name):
    folder = edited(tmp_path / "more", name, tensors=lambda s: s.update(extra=torch.zeros(3)))
    assert_refused(folder, "'extra'")
    folder = edited(tmp_path / "fewer", name, tensors=lambda s: s.popitem())
    if name not in ("top_k", "top_k_square"):
        assert_refused(folder, "no tensor|group_sizes = None")
    folder = edited(tmp_path / "none", name, tensors=lambda s: s.clear())
    assert_refused(folder, "no tensor")


def test_a_dictionary_without_latents_is_refused(tmp_path):
    def empty(state):
        state |= {
            "encoder.weight": torch.zeros(0, 8),
            "encoder.bias": torch.zeros(0),
            "decoder.weight": torch.zeros(8, 0),
        }

    assert_refused(edited(tmp_path, "auto_encoder_new", tensors=empty), "not empty")


def test_a_class_that_is_not_known_here_is_refused(tmp_path):
    folder = edited(tmp_path, "top_k", trainer=lambda s: s.update(dict_class="CrossCoder"))
    assert_refused(folder, "'CrossCoder' is unknown")


def test_a_configuration_without_a_class_is_refused(tmp_path):
    folder = edited(tmp_path, "top_k", trainer=lambda section: section.pop("dict_class"))
    assert_refused(folder, "dict_class")


@pytest.mark.parametrize("content", ["{}", '{"trainer": []}', "[1]", "{", ""])
def test_a_configuration_without_a_trainer_is_refused(tmp_path, content):
    folder = edited(tmp_path, "top_k")
    (folder / "config.json").write_text(content)
    assert_refused(folder, "expected")


def test_weights_without_a_configuration_are_refused(tmp_path):
    folder = edited(tmp_path, "top_k")
    (folder / "config.json").unlink()
    assert_refused(folder, "config.json")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "ae"])
def test_a_torch_file_without_a_state_dictionary_is_refused(tmp_path, content):
    folder = edited(tmp_path, "top_k")
    torch.save(content, folder / "ae.pt")
    assert_refused(folder, "expected a state dictionary")


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("how", ["torch", "pickle", "inside"])
def test_a_pickle_is_refused_with_the_reason_and_runs_nothing(tmp_path, how):
    folder, marker = edited(tmp_path, "top_k"), tmp_path / "marker"
    state = torch.load(folder / "ae.pt", weights_only=True)
    if how == "pickle":
        (folder / "ae.pt").write_bytes(pickle.dumps(Payload(marker)))
    else:
        torch.save(
            Payload(marker) if how == "torch" else state | {"k": Payload(marker)}, folder / "ae.pt"
        )
    assert_refused(folder, "would run code")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["top_k", "batch_top_k"])
def test_a_snapshot_taken_while_k_is_annealed_has_the_k_of_its_weights(tmp_path, name):
    folder = edited(tmp_path, name, tensors=lambda state: state.update(k=torch.tensor(7)))
    assert_refused(folder, "k = 7 .*expected 4")
    snapshot = folder / "checkpoints" / "ae_100.pt"
    snapshot.parent.mkdir(exist_ok=True)
    (folder / "ae.pt").rename(snapshot)
    found = load(str(snapshot))
    assert found.metadata["k"] == 7
    x = expected(FIXTURES / name)["x"]
    if name == "top_k":
        assert int((found.encode(x) != 0).sum(dim=1).max()) == 7
    else:
        # At inference batch top-k goes by its threshold.
        np.testing.assert_array_equal(found.encode(x), load(str(FIXTURES / name)).encode(x))


def test_a_snapshot_whose_k_no_dictionary_can_have_is_refused(tmp_path):
    for k in (0, 99):
        folder = edited(tmp_path / str(k), "backup_top_k")
        content = torch.load(folder / "ae.pt", weights_only=True)
        content["ae"]["k"] = torch.tensor(k)
        torch.save(content, folder / "ae.pt")
        assert_refused(folder, f"k = {k} ")


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
@pytest.mark.parametrize("name", ["top_k", "backup_gated"])
def test_a_compiled_or_data_parallel_modules_dictionary_is_the_modules(tmp_path, name, prefix):
    def wrap(content):
        state = content.get("ae", content)
        for key in list(state):
            state[f"{prefix}{key}"] = state.pop(key)

    x = expected(FIXTURES / name)["x"]
    found = latents_and_reconstruction(edited(tmp_path, name, tensors=wrap), x)
    for made, wanted in zip(found, latents_and_reconstruction(FIXTURES / name, x), strict=True):
        np.testing.assert_array_equal(made, wanted)


ODD = {
    "meta": lambda: torch.empty((), device="meta", dtype=torch.int64),
    "sparse": lambda: torch.tensor([4]).to_sparse(),
    "nested": lambda: torch.nested.nested_tensor([torch.tensor([4.0])]),
    "quantised": lambda: torch.quantize_per_tensor(torch.tensor([4.0]), 1.0, 0, torch.qint8),
    "complex": lambda: torch.tensor(4 + 0j),
    "NaN": lambda: torch.tensor(float("nan")),
    "10^9000": lambda: 10**9000,
    "text": lambda: "4",
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, on what it calls beta
@pytest.mark.parametrize("kind", ODD)
def test_a_k_of_any_other_kind_is_one_sentence(tmp_path, kind):
    def replace(state):
        state["k"] = ODD[kind]()

    assert_refused(edited(tmp_path, "top_k", tensors=replace), "k")
