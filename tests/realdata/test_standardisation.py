import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realdata.activations.standardisation import Standardisation, fit_standardisation


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.integers(0, 2**20),
    st.sampled_from(["dimension", "scale"]),
)
def test_standardisation_is_the_same_however_the_rows_are_cut(sizes, seed, kind):
    x = np.random.default_rng(seed).normal(size=(sum(sizes), 3)).astype(np.float32) + 2
    chunks = np.split(x, np.cumsum(sizes)[:-1])
    cut, whole = (fit_standardisation(iter(each), 3, kind) for each in (chunks, [x]))
    np.testing.assert_allclose(cut.mean, whole.mean, rtol=1e-5)
    np.testing.assert_allclose(cut.scale, whole.scale, rtol=1e-5)


def test_a_constant_dimension_keeps_its_scale():
    x = np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)
    fitted = fit_standardisation(iter([x]), 2, "dimension")
    np.testing.assert_array_equal(fitted.apply(x), [[-1, 0], [1, 0]])


def test_decoder_rows_become_directions_of_the_models_space():
    fitted = Standardisation(np.array([9.0, 9], np.float32), np.array([2.0, 3], np.float32))
    decoder = np.array([[1.0, 1.0]], dtype=np.float32)
    at_zero, at_decoder = fitted.invert(np.zeros_like(decoder)), fitted.invert(decoder)
    np.testing.assert_array_equal(fitted.directions(decoder), at_decoder - at_zero)
