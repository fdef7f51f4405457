import subprocess
import sys
from dataclasses import replace

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.intervals import Estimate
from realdata.comparison.compare import compare
from realdata.comparison.levels import chance_levels
from realdata.consistency.collection import Checkpoint, CurvePoint, pair_scores, summarise
from realdata.consistency.initialisation import (
    OWN_INITIALISATION,
    against_initialisation,
    summarise_initialisation,
)
from realdata.report.figures import initialisation, style, words
from realdata.report.figures.comparison import comparison
from realdata.report.figures.over_prefixes import orderedness_over_prefixes, stability_over_prefixes
from realdata.report.figures.over_training import over_training
from realdata.report.figures.pareto import pareto
from realdata.report.figures.sorted_orders import sorted_orders
from realdata.training.methods import METHODS

PREFIXES = (1, 4, 8)
CHANCE = {p: level.signed.mean for p, level in chance_levels(5, PREFIXES).items()}


def checkpoints(methods=("topk", "osae"), tokens=(0, 50, 100), n_seeds=3):
    return [
        Checkpoint(m, s, "docs", t, np.random.default_rng([s, t, i]).standard_normal((8, 5)))
        for i, m in enumerate(methods)
        for s in range(n_seeds)
        for t in tokens
    ]


POINTS = summarise(pair_scores(checkpoints(), PREFIXES))
LAST = [point for point in POINTS if point.tokens == 100]


def line_of(axis, x, y):
    """The one line through just these points; on a prefix axis it may be moved a little sideways."""
    apart = 2**0.2 if axis.get_xscale() == "log" else 1
    [found] = [
        line
        for line in axis.lines
        if len(line.get_xdata()) == len(x)
        and np.allclose(line.get_ydata(), y)
        and np.all(line.get_xdata() <= np.multiply(x, apart))
        and np.all(line.get_xdata() >= np.divide(x, apart))
    ]
    return found


def labels(axis):
    return {text.get_text() for text in axis.texts}


def points_of(method, points=LAST):
    return [point for point in points if point.method == method]


@pytest.mark.parametrize(
    ("draw", "score"),
    [(orderedness_over_prefixes, "ord"), (stability_over_prefixes, "stab")],
)
def test_each_method_is_a_line_through_its_means_with_its_name_at_the_end(draw, score):
    [axis] = draw(LAST).axes
    for method in ("topk", "osae"):
        means = [
            (point.prefix, point.estimates[score].mean)
            for point in points_of(method)
            if point.estimates[score].mean is not None
        ]
        line_of(axis, *zip(*means, strict=True))
    assert {"top-m SAE", "OSAE"} <= labels(axis)
    assert len(axis.collections) == 2  # the bars
    assert axis.get_xscale() == "log"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1", "4", "8"]


def test_a_bar_spans_the_interval_and_is_missing_where_there_is_none():
    [axis] = stability_over_prefixes(points_of("osae")).axes
    bars = [path.vertices[:, 1] for path in axis.collections[0].get_paths()]
    intervals = [point.estimates["stab"].ci95 for point in points_of("osae")]
    np.testing.assert_allclose(bars, np.clip(intervals, -1, 1))
    pair = summarise(pair_scores(checkpoints(n_seeds=2), PREFIXES))
    [axis] = stability_over_prefixes([p for p in pair if p.tokens == 100]).axes
    assert not any(c.get_paths() for c in axis.collections)


def test_an_interval_ends_where_the_score_ends():
    found = Estimate(0.5, 1.0, (-4.0, 5.0), 6)
    points = [
        CurvePoint("osae", "trained", "cross-seed", 9, p, 6, 3, {"ord": found}) for p in (4, 8)
    ]
    [bars] = orderedness_over_prefixes(points).axes[0].collections
    for path in bars.get_paths():
        assert path.vertices[:, 1].tolist() == [-1, 1]


def test_bars_of_different_methods_stand_side_by_side():
    [axis] = stability_over_prefixes(LAST).axes
    first, second = (
        {path.vertices[0, 0] for path in bars.get_paths()} for bars in axis.collections
    )
    assert not first & second
    for x, prefix in zip(sorted(first | second), np.repeat(PREFIXES, 2), strict=True):
        assert x == pytest.approx(prefix, rel=0.2)


def test_two_seeds_have_no_interval_and_the_figure_says_so():
    found = Estimate(0.5, 0.1, (0.1, 0.9), 4)
    for n_seeds, note in ((2, "no bars"), (3, "bars: 95%")):
        points = [
            CurvePoint("osae", "trained", "cross-seed", 9, prefix, 4, n_seeds, {"ord": found})
            for prefix in (4, 8)
        ]
        figure = orderedness_over_prefixes(points)
        [bars] = figure.axes[0].collections
        assert len(bars.get_paths()) == (2 if n_seeds == 3 else 0)
        assert figure.get_supxlabel().startswith(note)


