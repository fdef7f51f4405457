"""What the order of the latents means: two SAEs' matched latents with their top text, as HTML.

The page holds text of its corpus: it is for reading, not for publication. All that comes from
outside is escaped, nothing is loaded from elsewhere, and no script runs.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from osae_theory.errors import InputError, check_integer, check_real
from osae_theory.files import check_writable, write_atomically
from osae_theory.metrics import LatentStatistics, Matching, cosines, live_atoms
from osae_theory.metrics.assignment import LEFT
from realdata.comparison.matches import matched_places
from realdata.latents.contexts import SearchedText, Snippet, TopContexts, top_contexts
from realdata.latents.on_text import DecodeToken
from realdata.latents.sparse import LatentChunk

TEMPLATE = "page.html.jinja"


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two SAEs of a page.

    Attributes
    ----------
    label : str
        What tells it from the other, such as "seed 0".
    decoder : (K, d)
        Decoder rows in the order of the latents; of both sides in one space.
    latents : iterable of SparseLatents or of (_, K) arrays
        Of the samples of the searched text, in their order; it is read once.
    """

    label: str
    decoder: Float[np.ndarray, "K d"]
    latents: Iterable[LatentChunk]


@dataclass(frozen=True, kw_only=True)
class PageHeader:
    """What the page says of where its figures come from.

    Attributes
    ----------
    model, hook_point, method : str
        The language model, where it is read, and how both SAEs were trained.
    layer : int or None
        The layer of the hook point, where it has a number.
    m : int or None
        Active latents a token, where both SAEs were trained for one number; else the page shows
        the mean number of each on the text.
    corpus, corpus_hash : str
        The text's name, with its part, and its hash.
    dequantised : bool
        Whether the model's weights are 4-bit ones, dequantised.
    chance : float or None
        Stab of unrelated dictionaries of this size (`osae_theory.metrics.chance_stability`).
    """

    model: str
    hook_point: str
    method: str
    layer: int | None = None
    m: int | None = None
    corpus: str
    corpus_hash: str
    dequantised: bool = False
    chance: float | None = None

    def __post_init__(self) -> None:
        if self.m is not None:
            check_integer("m", self.m, 1)
        if self.chance is not None:
            check_real("chance", self.chance, at_least=-1.0, at_most=1.0)


@dataclass(frozen=True)
class PageSettings:
    """How much the page shows.

    Attributes
    ----------
    n_latents : int
        First latents of the left side; all, where there are fewer.
    n_snippets, window : int
        As in `top_contexts`.
    """

    n_latents: int = 24
    n_snippets: int = 8
    window: int = 24

    def __post_init__(self) -> None:
        for name in ("n_latents", "n_snippets", "window"):
            check_integer(name, getattr(self, name), 1)


def render(
    left: Side,
    right: Side,
    text: SearchedText,
    decode_token: DecodeToken,
    header: PageHeader,
    settings: PageSettings | None = None,
) -> str:
    """Return the page of two SAEs: the first latents of one, each beside its match in the other.

    The latents of both are matched one to one on the signed cosine of their decoder rows, as in
    Stab (`realdata.comparison.matches.matched_places`). Where the left side has more latents than
    the right, some have no match and stand alone.

    Parameters
    ----------
    left, right : Side
        The two SAEs, of one width; they may differ in their number of latents.
    text : SearchedText
        The text both sides' latents are of.
    decode_token : callable
        Gives the text of a token id. A token that is only part of a character shows as
        whatever this gives for it, usually a replacement character.
    header : PageHeader
        Where the figures come from.
    settings : PageSettings, optional
        How many latents and snippets.

    Returns
    -------
    str
        HTML in one piece.

    Raises
    ------
    InputError
        If decoder rows differ in length or there is none, a side has another number of latents
        than decoder rows, or latents and text do not agree (see `top_contexts`).
    """
    from jinja2 import Environment, StrictUndefined

    settings = settings or PageSettings()
    pairs, matching, n_active = _pairs(left, right, text, decode_token, settings)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("realdata.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        header=header,
        labels=(left.label, right.label),
        pairs=pairs,
        summary=_summary(pairs),
        stability=matching.stability,
        orderedness=matching.orderedness,
        left_out=matching.left_out,
        K=(len(left.decoder), len(right.decoder)),
        n_active=n_active,
        n_tokens=text.n,
        n_documents=len(np.unique(text.documents[text.context])),
        unsampled=_has_unsampled(pairs),
    )


