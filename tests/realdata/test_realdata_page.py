import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from realdata.activations.collection import collect
from realdata.activations.rule import CollectionSettings
from realdata.latents.sparse import SparseLatents
from realdata.models.language import LanguageModel
from realdata.report.page import (
    PageHeader,
    PageSettings,
    SearchedText,
    Side,
    render,
    top_contexts,
    write_page,
)
from realdata.text.corpora import Corpus
from realdata.text.packing import PackingSettings, pack
from realdata.text.sources import Document

seeds = st.integers(0, 2**32 - 1)
HEADER = PageHeader(
    model="a model", hook_point="blocks.2.hook", method="osae", m=2, corpus="a corpus",
    corpus_hash="0123abcd",
)  # fmt: skip


def text_of(documents, length, opened=False, names=()):
    """Contexts whose token ids count up, with a sample at every token that is text."""
    n = len(documents)
    contexts = np.arange(n * length).reshape(n, length)
    context, position = np.nonzero(np.ones((n, length), bool))
    kept = position >= opened
    return SearchedText(
        contexts, np.asarray(documents), context[kept], position[kept], opened, names
    )


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


# The page.


class Elements(HTMLParser):
    """Every element of a page as (tag, attributes, text directly inside)."""

    def __init__(self, html):
        super().__init__()
        self.found, self.open = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag != "meta":
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.open[-1][2].append(data)

    def of(self, tag, **attributes):
        return [
            (attrs, "".join(text))
            for found, attrs, text in self.found
            if found == tag and attributes.items() <= attrs.items()
        ]


def words(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html.split("</style>")[1]).split())


def article(html, index):
    (found,) = re.findall(rf'<article class="pair" id="latent-{index}">.*?</article>', html, re.S)
    return found


def letter(token):
    return chr(ord("a") + token)


def a_page(
    left=None, right=None, text=None, latents=None, decode=letter, header=HEADER, settings=None
):
    """Two SAEs of three latents over two contexts of four tokens."""
    text = text or text_of([0, 1], 4)
    latents = np.zeros((8, 3)) if latents is None else latents
    left = left or Side("seed 0", np.eye(3), [latents])
    right = right or Side("seed 1", np.eye(3), [latents])
    return render(left, right, text, decode, header, settings)


def test_each_latent_stands_beside_its_match_with_its_signed_cosine():
    rows = np.array([[0.0, 2.0, 0], [-3.0, 0, -4.0], [3.0, 0, 4.0]])
    latents = np.zeros((8, 3))
    latents[0] = [1.0, 2.0, 3.0]
    right = Side("seed 1", rows, [latents])
    html = a_page(left=Side("seed 0", np.diag([1.0, 2.0, 3.0]), [latents]), right=right)
    said = [words(f"</style>{article(html, i)}") for i in range(3)]
    # 0 is nearer to 2, but 2 needs it more: what is left for 0 is 1, of opposite sign.
    assert said[0].startswith("0 → 1 cosine -0.600 1 later in seed 1 1 of 1 passages in both ")
    assert said[1].startswith("1 → 0 cosine 1.000 1 earlier in seed 1 ")
    assert said[2].startswith("2 → 2 cosine 0.800 same position ")
    assert "nearest of seed 1: latent 2, cosine 0.600" in said[0]
    assert "nearest" not in said[1] + said[2]
    assert [text for _, text in Elements(article(html, 0)).of("span", **{"class": "value"})] == [
        "1.00",
        "2.00",
    ]
    assert "mean cosine (Stab) 0.400; rank correlation of the positions (Ord) 0.500" in words(html)


def test_only_the_first_latents_are_shown_and_summed_up():
    order = np.array([1, 0, 3, 2, 4])
    latents = np.eye(5)[[0, 1, 2, 3, 4, 0, 1, 2]]
    left = Side("seed 0", np.eye(5), [latents])
    right = Side("seed 1", np.eye(5)[order], [latents[:, order]])
    html = a_page(left, right, settings=PageSettings(n_latents=3))
    assert len(Elements(html).of("article")) == 3
    assert "Of these 3: 0 matched at the same position (bold), 2 within the first 3" in words(html)
    everything = a_page(left, right)
    assert "Of these 5: 1 matched at the same position (bold), 5 within" in words(everything)
    links = [attrs["href"] for attrs, _ in Elements(everything).of("a")]
    assert links == [f"#latent-{i}" for i in range(5)]
    for i, matched in enumerate(order):
        assert f"<h2>{i} → {matched}</h2>" in article(everything, i)


