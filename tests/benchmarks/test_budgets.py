import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.analysis.budgets import QUANTITIES, at_equal, position, read
from benchmarks.analysis.study import study
from benchmarks.report.analyses import equal_analysis
from benchmarks.spec import Budget
from made_up_study import frames_of, outcomes_of, setting_of

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}
# Seconds, error and Stab of a run by method and steps; in draw d, 2^d times the seconds and
# 3^d times the errors.
POINTS = {
    "topk": {980: (1.0, 8e-3, 0.6), 1960: (2.0, 4e-3, 0.7), 3920: (4.0, 2e-3, 0.8)},
    "osae": {980: (1.5, 9e-3, 0.5), 1960: (3.0, 6e-3, 0.6), 3920: (6.0, 3e-3, 0.9)},
    "msae-fixed": {980: (3.0, 1.5e-3, 0.4), 1960: (6.0, 1e-3, 0.45)},
}


def made(points, draws=3, left_out=(), **changes):
    outcomes = [
        one
        for method, by_steps in points.items()
        for steps, (seconds, mse, stab) in by_steps.items()
        for draw in range(draws)
        if (method, steps, draw) not in left_out
        for one in [
            replace(
                own,
                seconds=seconds * 2**draw,
                values={**own.values, "mse": mse * 3**draw, "stab_truth": stab},
            )
            for own in outcomes_of(
                setting_of(method, problem=SMALL, draw=draw, amounts={"steps": steps}, **changes)
            )
        ]
    ]
    truth = outcomes_of(setting_of("truth", problem=SMALL))
    return study(frames_of([*outcomes, *truth]))


def rows(one):
    return {row.variant.method: row for row in one.rows}


def slow_position(path, target):
    """The first of many places along a path that has about the target."""
    for i in range(len(path) - 1):
        for share in np.linspace(0, 1, 2_001)[:-1]:
            value = path[i] ** (1 - share) * path[i + 1] ** share
            if math.isclose(value, target, rel_tol=1e-3):
                return i + share
    return len(path) - 1 if math.isclose(path[-1], target) else None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ([1.0, 2.0, 4.0], 3.0),
        ([8.0, 4.0, 2.0], 2.5),
        ([8.0, 4.0, 6.0, 2.0], 5.0),
        ([1.0, 2.0], 2.0),
        ([1.0, 2.0], 1.0),
        ([1.0, 2.0], 2.1),
        ([1.0, 2.0], 0.9),
    ],
)
def test_a_path_meets_a_target_where_a_walk_along_it_first_does(path, target):
    found, slow = position(np.array(path), target), slow_position(path, target)
    assert (found is None) == (slow is None)
    if found is not None:
        assert sum(found) == pytest.approx(slow, abs=5e-3)


def test_a_point_alone_is_met_where_it_is_the_target():
    assert position(np.array([2.0]), 2.0) == (0, 0.0)
    assert position(np.array([2.0]), 2.1) is None
    assert position(np.array([]), 2.0) is None


def test_values_between_points_are_linear_in_the_logarithm_of_what_is_held():
    path = {
        "seconds": np.array([1.0, 4.0, math.nan, 9.0]),
        "mse": np.array([1e-2, 1e-4, 1e-5, 1e-6]),
        "stab_truth": np.array([0.2, 0.6, math.nan, 0.9]),
    }
    found = read(path, "seconds", 2.0)
    assert found == pytest.approx({"seconds": 2.0, "mse": 1e-3, "stab_truth": 0.4})
    # The point without seconds is none: the path goes on to the next.
    found = read(path, "seconds", 6.0)
    assert found["mse"] == pytest.approx(1e-5)
    assert found["stab_truth"] == pytest.approx(0.75)
    # At a point, what stands there, though the next has no value.
    assert read(path, "mse", 1e-4) == {"seconds": 4.0, "mse": 1e-4, "stab_truth": 0.6}
    assert read(path, "seconds", 10.0) is None


