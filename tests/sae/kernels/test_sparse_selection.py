"""The compiled selection against the dense one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.sae.kernels import SparseCodes, select_sparse, sparse
from osae_theory.sae.selection import select_top_m

WAYS = {"partition": 10**6, "scan": 0}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Both ways of selecting, whatever the number of latents."""
    monkeypatch.setattr(sparse, "_PARTITIONED", WAYS[request.param])
    return request.param


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("activation", ["relu", "signed"])
@given(
    rows=st.integers(1, 5),
    K=st.integers(1, 150),
    distinct=st.integers(1, 200),
    seed=st.integers(0, 2**16),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    data=st.data(),
)
def test_it_equals_the_dense_selection_with_ties_to_the_lower_index(
    way, activation, rows, K, distinct, seed, dtype, data
):
    m = data.draw(st.integers(1, K))
    rng = np.random.default_rng(seed)
    # Few distinct values: many ties, zeros of both signs among them.
    scores = rng.integers(-distinct, distinct + 1, (1, rows, K)) * rng.choice([-1.0, 1.0])
    scores = torch.from_numpy(scores).to(dtype)
    before = sparse._PARTITIONED
    sparse._PARTITIONED = WAYS[way]
    try:
        found = select_sparse(scores, m, activation, backend="numba")
    finally:
        sparse._PARTITIONED = before
    assert torch.equal(found.dense(K), select_top_m(scores, m, activation))
    for sample in found.indices[0].tolist():
        active = [i for i in sample if i >= 0]
        assert sample == sorted(set(active)) + [-1] * (m - len(active))


@pytest.mark.parametrize(("K", "m"), [(5000, 1), (5000, 80), (65_536, 256), (300, 300)])
def test_wide_dictionaries_give_the_same_as_the_torch_backend(way, K, m):
    generator = torch.Generator().manual_seed(K + m)
    scores = torch.randn(2, 3, K, generator=generator)
    scores[0, 1, ::7] = 2.5  # more equal scores than there is room for
    scores[1, 2] = -scores[1, 2].abs()
    for activation in ("relu", "signed"):
        a = select_sparse(scores, m, activation, backend="numba")
        b = select_sparse(scores, m, activation, backend="torch")
        assert torch.equal(a.indices, b.indices)
        assert torch.equal(a.values, b.values)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", [0, 31, 32, 99])
def test_a_nan_of_either_sign_is_never_ranked(way, backend, sign, place):
    scores = torch.randn(1, 4, 100, generator=torch.Generator().manual_seed(1))
    scores[0, 2, place] = np.copysign(np.nan, sign)
    for activation in ("relu", "signed"):
        with pytest.raises(InputError, match="activation is NaN"):
            select_sparse(scores, 3, activation, backend=backend)


def test_infinity_ranks_above_every_number(way):
    scores = torch.tensor([[[1.0, torch.inf, 2.0, -torch.inf, 3.0]]])
    assert select_sparse(scores, 2).indices.tolist() == [[[1, 4]]]
    assert select_sparse(scores, 2, "signed").indices.tolist() == [[[1, 3]]]


@pytest.mark.parametrize("m", [0, 6])
def test_m_outside_1_to_K_is_refused(m):
    with pytest.raises(InputError, match=f"m = {m}: expected a number in 1..K = 5"):
        select_sparse(torch.ones(1, 1, 5), m)


def test_codes_turn_dense_and_hold_zeros_elsewhere():
    codes = SparseCodes(
        torch.tensor([[[0, 2], [1, -1], [-1, -1]]], dtype=torch.int32),
        torch.tensor([[[5.0, 6.0], [7.0, 0.0], [0.0, 0.0]]]),
    )
    assert codes.dense(3).tolist() == [[[5, 0, 6], [0, 7, 0], [0, 0, 0]]]
