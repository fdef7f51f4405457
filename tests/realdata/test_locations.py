"""A checkpoint's location: local, or on a hub that is faked here."""

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest

from osae_theory.errors import InputError
from realdata.checkpoints import FORMATS, load

TOPK = Path(__file__).parent / "fixtures" / "saelens" / "topk"


class HubError(OSError):
    """As the hub's errors are."""


def fake_errors():
    module = ModuleType("huggingface_hub.errors")
    module.HfHubHTTPError = HubError
    module.RepositoryNotFoundError = type("RepositoryNotFoundError", (HubError,), {})
    module.GatedRepoError = type("GatedRepoError", (module.RepositoryNotFoundError,), {})
    module.RevisionNotFoundError = type("RevisionNotFoundError", (HubError,), {})
    module.LocalEntryNotFoundError = type("LocalEntryNotFoundError", (OSError,), {})
    module.HFValidationError = type("HFValidationError", (ValueError,), {})
    return module


@pytest.fixture
def hub(monkeypatch):
    """A fake huggingface_hub: set `answer` to what snapshot_download does."""
    module, errors = ModuleType("huggingface_hub"), fake_errors()
    module.errors = errors
    module.asked = []

    def snapshot_download(repo_id, *, revision=None, allow_patterns=None):
        module.asked.append((repo_id, revision, allow_patterns))
        return module.answer(repo_id, allow_patterns)

    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return module


def repository(root, patterns):
    """Return a download of `root`: only what the patterns ask for."""
    target = root.with_name(root.name + "-downloaded")
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and any(fnmatch(name, pattern) for pattern in patterns):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / name)
    target.mkdir(exist_ok=True)
    return str(target)


def message(location, revision=None):
    with pytest.raises(InputError) as caught:
        load(location, revision)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_format_is_listed_under_its_own_name():
    assert set(FORMATS) == {
        "saelens",
        "dictionary_learning",
        "sparsify",
        "gemma_scope",
        "gemma_scope_2",
        "ours",
        "llama_scope",
        "openai",
        "npy",
        "safetensors",
    }
    assert all(name == format_.name for name, format_ in FORMATS.items())


def test_a_folder_and_its_weights_file_are_the_same_checkpoint():
    folder, file = load(str(TOPK)), load(str(TOPK / "sae_weights.safetensors"))
    assert folder.decoder.tolist() == file.decoder.tolist()


@pytest.mark.parametrize("inside", ["", "/layer_2/topk", "/layer_2/topk/sae_weights.safetensors"])
def test_a_hub_id_is_fetched_at_its_revision_and_only_the_files_that_are_read(
    hub, tmp_path, inside
):
    root = tmp_path / "repository"
    shutil.copytree(TOPK, root / "layer_2" / "topk")
    shutil.copytree(TOPK, root, dirs_exist_ok=True)
    hub.answer = lambda _, patterns: repository(root, patterns)
    loaded = load(f"someone/saes{inside}", "abc123")
    assert loaded.decoder.tolist() == load(str(TOPK)).decoder.tolist()
    assert [asked[:2] for asked in hub.asked] == [("someone/saes", "abc123")]
    fetched = {path.name for path in root.with_name("repository-downloaded").rglob("*.*")}
    assert fetched == {"cfg.json", "sae_weights.safetensors"}


def test_what_exists_locally_is_never_looked_for_on_the_hub(hub, tmp_path, monkeypatch):
    shutil.copytree(TOPK, tmp_path / "someone" / "saes")
    monkeypatch.chdir(tmp_path)
    assert load("someone/saes").K == 16
    assert hub.asked == []
    assert "local path" in message("someone/saes", "main")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("GatedRepoError", "licence"),
        ("RepositoryNotFoundError", "neither here nor on the hub"),
        ("HFValidationError", "neither here nor on the hub"),
        ("RevisionNotFoundError", "'abc'"),
        ("LocalEntryNotFoundError", "network"),
        ("HfHubHTTPError", "network"),
    ],
)
def test_each_of_the_hubs_refusals_is_one_sentence_of_its_own(hub, error, said):
    def answer(*_):
        raise getattr(hub.errors, error)("several\nlines\nof advice")

    hub.answer = answer
    assert said in message("someone/saes", "abc")


