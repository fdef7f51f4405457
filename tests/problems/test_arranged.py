import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import GroupedDictionary, SpreadDictionary
from osae_theory.problems.geometry import gaussian_columns


def sum_of_squared_cosines(D):
    return float(((D.T @ D) ** 2).sum())


@given(
    st.integers(3, 9), st.integers(1, 14), st.integers(1, 5), st.floats(0, 0.99), st.integers(0, 99)
)
def test_atoms_of_a_group_have_the_given_cosine(d, K, size, cosine, seed):
    kind = GroupedDictionary(d, K, min(size, d - 1), cosine)
    D = kind.draw(np.random.default_rng(seed))
    gram, group = D.T @ D, kind.groups()
    np.testing.assert_allclose(np.diag(gram), 1.0, rtol=1e-14)
    same = (group[:, None] == group) & ~np.eye(K, dtype=bool)
    np.testing.assert_allclose(gram[same], cosine, atol=1e-13)
    assert np.bincount(group).max() <= kind.group_size


@pytest.mark.theory
def test_atoms_of_other_groups_have_the_cosines_of_independent_directions():
    kind = GroupedDictionary(10, 600, 2, 0.8)
    D = kind.draw(np.random.default_rng(0))
    cosines = (D[:, :299] * D[:, 1:300]).sum(axis=0)  # neighbours are in other groups
    assert abs((cosines**2).mean() - 0.1) < 5 * np.sqrt(3 / 120 / 299)


def test_no_steps_leave_gaussian_atoms_and_each_step_spreads_them():
    D = gaussian_columns(8, 20, np.random.default_rng(3))
    spread = [SpreadDictionary(8, 20, s).draw(np.random.default_rng(3)) for s in (0, 1, 5, 50, 500)]
    np.testing.assert_array_equal(spread[0], D)
    sums = [sum_of_squared_cosines(D) for D in spread]
    assert all(np.diff(sums) < 0)
    assert 400 / 8 <= sums[-1] < 400 / 8 * 1.001


def test_few_atoms_are_spread_until_they_are_orthogonal():
    D = SpreadDictionary(6, 4, 2000).draw(np.random.default_rng(3))
    np.testing.assert_allclose(D.T @ D, np.eye(4), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (GroupedDictionary, (0, 4, 1, 0.5), "d = 0"),
        (GroupedDictionary, (3, 0, 1, 0.5), "K = 0"),
        (GroupedDictionary, (3, 4, 0, 0.5), "group_size = 0"),
        (GroupedDictionary, (3, 4, 3, 0.5), "group_size = 3: expected less than d = 3"),
        (GroupedDictionary, (3, 4, 2, 1.0), r"cosine = 1\.0"),
        (SpreadDictionary, (0, 4), "d = 0"),
        (SpreadDictionary, (3, 0), "K = 0"),
        (SpreadDictionary, (3, 4, -1), "steps = -1"),
    ],
)
def test_bad_fields_are_refused(kind, fields, message):
    with pytest.raises(InputError, match=message):
        kind(*fields)
