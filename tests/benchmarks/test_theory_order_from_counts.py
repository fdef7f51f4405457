import matplotlib.image
import numpy as np
import pytest

from benchmarks.files import save_figure
from benchmarks.theory.order_from_counts import Settings, draw, measure
from osae_theory.errors import InputError

SMALL = Settings(K=20, m=3, n_samples=(100, 1000), n_draws=30)


@pytest.fixture(scope="module")
def frame():
    return measure(SMALL)


@pytest.mark.theory
def test_what_is_expected_is_measured_within_four_standard_errors(frame):
    error = (frame["measured, high"] - frame["measured, low"]) / 4
    assert len(frame) == 4
    assert (np.abs(frame["measured"] - frame["expected"]) < 2 * error * 1.1).all()
    assert (frame["expected"] <= frame["bound"]).all()


@pytest.mark.theory
def test_by_energy_it_takes_more_samples(frame):
    by = frame.set_index(["by", "N"])["expected"]
    assert (by["energy"] > 1.5 * by["frequency"]).all()
    assert (np.diff(by["energy"]) < 0).all()


def test_the_metric_leaves_unused_atoms_out(frame):
    assert (frame["share unused"] < 0.1).all()
    used = frame[frame["share unused"] == 0]
    assert (used["measured"] == used["measured, used"]).all()


def test_the_same_settings_give_the_same_rows(frame):
    assert frame.equals(measure(SMALL))


def test_the_figure_has_points_lines_and_bounds_of_both(frame, tmp_path):
    figure = draw(frame)
    [axis] = figure.axes
    assert len(axis.lines) >= 2 * 3
    assert "30 draws" in axis.get_xlabel()
    save_figure(figure, tmp_path / "figure.png")
    assert matplotlib.image.imread(tmp_path / "figure.png").std() > 0.01


@pytest.mark.parametrize(
    "settings", [{"K": 1}, {"m": 101}, {"n_draws": 2}, {"n_samples": ()}, {"n_samples": (0,)}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="expected"):
        Settings(**settings)
