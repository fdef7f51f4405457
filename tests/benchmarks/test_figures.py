from dataclasses import replace

import matplotlib.image
import numpy as np

from benchmarks import figures


def panels(figure):
    return [axis for axis in figure.axes if axis.get_title()]


def test_a_panel_shows_the_first_run_of_each_method_as_trained_and_sorted(small_records):
    figure = figures.matched_pairs(small_records)
    assert len(panels(figure)) == 4
    for axis, record in zip(panels(figure)[:2], small_records[::3], strict=True):
        truth, learned = np.asarray(axis.collections[0].get_offsets()).T
        np.testing.assert_array_equal(truth - 1, record.arrays["permutation"])
        np.testing.assert_array_equal(learned, np.arange(1, 9))


def test_diverged_runs_are_not_drawn(small_records):
    first = replace(small_records[0], status="diverged", arrays={})
    assert len(panels(figures.matched_pairs([first, *small_records[1:]]))) == 4
    nothing = figures.matched_pairs([first])
    assert nothing.get_suptitle() == "every run diverged"


def test_a_figure_is_written_as_a_picture(small_records, tmp_path):
    figures.save(figures.matched_pairs(small_records), tmp_path / "pairs.png")
    assert matplotlib.image.imread(tmp_path / "pairs.png").std() > 0.01
