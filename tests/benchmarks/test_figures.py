import json
from dataclasses import replace
from functools import cache

import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from benchmarks import catalogue
from benchmarks.analysis.names import variant_named
from benchmarks.analysis.ranks import rankings
from benchmarks.analysis.study import study
from benchmarks.analysis.summary import summaries, summarised
from benchmarks.files import save_figure
from benchmarks.outcome import VECTORS
from benchmarks.report.figures import (
    all_methods,
    heat_map,
    matched_pairs,
    pareto,
    ranks,
    recovery,
    style,
    sweep,
    told_apart,
    tuning,
)
from benchmarks.tuning import first_configurations, second_configurations
from made_up_study import made_up
from osae_theory.errors import InputError
from small_runs import tuned_file_in

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
METHODS = ("topk", "osae")
# Named here, before a test puts other tuned values in place: what a name stands for is kept.
VARIANTS = {
    text.split("[")[0]: variant_named(text)
    for text in (
        "topk[lr=0.01]",
        "topk-resorted[lr=0.01]",
        "osae[lr=0.01]",
        "osae-zipf[lr=0.01]",
        "osae-exact[lr=0.01,strength=1]",
        "osae-exact-resorted[lr=0.01,strength=1]",
        "gone",
    )
}


@cache
def drawn():
    """A table, and the runs of each method with their vectors."""
    frames = made_up(METHODS, problems=[SMALL], draws=4, vectors=True)
    found = study(frames)
    [summary] = summarised(found, ())
    runs = found.runs[found.runs["status"].eq("done")]
    by_label = {
        row.label: runs.loc[runs["variant"].eq(row.label), "run"].astype(str).tolist()
        for row in summary.rows
    }
    return summary, matched_pairs.matched(summary, by_label, frames.vectors)


@cache
def grid():
    """Eight cells that differ in N and m, and their variants."""
    problems = [{**SMALL, "N": N, "m": m} for N in (100, 400, 900, 1600) for m in (1, 2)]
    found = summaries(made_up(METHODS, problems=problems, draws=3, seeds=1))
    return found, [row.variant for row in found[0].rows]


def panels(figure):
    return [axis for axis in figure.axes if axis.get_title()]


def test_a_place_is_where_the_latent_that_matches_an_atom_stands():
    run = drawn()[1][0].runs[0]
    assert set(run) == set(VECTORS)
    truth = run["permutation"].astype(int)
    for order in (None, "energy_order", "frequency_order"):
        latents = np.arange(8) if order is None else run[order].astype(int)
        expected = [1 + list(truth[latents]).index(atom) for atom in range(8)]
        assert matched_pairs.places(run, order).tolist() == expected


def test_a_panel_shows_the_median_over_all_runs_in_each_of_three_orders():
    summary, shown = drawn()
    figure = matched_pairs.draw(summary, shown)
    axes = np.array(panels(figure)).reshape(3, 2)
    for column, one in enumerate(shown):
        assert len(one.runs) == 8
        for row, order in enumerate((None, "energy_order", "frequency_order")):
            median = np.median([matched_pairs.places(run, order) for run in one.runs], axis=0)
            dots = np.vstack([c.get_offsets() for c in axes[row, column].collections[1:]])
            assert dict(dots.tolist()) == dict(enumerate(median.tolist(), start=1))


def test_a_figure_says_its_cell_its_draws_and_the_tables_ord():
    summary, shown = drawn()
    figure = matched_pairs.draw(summary, shown)
    assert "K = 8" in figure.get_suptitle()
    assert "4 problem draws x 2 seeds a method" in figure.get_suptitle()
    labels = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert [label.split("\n")[1] for label in labels] == [
        "as trained",
        "sorted by energy",
        "sorted by frequency",
    ]
    mean = summary.rows[1].estimates["ord_by_frequency"].mean
    assert panels(figure)[5].get_title().startswith(f"Ord {mean:.1f}"[:6])


def test_without_kept_matchings_there_is_a_sentence_in_place_of_the_figure():
    summary, shown = drawn()
    assert matched_pairs.draw(summary, shown[:0]).startswith("no figure of matched pairs: ")
    without = made_up(METHODS, problems=[SMALL], draws=1)
    ids = {row.label: without.runs["run"].astype(str).tolist() for row in summary.rows}
    assert matched_pairs.matched(summary, ids, without.vectors) == []


