from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims.empty_argmin import (
    EMPTY_ARGMIN,
    check_data,
    has_minimiser,
    is_unattainable,
    near_minimiser,
    obstruction,
    plane_samples,
)
from osae_theory.claims.exact import uniform

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_the_numbers_of_theory_p5():
    found = EMPTY_ARGMIN.check(1)
    assert found.confirmed
    assert found.error == 0
    assert found.certificate["fewest distinct directions on a plane"] == 4
    assert found.certificate["L_K at eps = 1/100"] == Fraction(7, 20001)
    assert found.certificate["largest code at eps = 1/100"] == 2 * 100 + 1
    assert float(found.certificate["L_K at eps = 1/1000"]) == pytest.approx(3.5e-6, rel=1e-5)


def test_the_data_are_twelve_samples_on_three_planes():
    X = np.hstack([samples for _, samples in plane_samples()])
    assert X.shape == (3, 12)
    assert X[:, 0].tolist() == [1, 0, 1]
    assert X[:, -1].tolist() == [2, 2, 1]


def test_floating_point_descent_sees_the_same_loss():
    eps = 1e-2
    D = np.array([[0, 0, 1], [-eps, 0, 1], [0, eps, 1]]).T
    X = np.hstack([samples for _, samples in plane_samples()]).astype(np.float64)
    pairs = ([0, 1], [0, 2], [1, 2])
    residuals = [X - D[:, p] @ np.linalg.lstsq(D[:, p], X, rcond=None)[0] for p in pairs]
    loss = np.min([(r**2).sum(axis=0) for r in residuals], axis=0).sum()
    exact, _ = near_minimiser(plane_samples(), Fraction(1, 100))
    assert float(exact) == pytest.approx(loss, rel=1e-6)


def test_three_directions_a_plane_are_too_few():
    groups = plane_samples(coefficients=((1, 1), (1, -1), (1, 2)))
    assert not is_unattainable(obstruction(groups))


def test_parallel_samples_count_once():
    groups = plane_samples(coefficients=((1, 1), (2, 2), (1, 2), (2, 1)))
    assert obstruction(groups)["fewest distinct directions on a plane"] == 3
    assert not check_data(groups, uniform(3)).confirmed


def test_two_planes_or_one_plane_twice_do_not_exclude_a_factorisation():
    two = plane_samples(directions=((1, 0, 0), (0, 1, 0)))
    twice = plane_samples(directions=((1, 0, 0), (0, 1, 0), (1, 0, 1)))
    assert not is_unattainable(obstruction(two))
    assert obstruction(twice)["least joint rank of two planes"] == 2
    assert not is_unattainable(obstruction(twice))


def test_planes_that_meet_in_three_lines_can_all_be_pair_planes():
    basis = np.eye(3, dtype=int)
    groups = plane_samples()
    moved = [
        (basis[:, pair] * Fraction(1), X)
        for pair, (_, X) in zip(([0, 1], [0, 2], [1, 2]), groups, strict=True)
    ]
    assert not is_unattainable(obstruction(moved))


def test_the_loss_falls_like_eps_squared_and_the_codes_grow_like_one_over_eps():
    wide, narrow = (near_minimiser(plane_samples(), Fraction(1, n)) for n in (50, 100))
    assert float(wide[0] / narrow[0]) == pytest.approx(4, rel=1e-3)
    assert float(narrow[1] / wide[1]) == pytest.approx(2, rel=1e-2)


def test_only_a_law_of_full_support_bounds_the_codes_of_l_nd():
    law = (Fraction(1, 2), Fraction(0), Fraction(1, 2))
    assert has_minimiser(uniform(3))
    assert not has_minimiser(law)
    assert EMPTY_ARGMIN.unmet(uniform(3)) == []
    assert EMPTY_ARGMIN.unmet(law) == ["every prefix length 1..K has positive probability"]
    assert not check_data(plane_samples(), law).confirmed
