import pytest

from benchmarks.theory.penalised_loss import BY_FREQUENCY, Settings, draw, measure
from osae_theory.errors import InputError

TRUTH = " ".join(map(str, BY_FREQUENCY))


@pytest.fixture(scope="module")
def frame():
    return measure(Settings(n_weights=4))


def test_the_truth_is_least_below_lambda_0_and_nowhere_above(frame):
    assert sorted(set(frame["lambda_0"])) == [0.5, 1.0]
    least = frame[frame["least"]]
    below = least["lambda"] < least["lambda_0"]
    assert below.any()
    assert (~below).any()
    assert (least[below]["slots"] == TRUTH).all()
    assert (least[~below]["slots"] != TRUTH).all()


def test_lambda_comes_within_a_percent_of_lambda_0_on_both_sides(frame):
    shares = (frame["lambda"] / frame["lambda_0"]).round(6)
    assert {0.99, 1.01} <= set(shares)


def test_there_is_a_row_a_pattern_and_it_is_a_line_in_lambda(frame):
    assert len(frame) == 2 * 6 * 27
    assert (frame["J"] - frame["L_S"] - frame["lambda"] * frame["P_S"]).abs().max() < 1e-12
    smallest = frame.groupby(["example", "lambda"])["J"].transform("min")
    assert (frame["J"][frame["least"]] == smallest[frame["least"]]).all()


def test_the_figure_marks_lambda_0_and_both_sides_of_it(frame):
    figure = draw(frame)
    assert len(figure.axes) == 2
    for axis, lambda_0 in zip(figure.axes, (0.5, 1.0), strict=True):
        recovered = next(line for line in axis.lines if line.get_marker() == "o")
        lost = next(line for line in axis.lines if line.get_marker() == "X")
        assert max(recovered.get_xdata()) < lambda_0 < min(lost.get_xdata())
        assert f"{lambda_0:g}" in axis.texts[0].get_text()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"examples": ("[d1]",)}, "example '\\[d1\\]' is unknown"),
        ({"costs": (2, 1)}, "c_1 < c_2"),
        ({"widest": 1.0}, "widest = 1.0"),
        ({"n_weights": 3}, "n_weights = 3"),
    ],
)
def test_settings_outside_their_range_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        Settings(**bad)