def contrast_to_white(colour):
    """WCAG 2.1's contrast ratio, of which 3 is the least for what must be seen in a figure."""
    values = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_every_method_has_a_marker_of_its_own_and_a_colour_that_stands_out_from_white():
    looks = [look[1:] for look in style.STYLES.values()] + list(style.OTHERS)
    assert set(METHODS) == set(style.STYLES)
    for colour, _ in looks:
        assert contrast_to_white(colour) >= 3
    for side in zip(*looks, strict=True):
        assert len(set(side)) == len(side)


def test_titles_name_what_the_figure_is_about():
    about = "a model, K = 8, m = 2"
    drift = summarise_initialisation(against_initialisation(checkpoints(), PREFIXES))
    for figure in (
        sorted_orders(LAST, "ord", about=about),
        over_training(POINTS, 4, about=about),
        initialisation.against_initialisation(drift, about=about),
    ):
        assert figure.get_suptitle().startswith(about)
    for figure in (
        orderedness_over_prefixes(LAST, about=about),
        stability_over_prefixes(LAST, about=about),
        pareto({"topk": (np.array([4.0]), np.array([0.4]))}, about=about),
    ):
        assert figure.axes[0].get_title().startswith(about)


def test_figures_of_activations_do_not_speak_of_cosines():
    [axis] = stability_over_prefixes(LAST, of_activations=True).axes
    assert axis.get_ylabel() == "Stab_Z (mean matched correlation)"
    assert "held-out text" in axis.get_title()
    [axis] = stability_over_prefixes(LAST).axes
    assert "cosine" in axis.get_ylabel()


def test_the_chance_level_is_drawn_where_it_is_known():
    [axis] = stability_over_prefixes(LAST, CHANCE).axes
    line_of(axis, PREFIXES, [CHANCE[p] for p in PREFIXES])
    assert "chance" in labels(axis)
    [axis] = stability_over_prefixes(LAST).axes
    assert "chance" not in labels(axis)
    [axis] = orderedness_over_prefixes(LAST).axes
    line_of(axis, PREFIXES, [0.0, 0.0, 0.0])


ORDERS = ("trained", "by frequency", "by energy")


def sorted_points(methods=("topk", "osae")):
    """Points whose means tell method, order and prefix."""
    return [
        CurvePoint(
            method, order, "cross-seed", 9, prefix, 6, 3,
            {"ord": Estimate(0.1 * i + 0.3 * j + prefix / 100, 0.1, (0.0, 0.9), 6)},
        )
        for i, method in enumerate(methods)
        for j, order in enumerate(ORDERS)
        for prefix in (4, 8)
    ]  # fmt: skip


def test_every_order_has_a_panel_with_every_method_in_it():
    figure = sorted_orders(sorted_points(), "ord")
    assert [a.get_title() for a in figure.axes] == [
        *("as trained", "sorted by frequency", "sorted by energy")
    ]
    for j, axis in enumerate(figure.axes):
        for i, title in enumerate(("top-m SAE", "OSAE")):
            line = line_of(axis, (4, 8), [0.1 * i + 0.3 * j + p / 100 for p in (4, 8)])
            assert line.get_label() == title
        assert axis.get_ylim() == figure.axes[0].get_ylim()


def test_osae_as_trained_is_drawn_beside_the_sorted_orders_and_named_once():
    figure = sorted_orders(sorted_points(), "ord")
    for axis in figure.axes[1:]:
        line = line_of(axis, (4, 8), [0.14, 0.18])
        assert line.get_linestyle() != "-"
    [legend] = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == ["OSAE", "OSAE, as trained", "chance", "top-m SAE"]
    without = sorted_orders(sorted_points(["topk"]), "ord")
    assert len(without.axes[1].lines) == 2  # the method, chance


def test_training_curves_run_over_tokens_at_one_prefix():
    figure = over_training(POINTS, 4, CHANCE[4])
    assert "first 4 atoms" in figure.get_suptitle()
    stab, ord_ = figure.axes
    for axis, score in ((stab, "stab"), (ord_, "ord")):
        for method in ("topk", "osae"):
            own = [point for point in points_of(method, POINTS) if point.prefix == 4]
            line_of(axis, [0, 50, 100], [point.estimates[score].mean for point in own])
        assert len(axis.lines) == 2 + 1  # methods, chance
    line_of(stab, [0, 50, 100], [CHANCE[4]] * 3)
    line_of(ord_, [0, 50, 100], [0.0] * 3)


DRIFT = summarise_initialisation(against_initialisation(checkpoints(["osae"]), PREFIXES))


def with_moved(point, share):
    moved = replace(point.estimates["moved"], mean=share)
    return replace(point, estimates={**point.estimates, "moved": moved})


@pytest.mark.parametrize(("share", "text"), [(1.0, "every atom"), (0.0, "no atom")])
def test_where_all_atoms_or_none_moved_a_sentence_says_so_in_place_of_a_panel(share, text):
    figure = initialisation.against_initialisation([with_moved(p, share) for p in DRIFT])
    assert len(figure.axes) == 2
    assert f"{text} of every run moved" in figure.get_suptitle()
    assert not any("moved" in axis.get_ylabel() for axis in figure.axes)


