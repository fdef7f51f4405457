import json
import re

import numpy as np
import pytest
import torch

from fake_language import D, TableModel
from osae_theory.errors import InputError
from realdata.__main__ import main
from realdata.activations import given
from realdata.activations.given import collect_given
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours


def rows(n=700, d=6, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, d)) * np.arange(1, d + 1) + 5).astype(np.float32)


@pytest.fixture
def saved(tmp_path):
    def save(x):
        np.save(tmp_path / "x.npy", x)
        return tmp_path / "x.npy"

    return save


def write_sae(folder, seed, d=6):
    random = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(8, d, generator=random), dim=1)
    checkpoint = TopMCheckpoint(
        encoder=atoms.T.clone(), encoder_bias=torch.zeros(8), decoder=atoms,
        decoder_bias=torch.zeros(d), input_mean=torch.zeros(d), input_scale=torch.ones(d),
        m=2, activation="relu", origin=Origin(method="osae"),
    )  # fmt: skip
    write_ours(folder, checkpoint)
    return str(folder)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_a_store_of_given_activations_holds_every_row_in_order(saved, tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(given, "_ROWS", 100)
    x = rows().astype(dtype)
    store = collect_given(saved(x), tmp_path / "new" / "store", progress=False)
    assert (store.n, store.d, len(store.manifest["shards"])) == (700, 6, 7)
    plain = x.astype(np.float64)
    worst = np.abs(store.read_all(raw=True) - plain) / plain.std(axis=0)
    assert worst.max() < 4e-3
    standardised = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    np.testing.assert_allclose(store.read_all(), standardised, atol=5e-3)
    ActivationStore.open(store.folder, verify=True)
    assert (store.counts.kept, store.counts.dropped_norm) == (700, 0)
    assert np.linalg.norm(plain, axis=1).max() <= store.calibration.norm_limit * (1 + 1e-6)


def test_what_does_not_fit_into_half_precision_is_kept_whole(saved, tmp_path):
    x = rows()
    x[:, 0] *= 1e6
    store = collect_given(saved(x), tmp_path / "store", progress=False)
    np.testing.assert_array_equal(store.read_all(raw=True), x)


def test_the_same_file_is_found_again_and_another_is_refused(saved, tmp_path):
    made = collect_given(saved(rows()), tmp_path / "store", progress=False)
    before = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    collect_given(saved(rows()), tmp_path / "store", progress=False)
    assert {path: path.stat().st_mtime_ns for path in made.folder.iterdir()} == before
    for x, how in ((rows(seed=1), {}), (rows(), {"standardise": "none"})):
        with pytest.raises(InputError, match="holds another collection: expected a new folder"):
            collect_given(saved(x), tmp_path / "store", progress=False, **how)


def test_an_empty_folder_is_taken_through_a_link_too(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    assert collect_given(saved(rows()), tmp_path / "empty", progress=False).n == 700
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert collect_given(saved(rows()), tmp_path / "link", progress=False).n == 700
    assert (tmp_path / "link").is_symlink()
    files = [sorted(path.iterdir()) for path in (tmp_path / "disk", tmp_path / "empty")]
    one, other = ([(path.name, path.read_bytes()) for path in each] for each in files)
    assert len(one) > 4
    assert one == other


def test_a_file_that_comes_into_the_folder_meanwhile_is_kept(saved, tmp_path, monkeypatch):
    write, mine = given._write, tmp_path / "out" / "notes.txt"
    mine.parent.mkdir()
    monkeypatch.setattr(given, "_write", lambda *how: (write(*how), mine.write_text("mine")))
    with pytest.raises(InputError, match=r"holds notes\.txt: expected a new folder"):
        collect_given(saved(rows()), mine.parent, progress=False)
    assert [path.read_text() for path in mine.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["notes.txt", "x.npy", ".hidden"])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(saved, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(InputError, match=rf"holds {name}: expected a new folder, or an empty one"):
        collect_given(saved(rows()), tmp_path / "mine", progress=False)
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]


def test_it_says_that_it_has_no_text(saved, tmp_path):
    store = collect_given(saved(rows()), tmp_path / "store", progress=False)
    assert not store.has_text
    with pytest.raises(InputError, match="has no text, as it was made of given activations"):
        store.places(np.array([0]))


def with_entry(value):
    x = rows().astype(np.float64)
    x[11, 3] = value
    return x


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (with_entry(np.nan), "holds NaN or Inf in row 11"),
        (with_entry(1e300), "holds NaN or Inf in row 11"),
        (np.zeros((3, 4), dtype=int), "is of int64: expected floating-point numbers"),
        (np.zeros(3), "has shape (3,): expected (n, d)"),
        (np.zeros((0, 3)), "has shape (0, 3)"),
        (np.zeros((3, 0)), "has shape (3, 0)"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_leaves_nothing(saved, tmp_path, x, said):
    path = saved(x)
    with pytest.raises(InputError, match=re.escape(said)):
        collect_given(path, tmp_path / "store", progress=False)
    assert list(tmp_path.iterdir()) == [path]


# The command.


def test_collected_activations_are_trained_on_and_compared_on(saved, tmp_path, capsys):
    store, sae = str(tmp_path / "store"), str(tmp_path / "sae")
    given_as = ["--model", "mine", "--layer", "3"]
    assert main(["collect", "--activations", str(saved(rows())), *given_as, "--out", store]) == 0
    out, said = capsys.readouterr()
    assert out == f"{store}\n"
    assert "700 activations of width 6" in said
    train = "--K 8 --m 2 --steps 5 --batch-size 50 --lr 0.01".split()
    assert main(["train", store, *train, "--out", sae]) == 0
    run = capsys.readouterr().out.strip()
    found = load(f"{run}/tokens-250")
    assert found.d == 6
    known = ("mine", "blocks.2.hook_resid_post")
    assert (found.metadata["model"], found.metadata["hook"]) == known
    both = [write_sae(tmp_path / name, seed) for seed, name in enumerate("ab")]
    compared = []
    for activations in (store, str(tmp_path / "x.npy")):
        assert main(["compare", *both, "--activations", activations, "--json"]) == 0
        compared.append(json.loads(capsys.readouterr().out)["activations"]["pairs"])
    for one, other in zip(*compared, strict=True):
        assert one["stab"] == pytest.approx(other["stab"], abs=1e-2)


def test_latents_are_applied_to_collected_activations(saved, tmp_path, capsys):
    store = collect_given(saved(rows()), tmp_path / "store", progress=False)
    sae = write_sae(tmp_path / "sae", 0)
    assert main(["apply", sae, str(store.folder), "--out", str(tmp_path / "out")]) == 0
    raw = torch.from_numpy(store.read_all(raw=True))
    made = np.load(tmp_path / "out" / "latents.npy")
    np.testing.assert_allclose(made, load(sae).encode(raw).numpy(), rtol=1e-5, atol=1e-5)


@pytest.fixture
def text(tmp_path, monkeypatch):
    """The options that name a folder of nine texts, and the model that reads them."""
    monkeypatch.setattr("realdata.models.loading.load", lambda *_, **__: TableModel())
    random = np.random.default_rng(3)
    (tmp_path / "notes").mkdir()
    for number in range(9):
        letters = "".join(map(chr, random.integers(97, 123, size=50)))
        (tmp_path / "notes" / f"{number}.txt").write_text(letters)
    return ["--text", f"folder:{tmp_path / 'notes'}", "--model", "smollm2-135m", "--context", "9"]


@pytest.mark.parametrize("kind", ["text", "given"])
def test_out_may_be_a_link_to_an_empty_folder_and_must_not_hold_other_files(
    saved, text, tmp_path, capsys, kind
):
    source = text if kind == "text" else ["--activations", str(saved(rows()))]
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert main(["collect", *source, "--out", str(tmp_path / "link")]) == 0
    assert ActivationStore.open(tmp_path / "disk", verify=True).n > 100
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.npy").write_text("mine")
    with pytest.raises(SystemExit):
        main(["collect", *source, "--out", str(tmp_path / "mine")])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("mine holds x.npy: expected a new folder, or an empty one")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["x.npy"]


def test_a_folder_of_text_is_collected(text, tmp_path, capsys):
    for part, least, most in (("whole", 54, 54), ("training", 6, 48), ("evaluation", 6, 48)):
        out = tmp_path / part
        assert main(["collect", *text, "--part", part, "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        store = ActivationStore.open(out)
        assert least <= len(store.contexts) <= most
        assert (store.d, store.manifest["text"]["part"]) == (D, part)
        # Norm limit and standardisation are those of the part itself.
        assert store.manifest["fitted_on"] is None
        np.testing.assert_allclose(store.read_all().mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(store.read_all().std(axis=0), 1, rtol=1e-3)
        norms = np.linalg.norm(TableModel().activations(store.contexts)[:, 1:], axis=-1)
        assert store.calibration.norm_limit == pytest.approx(3 * np.median(norms))
    n_parts = [len(ActivationStore.open(tmp_path / p).contexts) for p in ("training", "evaluation")]
    assert sum(n_parts) == 54


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --text CORPUS with --model NAME, or --activations FILE.npy"),
        (["--text", "folder:notes", "--activations", "x.npy"], "expected --text CORPUS"),
        (["--activations", "absent.npy"], "absent.npy cannot be read"),
        (["--activations", "x.npy", "--standardise", "all"], "standardise 'all' is unknown"),
        (["--activations", "x.npy", "--layer", "0"], "layer = 0"),
        (["--activations", "x.npy", "--part", "whole"], "--part whole: expected --text CORPUS"),
        (["--activations", "x.npy", "--tokens", "9"], "--tokens 9: expected --text CORPUS with it"),
        (["--activations", "x.npy", "--context", "9"], "--context 9: expected --text CORPUS with"),
        (["--text", "folder:absent", "--model", "smollm2-135m"], "expected a folder that exists"),
        (["--text", "dolma", "--model", "smollm2-135m", "--tokens", "0"], "--tokens = 0"),
    ],
)
def test_what_cannot_be_collected_is_one_line_and_nothing_is_written(
    saved, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    path = saved(rows())
    with pytest.raises(SystemExit) as stopped:
        main(["collect", *arguments, "--out", "out"])
    assert stopped.value.code == 2
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert message in said
    assert list(tmp_path.iterdir()) == [path]
