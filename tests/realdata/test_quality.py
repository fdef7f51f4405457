import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from osae_theory.errors import InputError
from osae_theory.metrics import (
    dead_share,
    fraction_of_variance_unexplained,
    mean_l0,
    mean_squared_error,
)
from realdata.latents.quality import pareto_front, pca_fvu, run_quality
from small_saes import cut, drawn_latents

seeds = st.integers(0, 2**32 - 1)


@given(n=st.integers(2, 30), size=st.integers(1, 30), seed=seeds)
@example(n=2, size=1, seed=0)
def test_streamed_quality_is_that_of_the_whole(n, size, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32) + 50
    x_hat = x + rng.standard_normal((n, 4)).astype(np.float32) / 3
    latents, Z = drawn_latents(n, 6, 2, seed)
    parts = [slice(i, i + size) for i in range(0, n, size)]
    chunks = [(x[p], z, x_hat[p]) for p, z in zip(parts, cut(latents, size), strict=True)]
    found = run_quality(chunks)
    assert found.fvu == pytest.approx(fraction_of_variance_unexplained(x.T, x_hat.T), rel=1e-6)
    assert found.mse == pytest.approx(mean_squared_error(x.T, x_hat.T))
    assert found.l0 == pytest.approx(mean_l0(Z.T))
    assert found.dead_share == dead_share(Z.T)
    assert found.n_samples == n


def test_quality_of_activations_that_do_not_fit_is_refused():
    x, z = np.arange(8.0).reshape(4, 2), np.ones((4, 3))
    with pytest.raises(InputError, match="at least one sample"):
        run_quality([])
    with pytest.raises(InputError, match="no variance"):
        run_quality([(np.full((4, 2), 0.1), z, x)])
    with pytest.raises(InputError, match="reconstruction has shape"):
        run_quality([(x, z, x[:3])])
    with pytest.raises(InputError, match="latents of 3 samples"):
        run_quality([(x, z[:3], x)])
    with pytest.raises(InputError, match="length 1: expected 2"):
        run_quality([(x, z, x), (x[:, :1], z, x[:, :1])])
    with pytest.raises(InputError, match="activations"):
        run_quality([(np.full((4, 2), np.inf), z, x)])
    with pytest.raises(InputError, match="2 latents"):
        run_quality([(x, z, x), (x, z[:, :2], x)])


@pytest.mark.parametrize("n", [4, 60])
def test_the_pca_floor_is_the_reconstruction_of_sklearns_pca(n):
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((6, 6))
    train, held_out = rng.standard_normal((n, 6)) @ mix + 3, rng.standard_normal((50, 6)) @ mix + 3
    counts = list(range(min(n - 1, 6) + 1))
    found = pca_fvu(train.astype(np.float32), held_out.astype(np.float32), counts)
    for count in counts[1:]:
        pca = PCA(count, svd_solver="full").fit(train)
        rebuilt = pca.inverse_transform(pca.transform(held_out))
        expected = fraction_of_variance_unexplained(held_out.T, rebuilt.T)
        assert found[count] == pytest.approx(expected, abs=1e-5)
    mean = np.broadcast_to(train.mean(axis=0), held_out.shape)
    assert found[0] == pytest.approx(fraction_of_variance_unexplained(held_out.T, mean.T), rel=1e-5)
    # Only the directions that the training part spans are there.
    assert found[-1] == pytest.approx(0.0, abs=1e-6) or n < 6


def test_the_pca_floor_refuses_what_does_not_fit():
    x = np.random.default_rng(0).standard_normal((9, 4))
    with pytest.raises(InputError, match="components = 5: expected at most 4"):
        pca_fvu(x, x, [5])
    with pytest.raises(InputError, match="length 3: expected 4"):
        pca_fvu(x, x[:, :3], [1])
    with pytest.raises(InputError, match="no variance"):
        pca_fvu(x, x[:1], [1])
    with pytest.raises(InputError, match="1 samples: expected at least two"):
        pca_fvu(x[:1], x, [0])
    with pytest.raises(InputError, match="train"):
        pca_fvu(x * np.nan, x, [1])


@given(points=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_the_pareto_front_is_what_no_other_beats(points):
    l0, fvu = np.array(points, dtype=np.float64).T
    for i, on_front in enumerate(pareto_front(l0, fvu)):
        beaten = any(
            l0[j] <= l0[i] and fvu[j] <= fvu[i] and (l0[j], fvu[j]) != (l0[i], fvu[i])
            for j in range(len(points))
        )
        assert on_front == (not beaten)
