import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from realdata.activations.collection import collect
from realdata.activations.rule import CollectionSettings
from realdata.latents.contexts import SearchedText, top_contexts
from realdata.latents.sparse import SparseLatents
from realdata.models.language import LanguageModel
from realdata.text.corpora import Corpus
from realdata.text.packing import PackingSettings, pack
from realdata.text.sources import Document
from searched_text import text_of

seeds = st.integers(0, 2**32 - 1)


def random_search(seed):
    rng = np.random.default_rng(seed)
    n_contexts, length, K = rng.integers(1, 7), rng.integers(2, 9), rng.integers(1, 4)
    keep = rng.random((n_contexts, length)) < 0.8
    keep[0, -1] = True
    opened = bool(rng.integers(2))
    context, position = np.nonzero(keep)
    order = rng.permutation(len(context))
    text = SearchedText(
        rng.integers(0, 50, (n_contexts, length)),
        rng.integers(0, 3, n_contexts),
        context[order],
        position[order],
        opened,
    )
    # Few values, so that many are equal.
    latents = rng.integers(-1, 4, (text.n, K)) * 0.5
    return text, latents, int(rng.integers(1, 6)), int(rng.integers(1, 11)), rng


def searched_by_loop(latents, text, j, n_snippets):
    """The rule, one snippet after the other: peaks as (context, position)."""
    rows = [
        r
        for r in range(text.n)
        if latents[r, j] > 0 and not (text.opened and text.position[r] == 0)
    ]
    rows.sort(key=lambda r: (-latents[r, j], r))
    chosen = []
    for fresh_document_only in (True, False):
        for r in rows:
            if len(chosen) == n_snippets:
                break
            contexts = {text.context[c] for c in chosen}
            documents = {text.documents[c] for c in contexts}
            if text.context[r] in contexts:
                continue
            if fresh_document_only and text.documents[text.context[r]] in documents:
                continue
            chosen.append(r)
    chosen.sort(key=lambda r: (-latents[r, j], r))
    return [(text.context[r], text.position[r]) for r in chosen]


@given(seed=seeds)
def test_the_snippets_are_those_of_the_rule_in_plain_loops(seed):
    text, latents, n_snippets, window, rng = random_search(seed)
    wanted = rng.permutation(latents.shape[1])[: rng.integers(1, latents.shape[1] + 1)]
    found = top_contexts([latents], text, wanted, n_snippets, window)
    assert set(found.snippets) == set(wanted.tolist())
    for j, snippets in found.snippets.items():
        assert [s.place for s in snippets] == searched_by_loop(latents, text, j, n_snippets)


@given(seed=seeds)
def test_a_snippet_holds_the_tokens_and_activations_of_one_context_around_its_peak(seed):
    text, latents, n_snippets, window, _ = random_search(seed)
    found = top_contexts([latents], text, np.arange(latents.shape[1]), n_snippets, window)
    at = {place: r for r, place in enumerate(zip(text.context, text.position, strict=True))}
    length = text.contexts.shape[1]
    for j, snippets in found.snippets.items():
        for s in snippets:
            assert len(s.tokens) == min(window, length - text.opened)
            assert 0 <= s.peak < len(s.tokens)
            assert s.start >= text.opened
            assert s.document == text.documents[s.context]
            for i, (token, value) in enumerate(zip(s.tokens, s.activations, strict=True)):
                assert token == text.contexts[s.context, s.start + i]
                row = at.get((s.context, s.start + i))
                np.testing.assert_equal(value, np.nan if row is None else latents[row, j])


def test_documents_come_once_each_before_any_comes_twice():
    text = text_of([0, 0, 0, 1], 3)
    latents = np.zeros((12, 1))
    latents[[1, 4, 8, 10], 0] = [9.0, 8.0, 7.0, 1.0]
    places = [
        [s.place for s in top_contexts([latents], text, np.array([0]), n).snippets[0]]
        for n in (1, 2, 3)
    ]
    assert places == [[(0, 1)], [(0, 1), (3, 1)], [(0, 1), (1, 1), (3, 1)]]


def test_two_thirds_of_a_window_stand_before_its_peak_unless_its_context_ends():
    text = text_of([0, 1, 2], 100)
    latents = np.zeros((300, 1))
    latents[[50, 102, 297], 0] = [3.0, 2.0, 1.0]
    middle, early, late = top_contexts([latents], text, np.array([0]), window=24).snippets[0]
    assert (middle.start, middle.peak) == (34, 16)
    assert (early.start, early.peak) == (0, 2)
    assert (late.start, late.peak) == (76, 21)


