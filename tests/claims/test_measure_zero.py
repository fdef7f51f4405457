from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims import measure_zero
from osae_theory.claims.exact import as_fractions, columns, meets
from osae_theory.claims.measure_zero import (
    MEASURE_ZERO,
    best_on_supports,
    is_parallel,
    lost,
    lower_point,
    random_instance,
    scaled,
    total_turns,
    trivial_conditions,
    turns,
)
from osae_theory.claims.orthonormal_codes import signed_codes
from osae_theory.claims.shared_atom import three_in_a_plane, uneven_in_a_plane
from osae_theory.minimisers import gradients

pytestmark = pytest.mark.theory


def drawn(seed):
    rng = np.random.default_rng(seed)
    while True:
        instance = random_instance(rng)
        if not all(is_parallel(x, instance.D) for x in instance.X.T):
            return instance


def test_the_check_is_exact_and_has_b2s_numbers(examined):
    found = examined(MEASURE_ZERO).finding
    assert found.confirmed
    assert found.error == 0
    name = "B2's (3,4), a sample scaled by 11/10: L_ND "
    assert found.certificate[name + "at D*, over orders and encoders"] == Fraction(464169, 125000)
    assert found.certificate["of which hold for all scales"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_turns_are_half_the_downward_gradient_along_the_spheres(seed):
    instance = drawn(seed)
    best = instance.least_at_truth()
    D, total = total_turns(instance, best)
    floats = [A.astype(float) for A in (instance.X, best.codes, D)]
    gradient, _ = gradients(*floats, np.array(instance.law, dtype=float))
    gradient -= floats[2] * (floats[2] * gradient).sum(axis=0)
    np.testing.assert_allclose(-2 * total.astype(float), gradient, atol=1e-12)


def test_conditions_scale_with_the_square_of_the_sample():
    instance = drawn(1)
    x, law = instance.X[:, 0], instance.law
    for z, larger in zip(
        best_on_supports(x, instance.D, 2, law),
        best_on_supports(3 * x, instance.D, 2, law),
        strict=True,
    ):
        assert (larger == 3 * z).all()
        t = turns(x, z, instance.D, law)
        assert (turns(3 * x, larger, instance.D, law) == 9 * t).all()


def test_a_sample_on_an_atom_has_no_condition_and_others_have():
    instance = drawn(2)
    on_atom = replace(instance, Y=columns([2, *[0] * (instance.K - 1)]))
    assert trivial_conditions(on_atom) == (0, 0)
    code = next(iter(best_on_supports(on_atom.X[:, 0], instance.D, 2, instance.law)))
    assert not (turns(on_atom.X[:, 0], code, instance.D, instance.law) != 0).any()
    count, trivial = trivial_conditions(instance)
    assert count > 0 == trivial
    assert "parallel" in MEASURE_ZERO.unmet(on_atom)[0]
    assert meets(MEASURE_ZERO.assumptions, instance)


def test_a_law_without_full_support_has_trivial_conditions():
    """L_K alone: D* is stationary at every scale."""
    instance = drawn(3)
    K = instance.K
    full = replace(instance, law=(Fraction(0),) * (K - 1) + (Fraction(1),))
    x, z = full.X[:, 0], full.Y[:, 0]
    assert not (turns(x, z, full.D, full.law) != 0).any()
    assert (turns(x, z, full.D, instance.law) != 0).any()


@pytest.mark.parametrize("instance", [three_in_a_plane(), uneven_in_a_plane()])
def test_b2_is_an_exception_that_any_one_scale_ends(instance):
    assert not lost(instance)
    for sample in range(instance.X.shape[1]):
        assert lost(scaled(instance, sample, Fraction(101, 100)))


def test_t8_is_an_exception_that_one_scale_ends():
    D = as_fractions(np.eye(2, dtype=int))
    Y = as_fractions(signed_codes(2, [((0, 1), (2, 1))]))
    instance = replace(three_in_a_plane(), D=D, Y=Y, law=(Fraction(1, 2),) * 2)
    assert not lost(instance)
    moved = scaled(instance, 0, Fraction(3, 2))
    best = moved.least_at_truth()
    lower = lower_point(moved, best)
    assert lower is not None
    assert lower < best.loss
    eigenvalue = np.linalg.eigvalsh((moved.X @ moved.X.T).astype(float))[0]
    assert lower >= Fraction(float(eigenvalue / 2)) - Fraction(1, 10**9)


def test_data_that_keep_the_truth_or_a_condition_that_is_trivial_are_noticed(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(measure_zero, "scaled", lambda instance, *_: instance)
        assert not MEASURE_ZERO.check(1).confirmed
    monkeypatch.setattr(measure_zero, "trivial_conditions", lambda instance: (5, 1))
    assert not MEASURE_ZERO.check(1).confirmed
