import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.intervals import Estimate
from realdata import figures
from realdata.compare import chance_levels, compare
from realdata.consistency import Checkpoint, CurvePoint, pair_scores, summarise
from realdata.initialisation import (
    OWN_INITIALISATION,
    against_initialisation,
    summarise_initialisation,
)

PREFIXES = (1, 4, 8)
CHANCE = chance_levels(5, PREFIXES)


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
    """The one line through just these points."""
    [found] = [
        line
        for line in axis.lines
        if len(line.get_xdata()) == len(x) and np.allclose(line.get_xydata(), np.c_[x, y])
    ]
    return found


def labels(axis):
    return {text.get_text() for text in axis.texts}


def points_of(method, points=LAST):
    return [point for point in points if point.method == method]


@pytest.mark.parametrize(
    ("draw", "score"),
    [(figures.orderedness_over_prefixes, "ord"), (figures.stability_over_prefixes, "stab")],
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
    assert len(axis.collections) == 2  # the bands
    assert axis.get_xscale() == "log"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1", "4", "8"]


def test_a_band_spans_the_interval_and_is_missing_where_there_is_none():
    [axis] = figures.stability_over_prefixes(points_of("osae")).axes
    ends = axis.collections[0].get_paths()[0].vertices[:, 1]
    intervals = [point.estimates["stab"].ci95 for point in points_of("osae")]
    assert ends.min() == pytest.approx(min(low for low, _ in intervals))
    assert ends.max() == pytest.approx(max(high for _, high in intervals))
    pair = summarise(pair_scores(checkpoints(n_seeds=2), PREFIXES))
    [axis] = figures.stability_over_prefixes([p for p in pair if p.tokens == 100]).axes
    assert not any(len(path.vertices) for c in axis.collections for path in c.get_paths())


def test_two_seeds_have_no_band_and_the_figure_says_so():
    found = Estimate(0.5, 0.1, (0.1, 0.9), 4)
    for n_seeds, note in ((2, "no bands"), (3, "bands: 95%")):
        points = [
            CurvePoint("osae", "trained", "cross-seed", 9, prefix, 4, n_seeds, {"ord": found})
            for prefix in (4, 8)
        ]
        figure = figures.orderedness_over_prefixes(points)
        [band] = figure.axes[0].collections
        assert any(len(path.vertices) for path in band.get_paths()) == (n_seeds == 3)
        assert figure.get_supxlabel().startswith(note)


def test_figures_of_activations_do_not_speak_of_cosines():
    [axis] = figures.stability_over_prefixes(LAST, of_activations=True).axes
    assert axis.get_ylabel() == "Stab_Z (mean matched correlation)"
    assert "held-out text" in axis.get_title()
    [axis] = figures.stability_over_prefixes(LAST).axes
    assert "cosine" in axis.get_ylabel()


def test_the_chance_level_is_drawn_where_it_is_known():
    [axis] = figures.stability_over_prefixes(LAST, CHANCE).axes
    line_of(axis, PREFIXES, [CHANCE[p].signed.mean for p in PREFIXES])
    assert "chance" in labels(axis)
    [axis] = figures.stability_over_prefixes(LAST, CHANCE, score="stab_abs").axes
    line_of(axis, PREFIXES, [CHANCE[p].absolute.mean for p in PREFIXES])
    [axis] = figures.stability_over_prefixes(LAST).axes
    assert "chance" not in labels(axis)
    [axis] = figures.orderedness_over_prefixes(LAST).axes
    line_of(axis, PREFIXES, [0.0, 0.0, 0.0])


def test_methods_sorted_afterwards_keep_their_colour_and_are_dashed():
    found = Estimate(0.5, None, None, 1)
    points = [
        CurvePoint("osae", order, "cross-seed", 9, prefix, 1, 2, {"ord": found})
        for order in ("trained", "by energy")
        for prefix in (4, 8)
    ]
    [axis] = figures.orderedness_over_prefixes(points).axes
    trained, sorted_, _ = axis.lines
    assert trained.get_color() == sorted_.get_color()
    assert trained.get_linestyle() == "-" != sorted_.get_linestyle()
    assert {"OSAE", "OSAE, by energy"} <= labels(axis)


def test_training_curves_run_over_tokens_at_one_prefix():
    figure = figures.over_training(POINTS, 4, CHANCE)
    assert "first 4 atoms" in figure.get_suptitle()
    stab, ord_ = figure.axes
    for axis, score in ((stab, "stab"), (ord_, "ord")):
        for method in ("topk", "osae"):
            own = [point for point in points_of(method, POINTS) if point.prefix == 4]
            line_of(axis, [0, 50, 100], [point.estimates[score].mean for point in own])
        assert len(axis.lines) == 2 + 1  # methods, chance
    line_of(stab, [0, 50, 100], [CHANCE[4].signed.mean] * 3)
    line_of(ord_, [0, 50, 100], [0.0] * 3)


def test_the_drift_from_initialisation_is_that_of_the_last_tokens():
    runs = checkpoints(["osae"])
    points = summarise_initialisation(against_initialisation(runs, PREFIXES))
    axes = figures.against_initialisation(points).axes
    for axis, score in zip(axes, ("stab", "ord", "moved"), strict=True):
        own = [p for p in points_of("osae", points) if p.tokens == 100]
        means = [(p.prefix, p.estimates[score].mean) for p in own]
        line_of(axis, *zip(*[m for m in means if m[1] is not None], strict=True))
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == ["1", "2–4", "5–8"]
    early = figures.against_initialisation(points, tokens=50)
    assert "50 tokens" in early.get_suptitle()


def test_the_pareto_figure_has_each_run_and_the_front():
    quality = {
        "topk": (np.array([4.0, 8.0]), np.array([0.4, 0.3])),
        "other": (np.array([8.0]), np.array([0.5])),
    }
    floor = (np.array([2.0, 8.0]), np.array([0.9, 0.6]))
    [axis] = figures.pareto(quality, floor).axes
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
    stab, ord_ = figures.comparison(found).axes
    for axis, score in ((stab, "stab"), (ord_, "ord")):
        means = [(p, found.estimates[p][score].mean) for p in PREFIXES]
        line_of(axis, *zip(*[m for m in means if m[1] is not None], strict=True))
        assert len(axis.lines) == 3 + 1 + 1  # pairs, mean, chance
    pair = compare({"here": checkpoints()[0].decoder, "there": checkpoints()[1].decoder})
    assert figures.comparison(pair).get_suptitle() == "here\nthere"


@given(places=st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted), gap=st.floats(0, 0.3))
def test_labels_are_moved_apart_only_as_far_as_they_must(places, gap):
    found = figures._spread(np.array(places), gap)
    assert np.all(np.diff(found) >= gap - 1e-9)
    if np.all(np.diff(places) >= gap):
        np.testing.assert_allclose(found, places, atol=1e-9)
    if gap * (len(places) - 1) <= 1:
        assert -1e-9 <= found[0]
        assert found[-1] <= 1 + 1e-9


def test_figures_without_anything_to_draw_are_refused():
    with pytest.raises(InputError, match="no points of kind 'cross-dataset'"):
        figures.orderedness_over_prefixes(LAST, "cross-dataset")
    with pytest.raises(InputError, match="score 'order' is unknown"):
        figures.orderedness_over_prefixes(LAST, score="order")
    with pytest.raises(InputError, match="two points at one place"):
        figures.stability_over_prefixes(POINTS)
    with pytest.raises(InputError, match="at prefix 5"):
        figures.over_training(POINTS, 5)
    with pytest.raises(InputError, match="no points against initialisation"):
        figures.against_initialisation(POINTS)
    with pytest.raises(InputError, match="at least one run"):
        figures.pareto({})
    assert OWN_INITIALISATION not in {point.kind for point in POINTS}


def test_a_figure_is_saved_at_150_dpi(tmp_path):
    figure = figures.orderedness_over_prefixes(LAST)
    figures.save(figure, tmp_path / "ord.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "ord.png").shape
    assert (width, height) == tuple(150 * figure.get_size_inches())
    assert list(tmp_path.iterdir()) == [tmp_path / "ord.png"]


def test_the_figures_need_no_pyplot():
    code = "import sys, realdata.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
