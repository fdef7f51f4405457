import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from fake_language import D, TableModel
from osae_theory.errors import InputError
from realdata.__main__ import main
from realdata.activations.collection import collect
from realdata.activations.rule import CollectionSettings, calibrate
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.checkpoints.ours import Origin, TopMCheckpoint, write_ours
from realdata.latents.on_text import latents_on_store, latents_on_text
from realdata.latents.sparse import as_sparse
from realdata.models.sources import MODELS
from realdata.report.checkpoint_page import elsewhere
from realdata.text.corpora import find_corpus
from realdata.text.packing import packed_part

K, M = 12, 3
TEXT = ["--model", "smollm2-135m", "--context", "9"]


def write_sae(folder, seed, d=D, n_latents=K):
    random = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(n_latents, d, generator=random), dim=1)
    checkpoint = TopMCheckpoint(
        encoder=atoms.T.clone(),
        encoder_bias=torch.zeros(n_latents),
        decoder=atoms,
        decoder_bias=torch.zeros(d),
        input_mean=torch.zeros(d),
        input_scale=torch.full((d,), 2.0),
        m=M,
        activation="relu",
        origin=Origin(method="osae", model="table", hook="blocks.0.hook_resid_post"),
    )
    write_ours(folder, checkpoint)
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    """Two checkpoints, some that do not fit them, and three documents of letters."""
    for name, seed in (("A", 0), ("B", 1)):
        write_sae(tmp_path / name, seed)
    write_sae(tmp_path / "narrow", 2, d=D - 1)
    write_sae(tmp_path / "few", 2, n_latents=K - 1)
    random = np.random.default_rng(3)
    (tmp_path / "notes").mkdir()
    for number in range(3):
        letters = "".join(map(chr, random.integers(97, 123, size=50)))
        (tmp_path / "notes" / f"{number}.txt").write_text(letters)
    return tmp_path


@pytest.fixture
def model(monkeypatch):
    found = TableModel()
    monkeypatch.setattr("realdata.models.loading.load", lambda *_, **__: found)
    wide = replace(MODELS["smollm2-135m"], d=D)
    monkeypatch.setattr("realdata.models.sources.MODELS", {**MODELS, "smollm2-135m": wide})
    return found


def text_of(folder, model, **how):
    corpus = find_corpus(f"folder:{folder / 'notes'}")
    return packed_part(corpus, model.tokenise, model.bos, context=9, **how)


def both(folder):
    return {name: load(str(folder / name)) for name in ("A", "B")}