@pytest.mark.parametrize("colour", [style.FOUND, style.MISSED])
def test_every_dot_stands_out_from_white(colour):
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    assert 1.05 / (luminance + 0.05) > 3  # what WCAG 2.1 asks of graphics


def test_no_two_methods_are_drawn_alike():
    [one, *_] = grid()[1]
    many = [replace(one, label=f"{place}") for place in range(56)]
    assert len(set(style.marks(many).values())) == 56


@pytest.mark.parametrize(("words", "columns"), [(1, 4), (6, 2), (60, 1)])
def test_a_legend_is_no_wider_than_its_figure(words, columns):
    figure = style.new_figure(6, 4, "a figure")
    variants = [replace(one, title="name " * words) for one in list(VARIANTS.values())[:6]]
    style.add_legend(figure, style.legend_entries(variants, style.marks(variants)))
    [legend] = figure.legends
    assert legend._ncols == columns
    width = legend.get_window_extent(figure.canvas.get_renderer()).width
    assert columns == 1 or width <= figure.bbox.width


def test_very_many_methods_stand_a_line_each_the_best_recovery_on_top():
    summary, _ = drawn()
    first = summary.rows[0]
    means = np.random.default_rng(0).permutation(np.linspace(0.2, 0.9, 25))
    rows = []
    for n, mean in enumerate(means.tolist()):
        stab = replace(first.estimates["stab_truth"], mean=mean, ci95=(mean - 0.01, mean + 0.01))
        variant = replace(first.variant, title=f"method {n}", label=f"m{n}")
        rows.append(
            replace(first, variant=variant, estimates={**first.estimates, "stab_truth": stab})
        )
    leaders = {**summary.leaders, "stab_truth": frozenset({"m3"})}
    figure = all_methods.draw(replace(summary, rows=rows, leaders=leaders))
    assert len(figure.axes) == len(summary.questions)
    axis = figure.axes[0]
    expected = [f"method {n}" for n in np.argsort(-means)]
    assert [label.get_text() for label in axis.get_yticklabels()] == expected
    dots = [one for one in axis.collections if isinstance(one, PathCollection)]
    at = [one.get_offsets()[0].tolist() for one in dots]
    assert at == [[mean, n] for n, mean in enumerate(sorted(means.tolist(), reverse=True))]
    filled = [n for n, one in enumerate(dots) if one.get_facecolor()[0].tolist()[:3] != [1, 1, 1]]
    assert filled == [expected.index("method 3")]
    assert figure.axes[-1].get_xscale() == "log"


def test_the_front_is_of_points_that_no_other_beats_in_both():
    points = np.array([[3, 1], [1, 5], [2, 2], [2, 3], [4, 1], [3, 4]], dtype=float)
    assert pareto.front(points) == [1, 2, 0]


def test_errors_are_drawn_against_l0_only_where_something_is_traded():
    summary, _ = drawn()
    assert pareto.draw(summary).endswith("all methods use as many latents a sample")
    row = summary.rows[0]
    dense = replace(row.estimates["l0"], mean=3.0, ci95=(2.9, 3.1))
    traded = replace(row, estimates={**row.estimates, "l0": dense})
    figure = pareto.draw(replace(summary, rows=[traded, summary.rows[1]]))
    assert figure.axes[0].get_xlabel().startswith("held-out L0")
    assert pareto.draw(replace(summary, rows=[row])).startswith("no figure of MSE against L0")


def test_ranks_are_drawn_with_a_line_a_method_and_a_panel_a_measurement():
    found, variants = grid()
    figure = ranks.draw(rankings(found), variants)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert len(shown) == len(found[0].questions)
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["top-m SAE", "OSAE"]
    dots = [c.get_offsets()[0][0] for c in shown[0].collections if isinstance(c, PathCollection)]
    ranked = rankings(found)[0].ranks
    assert sorted(dots) == sorted(ranked[one.label].mean for one in variants)


def test_a_bar_joins_the_methods_that_are_not_told_apart():
    found, variants = grid()
    [ranking] = [one for one in rankings(found) if one.metric.name == "ord_by_energy"]
    joined = replace(ranking, p_values=dict.fromkeys(ranking.p_values, 1.0))
    apart = replace(ranking, p_values=dict.fromkeys(ranking.p_values, 0.01))
    bars = [len(told_apart.draw([one], variants).axes[0].collections) for one in (joined, apart)]
    assert bars[0] == bars[1] + 1