def check_page(path: Path) -> None:
    """Raise InputError unless a page can be written to a path."""
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder: expected a file to write the page to")
    check_writable(path.parent)


def write_page(path: Path, html: str) -> None:
    """Write a page, whole or not at all; its folder is made if need be.

    Raises InputError if that cannot be.
    """
    check_page(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))


# What the template is given: values and text, no markup.


@dataclass(frozen=True)
class _Token:
    """One token as shown; `shade` in [0, 1] is None where there is no activation."""

    text: str
    activation: str
    shade: float | None
    peak: bool


@dataclass(frozen=True)
class _Excerpt:
    """One snippet as shown; `shared`: the other side has a snippet with this peak too."""

    peak: str
    document: str
    tokens: tuple[_Token, ...]
    shared: bool


@dataclass(frozen=True)
class _Latent:
    """One latent as shown; `energy` is its share of that of all latents, in [0, 1]."""

    label: str
    index: int
    frequency: str
    energy: str
    excerpts: tuple[_Excerpt, ...]
    dead: bool


@dataclass(frozen=True)
class _Pair:
    """A left latent and its match, if it has one, with the right latent nearest to it."""

    left: _Latent
    right: _Latent | None
    cosine: float
    nearest: int
    nearest_cosine: float
    n_shared: int
    n_comparable: int

    @property
    def shift(self) -> int | None:
        """How much later the match stands in its own order."""
        return None if self.right is None else self.right.index - self.left.index


def _pairs(
    left: Side, right: Side, text: SearchedText, decode_token: DecodeToken, settings: PageSettings
) -> tuple[tuple[_Pair, ...], Matching, tuple[float, float]]:
    """Return the pairs to show, the matching of all, and the mean active latents of both sides."""
    d = left.decoder.shape[1]
    for side in (left, right):
        if side.decoder.shape[1] != d or side.decoder.size == 0:
            raise InputError(
                f"the decoder of {side.label!r} has shape {side.decoder.shape}: expected rows of "
                f"length {d}, as {left.label!r} has, and at least one"
            )
    rows, columns, similarities = matched_places(left.decoder, right.decoder)
    n = min(settings.n_latents, len(left.decoder))
    matched = columns[:n].astype(np.int64)
    S = cosines(left.decoder[:n].T, right.decoder.T)
    searched = _search(left, text, np.arange(n), settings)
    searched_too = _search(right, text, matched[matched != LEFT], settings)
    pairs = []
    for i, j in enumerate(matched.tolist()):
        first = searched.top.snippets[i]
        second = searched_too.top.snippets.get(j, ())
        shared = {s.place for s in first} & {s.place for s in second}
        nearest = int(S[i].argmax())
        alone = j == LEFT
        pairs.append(
            _Pair(
                left=_latent(searched, i, text, shared, decode_token),
                right=None if alone else _latent(searched_too, j, text, shared, decode_token),
                cosine=float(similarities[i]),
                nearest=nearest,
                nearest_cosine=float(S[i, nearest]),
                n_shared=len(shared),
                n_comparable=min(len(first), len(second)),
            )
        )
    both = (rows != LEFT) & (columns != LEFT)
    first, second = (s.top.statistics for s in (searched, searched_too))
    live = _live(left, first)[rows[both]] & _live(right, second)[columns[both]]
    # Ord compares ranks: those among the matched, where a side has latents that are left over.
    ranks = np.argsort(np.argsort(columns[both]))
    matching = Matching(ranks, similarities[both], absolute=False, live=live)
    return tuple(pairs), matching, (float(first.frequencies.sum()), float(second.frequencies.sum()))