def made(folder, *options):
    path = folder / "new" / "page.html"
    assert main(["page", str(folder / "A"), str(folder / "B"), *options, "--out", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def test_a_folder_of_text_and_a_model_make_the_page_and_its_path_is_all_that_is_printed(
    folder, model, capsys
):
    options = ["--text", f"folder:{folder / 'notes'}", *TEXT, "--labels", "one", "two"]
    html = made(folder, *options, "--latents", "5")
    out, said = capsys.readouterr()
    assert out == f"{folder / 'new' / 'page.html'}\n"
    assert "144 tokens in 18 contexts of 3 documents" in said
    assert "18/18" in said
    assert html.count('<article class="pair"') == 5
    for words in ("osae, one and two", "0.txt", "notes (whole)", "would match with a mean cosine"):
        assert words in html
    assert [path.name for path in (folder / "new").iterdir()] == ["page.html"]


def test_latents_are_those_of_the_positions_that_a_collection_keeps(folder, model, tmp_path):
    text = text_of(folder, model)
    settings = CollectionSettings(batch=2, shard=4, calibration=6)
    store = collect(model, text, tmp_path / "store", settings, progress=False)
    read = latents_on_text(model, text, both(folder), settings, progress=False)
    stored = latents_on_store(store, both(folder))
    for name in ("context", "position", "contexts", "documents"):
        np.testing.assert_array_equal(getattr(read.text, name), getattr(stored.text, name))
    raw = torch.from_numpy(store.read_all(raw=True))
    for sae, mine, theirs in zip(both(folder).values(), read.latents, stored.latents, strict=True):
        for chunks in (mine, theirs):
            dense = np.concatenate([as_sparse(chunk).toarray() for chunk in chunks])
            np.testing.assert_allclose(dense, sae.encode(raw).numpy(), atol=2e-3)
    tokens = np.unique(text.contexts).tolist()
    assert [read.decode_token(t) for t in tokens] == [stored.decode_token(t) for t in tokens]


def test_loud_positions_are_left_out(folder, model):
    text = text_of(folder, model)
    model.own[3] *= 100
    read = latents_on_text(model, text, both(folder), progress=False)
    limit = calibrate(model, text, CollectionSettings()).norm_limit
    norms = np.linalg.norm(model.activations(text.contexts), axis=-1)
    assert (norms > limit).sum() > 3
    assert (norms[read.text.context, read.text.position] <= limit).all()
    assert len(read.text.context) == (norms[:, 1:] <= limit).sum()


def test_a_store_makes_the_page_without_a_model(folder, model, capsys, monkeypatch):
    collect(model, text_of(folder, model), folder / "store", progress=False)
    monkeypatch.setattr("realdata.models.loading.load", None)
    html = made(folder, "--activations", str(folder / "store"))
    assert html.count('<article class="pair"') == K
    assert re.search(rf"of which {M}\.0 and {M}\.0 are active", html)
    assert capsys.readouterr().err.count("\n") == 1


def test_energies_are_those_of_what_a_latent_adds_in_the_models_own_units(folder, model):
    html = made(folder, "--text", f"folder:{folder / 'notes'}", *TEXT)
    sae = load(str(folder / "A"))
    read = latents_on_text(model, text_of(folder, model), {"A": sae}, progress=False)
    Z = np.concatenate([as_sparse(chunk).toarray() for chunk in read.latents[0]])
    energies = (Z**2).sum(axis=0) * sae.unit_energies
    shown = re.findall(r"tokens · (\S+) of the energy", html)[::2]
    expected = [f"{share:.2%}" for share in energies / energies.sum()]
    assert shown == expected


def test_a_checkpoint_of_another_hook_point_is_said_to_be_one(folder, model, capsys):
    model.hook = "blocks.1.hook_resid_post"
    made(folder, "--text", f"folder:{folder / 'notes'}", *TEXT)
    said = capsys.readouterr().err
    assert "A says that it is of table at blocks.0.hook_resid_post: it is read on table at" in said


@pytest.mark.parametrize(
    ("said", "read", "other"),
    [
        ("google/gemma-2-2b", "gemma-2-2b", None),
        ("gemma-2-2b", "google/Gemma-2-2B", None),
        ("models/gemma-2-2b/", "gemma-2-2b", None),
        ("google/gemma-2-2b-it", "gemma-2-2b", "google/gemma-2-2b-it at its hook point"),
        ("google/gemma-2-9b", "google/gemma-2-2b", "google/gemma-2-9b at its hook point"),
        (None, "gemma-2-2b", None),
    ],
)
def test_a_model_is_told_by_the_last_part_of_its_name_in_any_case(folder, said, read, other):
    own = replace(load(str(folder / "A")), metadata={"model": said})
    assert elsewhere(own, read, "blocks.0.hook_resid_post") == other


def test_checkpoints_of_unequal_width_make_a_page_with_the_latents_left_over_alone(
    folder, model, capsys
):
    options = ["--text", f"folder:{folder / 'notes'}", *TEXT, "--out", str(folder / "page.html")]
    assert main(["page", str(folder / "A"), str(folder / "few"), *options]) == 0
    html = (folder / "page.html").read_text(encoding="utf-8")
    assert html.count('<article class="pair"') == K
    assert html.count('<section class="latent">') == 2 * K - 1
    assert html.count("no partner in") == 1
    # No level is known of unequal numbers.
    assert "nothing to do with each other" not in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A", "B"], "expected --text CORPUS with --model NAME, or --activations STORE"),
        (["A", "B", "--text", "folder:notes"], "expected --model NAME"),
        (["A", "B", "--text", "folder:notes", "--model", "smolm2-135m"], "did you mean"),
        (["A", "B", "--text", "folder:absent", *TEXT], "expected a folder that exists"),
        (["A", "B", "--text", "python-dogs", *TEXT], "corpus 'python-dogs' is unknown"),
        (["A", "B", "--text", "folder:notes", *TEXT, "--layer", "99"], "layer 99: expected from 1"),
        (["A", "B", "--text", "folder:notes", *TEXT, "--tokens", "0"], "--tokens = 0"),
        (["A", "B", "--text", "folder:notes", *TEXT, "--part", "half"], "--part 'half'"),
        (["A", "B", "--text", "folder:notes", *TEXT, "--latents", "0"], "--latents = 0"),
        (["A", "narrow", "--text", "folder:notes", *TEXT], "of width 19: expected 20"),
        (["A", "absent", "--text", "folder:notes", *TEXT], "absent"),
        (["A", "B", "--activations", "absent"], "absent has no manifest.json"),
        *(
            (
                ["A", "B", "--activations", "notes", f"--{name}", value],
                f"--{name} {value}: expected --text CORPUS with it, not --activations notes",
            )
            for name, value in {
                "model": "smollm2-135m",
                "layer": "3",
                "hook": "blocks.0.hook_resid_post",
                "part": "whole",
                "tokens": "9",
                "context": "128",
            }.items()
        ),
        (["A", "B", "--activations", "notes", "--out", "notes"], "'notes' is a folder"),
        (["A", "B", "--activations", "notes", "--labels", "a", "a"], "two different names"),
        (["A", "--activations", "notes"], "required: CHECKPOINT"),
    ],
)
def test_what_makes_no_page_is_one_line_and_nothing_is_written(
    folder, model, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        main(["page", *arguments])
    assert stopped.value.code == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert message in said.splitlines()[-1]
    assert said.count("error:") == 1
    assert sorted(folder.rglob("*")) == before


def test_without_the_model_libraries_the_target_that_installs_them_is_named(
    folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    for name in "AB":
        write_sae(folder / name, 0, d=576)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main(["page", "A", "B", "--text", "folder:notes", "--model", "smollm2-135m"])
    assert "make setup-realdata" in capsys.readouterr().err


def test_a_width_that_is_not_the_models_is_refused_before_the_model_is_loaded(
    folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("realdata.models.loading.load", None)
    with pytest.raises(SystemExit):
        main(["page", "A", "B", "--text", "folder:notes", "--model", "smollm2-135m"])
    expected = "A takes activations of width 20: expected 576, the width of smollm2-135m"
    assert expected in capsys.readouterr().err


def test_a_store_without_text_makes_no_page(folder, model):
    store = collect(model, text_of(folder, model), folder / "store", progress=False)
    bare = ActivationStore.open(store.folder)
    object.__setattr__(bare, "contexts", np.empty((0, 0), dtype=np.int32))
    with pytest.raises(InputError, match="has no text, as it was made of given activations"):
        latents_on_store(bare, both(folder))


# The text that is read.


def test_the_whole_of_a_folder_is_all_its_contexts_once(folder, model):
    whole = text_of(folder, model)
    assert (whole.part, whole.n_tokens, whole.n_left_out) == ("whole", 150, 6)
    assert whole.contexts.shape == (18, 9)
    texts = [(folder / "notes" / name).read_text() for name in whole.names]
    for row, document, start in zip(whole.contexts, whole.document, whole.start, strict=True):
        assert model.decode(row[1:]) == texts[document][start : start + 8]
    assert len({(d, s) for d, s in zip(whole.document, whole.start, strict=True)}) == 18


def test_fewer_tokens_are_the_first_contexts_of_the_same_order(folder, model):
    few, whole = text_of(folder, model, tokens=17), text_of(folder, model)
    np.testing.assert_array_equal(few.contexts, whole.contexts[:3])
    assert text_of(folder, model, tokens=10**6).contexts.shape == whole.contexts.shape


def test_a_document_that_is_there_twice_is_read_once(folder, model):
    (folder / "notes" / "again.txt").write_text((folder / "notes" / "0.txt").read_text())
    whole = text_of(folder, model)
    assert (len(whole.contexts), whole.n_duplicates) == (18, 1)


def test_too_short_documents_and_an_endless_corpus_without_an_end_are_refused(folder, model):
    with pytest.raises(InputError, match="has no document of 99 tokens"):
        packed_part(
            find_corpus(f"folder:{folder / 'notes'}"), model.tokenise, model.bos, context=100
        )
    with pytest.raises(InputError, match=r"corpus 'dolma' .* expected --tokens"):
        packed_part(find_corpus("dolma"), model.tokenise, model.bos)