def test_at_equal_time_each_draw_has_the_seconds_of_the_plain_sae_at_its_standard_budget():
    at_time, _ = at_equal(made(POINTS))
    assert (at_time.held, at_time.rule, at_time.budget) == ("seconds", "plain", Budget())
    assert list(at_time.targets.values()) == [2.0, 4.0, 8.0]
    found = rows(at_time)
    assert list(found) == ["topk", "msae-fixed", "osae"]
    for name, value in (("amount", 1960), ("stab_truth", 0.7)):
        assert found["topk"].estimates[name].mean == pytest.approx(value, rel=1e-12)
    share = math.log(2 / 1.5) / math.log(3 / 1.5)
    stab, amount, mse = (found["osae"].estimates[name] for name in ("stab_truth", "amount", "mse"))
    assert stab.mean == pytest.approx(0.5 + 0.1 * share)
    assert amount.mean == pytest.approx(980 * 2**share)
    own = 9e-3 * (6 / 9) ** share
    assert mse.mean == pytest.approx(own * (1 + 3 + 9) / 3)
    assert (mse.n, mse.ci95 is not None) == (3, True)


def test_beyond_its_range_a_method_has_no_value_and_says_so():
    found = at_equal(made(POINTS))[0]
    row = rows(found)["msae-fixed"]
    assert (row.draws, row.within, row.estimates["mse"].mean) == (3, 0, None)
    assert (row.low, row.high) == (3.0, 24.0)
    table = equal_analysis(found).table.set_index("method")
    assert table.loc["Fixed MSAE"].tolist() == [
        *["–"] * 5,
        "0 of 3",
        "3 to 24: the target is outside",
    ]
    assert table.loc["OSAE", "draws within"] == "3 of 3"


def test_the_target_of_equal_error_is_the_one_that_most_methods_meet():
    # Fixed MSAE is below both targets from its first budget on; the plain SAE's 4e-3 is met by
    # the two others, and so is the largest last error, 3e-3.
    at_error = at_equal(made(POINTS))[1]
    assert (at_error.rule, at_error.budget) == ("plain", Budget())
    assert list(at_error.targets.values()) == pytest.approx([4e-3 * 3**draw for draw in range(3)])
    seconds = rows(at_error)["osae"].estimates["seconds"]
    assert seconds.mean == pytest.approx(3 * 2 ** (math.log(6 / 4) / math.log(2)) * 7 / 3)
    # A method that never comes down to 4e-3 leaves the largest of the last errors.
    worse = {**POINTS, "osae": {980: (1, 9e-3, 0.5), 3920: (6, 5e-3, 0.9)}}
    at_error = at_equal(made(worse))[1]
    assert (at_error.rule, at_error.budget) == ("largest", None)
    assert list(at_error.targets.values()) == pytest.approx([5e-3 * 3**draw for draw in range(3)])
    assert rows(at_error)["osae"].estimates["amount"].mean == pytest.approx(3920)


def test_a_draw_outside_the_range_is_left_out_of_the_mean():
    found = made(POINTS, left_out=[("osae", 980, 1)])
    row = rows(at_equal(found)[0])["osae"]
    assert (row.draws, row.within, row.estimates["stab_truth"].n) == (3, 2, 2)


def test_without_the_standard_budget_the_largest_counts_and_without_the_plain_sae_none():
    short = {method: {10: own[980], 20: own[1960]} for method, own in POINTS.items()}
    at_time, _ = at_equal(made(short))
    assert at_time.budget.amount == 20
    assert "at 20 steps of 1024 samples, its largest here:" in equal_analysis(at_time).caption
    del short["topk"]
    [at_error] = at_equal(made(short))
    assert (at_error.held, at_error.rule) == ("mse", "largest")


def test_a_cell_with_one_budget_has_no_such_table():
    assert at_equal(made({"topk": {980: POINTS["topk"][980]}})) == []


def test_arithmetics_have_tables_of_their_own():
    both = made(POINTS), made(POINTS, arithmetic="fast")
    assert [[one.arithmetic for one in at_equal(own)] for own in both] == [
        ["portable"] * 2,
        ["fast"] * 2,
    ]


def test_a_caption_names_the_target_and_the_machine():
    at_time, at_error = map(equal_analysis, at_equal(made(POINTS)))
    assert (
        "In each draw the target is the seconds of a run of the plain top-m SAE in that draw at"
        " 1960 steps of 1024 samples: 4.67 on average, 2 to 8 over draws." in at_time.caption
    )
    assert "the held-out MSE of the plain top-m SAE in that draw" in at_error.caption
    assert at_time.caption.endswith("Time is of this machine: a processor.")
    assert set(at_error.rows[0]) >= {f"{name}_ci95" for name in QUANTITIES}