@given(seed=seeds, size=st.integers(1, 9))
def test_chunks_and_sparse_latents_change_nothing(seed, size):
    text, latents, n_snippets, window, _ = random_search(seed)
    K = latents.shape[1]
    sparse = SparseLatents(np.tile(np.arange(K), (text.n, 1)), latents, K)
    chunks = [latents[i : i + size] for i in range(0, text.n, size)] + [latents[:0]]
    whole = top_contexts([latents], text, np.arange(K), n_snippets, window)
    for form in (chunks, [sparse], iter(chunks)):
        found = top_contexts(form, text, np.arange(K), n_snippets, window)
        np.testing.assert_array_equal(found.statistics.counts, whole.statistics.counts)
        np.testing.assert_allclose(found.statistics.energies, whole.statistics.energies)
        for j in range(K):
            assert [(s.place, s.start) for s in found.snippets[j]] == [
                (s.place, s.start) for s in whole.snippets[j]
            ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latents": np.array([0, 3])}, "latents hold 3: expected indices in 0..2"),
        ({"latents": np.array([-1])}, "latents hold -1"),
        ({"chunks": [np.zeros((5, 3))]}, "latents of 5 samples: expected 6"),
        ({"chunks": []}, "expected at least one sample"),
        ({"chunks": [np.full((6, 3), np.nan)]}, "expected finite numbers"),
        ({"n_snippets": 0}, "n_snippets = 0"),
        ({"window": 0}, "window = 0"),
    ],
)
def test_a_search_that_cannot_be_is_refused(change, said):
    arguments = {
        "chunks": [np.ones((6, 3))],
        "text": text_of([0, 1], 3),
        "latents": np.array([0]),
    } | change
    with pytest.raises(InputError, match=re.escape(said)):
        top_contexts(**arguments)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"documents": np.array([0])}, "1 documents: expected 2"),
        ({"position": np.array([0])}, "1 positions: expected 2"),
        ({"context": np.array([0, 2])}, "context hold 2"),
        ({"position": np.array([0, 3])}, "position hold 3"),
        ({"names": ("one",)}, "documents hold 1"),
        ({"context": np.array([1, 1]), "position": np.array([2, 2])}, "a token twice"),
    ],
)
def test_text_whose_arrays_do_not_agree_is_refused(change, said):
    arguments = {
        "contexts": np.zeros((2, 3), dtype=int),
        "documents": np.array([0, 1]),
        "context": np.array([0, 1]),
        "position": np.array([0, 0]),
    } | change
    with pytest.raises(InputError, match=re.escape(said)):
        SearchedText(**arguments)


class Letters(LanguageModel):
    """A model whose tokens are letters."""

    name, hook, weights, d, context, bos = "letters", "blocks.0.hook_resid_post", "none", 3, 64, 0

    def tokenise(self, texts):
        return [[ord(c) for c in text] for text in texts]

    def decode(self, tokens):
        return "".join(map(chr, tokens))

    def activations(self, tokens):
        return np.stack([np.sin(tokens), np.cos(tokens), tokens > 0], -1).astype(np.float32) + 1

    def cross_entropy(self, tokens, replace=None):
        raise NotImplementedError


class Fables:
    def documents(self):
        for number in range(30):
            yield Document(f"fable {number}", f"{number} the fox and the grapes {number}")


def test_the_text_of_a_collection_is_what_the_collection_says_of_its_rows(tmp_path):
    settings = PackingSettings(context=7, evaluation_share=0.4)
    packed = pack(Corpus("fables", (Fables(),)), Letters().tokenise, 0, settings).training
    folder = tmp_path / "store"
    store = collect(Letters(), packed, folder, CollectionSettings(batch=2, shard=4), progress=False)
    text = SearchedText.of(store)
    assert (text.opened, text.n, text.names) == (True, store.n, store.documents)
    row = store.n // 2
    latents = np.zeros((store.n, 1))
    latents[row] = 1
    (snippet,) = top_contexts([latents], text, np.array([0])).snippets[0]
    assert Letters().decode(snippet.tokens.tolist()) == "".join(store.snippet(row, 9, 9))
    assert chr(snippet.tokens[snippet.peak]) == store.snippet(row)[1]
