from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.store import Store
from benchmarks.theory.lost_order import Settings, draw, measure, split_by_pairs
from osae_theory.errors import InputError
from osae_theory.metrics import orderedness_of_permutation

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def frame():
    return measure(Settings(str(RESULTS / "study")))


@pytest.mark.theory
@given(st.permutations(range(8)), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_parts_of_the_pairs_add_up_to_1_less_ord(ranks, recovered):
    parts = split_by_pairs(np.array(ranks), np.array(recovered))
    expected = 1 - orderedness_of_permutation(np.array(ranks))
    assert sum(parts.values()) == pytest.approx(expected, abs=1e-12)
    if all(recovered):
        assert parts["one recovered"] == parts["none recovered"] == 0


def test_a_swap_counts_where_its_two_atoms_belong():
    ranks = np.array([1, 0, 2])
    cost = 12 / 24
    for recovered, kind in (((1, 1, 0), "both"), ((1, 0, 1), "one"), ((0, 0, 1), "none")):
        parts = split_by_pairs(ranks, np.array(recovered, dtype=bool))
        assert parts[f"{kind} recovered"] == pytest.approx(cost)


def test_ord_of_the_stored_runs_is_what_their_store_says(frame):
    frames = Store.at(RESULTS / "study").frames(vectors=False)
    stored = frames.measurements.query("metric == 'ord_by_energy'").set_index("run")["value"]
    own = frames.runs[(frames.runs["method"] == "topk") & (frames.runs["cell"] == Settings().cell)]
    by_draw = (1 - stored[own["run"]].to_numpy()).reshape(-1)
    mean = pd.Series(by_draw).groupby(own["problem_seed"].to_numpy()).mean().mean()
    row = frame[(frame["method"] == "top-m SAE") & (frame["by"] == "energy")].iloc[0]
    assert row["1 - Ord"] == pytest.approx(mean, abs=1e-12)
    assert row["draws"] == 20


def test_the_committed_table_is_that_of_the_committed_store(frame):
    committed = pd.read_csv(RESULTS / "theory/lost_order.csv")
    pd.testing.assert_frame_equal(frame, committed, rtol=1e-5, check_dtype=False)


def test_a_store_without_such_runs_is_refused():
    with pytest.raises(InputError, match=r"no finished run of 'toy.K=1.' by any of topk: expected"):
        measure(Settings(str(RESULTS / "study"), cell="toy[K=1]", methods=("topk",)))


def test_the_truth_loses_nothing_to_atoms_not_recovered(frame):
    truth = frame[frame["method"] == "the truth"]
    assert (truth["not recovered"] == 0).all()
    assert (truth["both recovered"] == truth["1 - Ord"]).all()


def test_the_figure_has_a_panel_for_each_way_to_sort(frame):
    figure = draw(frame)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["sorted by energy", "sorted by frequency"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"store": "no/such/store"}, "no folder"), ({"threshold": 1.5}, "threshold")],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        measure(Settings(**settings))
