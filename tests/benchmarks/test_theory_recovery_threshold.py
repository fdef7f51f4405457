import matplotlib.image
import numpy as np
import pytest

from benchmarks.files import save_figure
from benchmarks.theory.recovery_threshold import RecoveryThreshold, draw, measure
from osae_theory.errors import InputError


@pytest.fixture(scope="module")
def frame():
    return measure(RecoveryThreshold(n_instances=60))


@pytest.mark.theory
def test_above_either_threshold_every_instance_is_recovered(frame):
    assert len(frame) == 3 * 4 * 60
    for threshold in ("mu", "max_gamma"):
        above = frame[frame["p_K"] > frame[threshold]]
        assert len(above) > 10
        assert above["recovered"].all()


@pytest.mark.theory
def test_equal_energies_are_recovered_below_mu_smaller_than_p_k_only(frame):
    equal = frame[frame["energies"] == "equal"]
    assert (equal["recovered"] == (equal["mu"] < equal["p_K"])).all()


@pytest.mark.theory
def test_named_laws_are_below_welchs_bound_of_overcomplete_dictionaries(frame):
    over = frame[(frame["K"] > frame["d"]) & (frame["law"] != "mass on K")]
    assert len(over) > 0
    assert (over["p_K"] < over["welch"]).all()
    assert (over["welch"] <= over["mu"] + 1e-12).all()


def test_the_same_settings_give_the_same_rows():
    one, two = (measure(RecoveryThreshold(n_instances=4, seed=3)) for _ in range(2))
    assert one.equals(two)
    assert not one.equals(measure(RecoveryThreshold(n_instances=4, seed=4)))


def test_the_figure_has_three_panels_and_the_shares_of_the_frame(frame, tmp_path):
    figure = draw(frame)
    assert len(figure.axes) == 3
    shares = np.concatenate([line.get_ydata() for line in figure.axes[0].lines])
    assert ((shares >= 0) & (shares <= 1)).all()
    save_figure(figure, tmp_path / "figure.png")
    assert matplotlib.image.imread(tmp_path / "figure.png").std() > 0.01


def test_a_figure_of_overcomplete_sizes_alone_needs_no_divide():
    few = measure(RecoveryThreshold(n_instances=6, sizes=((2, 3),)))
    assert len(draw(few).axes) == 3


@pytest.mark.parametrize("settings", [{"n_instances": 0}, {"seed": -1}, {"sizes": ((2, 6),)}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="expected"):
        RecoveryThreshold(**settings)
