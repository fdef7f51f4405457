import numpy as np
import pytest

from benchmarks.theory.limit_order import Settings, draw, measure, values_of
from osae_theory.errors import InputError
from osae_theory.problems import HalfNormalValues

SMALL = Settings(
    sizes=((4, 1), (4, 2)),
    samples_per_atom=(2, 8),
    values=("half-normal", "normal (signed)"),
    n_instances=20,
)


@pytest.fixture(scope="module")
def frame():
    return measure(SMALL)


def test_there_is_a_row_a_cell_with_its_intervals(frame):
    assert len(frame) == 8
    for name in ("not best", "excess"):
        assert (frame[f"{name}, low"] <= frame[name]).all()
        assert (frame[name] <= frame[f"{name}, high"]).all()


def test_energy_is_best_for_single_atoms_and_not_always_for_pairs(frame):
    single = frame[frame["m"] == 1]
    assert (single["not best"] == 0).all()
    assert single["excess"].abs().max() < 1e-12
    assert frame[frame["m"] == 2]["not best"].max() > 0.2
    assert frame["excess"].min() > -1e-12


def test_the_same_settings_give_the_same_table(frame):
    assert measure(SMALL).equals(frame)


def test_the_figure_has_a_column_a_law_and_a_line_a_size(frame):
    figure = draw(frame)
    assert len(figure.axes) == 4
    first = figure.axes[0]
    assert [t.get_text() for t in first.get_legend().get_texts()] == [
        "K = 4, m = 1",
        "K = 4, m = 2",
    ]
    shown = np.asarray(first.containers[1].lines[0].get_ydata(), dtype=float)
    chosen = (frame["values"] == "half-normal") & (frame["m"] == 2)
    np.testing.assert_allclose(shown, frame[chosen]["not best"])


def test_scales_fall_over_the_atoms():
    assert values_of("half-normal, scale 1/j", 3) == HalfNormalValues((1, 1 / 2, 1 / 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sizes": ((17, 2),)}, "K <= 16"),
        ({"sizes": ((2, 3),)}, "m <= K"),
        ({"values": ("half-norm",)}, "did you mean 'half-normal'"),
        ({"n_instances": 1}, "n_instances = 1"),
    ],
)
def test_settings_outside_their_range_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        Settings(**bad)
