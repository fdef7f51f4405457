from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import exact_penalty
from osae_theory.claims.exact_penalty import (
    EXACT_PENALTY,
    fillings,
    injective_on_fillings,
    measured_threshold,
    ray_example,
    truncated_loss,
)
from osae_theory.claims.exact_penalty_instances import certified
from osae_theory.claims.vanishing_truncation import TRUNCATION, random_instance
from osae_theory.minimisers import local_threshold, penalty_descent
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_the_check_has_exact_thresholds_and_bounds_by_descent(examined):
    found = examined(EXACT_PENALTY).finding
    assert found.confirmed
    assert found.certificate["P1's three atoms in the plane: lambda_0^2"] == Fraction(5, 16)
    name = "m >= 2: lambda_0 over lambda_loc, upper bounds by descent"
    shares = [float(share) for share in found.certificate[name].split()]
    assert len(shares) == 3
    assert 0.1 < min(shares) <= max(shares) <= 1


def test_a_wrong_local_threshold_or_a_lost_certificate_is_noticed(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            exact_penalty,
            "local_threshold",
            lambda *a: replace(local_threshold(*a), value=1.01 * local_threshold(*a).value),
        )
        assert not EXACT_PENALTY.check(1).confirmed
    lost = replace(certified(), weight=Fraction(1, 2))
    monkeypatch.setattr(exact_penalty, "certified", lambda: lost)
    assert not EXACT_PENALTY.check(1).confirmed


@pytest.mark.parametrize("seed", range(20))
def test_at_m_1_rays_are_recovered_by_energy_below_the_threshold_only(seed):
    threshold, below, above = ray_example(seed)
    assert threshold > 0
    assert below
    assert above


def test_just_above_a_threshold_found_by_descent_a_point_is_lower_and_just_below_none():
    problem, q = random_instance(2)
    least, weight = measured_threshold(problem, q)
    assert least == truncated_loss(problem, q)
    assert weight < 0.9 * local_threshold(problem.dictionary, problem.codes, q).value

    def lowest(share):
        near = [problem.dictionary, *(problem.dictionary + 0.0 for _ in range(1))]
        rng = np.random.default_rng(0)
        for size in (0.02, 0.1, 0.3):
            turned = problem.dictionary + size * rng.standard_normal(problem.dictionary.shape)
            near.append(turned / np.linalg.norm(turned, axis=0))
        at = share * weight
        found = penalty_descent(problem.data, 5, 2, q, at, 2, initial=near, max_steps=150)
        return found.loss / (at * least) - 1

    assert lowest(0.5) >= -1e-9
    assert lowest(2.0) < -1e-3


def test_columns_with_fewer_nonzeros_are_filled_in_every_way():
    problem, _ = random_instance(1)
    assert len(fillings(problem)) == 1
    codes = problem.codes.copy()
    codes[np.flatnonzero(codes[:, 0])[0], 0] = 0.0
    codes[:, 1] = 0.0
    sparser = problem_from_arrays(problem.dictionary, codes)
    masks = fillings(sparser)
    assert len(masks) == 4 * 10
    assert all((mask.sum(axis=0) == 2).all() for mask in masks)
    assert injective_on_fillings(sparser)
    codes[:, 2:8] = 0.0
    many = problem_from_arrays(problem.dictionary, codes)
    assert fillings(many) is None
    assert not injective_on_fillings(many)


def test_hypotheses_are_tests_of_an_instance():
    problem, q = random_instance(0)
    assert EXACT_PENALTY.unmet((problem, q)) == []
    assert EXACT_PENALTY.unmet((problem, PrefixLaw.uniform(5))) == [TRUNCATION.text]
    few = problem_from_arrays(problem.dictionary, problem.codes[:, :6])
    texts = " ".join(EXACT_PENALTY.unmet((few, q)))
    assert "unique" in texts
    assert "injective" in texts
