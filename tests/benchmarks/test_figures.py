from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from benchmarks import figures
from benchmarks.summary import summarise
from osae_theory.metrics import chance_stability
from small_runs import SMALL

CHANCE = chance_stability(SMALL.d, SMALL.K)


def drawn(records):
    return figures.matched_pairs(records, summarise(records, CHANCE))


def panels(figure):
    return [axis for axis in figure.axes if axis.get_title()]


def test_a_place_is_where_the_latent_that_matches_an_atom_stands(small_records):
    record = small_records[0]
    truth = record.arrays["permutation"]
    for order in (None, "energy_order", "frequency_order"):
        latents = np.arange(8) if order is None else record.arrays[order]
        expected = [1 + list(truth[latents]).index(atom) for atom in range(8)]
        assert figures.places(record, order).tolist() == expected


def test_a_panel_shows_the_median_over_all_runs_in_each_of_three_orders(drawn_records):
    figure = drawn(drawn_records)
    assert len(panels(figure)) == 6
    axes = np.array(panels(figure)).reshape(3, 2)
    for column, method in enumerate(("topk", "osae")):
        runs = [r for r in drawn_records if r.config.method == method]
        for row, order in enumerate((None, "energy_order", "frequency_order")):
            median = np.median([figures.places(r, order) for r in runs], axis=0)
            dots = np.vstack([c.get_offsets() for c in axes[row, column].collections[1:]])
            assert dict(dots.tolist()) == dict(enumerate(median.tolist(), start=1))


def test_a_figure_says_its_cell_its_draws_and_the_tables_ord(drawn_records):
    figure = drawn(drawn_records)
    title = figure.get_suptitle()
    assert "K = 8" in title
    assert "8 runs a method: 4 problem draws x 2 seeds" in title
    labels = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert [label.split("\n")[1] for label in labels] == [
        "as trained",
        "sorted by energy",
        "sorted by frequency",
    ]
    mean = summarise(drawn_records, CHANCE).rows[1].estimates["ord_by_frequency"].mean
    assert panels(figure)[5].get_title().startswith(f"Ord {mean:.1f}"[:6])


def test_diverged_runs_are_not_drawn(drawn_records):
    first = replace(drawn_records[0], status="diverged", arrays={}, scalars={"seconds": 1.0})
    figure = drawn([first, *drawn_records[1:]])
    assert len(panels(figure)) == 6
    assert "7 to 8 runs a method" in figure.get_suptitle()
    assert drawn([first]).get_suptitle() == "every run diverged"


@pytest.mark.parametrize("colour", [figures._FOUND, figures._MISSED])
def test_every_dot_stands_out_from_white(colour):
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    assert 1.05 / (luminance + 0.05) > 3  # what WCAG 2.1 asks of graphics


def test_a_figure_is_written_as_a_picture(small_records, tmp_path):
    figures.save(drawn(small_records), tmp_path / "pairs.png")
    assert matplotlib.image.imread(tmp_path / "pairs.png").std() > 0.01