def test_a_shade_is_the_share_of_the_greatest_activation_and_the_peak_is_underlined():
    latents = np.zeros((8, 3))
    latents[:, 0] = [0.0, 2.0, 8.0, -4.0, 4.0, 0.0, 1.0, 0.0]
    html = a_page(latents=latents)
    first = Elements(article(html, 0))
    marks = [(attrs, text) for attrs, text in first.of("mark")]
    one_side = [
        ({"style": "--shade:0.250", "title": "activation 2.00"}, "b"),
        ({"class": "peak", "style": "--shade:1.000", "title": "activation 8.00"}, "c"),
        ({"class": "peak", "style": "--shade:0.500", "title": "activation 4.00"}, "e"),
        ({"style": "--shade:0.125", "title": "activation 1.00"}, "g"),
    ]
    assert marks == one_side * 2
    plain = [text for attrs, text in first.of("span", title="activation 0.00")]
    assert plain == ["a", "f", "h"] * 2
    assert [text for _, text in first.of("span", title="activation -4.00")] == ["d"] * 2
    assert "mark.peak { text-decoration: underline" in html
    assert "rgb(var(--hue) / var(--shade))" in html


def test_frequency_and_energy_are_those_of_the_searched_text():
    latents = np.zeros((8, 3))
    latents[:4, 0], latents[0, 1] = 1.0, 2.0
    html = a_page(left=Side("seed 0", np.diag([1.0, 3.0, 1.0]), [latents]), latents=latents)
    assert "active on 50.00% of tokens · 10.00% of the energy" in article(html, 0)
    assert "active on 12.50% of tokens · 90.00% of the energy" in article(html, 1)
    assert article(html, 2).count("Never active on the searched text.") == 2


def test_a_latent_that_is_only_negative_shows_no_text_but_is_not_called_dead():
    latents = np.zeros((8, 3))
    latents[2, 1] = -1.0
    shown = article(a_page(latents=latents), 1)
    assert shown.count("No positive activation") == 2
    assert "Never" not in shown
    assert "<li" not in shown


def test_passages_are_marked_as_shared_only_where_both_sides_peak_at_one_token():
    ours, theirs = np.zeros((8, 3)), np.zeros((8, 3))
    ours[[1, 5], 0] = theirs[[1, 6], 0] = [2.0, 1.0]
    html = a_page(left=Side("one", np.eye(3), [ours]), right=Side("two", np.eye(3), [theirs]))
    shown = Elements(article(html, 0))
    assert len(shown.of("li")) == 4
    assert len(shown.of("li", **{"class": "shared"})) == 2
    assert "1 of 2 passages in both" in article(html, 0)


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


def test_everything_from_outside_is_escaped():
    latents = np.ones((8, 3))
    header = PageHeader(
        model=EVIL, hook_point=EVIL, method=EVIL, layer=1, m=2, corpus=EVIL, corpus_hash=EVIL
    )
    sides = [Side(f"{EVIL}{i}", np.eye(3), [latents]) for i in (0, 1)]
    text = text_of([0, 1], 4, names=(EVIL, EVIL))
    html = a_page(*sides, text=text, decode=lambda token: EVIL, header=header)
    elements = Elements(html)
    harmless = a_page(*[Side(label, np.eye(3), [latents]) for label in "ab"], latents=latents)
    allowed = {tag for tag, _, _ in Elements(harmless).found}
    assert {tag for tag, _, _ in elements.found} <= allowed
    assert not allowed & {"script", "img"}
    keys = {key for _, attrs, _ in elements.found for key in attrs}
    assert not any(key.startswith("on") or key == "src" for key in keys)
    assert {text for _, text in Elements(article(html, 0)).of("mark")} == {EVIL}
    assert [text for _, text in elements.of("dd")].count(EVIL) == 4
    assert EVIL in elements.of("title")[0][1]
    assert "<script" not in html


