import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group, spearmanr

from osae_theory.errors import InputError
from osae_theory.metrics.orderedness import orderedness

seeds = st.integers(0, 2**32 - 1)
sizes = {"d": st.integers(2, 8), "width": st.integers(2, 12), "seed": seeds}
signs = pytest.mark.parametrize("absolute", [False, True])


def gaussian_pair(d, width, seed):
    rng = np.random.default_rng(seed)
    D, E = rng.standard_normal((2, d, width))
    return D, E, rng


@pytest.mark.theory
@signs
@given(**sizes)
def test_ord_of_a_dictionary_with_its_permutation_is_spearmans_correlation(
    absolute, d, width, seed
):
    D, _, rng = gaussian_pair(d, width, seed)
    permutation = rng.permutation(width)
    expected = spearmanr(np.arange(width), permutation).statistic
    assert orderedness(D, D[:, permutation], absolute) == pytest.approx(expected, abs=1e-12)


@signs
@given(**sizes)
def test_ord_is_one_for_a_dictionary_with_itself_and_minus_one_reversed(absolute, d, width, seed):
    D, _, _ = gaussian_pair(d, width, seed)
    assert orderedness(D, D, absolute) == 1.0
    assert orderedness(D, D[:, ::-1], absolute) == pytest.approx(-1.0, abs=1e-15)


@pytest.mark.theory
@signs
@given(**sizes)
def test_ord_is_symmetric(absolute, d, width, seed):
    D, E, _ = gaussian_pair(d, width, seed)
    assert orderedness(D, E, absolute) == orderedness(E, D, absolute)


@pytest.mark.theory
@signs
@given(**sizes)
def test_ord_does_not_depend_on_reversing_both_dictionaries(absolute, d, width, seed):
    D, E, _ = gaussian_pair(d, width, seed)
    assert orderedness(D[:, ::-1], E[:, ::-1], absolute) == orderedness(D, E, absolute)


@pytest.mark.theory
@given(**sizes)
def test_reversing_one_dictionary_changes_the_sign_of_ord(d, width, seed):
    D, E, _ = gaussian_pair(d, width, seed)
    assert orderedness(D, E[:, ::-1]) == pytest.approx(-orderedness(D, E), abs=1e-12)


@pytest.mark.theory
def test_ord_depends_on_other_joint_permutations_of_both_dictionaries():
    D = np.eye(3)
    E = D[:, [1, 0, 2]]
    joint = [0, 2, 1]
    assert orderedness(D, E) == pytest.approx(0.5)
    assert orderedness(D[:, joint], E[:, joint]) == pytest.approx(-1.0)


@pytest.mark.theory
@given(**sizes)
def test_ord_does_not_depend_on_positive_scales_or_a_joint_rotation(d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    Q = ortho_group.rvs(d, random_state=rng)
    scales = rng.uniform(0.01, 100.0, (2, width))
    assert orderedness(Q @ D * scales[0], Q @ E * scales[1]) == orderedness(D, E)


@given(**sizes)
def test_a_prefix_equals_slicing(d, width, seed):
    D, E, rng = gaussian_pair(d, width, seed)
    prefix = int(rng.integers(2, width + 1))
    assert orderedness(D, E, prefix=prefix) == orderedness(D[:, :prefix], E[:, :prefix])


def test_ord_of_a_single_atom_is_nan():
    D, E, _ = gaussian_pair(3, 4, 0)
    assert math.isnan(orderedness(D, E, prefix=1))


def test_ord_of_unrelated_dictionaries_is_zero_on_average():
    values = [orderedness(*gaussian_pair(8, 16, seed)[:2]) for seed in range(200)]
    standard_error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error


def test_unequal_widths_are_refused():
    D, E, _ = gaussian_pair(3, 4, 0)
    with pytest.raises(InputError, match="give a prefix"):
        orderedness(D, E[:, :3])