def test_recovery_is_drawn_against_n_where_nothing_else_differs():
    found, variants = grid()
    figure = recovery.draw(found, variants)
    shown = panels(figure)
    assert [axis.get_title().split("\n")[0] for axis in shown] == [
        "d = 6, K = 8, m = 1, alpha = 1.2",
        "d = 6, K = 8, m = 2, alpha = 1.2",
    ]
    means = [s.rows[0].estimates["stab_truth"].mean for s in found if s.cell.params["m"] == 1]
    assert shown[0].lines[0].get_ydata().tolist() == means
    assert recovery.draw([found[0], found[4]], variants).endswith("no two cells differ in N alone")


def test_cells_that_differ_in_one_number_are_a_sweep_and_its_means_a_line():
    problems = [{**SMALL, "alpha": alpha} for alpha in (2.0, 0.0, 1.0)]
    problems += [{**SMALL, "N": N} for N in (200, 800, 900)]
    found = summaries(made_up(METHODS, problems=problems, draws=3, seeds=1))
    variants = [row.variant for row in found[0].rows]
    [one] = sweep.sweeps(found)
    assert (one.parameter, one.values) == ("alpha", [0.0, 1.0, 2.0])
    assert one.others == SMALL
    figure = sweep.draw(found, variants)
    first = figure.axes[0]
    means = [summary.rows[0].estimates["stab_truth"].mean for summary in one.summaries]
    assert first.lines[0].get_ydata().tolist() == means
    assert first.get_title().endswith("d = 6, K = 8, m = 2, N = 400")
    assert [axis.get_ylabel() for axis in figure.axes] == [
        next(metric.title for metric in found[0].metrics if metric.name == name)
        for name in sweep.METRICS
    ]
    assert sweep.draw(found[:2], variants).endswith("no three cells differ in one parameter alone")
    # A method of other tables has its colour and no line.
    more = sweep.draw(found, [variant_named("gated"), *variants])
    assert [t.get_text() for t in more.legends[0].get_texts()] == [one.title for one in variants]


def test_a_heat_map_has_every_cell_in_its_field():
    found, variants = grid()
    metric = next(one for one in found[0].metrics if one.name == "stab_truth")
    figure = heat_map.draw(metric, found, variants)
    field = panels(figure)[0].images[0].get_array()
    assert field.shape == (2, 4)  # m down, N across
    for summary in found:
        place = (
            summary.cell.params["m"] - 1,
            (100, 400, 900, 1600).index(summary.cell.params["N"]),
        )
        assert field[place] == summary.rows[0].estimates["stab_truth"].mean
    assert heat_map.draw(metric, found[:1], variants).endswith("there is one cell")
    assert heat_map.draw(metric, found[:4], variants).endswith("in one parameter or in none")


def test_small_values_have_their_power_of_ten_in_the_title():
    found, variants = grid()
    metric = next(one for one in found[0].metrics if one.name == "mse")
    figure = heat_map.draw(metric, found, variants)
    assert figure.get_suptitle() == "held-out MSE: mean over draws, in 1e-3"