def test_the_page_asks_for_nothing_from_elsewhere():
    html = a_page(latents=np.ones((8, 3)))
    assert not re.search(r"https?:|//|url\(|@import|<link|<script|src=", html)
    policy = Elements(html).of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[0][0]["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_header_says_where_the_figures_come_from():
    header = PageHeader(
        model="smollm2-135m", hook_point="blocks.10.hook_resid_post", layer=11, method="topk",
        m=17, corpus="python-docs, evaluation", corpus_hash="feed1234", dequantised=True,
        chance=0.123,
    )  # fmt: skip
    said = words(a_page(header=header))
    for fact in (
        "Model smollm2-135m (4-bit weights, dequantised)",
        "Layer 11 (blocks.10.hook_resid_post)",
        "Method topk",
        "K = 3, of which m = 17 active",
        "Corpus python-docs, evaluation",
        "feed1234",
        "8 tokens of 2 documents",
        "belongs to its authors, those of the corpus",
        "mean cosine of 0.12",
    ):
        assert fact in said
    plain = words(a_page())
    assert "Model a model Layer blocks.2.hook Method" in plain
    assert "dequantised" not in plain
    assert "nothing to do with each other" not in plain


def test_characters_without_a_shape_are_written_out():
    shown = {0: "\n", 1: "\t x", 2: "\u202e", 3: "", 4: "\ud800", 5: "\x00", 6: "\ufffd", 7: "é"}
    html = a_page(latents=np.ones((8, 3)), decode=shown.__getitem__)
    marks = [text for _, text in Elements(article(html, 0)).of("mark")]
    assert marks[:8] == ["↵", "⇥ x", "⟨U+202E⟩", "⟨token 3⟩", "⟨U+D800⟩", "⟨U+0000⟩", "�", "é"]
    assert html.encode()


def test_tokens_that_were_not_searched_are_greyed_and_the_legend_says_so():
    text = SearchedText(
        np.arange(8).reshape(2, 4), np.array([0, 1]), np.array([0, 0, 1]), np.array([1, 3, 2])
    )
    latents = np.ones((3, 3))
    html = a_page(latents=latents, text=text)
    grey = Elements(article(html, 0)).of("span", **{"class": "unsearched"})
    assert [text for _, text in grey] == list("acefh") * 2
    assert "tokens were not searched" in words(html)
    assert "tokens were not searched" not in words(a_page(latents=np.ones((8, 3))))


def test_one_latent_makes_a_page_whose_order_is_undefined():
    side = Side("s", np.ones((1, 2)), [np.ones((8, 1))])
    assert "(Ord) undefined" in words(a_page(left=side, right=side))


def test_one_page_is_always_the_same_page():
    latents = np.random.default_rng(0).integers(0, 3, (8, 3)) * 1.0
    assert a_page(latents=latents) == a_page(latents=latents)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        (Side("b", np.eye(2), [np.ones((8, 2))]), "the decoder of 'b' has shape (2, 2)"),
        (Side("b", np.ones((3, 4)), [np.ones((8, 3))]), "expected that of 'seed 0', (3, 3)"),
        (Side("b", np.eye(3), [np.ones((8, 4))]), "'b' has 4 latents: expected 3"),
        (Side("b", np.eye(3), [np.ones((7, 3))]), "latents of 7 samples: expected 8"),
        (Side("b", np.full((3, 3), np.inf), [np.ones((8, 3))]), "expected finite numbers"),
    ],
)
def test_sides_that_do_not_fit_are_refused(side, said):
    with pytest.raises(InputError, match=re.escape(said)):
        a_page(right=side)


def test_settings_and_headers_that_cannot_be_are_refused():
    for name in ("n_latents", "n_snippets", "window"):
        with pytest.raises(InputError, match=f"{name} = 0"):
            PageSettings(**{name: 0})
    known: dict[str, Any] = {
        "model": "",
        "hook_point": "",
        "method": "",
        "corpus": "",
        "corpus_hash": "",
    }
    with pytest.raises(InputError, match="m = 0"):
        PageHeader(**known, m=0)
    with pytest.raises(InputError, match="chance = 2"):
        PageHeader(**known, m=1, chance=2.0)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(path, "<p>é</p>")
    assert path.read_text(encoding="utf-8") == "<p>é</p>"
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "<p>é</p>"
    assert list(path.parent.iterdir()) == [path]


def test_a_page_goes_to_no_folder_and_through_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        write_page(tmp_path, "")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_page(tmp_path / "file" / "page.html", "")