def test_an_error_of_the_network_library_is_one_sentence_too(hub):
    def answer(*_):
        raise RuntimeError("a client's own error")

    hub.answer = answer
    assert "network" in message("someone/saes")


def test_a_repository_without_a_checkpoint_is_refused(hub, tmp_path):
    (tmp_path / "empty").mkdir()
    hub.answer = lambda *_: str(tmp_path / "empty")
    assert "holds no known checkpoint" in message("someone/saes")
    assert "does not exist" in message("someone/saes/nothing")


def test_without_the_hub_library_one_sentence_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "huggingface_hub installed" in message("someone/saes")


@pytest.mark.parametrize(
    "location",
    ["", "nothing", "./some/thing/", "/no/such/folder", "a/../../b", "a b/c", "x" * 300, "a\0b"],
)
def test_a_location_that_is_neither_a_path_nor_a_hub_id_does_not_exist(hub, location):
    message(location)
    assert hub.asked == []


def test_a_folder_with_two_checkpoints_is_refused_until_one_file_is_named(tmp_path):
    both = tmp_path / "both"
    shutil.copytree(TOPK, both)
    gemma = TOPK.parents[1] / "gemma_scope" / "layer_3" / "width_16" / "average_l0_5"
    shutil.copy(gemma / "params.npz", both)
    assert "saelens and gemma_scope" in message(str(both))
    assert load(str(both / "params.npz")).architecture == "jumprelu"
    assert load(str(both / "sae_weights.safetensors")).architecture == "topk"


def many(folder, names):
    for name in names:
        shutil.copytree(TOPK, folder / name)
    return str(folder)


def test_a_folder_above_checkpoints_names_those_below_it_in_order(tmp_path):
    location = many(tmp_path / "saes", ["layer_2/b", "layer_2/a", "layer_1", "notes/deep/er"])
    (tmp_path / "saes" / "empty").mkdir()
    said = message(location)
    assert said == (
        f"{location} holds no checkpoint itself: expected one of those below it: "
        "layer_1, layer_2/a, layer_2/b, notes/deep/er"
    )
    assert load(f"{location}/layer_2/a").K == 16


def test_of_many_checkpoints_below_a_folder_five_are_named(tmp_path):
    said = message(many(tmp_path / "saes", [f"layer_{i}" for i in range(7)]))
    assert said.endswith("layer_0, layer_1, layer_2, layer_3, layer_4, ...")
    five = message(many(tmp_path / "five", [f"layer_{i}" for i in range(5)]))
    assert five.endswith("layer_3, layer_4")


def test_the_search_below_a_folder_has_an_end(tmp_path, monkeypatch):
    location = many(tmp_path / "saes", ["a/b/c"])
    (tmp_path / "saes" / "a" / "loop").symlink_to(tmp_path / "saes")
    assert message(location).endswith("it: a/b/c")
    monkeypatch.setattr("realdata.checkpoints.locations._MOST_VISITED", 2)
    assert "holds no known checkpoint" in message(location)


def test_weights_without_their_configuration_are_told_what_they_lack(tmp_path):
    shutil.copy(TOPK / "sae_weights.safetensors", tmp_path)
    # As OpenMOSS's later layout has it.
    (tmp_path / "config.json").write_text("{}")
    expected = "has sae_weights.safetensors without cfg.json (saelens) beside it: expected both"
    assert expected in message(str(tmp_path))
    assert expected in message(str(tmp_path / "sae_weights.safetensors"))
    (tmp_path / "either").mkdir()
    shutil.copy(TOPK / "sae_weights.safetensors", tmp_path / "either" / "sae.safetensors")
    assert "without cfg.json (sparsify) or config.json (ours)" in message(str(tmp_path / "either"))


def test_a_folder_in_the_place_of_a_file_is_not_a_file(tmp_path):
    shutil.copy(TOPK / "cfg.json", tmp_path)
    (tmp_path / "sae_weights.safetensors").mkdir()
    assert "holds no known checkpoint" in message(str(tmp_path))
