import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from osae_theory.errors import InputError
from osae_theory.metrics.stability import corrected, stability

seeds = st.integers(0, 2**32 - 1)
sizes = {"d": st.integers(2, 8), "width": st.integers(1, 12), "seed": seeds}
signs = pytest.mark.parametrize("absolute", [False, True])


def gaussian_pair(d, width, seed):
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((2, d, width))
    return D, E, rng


@pytest.mark.theory
@signs
@given(**sizes)
def test_stab_is_symmetric(absolute, d, width, seed):
    D, E, _ = gaussian_pair(d, width, seed)
    assert stability(D, E, absolute) == pytest.approx(stability(E, D, absolute), abs=1e-13)


@pytest.mark.theory
@signs
@given(**sizes)
def test_stab_does_not_depend_on_the_order_of_either_dictionary(absolute, d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    p, q = rng.permutation(width), rng.permutation(width)
    expected = stability(D, E, absolute)
    assert stability(D[:, p], E[:, q], absolute) == pytest.approx(expected, abs=1e-13)


@pytest.mark.theory
@signs
@given(**sizes)
def test_stab_does_not_depend_on_positive_scales_of_the_atoms(absolute, d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    scales = rng.uniform(0.01, 100.0, (2, width))
    expected = stability(D, E, absolute)
    found = stability(D * scales[0], E * scales[1], absolute)
    assert found == pytest.approx(expected, abs=1e-13)


@pytest.mark.theory
@signs
@given(**sizes)
def test_stab_does_not_depend_on_a_joint_rotation(absolute, d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    Q = ortho_group.rvs(d, random_state=rng)
    expected = stability(D, E, absolute)
    assert stability(Q @ D, Q @ E, absolute) == pytest.approx(expected, abs=1e-13)


@pytest.mark.theory
@given(**sizes)
def test_sign_flips_leave_absolute_stab_and_change_signed_stab(d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    flips = rng.choice([-1.0, 1.0], width)
    assert stability(D, E * flips, True) == pytest.approx(stability(D, E, True), abs=1e-13)
    assert stability(D, D, False) == pytest.approx(1.0, abs=1e-14)
    flips[0] = -1.0
    assert stability(D, D * flips, False) < 1.0 - 1e-12
    assert stability(D, D * flips, True) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.theory
@given(**sizes)
def test_absolute_stab_is_never_below_signed_stab(d, width, seed):
    D, E, _ = gaussian_pair(d, width, seed)
    assert stability(D, E, True) >= stability(D, E) - 1e-13


@signs
@given(**sizes)
def test_stab_of_a_dictionary_with_itself_is_one(absolute, d, width, seed):
    D, _, _ = gaussian_pair(d, width, seed)
    assert stability(D, D, absolute) == pytest.approx(1.0, abs=1e-14)
    assert stability(D, D, absolute, prefix=1) == pytest.approx(1.0, abs=1e-14)


def test_a_dead_atom_lowers_the_stability_of_a_dictionary_with_itself():
    D = np.eye(4)
    D[:, 3] = 0.0
    assert stability(D, D) == 0.75


def test_float32_dictionaries_are_accepted():
    D, E, _ = gaussian_pair(5, 7, 0)
    found = stability(D.astype(np.float32), E.astype(np.float32))
    assert found == pytest.approx(stability(D, E), abs=1e-6)


@given(chance=st.floats(-1.0, 0.999), stab=st.floats(-1.0, 1.0))
def test_corrected_is_zero_at_chance_and_one_at_one_and_rises_between(chance, stab):
    assert corrected(chance, chance) == 0.0
    assert corrected(1.0, chance) == 1.0
    assert (corrected(stab, chance) > 0) == (stab > chance)


def test_corrected_gives_the_share_of_the_way_from_chance_to_one():
    assert corrected(0.75, 0.5) == 0.5
    assert corrected(0.25, 0.5) == -0.5


@pytest.mark.parametrize("chance", [1.0, 1.5, -1.1, float("nan")])
def test_a_chance_level_outside_minus_one_to_one_is_refused(chance):
    with pytest.raises(InputError, match="chance"):
        corrected(0.5, chance)


def test_a_stability_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="stab = nan"):
        corrected(float("nan"), 0.5)