def test_the_drift_from_initialisation_is_that_of_the_last_tokens():
    points = [with_moved(p, p.prefix / 10) for p in DRIFT]
    axes = initialisation.against_initialisation(points).axes
    for axis, score in zip(axes, ("stab", "ord", "moved"), strict=True):
        own = [p for p in points_of("osae", points) if p.tokens == 100]
        means = [(p.prefix, p.estimates[score].mean) for p in own]
        line_of(axis, *zip(*[m for m in means if m[1] is not None], strict=True))
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == ["1", "2–4", "5–8"]
    assert not any(axis.lines[1:] for axis in axes)  # no level of chance
    early = initialisation.against_initialisation(points, tokens=50)
    assert "50 tokens" in early.get_suptitle()


def test_the_pareto_figure_has_each_run_and_the_front():
    quality = {
        "topk": (np.array([4.0, 8.0]), np.array([0.4, 0.3])),
        "other": (np.array([8.0]), np.array([0.5])),
    }
    floor = (np.array([2.0, 8.0]), np.array([0.9, 0.6]))
    [axis] = pareto(quality, floor).axes
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in axis.collections])
    np.testing.assert_array_equal(drawn, [[4, 0.4], [8, 0.3], [8, 0.5]])
    line_of(axis, [4, 8, 8], [0.4, 0.3, 0.3])
    line_of(axis, *floor)
    left, right = axis.get_xlim()
    low, high = axis.get_ylim()
    assert 2 < left < 4 < 8 < right < 16
    assert 0 < low < 0.3 < 0.6 < high < 0.9


def test_the_comparison_has_a_line_a_pair_and_their_mean():
    found = compare({f"run{i}": c.decoder for i, c in enumerate(checkpoints()[:3])}, PREFIXES)
    stab, ord_ = comparison(found).axes
    for axis, score in ((stab, "stab"), (ord_, "ord")):
        means = [(p, found.estimates[p][score].mean) for p in PREFIXES]
        line_of(axis, *zip(*[m for m in means if m[1] is not None], strict=True))
    assert len(ord_.lines) == 3 + 1 + 1  # pairs, mean, chance
    assert len(stab.lines) == 3 + 2 * (1 + 1)  # both on cosine and on |cosine|
    for score, levels in (("stab", "signed"), ("stab_abs", "absolute")):
        line_of(stab, PREFIXES, [found.estimates[p][score].mean for p in PREFIXES])
        line_of(stab, PREFIXES, [getattr(found.chance[p], levels).mean for p in PREFIXES])
    low, high = stab.get_ylim()
    assert low <= 0.0 < 1.0 < high
    pair = compare({"here": checkpoints()[0].decoder, "there": checkpoints()[1].decoder})
    assert comparison(pair).get_suptitle() == "here\nthere"


@given(places=st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted), gap=st.floats(0, 0.3))
def test_labels_are_moved_apart_only_as_far_as_they_must(places, gap):
    found = words._spread(np.array(places), gap)
    assert np.all(np.diff(found) >= gap - 1e-9)
    if np.all(np.diff(places) >= gap):
        np.testing.assert_allclose(found, places, atol=1e-9)
    if gap * (len(places) - 1) <= 1:
        assert -1e-9 <= found[0]
        assert found[-1] <= 1 + 1e-9


def test_figures_without_anything_to_draw_are_refused():
    with pytest.raises(InputError, match="no points of kind 'cross-dataset'"):
        orderedness_over_prefixes(LAST, "cross-dataset")
    with pytest.raises(InputError, match="score 'order' is unknown"):
        orderedness_over_prefixes(LAST, score="order")
    with pytest.raises(InputError, match="two points at one place"):
        stability_over_prefixes(POINTS)
    with pytest.raises(InputError, match="osae has two points at one place"):
        orderedness_over_prefixes(sorted_points(["osae"]))
    with pytest.raises(InputError, match="at prefix 5"):
        over_training(POINTS, 5)
    with pytest.raises(InputError, match="no points against initialisation"):
        initialisation.against_initialisation(POINTS)
    with pytest.raises(InputError, match="at least one run"):
        pareto({})
    assert OWN_INITIALISATION not in {point.kind for point in POINTS}


def test_a_figure_is_saved_at_150_dpi(tmp_path):
    figure = orderedness_over_prefixes(LAST)
    style.save(figure, tmp_path / "ord.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "ord.png").shape
    assert (width, height) == tuple(150 * figure.get_size_inches())
    assert list(tmp_path.iterdir()) == [tmp_path / "ord.png"]


def test_the_figures_need_no_pyplot():
    figures = "realdata.report.drawing, realdata.report.comparison"  # what imports every figure
    code = f"import sys, {figures}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
