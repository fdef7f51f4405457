import matplotlib.image
import numpy as np
import pytest

from benchmarks.files import save_figure
from benchmarks.theory.noise_bound import NoiseBound, draw, measure
from osae_theory.errors import InputError

SMALL = NoiseBound(snr_db=(0.0, 30.0, 60.0), n_problems=2, n_few=6, n_many=30, n_starts=2)


@pytest.fixture(scope="module")
def frame():
    return measure(SMALL)


@pytest.mark.theory
def test_where_the_hypothesis_holds_the_measured_side_is_within_the_bound(frame):
    applies = frame[frame["bound_applies"]]
    assert len(frame) == 2 * 2 * 3
    assert len(applies) > 0
    assert (applies["measured"] <= applies["bound"]).all()


@pytest.mark.theory
def test_the_bound_applies_exactly_where_it_is_below_the_gap(frame):
    assert (frame["bound_applies"] == (frame["bound"] < frame["gap"])).all()
    assert not frame["bound_applies"].all()


@pytest.mark.theory
def test_where_d_applies_its_bound_is_between_what_is_measured_and_t3fs(frame):
    applies = frame[frame["tight_applies"] & (frame["minimiser"] == "global minimiser")]
    assert len(applies) > 0
    assert applies["bound_applies"].all()
    assert (applies["measured"] <= applies["tight"] * (1 + 1e-9)).all()
    assert (applies["tight"] < applies["bound"] / 10).all()


def test_more_noise_moves_the_atoms_more(frame):
    median = frame.groupby("snr_db")["measured"].median()
    assert (np.diff(median) < 0).all()


def test_the_same_settings_give_the_same_rows(frame):
    assert frame.equals(measure(SMALL))


def test_the_figure_has_a_panel_for_each_way_to_minimise(frame, tmp_path):
    figure = draw(frame)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["N = 6 samples", "N = 30 samples"]
    save_figure(figure, tmp_path / "figure.png")
    assert matplotlib.image.imread(tmp_path / "figure.png").std() > 0.01


@pytest.mark.parametrize(
    "settings", [{"n_few": 3}, {"n_few": 13}, {"n_problems": 0}, {"n_starts": -1}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="expected"):
        NoiseBound(**settings)