def test_figures_over_cells_say_why_they_are_not_there():
    found, variants = grid()
    assert ranks.draw(rankings(found[:2]), variants).startswith("no figure of ranks: 2 cells")
    assert "fewer than 6 cells" in told_apart.draw(rankings(found[:5]), variants)


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_figure_is_the_same_bits_each_time(tmp_path, kind):
    summary, shown = drawn()
    for name in ("first", "second"):
        save_figure(matched_pairs.draw(summary, shown[:1]), tmp_path / f"{name}.{kind}")
    first, second = (tmp_path / f"{name}.{kind}" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    if kind == "png":
        assert matplotlib.image.imread(first).std() > 0.01


def tuned_file_of(name, folder, failing=()):
    """Write what tuning a method might have given: the error is least at the seventh rate."""
    method = catalogue.methods()[name]
    first = first_configurations(method)
    every = [*first, *second_configurations(method, first[5])]

    def tried(place, values):
        at = 0.1 * abs(np.log(dict(values)["lr"] / 0.0185)) + 0.01 * (place < 8)
        mean = {"mse": at, "stab_truth": 0.9 - at, "ord_truth": at, "ord_by_energy": 0.95}
        if dict(values)["lr"] in failing:
            mean = dict.fromkeys(mean)
        deviation = {key: value and 0.1 * value for key, value in mean.items()}
        return {"values": dict(values), "mean": mean, "deviation": deviation}

    document = {
        "chosen": dict(every[-1]),
        "by_recovery": dict(first[4]),
        "tried": [tried(*one) for one in enumerate(every)],
    }
    (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return document


@pytest.fixture
def tuned_in(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "tuned_file", tuned_file_in(tmp_path))
    return tmp_path


def lines_of(axis):
    """The points of each line with markers, by their colour; none of those beside it."""
    found = {}
    for container in axis.containers:
        line = container.lines[0]
        if line.get_linestyle() != "None":
            found[line.get_color()] = np.column_stack([line.get_xdata(), line.get_ydata()])
    return found


def test_the_tuning_is_drawn_once_for_all_that_share_the_values(tuned_in):
    tuned_file_of("topk", tuned_in)
    tuned_file_of("osae-exact", tuned_in)
    (tuned_in / "osae.json").write_text('{"chosen": {"lr": 0.01}, "heldout_mse": {"lr=0.01": 1}}')
    every = ("topk", "topk-resorted", "osae", "osae-zipf", "osae-exact-resorted", "gone")
    found = tuning.tuned([VARIANTS[name] for name in every])
    assert [one.method.name for one in found] == ["topk", "osae-exact"]
    titles = [axis.get_title().split("\n")[0] for axis in panels(tuning.draw(found))]
    assert titles == [one.method.title for one in found]


def test_a_line_has_the_rates_at_the_middle_of_the_other_values(tuned_in):
    documents = [tuned_file_of(name, tuned_in) for name in ("topk", "osae-exact")]
    found = tuning.tuned([VARIANTS[name] for name in ("topk", "osae-exact")])
    axes = tuning.draw(found).axes
    for document, (above, below), n in zip(documents, (axes[:2], axes[2:]), (12, 8), strict=True):
        by_rate = sorted(document["tried"][:n], key=lambda one: one["values"]["lr"])
        points = {
            name: np.array([(one["values"]["lr"], one["mean"][name]) for one in by_rate])
            for name in ("stab_truth", "ord_by_energy", "ord_truth", "mse")
        }
        drawn = [*lines_of(above).values(), *lines_of(below).values()]
        for expected, line in zip(points.values(), drawn, strict=True):
            assert np.array_equal(expected, line)
        assert below.get_yscale() == below.get_xscale() == "log"
        at = [line.get_xdata()[0] for line in above.lines if list(line.get_ydata()) == [0, 1]]
        assert at == [document["chosen"]["lr"], document["by_recovery"]["lr"]]
        beside = [c.lines[0] for c in below.containers if c.lines[0].get_linestyle() == "None"]
        shown = [x for line in beside for x in line.get_xdata()]
        assert shown == ([] if n == 12 else [document["chosen"]["lr"]])


def test_values_of_two_cells_are_drawn_apart(tuned_in):
    (tuned_in / "16x32").mkdir()
    for folder, rate in ((tuned_in, 0.5), (tuned_in / "16x32", 0.25)):
        document = tuned_file_of("topk", folder)
        document["chosen"] = {"lr": rate}
        (folder / "topk.json").write_text(json.dumps(document), encoding="utf-8")
    variants = [VARIANTS["topk"], replace(VARIANTS["topk"], tuned_at="16x32")]
    found = tuning.tuned(variants)
    assert [one.chosen["lr"] for one in found] == [0.5, 0.25]
    figure = tuning.draw(found)
    titles = [axis.get_title().split("\n")[0] for axis in panels(figure)]
    assert titles == ["top-m SAE", "top-m SAE (at 16x32)"]
    assert "the paper's cell and of the toy model at (d, K," in figure.get_suptitle()


def test_a_rate_at_which_a_run_failed_is_a_cross_and_breaks_the_line(tuned_in):
    tuned_file_of("topk", tuned_in, failing=[0.055])
    above, below = tuning.draw(tuning.tuned([VARIANTS["topk"]])).axes
    for axis in (above, below):
        assert [own.get_xdata()[0] for own in axis.lines if own.get_marker() == "x"] == [0.055]
        for points in lines_of(axis).values():
            assert np.isnan(points[-1, 1])
            assert np.isfinite(points[:-1, 1]).all()


def test_without_tuned_values_there_is_a_sentence_and_a_broken_file_is_refused(tuned_in):
    assert tuning.draw(tuning.tuned([VARIANTS["topk"]])).startswith("no figure of")
    document = tuned_file_of("topk", tuned_in)
    del document["tried"][3]["mean"]["mse"]
    (tuned_in / "topk.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=r"topk\.json cannot be read: expected tuned values"):
        tuning.tuned([VARIANTS["topk"]])