def _live(side: Side, statistics: LatentStatistics) -> Bool[np.ndarray, " K"]:
    """Return which latents have a place in Ord: active on the text, and their row is not zero."""
    return ~statistics.dead & live_atoms(side.decoder.T)


@dataclass(frozen=True, eq=False)
class _Searched:
    """A side with what was found in the text, and each latent's share of the energy."""

    label: str
    top: TopContexts
    energy_shares: Float[np.ndarray, " K"]


def _search(
    side: Side, text: SearchedText, latents: Int[np.ndarray, " p"], settings: PageSettings
) -> _Searched:
    top = top_contexts(side.latents, text, latents, settings.n_snippets, settings.window)
    K = len(top.statistics.counts)
    if K != len(side.decoder):
        raise InputError(
            f"{side.label!r} has {K} latents: expected {len(side.decoder)}, one a decoder row"
        )
    # What a latent adds to the reconstruction: its activation times its row, of whatever norm.
    energies = top.statistics.energies * np.sum(side.decoder.astype(np.float64) ** 2, axis=1)
    total = float(energies.sum())
    return _Searched(side.label, top, energies / total if total > 0 else energies)


def _latent(
    searched: _Searched,
    index: int,
    text: SearchedText,
    shared: set[tuple[int, int]],
    decode_token: DecodeToken,
) -> _Latent:
    statistics = searched.top.statistics
    snippets = searched.top.snippets[index]
    scale = max((s.activations[s.peak] for s in snippets), default=1.0)
    return _Latent(
        label=searched.label,
        index=index,
        frequency=_percent(float(statistics.frequencies[index])),
        energy=_percent(float(searched.energy_shares[index])),
        excerpts=tuple(
            _Excerpt(
                peak=_number(float(s.activations[s.peak])),
                document=_visible(text.names[s.document]) if text.names else "",
                tokens=_tokens(s, float(scale), decode_token),
                shared=s.place in shared,
            )
            for s in snippets
        ),
        dead=bool(statistics.dead[index]),
    )


def _tokens(snippet: Snippet, scale: float, decode_token: DecodeToken) -> tuple[_Token, ...]:
    tokens = []
    for place, (token, value) in enumerate(
        zip(snippet.tokens.tolist(), snippet.activations.tolist(), strict=True)
    ):
        known = not np.isnan(value)
        tokens.append(
            _Token(
                text=_visible(decode_token(token)) or f"⟨token {token}⟩",
                activation=_number(value) if known else "",
                shade=min(max(value / scale, 0.0), 1.0) if known else None,
                peak=place == snippet.peak,
            )
        )
    return tuple(tokens)


# Characters that cannot be seen, break the line or turn its direction are written out.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍"}


def _visible(text: str) -> str:
    """Return text with every character in it that has no glyph of its own made visible."""
    return "".join(
        _SIGNS.get(c) or (f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c)
        for c in text
    )


def _number(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"


def _percent(share: float) -> str:
    return "<0.01%" if 0 < share < 1e-4 else f"{share:.2%}"


def _summary(pairs: Sequence[_Pair]) -> dict[str, float]:
    """Return what is said of the shown pairs together; a cosine of NaN where there is none."""
    matched = [(pair.right, pair.cosine) for pair in pairs if pair.right is not None]
    return {
        "cosine": float(np.mean([cosine for _, cosine in matched])) if matched else math.nan,
        "n_same": sum(pair.shift == 0 for pair in pairs),
        "n_within": sum(latent.index < len(pairs) for latent, _ in matched),
        "n_alone": len(pairs) - len(matched),
    }


def _has_unsampled(pairs: Sequence[_Pair]) -> bool:
    return any(
        token.shade is None
        for pair in pairs
        for latent in (pair.left, pair.right)
        if latent is not None
        for excerpt in latent.excerpts
        for token in excerpt.tokens
    )
