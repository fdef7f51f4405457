import numpy as np
import pytest

from benchmarks.theory.exact_penalty import Settings, draw, measure
from osae_theory.errors import InputError


@pytest.fixture(scope="module")
def frame():
    return measure(
        Settings(n_instances=4, n_searched=4, n_starts=0, max_steps=25, shares=(0.01, 0.3))
    )


def test_there_is_a_row_an_instance_and_form(frame):
    assert len(frame) == 8
    assert list(frame["form"][:2]) == ["total", "per sample"]
    assert list(frame["signed"][::2]) == [False, True, False, True]


def test_growth_changes_sign_at_the_local_threshold(frame):
    np.testing.assert_allclose(frame["below"], 0.01, atol=1e-3)
    np.testing.assert_allclose(frame["above"], -0.01, atol=1e-3)
    assert (frame["elsewhere"] > 0.01).all()


def test_bounds_stand_in_order_and_the_certified_one_where_there_is_one(frame):
    assert (frame["lambda_0, at most"] <= frame["lambda_loc"] * (1 + 1e-9)).all()
    certified = frame.dropna(subset=["lambda_0, at least"])
    assert certified[["d", "K", "m"]].to_numpy().tolist() == [[3, 3, 2]]
    assert certified["form"].tolist() == ["total"]
    assert (certified["lambda_0, at least"] < certified["lambda_0, at most"]).all()


def test_nested_dropout_is_off_where_the_penalty_is_not(frame):
    total = frame[frame["form"] == "total"]
    assert total["D, F, 0.01"].median() < 0.1 * total["D, L_ND, 0.01"].median()
    assert frame[frame["form"] == "per sample"]["D, L_ND, 0.01"].isna().all()


def test_the_figure_has_three_panels_and_each_curve_its_count(frame):
    left, middle, right = draw(frame).axes
    assert len(left.lines) == 4 + 3
    assert [text.get_text().rpartition(": ")[2] for text in middle.get_legend().get_texts()] == [
        "4",
        "4",
        "1",
    ]
    assert len(right.get_legend().get_texts()) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n_instances": 0}, "n_instances = 0"),
        ({"n_instances": 2, "n_searched": 3}, "n_searched = 3"),
        ({"n_searched": 0}, "n_searched = 0"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"shares": (0.1, 1.0)}, "above 0 and below 1"),
        ({"shares": ()}, "above 0 and below 1"),
    ],
)
def test_settings_outside_their_range_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        Settings(**bad)
