import numpy as np

from osae_theory.minimisers.linearised import linearised, tangents
from osae_theory.problems.geometry import gaussian_columns


def test_tangents_are_orthonormal_and_orthogonal_to_their_atom():
    D = gaussian_columns(4, 3, np.random.default_rng(0))
    for d, basis in zip(D.T, tangents(D), strict=True):
        np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(d @ basis, 0, atol=1e-12)


def test_codes_that_may_move_have_a_column_each_also_where_they_are_zero():
    rng = np.random.default_rng(1)
    D, Y = gaussian_columns(3, 4, rng), np.array([[1.0, 0], [0, 2], [0, 3], [4, 0]])
    active = (Y != 0) | (np.arange(4)[:, None] == [1, 0])
    small, large = linearised(D, Y, tangents(D)), linearised(D, Y, tangents(D), active)
    assert small.shape == (6, 4 * 2 + 4)
    assert large.shape == (6, 4 * 2 + 6)
    # Samples in turn, atoms ascending: the first sample moves atoms 0, 1 and 3.
    np.testing.assert_allclose(large[:3, 8:11], D[:, [0, 1, 3]])
    np.testing.assert_allclose(large[3:, 8:11], 0)
