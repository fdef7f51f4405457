import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.latents.contexts import SearchedText
from realdata.report.page import PageHeader, PageSettings, Side, render, write_page
from searched_text import text_of

HEADER = PageHeader(
    model="a model", hook_point="blocks.2.hook", method="osae", m=2, corpus="a corpus",
    corpus_hash="0123abcd",
)  # fmt: skip


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


def test_a_latent_of_the_wider_sae_that_is_left_over_stands_alone():
    latents = np.zeros((8, 4))
    latents[:3] = [[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    rows = np.array([[1.0, 0, 0], [0, 0, 0.1], [0, 1.0, 0], [0, 1.0, 1.0]])
    wide = Side("wide", rows, [latents])
    narrow = Side("narrow", rows[[3, 0, 2]], [latents[:, [3, 0, 2]]])
    html = a_page(wide, narrow)
    headings = [re.findall("<h2>(.*?)</h2>", article(html, i)) for i in range(4)]
    assert headings == [["0 → 1"], ["1"], ["2 → 2"], ["3 → 0"]]
    alone = article(html, 1)
    assert alone.count('<section class="latent"') == 1
    assert "<strong>" not in alone
    assert "no partner in narrow" in alone
    assert "nearest of narrow: latent 0, cosine 0.707" in alone
    assert len(Elements(alone).of("li")) == 1
    said = words(html)
    assert "K = 4 and 3, of which" in said
    assert "so that 1 of wide have no partner and stand alone" in said
    assert "3 within the first 4, 1 without a partner; mean cosine 1.000" in said
    # Matched among themselves: 0, 2 and 3 of the one are 1, 2 and 0 of the other.
    assert "Of all 3 pairs: mean cosine (Stab) 1.000; rank correlation" in said
    assert "(Ord) -0.500" in said
    assert [text for _, text in Elements(html).of("span") if text in ("1", "alone")] == [
        "1",
        "alone",
    ]


def test_of_the_wider_sae_on_the_right_those_left_over_are_counted_but_not_shown():
    latents = np.ones((8, 4))
    html = a_page(
        Side("narrow", np.eye(4)[:2], [latents[:, :2]]), Side("wide", np.eye(4), [latents])
    )
    said = words(html)
    assert "so that 2 of wide have no partner and are not shown" in said
    assert "2 within the first 2; mean cosine 1.000. Of all 2 pairs" in said
    assert len(Elements(html).of("article")) == 2


def test_where_no_shown_latent_has_a_partner_there_is_no_mean_cosine():
    latents = np.ones((8, 3))
    wide = Side("wide", np.array([[-1.0, 0], [1.0, 0], [0, 1.0]]), [latents])
    narrow = Side("narrow", np.eye(2), [latents[:, :2]])
    html = a_page(wide, narrow, settings=PageSettings(n_latents=1))
    assert "0 within the first 1, 1 without a partner. Of all 2 pairs" in words(html)
    assert "nan" not in words(html)


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
        (Side("b", np.ones((3, 4)), [np.ones((8, 3))]), "rows of length 3, as 'seed 0' has"),
        (Side("b", np.empty((0, 3)), [np.ones((8, 0))]), "and at least one"),
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
