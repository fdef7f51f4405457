import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import SubspaceAgreement, subspace_agreement


def gaussian(d, *widths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((d, width)) for width in widths]


def projection(D):
    return D @ np.linalg.pinv(D)


@given(
    d=st.integers(3, 9),
    K=st.integers(1, 2),
    other=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_overlap_is_the_trace_of_the_product_of_the_projections(d, K, other, seed):
    D, E = gaussian(d, K, other, seed=seed)
    found = subspace_agreement(D, E)
    expected = np.trace(projection(D) @ projection(E)) / min(K, other)
    assert found.overlap == pytest.approx(expected, abs=1e-9)
    assert found.dimensions == (K, other)


def test_the_largest_angle_is_that_between_a_plane_and_what_leaves_it():
    e = np.eye(5)
    tilted = np.column_stack([e[0], np.cos(0.3) * e[1] + np.sin(0.3) * e[2]])
    found = subspace_agreement(e[:, :2], tilted)
    assert found.largest_angle == pytest.approx(np.rad2deg(0.3))
    assert found.overlap == pytest.approx((1 + np.cos(0.3) ** 2) / 2)


def test_other_atoms_of_the_same_span_agree_whatever_their_norms_and_copies():
    [D] = gaussian(8, 3)
    mixed = D @ np.random.default_rng(1).standard_normal((3, 3)) * [1e-6, 1.0, 1e6]
    found = subspace_agreement(D, np.column_stack([mixed, D[:, 0], np.zeros(8)]))
    assert (found.overlap, found.dimensions) == (pytest.approx(1.0), (3, 3))
    assert found.largest_angle == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("p", "other"), [(5, 5), (3, 8), (9, 2)])
def test_unrelated_subspaces_overlap_as_much_as_the_larger_dimension_has_of_the_space(p, other):
    found = [subspace_agreement(*gaussian(12, p, other, seed=seed)) for seed in range(400)]
    values = [one.overlap for one in found]
    assert found[0].chance == max(p, other) / 12
    assert abs(np.mean(values) - found[0].chance) < 4 * np.std(values) / 20


def test_spans_of_the_whole_space_and_of_nothing_have_no_agreement():
    D, full = gaussian(4, 2, 4)
    assert subspace_agreement(D, full) is None
    assert subspace_agreement(D, np.zeros((4, 3))) is None
    assert isinstance(subspace_agreement(D, D), SubspaceAgreement)


def test_atoms_of_other_lengths_and_what_is_not_finite_are_refused():
    with pytest.raises(InputError, match="E has atoms of length 3: expected 4"):
        subspace_agreement(np.ones((4, 2)), np.ones((3, 2)))
    with pytest.raises(InputError, match="nan"):
        subspace_agreement(np.full((4, 2), np.nan), np.ones((4, 2)))
