"""Figures of consistency over prefixes and training, drift, and fit; nothing here measures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from sklearn.isotonic import IsotonicRegression

from osae_theory.errors import InputError, check_choice
from osae_theory.files import write_atomically
from osae_theory.metrics.intervals import Bounds, Estimate
from realdata.comparison.compare import BOUNDS, SCORES, Comparison
from realdata.consistency.collection import TRAINED, CurvePoint
from realdata.consistency.initialisation import OWN_INITIALISATION
from realdata.latents.quality import pareto_front

DPI = 150
GREY, DARK = "#ABABAB", "#595959"
# The colours of Okabe and Ito, made for colour-blind readers, as far as they stand out from
# white; each method keeps its colour and marker in all figures.
STYLES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "topk": ("top-m SAE", DARK, "v"),
        "batch-topk": ("BatchTopK SAE", "#009E73", "s"),
        "msae-fixed": ("Fixed MSAE", "#D55E00", "^"),
        "msae-random": ("Random MSAE", "#CC79A7", "D"),
        "osae": ("OSAE", "#0072B2", "o"),
        "osae-annealed": ("OSAE, annealed", "#000000", "*"),
        "osae-exact": ("OSAE, exact penalty", "#B8860B", "p"),
    }
)
OTHERS = (("#332288", "P"), ("#882255", "X"), ("#117733", "<"), ("#AA4499", ">"))
_SCORE_LABELS = MappingProxyType(
    {
        "stab": "Stab (mean matched cosine)",
        "stab_abs": "Stab (mean matched |cosine|)",
        "ord": "Ord (Spearman, of matched positions)",
        "ord_abs": "Ord (Spearman, matched on |cosine|)",
        "moved": "share of atoms that moved",
    }
)
_STREAM_LABELS = MappingProxyType(
    {
        "stab": "Stab_Z (mean matched correlation)",
        "stab_abs": "Stab_Z (mean matched |correlation|)",
        "ord": "Ord_Z (Spearman, of matched positions)",
        "ord_abs": "Ord_Z (Spearman, matched on |correlation|)",
    }
)
_PREFIX_LABEL = "prefix (first atoms of the dictionary)"
_INTERVALS = "{}: 95% confidence intervals by the jackknife over seeds"
_NO_INTERVALS = "no {}: an interval over seeds needs three of them"
_BANDS, _BARS = "bands", "bars"
# From two seeds the jackknife's interval, with one degree of freedom, fills any figure.
_SEEDS_FOR_INTERVAL = 3
_STREAMS = "on held-out text"
_LEGIBLE = 9  # points
_LABEL_GAP = 0.06  # of the axis' height
_AROUND = 1.5  # by how much the L0 axis goes beyond the runs on both sides
_CHANCE_DASHES = (0.0, (4.0, 3.0))
_MARGIN = 0.05
_MOVED_ALIKE: Mapping[float | None, str] = MappingProxyType({1.0: "every", 0.0: "no"})
_NEAR = 1.4  # prefixes nearer than this ratio to the last get no tick
_OCTAVES_APART = 0.07  # of the methods at one prefix, so that their bars stand side by side
# The method whose trained order is drawn beside the sorted ones.
_REFERENCE, _REFERENCE_DASHES = "osae", (0.0, (1.5, 1.5))


def orderedness_over_prefixes(
    points: Sequence[CurvePoint],
    kind: str = "cross-seed",
    score: str = "ord",
    *,
    of_activations: bool = False,
    about: str = "",
) -> Figure:
    """Draw Ord over prefixes, one line a method (after the paper's Fig. 2).

    Parameters
    ----------
    points : sequence of CurvePoint
        From `realdata.consistency.collection.summarise`, of one number of tokens and one order;
        those of other kinds are left out.
    kind : str
        Which kind of pairs.
    score : str
        "ord" or "ord_abs".
    of_activations : bool
        Whether the points are Ord_Z, of latents on held-out text: for the labels.
    about : str
        What stands above the title: the model, K and m.

    Raises
    ------
    InputError
        If no point is of that kind, or a line has two points at one prefix.
    """
    return _over_prefixes(points, kind, score, None, of_activations, about)


def stability_over_prefixes(
    points: Sequence[CurvePoint],
    chance: Mapping[int, float] | None = None,
    kind: str = "cross-seed",
    score: str = "stab",
    *,
    of_activations: bool = False,
    about: str = "",
) -> Figure:
    """Draw Stab over prefixes, one line a method, and its chance level (after the paper's Fig. 3).

    `chance` is the score's level for unrelated dictionaries by prefix, as
    `realdata.comparison.compare.chance_levels` finds it: leave it out for correlations of
    activations, to which it does not apply. The rest is as in `orderedness_over_prefixes`.
    """
    return _over_prefixes(points, kind, score, chance, of_activations, about)


def _over_prefixes(
    points: Sequence[CurvePoint],
    kind: str,
    score: str,
    chance: Mapping[int, float] | None,
    of_activations: bool,
    about: str,
) -> Figure:
    own = _of_kind(points, kind, score)
    figure = _figure(7.6, 4.6)
    axis = figure.subplots()
    lines = _lines(own, score, lambda point: point.prefix)
    prefixes = sorted({point.prefix for point in own})
    shown = _prefix_panel(axis, lines, prefixes) + _chance_line(axis, score, chance, prefixes)
    _score_axis(axis, score, _STREAM_LABELS if of_activations else _SCORE_LABELS)
    pairs = _pairs_title(own, kind)
    axis.set_title(_titled(about, f"{pairs}, {_STREAMS}" if of_activations else pairs), fontsize=10)
    _label_ends(axis, shown)
    _name_intervals(figure, lines, _BARS)
    return figure


def sorted_orders(
    points: Sequence[CurvePoint],
    score: str,
    chance: Mapping[int, float] | None = None,
    kind: str = "cross-seed",
    *,
    about: str = "",
) -> Figure:
    """Draw a score over prefixes in every order of the latents, one panel an order.

    In each panel all methods stand in that order, so that like is compared with like; OSAE's
    line as trained is in the panels of the other orders too.

    Parameters
    ----------
    points : sequence of CurvePoint
        As in `orderedness_over_prefixes`, of any number of orders.
    score : str
        A name in `realdata.comparison.compare.SCORES`.
    chance, kind, about
        As in `stability_over_prefixes`.

    Raises
    ------
    InputError
        If no point is of that kind, or a line has two points at one prefix.
    """
    own = _of_kind(points, kind, score)
    orders = list(dict.fromkeys(point.order for point in own))
    figure = _figure(3.4 * len(orders) + 0.8, 5.0)
    axes = figure.subplots(1, len(orders), sharey=True, squeeze=False)[0]
    prefixes = sorted({point.prefix for point in own})
    every: list[_Line] = []
    for axis, order in zip(axes, orders, strict=True):
        lines = _lines([p for p in own if p.order == order], score, lambda point: point.prefix)
        _prefix_panel(axis, lines, prefixes)
        _chance_line(axis, score, chance, prefixes)
        if order != TRAINED:
            _reference(axis, own, score)
        axis.set_title("as trained" if order == TRAINED else f"sorted {order}", fontsize=10)
        axis.grid(axis="y", color="0.92")
        axis.set_axisbelow(True)
        every += lines
    _score_axis(axes[0], score)
    figure.suptitle(_titled(about, _pairs_title(own, kind)), fontsize=10)
    _legend_below(figure, list(axes), _intervals_text(every, _BARS))
    return figure


def _of_kind(points: Sequence[CurvePoint], kind: str, score: str) -> list[CurvePoint]:
    check_choice("score", score, SCORES)
    own = [point for point in points if point.kind == kind]
    if not own:
        raise InputError(f"there are no points of kind {kind!r}: expected at least one")
    return own


def _reference(axis: Axes, points: Sequence[CurvePoint], score: str) -> None:
    trained = [p for p in points if (p.method, p.order) == (_REFERENCE, TRAINED)]
    for line in _lines(trained, score, lambda point: point.prefix):
        axis.plot(
            line.x, line.mean, color=line.colour, linestyle=_REFERENCE_DASHES, linewidth=1.4,
            label=f"{line.title}, as trained",
        )  # fmt: skip


def _legend_below(figure: Figure, axes: Sequence[Axes], title: str) -> None:
    """Name every line once, whichever panel it stands in."""
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=4, fontsize=_LEGIBLE,
        frameon=False, title=title, title_fontsize=_LEGIBLE,
    )  # fmt: skip


def over_training(
    points: Sequence[CurvePoint],
    prefix: int,
    chance: float | None = None,
    kind: str = "cross-seed",
    *,
    about: str = "",
) -> Figure:
    """Draw Stab and Ord at one prefix over training tokens (after the paper's Figs. 11-12).

    `chance` is Stab's level for unrelated dictionaries at this prefix, `about` stands above the
    title.

    Raises InputError if no point is of that kind and prefix, or a line has two points at one
    number of tokens.
    """
    own = [point for point in points if point.kind == kind and point.prefix == prefix]
    own = [point for point in own if point.tokens is not None]
    if not own:
        raise InputError(f"there are no points of kind {kind!r} at prefix {prefix}")
    figure = _figure(10.4, 4.2)
    left, right = figure.subplots(1, 2, sharex=True)
    every: list[_Line] = []
    for axis, score in ((left, "stab"), (right, "ord")):
        lines = _lines(own, score, lambda point: point.tokens or 0)
        every += lines
        _draw_bands(axis, lines)
        _token_axis(axis)
        level = _chance_over_training(axis, score, chance, own)
        _score_axis(axis, score)
        _label_ends(axis, lines + level)
    pairs = _pairs_title(own, kind)
    figure.suptitle(_titled(about, f"{pairs}, first {prefix} atoms"), fontsize=10)
    _name_intervals(figure, every, _BANDS)
    return figure


def against_initialisation(
    points: Sequence[CurvePoint],
    tokens: int | None = None,
    moved_below: float = 0.9,
    *,
    about: str = "",
) -> Figure:
    """Draw what is left of each run's own initialisation (after the paper's Figs. 13-14).

    Where every atom of every run moved, or none did, a sentence says so; else a panel shows
    which share of them did.

    Parameters
    ----------
    points : sequence of CurvePoint
        From `realdata.consistency.initialisation.summarise_initialisation`.
    tokens : int, optional
        Which number of training tokens; the greatest, if not given.
    moved_below : float
        The threshold that "moved" was counted with, for its label.
    about : str
        What stands above the title: the model, K and m.

    Raises
    ------
    InputError
        If there is no point of that number of tokens.
    """
    drift = [point for point in points if point.kind == OWN_INITIALISATION]
    known = [point.tokens for point in drift if point.tokens is not None]
    if tokens is None and known:
        tokens = max(known)
    own = [point for point in drift if point.tokens == tokens]
    if not own:
        raise InputError(f"there are no points against initialisation at {tokens} tokens")
    shares = {point.estimates["moved"].mean for point in own}
    alike = _MOVED_ALIKE.get(shares.pop() if len(shares) == 1 else None)
    scores = ("stab", "ord") if alike else ("stab", "ord", "moved")
    figure = _figure(5.2 * len(scores), 4.4)
    axes = figure.subplots(1, len(scores))
    lines = [
        _drift_panel(axis, own, score, moved_below)
        for axis, score in zip(axes, scores, strict=True)
    ]
    found = f"after {_tokens_text(tokens or 0)} tokens, each run against its own initialisation"
    moved = f"{alike} atom of every run moved (cosine to itself at start < {moved_below:g})"
    figure.suptitle(_titled(about, *([found, moved] if alike else [found])), fontsize=10)
    _name_intervals(figure, lines[0], _BARS)
    return figure


def _drift_panel(
    axis: Axes, points: Sequence[CurvePoint], score: str, moved_below: float
) -> list["_Line"]:
    prefixes = sorted({point.prefix for point in points})
    lines = _lines(points, score, lambda point: point.prefix)
    shown = _prefix_panel(axis, lines, prefixes)
    _score_axis(axis, score)
    _label_ends(axis, shown)
    if score == "moved":
        _band_axis(axis, prefixes)
        axis.set_title(f"moved: cosine to the same atom at start < {moved_below:g}", fontsize=10)
    return lines


def pareto(
    quality: Mapping[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]],
    floor: tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]] | None = None,
    *,
    about: str = "",
) -> Figure:
    """Draw held-out FVU against L0, one point a run, and the front that no run beats.

    The axes are those of the runs: of the floor only what lies near them is seen.

    Parameters
    ----------
    quality : mapping of str to (L0, FVU)
        By method, one entry a run.
    floor : pair of (numbers of components, FVU), optional
        PCA's, from `realdata.latents.quality.pca_fvu`.
    about : str
        The title: the model, the corpus, K.

    Raises
    ------
    InputError
        If there is no run.
    """
    l0, fvu = (
        np.concatenate([[], *(sides[side] for sides in quality.values())]) for side in (0, 1)
    )
    if l0.size == 0:
        raise InputError("quality is empty: expected at least one run")
    figure = _figure(7.6, 5.6)
    axis = figure.subplots()
    _front(axis, l0, fvu, pareto_front(l0, fvu))
    for place, (method, (own_l0, own_fvu)) in enumerate(quality.items()):
        title, colour, marker = _style(method, place)
        axis.scatter(
            own_l0,
            own_fvu,
            s=40,
            facecolor="none",  # so that a run behind another is seen
            edgecolor=colour,
            marker=marker,
            linewidth=1.3,
            label=title,
            zorder=3,
        )
    if floor is not None:
        axis.plot(
            *floor, color=GREY, linestyle="--", linewidth=1.2, label="PCA, as many components"
        )
    axis.set(
        xlabel="L0 (mean number of active latents)",
        ylabel="held-out FVU (fraction of variance unexplained)",
    )
    # Logarithmic, for the methods stand close together far below PCA.
    axis.set(xscale="log", yscale="log")
    around = (l0.min() / _AROUND, l0.max() * _AROUND)
    seen = [] if floor is None else floor[1][(floor[0] >= around[0]) & (floor[0] <= around[1])]
    axis.set_xlim(around)
    axis.set_ylim(0.9 * fvu.min(), 1.1 * max(*seen, fvu.max(), 0.0))
    _plain_log_ticks(axis.xaxis, (1.0, 2.0, 5.0))
    _plain_log_ticks(axis.yaxis, tuple(map(float, range(1, 10))))
    axis.set_title(about, fontsize=10)
    figure.legend(loc="outside lower center", ncols=4, fontsize=_LEGIBLE, frameon=False)
    return figure


def comparison(found: Comparison) -> Figure:
    """Draw Stab and Ord of a `Comparison` over prefixes, each pair a faint line.

    A thick line is the mean over pairs, the band its 95% interval by the jackknife over
    dictionaries, a dashed line the chance level. Stab is drawn on signed and on absolute cosines,
    each with the chance level of its own, from 0 (or its least value) to 1.
    """
    figure = _figure(11.4, 4.4)
    stab, ord_ = figure.subplots(1, 2)
    signed, absolute = (
        {prefix: getattr(level, name).mean for prefix, level in found.chance.items()}
        for name in ("signed", "absolute")
    )
    named: dict[Axes, list[_Line]] = {stab: [], ord_: []}
    for axis, score, title, colour, marker, chance in (
        (stab, "stab_abs", "on |cosine|", "#009E73", "s", absolute),
        (stab, "stab", "on cosine", "#0072B2", "o", signed),
        (ord_, "ord", "", "#D55E00", "o", None),
    ):
        if score != "stab_abs":
            _faint_pairs(axis, found, score)
        means = [found.estimates[prefix][score] for prefix in found.prefixes]
        x, mean, low, high = _band(found.prefixes, means, score)
        axis.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axis.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.8)
        levels = _chance_line(axis, score, chance, found.prefixes)
        if title:
            # Two levels in one panel: each has the colour of what it is the level of.
            axis.lines[-1].set_color(colour)
            levels = [replace(one, title=f"chance, {title}", colour=colour) for one in levels]
            levels.append(_Line(title, colour, marker, x, mean, low, high))
        named[axis] += levels
        _prefix_axis(axis, found.prefixes)
        _score_axis(axis, score)
    lowest = min(pair.score.stab for pair in found.pairs)
    stab.set_ylim(lowest - _MARGIN if lowest < 0.0 else 0.0, 1.0 + _MARGIN)
    stab.set_ylabel("Stab (mean matched cosine or |cosine|)")
    for axis, lines in named.items():
        _label_ends(axis, lines)
    n = len(found.names)
    if n == 2:
        figure.suptitle("\n".join(found.names), fontsize=_LEGIBLE)
        figure.supxlabel("one pair of dictionaries", fontsize=_LEGIBLE)
        return figure
    figure.suptitle(f"{n} dictionaries, {n * (n - 1) // 2} pairs", fontsize=10)
    figure.supxlabel(
        "thin lines: pairs, on cosine; thick: their mean; band: its 95% confidence interval by the"
        " jackknife over dictionaries",
        fontsize=_LEGIBLE,
    )
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure at 150 dpi, whole or not at all; the format is the path's suffix."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DPI))


@dataclass(frozen=True, eq=False)
class _Line:
    """One line with its band; NaN in the band where there is no interval."""

    title: str
    colour: str
    marker: str
    x: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _style(method: str, place: int) -> tuple[str, str, str]:
    colour, marker = OTHERS[place % len(OTHERS)]
    return STYLES.get(method, (method, colour, marker))


def _lines(
    points: Sequence[CurvePoint], score: str, x_of: Callable[[CurvePoint], int]
) -> list[_Line]:
    """Return one line for each method, its points from left to right."""
    groups: dict[str, list[CurvePoint]] = {}
    for point in sorted(points, key=x_of):
        groups.setdefault(point.method, []).append(point)
    # In the order of the points given, not of their places.
    names = dict.fromkeys(point.method for point in points)
    return [_line(name, place, groups[name], score, x_of) for place, name in enumerate(names)]


def _line(
    method: str,
    place: int,
    points: Sequence[CurvePoint],
    score: str,
    x_of: Callable[[CurvePoint], int],
) -> _Line:
    places = [x_of(point) for point in points]
    if len(set(places)) < len(places):
        raise InputError(f"{method} has two points at one place: {places}")
    band = _band(
        places,
        [
            point.estimates[score]
            if point.seeds >= _SEEDS_FOR_INTERVAL
            else replace(point.estimates[score], ci95=None)
            for point in points
        ],
        score,
    )
    return _Line(*_style(method, place), *band)


def _band(
    x: Sequence[int], estimates: Sequence[Estimate], score: str
) -> tuple[
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
]:
    """Return x, mean, low and high where the mean is defined; an interval ends where scores do."""
    nothing = (np.nan, np.nan)
    rows = [
        (float(place), found.mean, *(nothing if found.ci95 is None else found.ci95))
        for place, found in zip(x, estimates, strict=True)
        if found.mean is not None
    ]
    places, mean, low, high = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    # Intervals of older results may go beyond.
    return places, mean, *np.clip((low, high), *_bounds(score))


def _bounds(score: str) -> Bounds:
    """Return the least and the greatest value a score can have."""
    return (0.0, 1.0) if score == "moved" else BOUNDS[score]


def _draw_bands(axis: Axes, lines: Sequence[_Line]) -> None:
    for line in lines:
        axis.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.2, linewidth=0)
        _draw_mean(axis, line)


def _apart(lines: Sequence[_Line]) -> list[_Line]:
    """Return lines over prefixes moved apart sideways, so that their bars can be told apart."""
    moves = _OCTAVES_APART * (np.arange(len(lines)) - (len(lines) - 1) / 2)
    return [replace(line, x=line.x * 2**move) for line, move in zip(lines, moves, strict=True)]


def _draw_bars(axis: Axes, lines: Sequence[_Line]) -> None:
    for line in lines:
        known = np.isfinite(line.low)
        axis.vlines(
            line.x[known], line.low[known], line.high[known], color=line.colour, linewidth=1.1
        )
        _draw_mean(axis, line)


def _draw_mean(axis: Axes, line: _Line) -> None:
    axis.plot(
        line.x, line.mean, color=line.colour, marker=line.marker, markersize=4.5, linewidth=1.3,
        label=line.title,
    )  # fmt: skip


def _prefix_panel(axis: Axes, lines: Sequence[_Line], prefixes: Sequence[int]) -> list[_Line]:
    """Draw lines over prefixes; return them as they are drawn, side by side.

    Bars and not bands: those of five methods, one upon the other, cannot be read.
    """
    drawn = _apart(lines)
    _draw_bars(axis, drawn)
    _prefix_axis(axis, prefixes)
    return drawn


def _name_intervals(figure: Figure, lines: Sequence[_Line], what: str) -> None:
    figure.supxlabel(_intervals_text(lines, what), fontsize=_LEGIBLE)


def _intervals_text(lines: Sequence[_Line], what: str) -> str:
    drawn = any(np.isfinite(line.low).any() for line in lines)
    return (_INTERVALS if drawn else _NO_INTERVALS).format(what)


def _titled(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _label_ends(axis: Axes, lines: Sequence[_Line]) -> None:
    """Write each line's name at its right end, moved apart where they would overlap."""
    drawn = sorted((line for line in lines if line.x.size), key=lambda line: line.mean[-1])
    low, high = axis.get_ylim()
    ends = (np.array([line.mean[-1] for line in drawn]) - low) / (high - low)
    for line, place in zip(drawn, _spread(ends, _LABEL_GAP), strict=True):
        axis.annotate(
            line.title,
            xy=(line.x[-1], line.mean[-1]),
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            fontsize=_LEGIBLE,
            arrowprops={
                "arrowstyle": "-",
                "color": line.colour,
                "linewidth": 1.2,
                "relpos": (0, 0.5),
                "shrinkB": 3,
            },
        )


def _spread(places: Float[np.ndarray, " n"], gap: float) -> Float[np.ndarray, " n"]:
    """Return ascending places at least `gap` apart, about where they were, in 0..1 if they fit."""
    if len(places) == 0:
        return places
    rising = np.arange(len(places)) * gap
    # The least shift in the mean square under that bound: isotonic regression of what is left.
    apart = IsotonicRegression(y_min=0.0, y_max=max(1.0 - rising[-1], 0.0))
    return apart.fit_transform(np.arange(len(places)), places - rising) + rising


def _prefix_axis(axis: Axes, prefixes: Sequence[int]) -> None:
    axis.set_xscale("log", base=2)
    # The last prefix is K itself and may stand close to the power of two before it.
    near = [p for p in prefixes[:-1] if p * _NEAR < prefixes[-1]]
    axis.xaxis.set_major_locator(FixedLocator([*near, prefixes[-1]]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel(_PREFIX_LABEL)


def _band_axis(axis: Axes, prefixes: Sequence[int]) -> None:
    """Name the ticks of a prefix axis by the positions between the prefix before and each."""
    bands = zip([1, *(prefix + 1 for prefix in prefixes[:-1])], prefixes, strict=True)
    axis.xaxis.set_major_locator(FixedLocator(list(prefixes)))
    axis.set_xticklabels(
        [f"{start}" if start == end else f"{start}–{end}" for start, end in bands],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    axis.set_xlabel("positions of the atoms in the dictionary")


def _score_axis(axis: Axes, score: str, labels: Mapping[str, str] = _SCORE_LABELS) -> None:
    """Name the score's axis and leave a margin; a share has all of it."""
    bottom, top = (0.0, 1.0) if score == "moved" else axis.get_ylim()
    bottom, top = np.clip((bottom, top), *_bounds(score))
    axis.set_ylim(bottom - _MARGIN * (top - bottom), top + _MARGIN * (top - bottom))
    axis.set_ylabel(labels[score])


def _chance_over_training(
    axis: Axes, score: str, chance: float | None, points: Sequence[CurvePoint]
) -> list[_Line]:
    if score == "stab" and chance is None:
        return []
    tokens = np.array(sorted({point.tokens or 0 for point in points}), dtype=np.float64)
    level = chance if chance is not None and score == "stab" else 0.0
    return _draw_chance(axis, tokens, np.full(len(tokens), level))


def _token_axis(axis: Axes) -> None:
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tokens_text(value)))
    axis.set_xlim(left=0)
    axis.set_xlabel("training tokens")


def _tokens_text(tokens: float) -> str:
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:g}{suffix}"
    return f"{tokens:g}"


def _chance_line(
    axis: Axes, score: str, chance: Mapping[int, float] | None, prefixes: Sequence[int]
) -> list[_Line]:
    """Draw the chance level and return it as a line to be named, if there is one.

    For Ord it is 0, for Stab the level at each prefix where that is known.
    """
    if score.startswith("ord"):
        levels = np.zeros(len(prefixes))
    elif score.startswith("stab") and chance is not None:
        levels = np.array([chance[prefix] for prefix in prefixes])
    else:
        return []
    return _draw_chance(axis, np.array(prefixes, dtype=np.float64), levels)


def _draw_chance(
    axis: Axes, x: Float[np.ndarray, " n"], levels: Float[np.ndarray, " n"]
) -> list[_Line]:
    axis.plot(
        x, levels, color=DARK, linestyle=_CHANCE_DASHES, linewidth=1.0, zorder=1, label="chance"
    )
    nothing = np.full(len(x), np.nan)
    return [_Line("chance", GREY, "", x, levels, nothing, nothing)]


def _faint_pairs(axis: Axes, found: Comparison, score: str) -> None:
    by_pair: dict[tuple[str, str], list[tuple[int, float | None]]] = {}
    for pair in found.pairs:
        value = getattr(pair.score, score)
        by_pair.setdefault((pair.a, pair.b), []).append((pair.score.prefix, value))
    if len(by_pair) < 2:
        return
    for values in by_pair.values():
        defined = [(prefix, value) for prefix, value in values if value is not None]
        axis.plot(*zip(*defined, strict=True), color=GREY, linewidth=0.8, alpha=0.7, zorder=1)


def _front(
    axis: Axes,
    l0: Float[np.ndarray, " n"],
    fvu: Float[np.ndarray, " n"],
    on_front: Bool[np.ndarray, " n"],
) -> None:
    order = np.argsort(l0[on_front], kind="stable")
    # The last run of the front beats all that are as good at a greater L0.
    x = np.append(l0[on_front][order], l0.max())
    y = np.append(fvu[on_front][order], fvu[on_front].min())
    axis.step(x, y, where="post", color=DARK, linewidth=1.0, label="Pareto front", zorder=2)


def _plain_log_ticks(axis: Axis, steps: tuple[float, ...]) -> None:
    axis.set_major_locator(LogLocator(base=10, subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _pairs_title(points: Sequence[CurvePoint], kind: str) -> str:
    """Return the kind of the pairs and how many there are, a range where they differ."""
    pairs = _range_text([point.pairs for point in points])
    return f"{kind} pairs (n = {pairs}, of {_range_text([point.seeds for point in points])} seeds)"


def _range_text(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}–{high}"
