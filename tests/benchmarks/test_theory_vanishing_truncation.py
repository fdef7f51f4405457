import numpy as np
import pytest

from benchmarks.theory import vanishing_truncation
from benchmarks.theory.vanishing_truncation import NO_LOWER, Settings, draw, measure
from osae_theory.claims.vanishing_truncation import Search
from osae_theory.errors import InputError


@pytest.fixture(scope="module")
def frame():
    return measure(Settings(seeds=(19, 1), largest=1e-3, halvings=3))


def test_there_is_a_row_an_instance_and_eps(frame):
    assert len(frame) == 8
    assert sorted(set(frame["instance"])) == [1, 19]
    assert frame["eps"].min() == pytest.approx(1e-3 / 8)


def test_the_errors_fall_with_slopes_one_and_two(frame):
    part = frame[frame["instance"] == 19]
    names = ("plain", "remainder", "extrapolated", "L_K")
    halved = {name: np.log2(part[name].iloc[0] / part[name].iloc[-1]) / 3 for name in names}
    assert halved["plain"] == pytest.approx(1, abs=0.05)
    assert halved["remainder"] == pytest.approx(2, abs=0.05)
    assert halved["extrapolated"] == pytest.approx(2, abs=0.05)
    assert halved["L_K"] == pytest.approx(2, abs=0.05)


def test_where_a_lower_point_is_found_the_figure_marks_the_branch(frame):
    assert (frame["above"] <= NO_LOWER).all()
    marked = measure(Settings(seeds=(4,), largest=0.05, halvings=1))
    assert marked["above"].iloc[0] > 0.1
    crosses = [line for line in draw(marked).axes[0].lines if line.get_marker() == "x"]
    assert len(crosses[0].get_xdata()) >= 1


def test_a_point_that_the_branch_does_not_reach_is_left_out(monkeypatch):
    def ends(problem, truncation, share):
        if share > 0.02:
            raise ArithmeticError("no local minimum")
        return problem.dictionary, problem.codes, 0.0

    monkeypatch.setattr(vanishing_truncation, "branch", ends)
    monkeypatch.setattr(vanishing_truncation, "search", lambda *_: Search(1.0, 1.0, 1.0))
    frame = measure(Settings(seeds=(1,), largest=0.04, halvings=2))
    assert frame["eps"].tolist() == [0.02, 0.01]


def test_the_figure_has_both_panels_and_every_error(frame):
    figure = draw(frame)
    left, right = figure.axes
    assert len(left.get_legend().get_texts()) == 6
    assert right.get_ylim()[0] == 0
    bold = [line for line in left.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(
        bold[0].get_ydata(), frame[frame["instance"] == 19]["plain"].to_numpy()
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"seeds": ()}, "at least one"),
        ({"seeds": (-1,)}, "seed = -1"),
        ({"largest": 1.0}, "largest = 1.0"),
        ({"halvings": 0}, "halvings = 0"),
        ({"n_starts": -1}, "n_starts = -1"),
    ],
)
def test_settings_outside_their_range_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        Settings(**bad)
