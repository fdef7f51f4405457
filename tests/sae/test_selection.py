import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.sae.selection import _mth_largest, batch_top_m_mask, select_top_m, top_m_mask


def by_stable_sort(row, m):
    order = sorted(range(len(row)), key=lambda j: (-row[j], j))
    return set(order[:m])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.data())
def test_the_mask_marks_exactly_m_and_ties_go_to_the_lower_index(row, data):
    m = data.draw(st.integers(1, len(row)))
    mask = top_m_mask(torch.tensor([row, row], dtype=torch.float32), m)
    assert {j for j in range(len(row)) if mask[1, j]} == by_stable_sort(row, m)


@given(st.integers(1, 20), st.integers(0, 2**20), st.data())
def test_relu_codes_are_the_largest_positive_latents(K, seed, data):
    m = data.draw(st.integers(1, K))
    latents = np.random.default_rng(seed).standard_normal((5, K))
    codes = select_top_m(torch.from_numpy(latents), m).numpy()
    for row, code in zip(latents, codes, strict=True):
        kept = by_stable_sort(row, m)
        np.testing.assert_array_equal(
            code, [max(v, 0.0) if j in kept else 0.0 for j, v in enumerate(row)]
        )


@given(st.integers(1, 20), st.integers(0, 2**20), st.data())
def test_signed_codes_are_the_largest_magnitudes_with_their_signs(K, seed, data):
    m = data.draw(st.integers(1, K))
    latents = np.random.default_rng(seed).standard_normal((5, K))
    codes = select_top_m(torch.from_numpy(latents), m, "signed").numpy()
    for row, code in zip(latents, codes, strict=True):
        kept = by_stable_sort(np.abs(row), m)
        np.testing.assert_array_equal(code, [v if j in kept else 0.0 for j, v in enumerate(row)])


def test_the_threshold_by_partition_equals_topk():
    scores = torch.randn(50, 33)
    for m in (1, 2, 32, 33):
        torch.testing.assert_close(
            _mth_largest(scores, m), scores.topk(m, dim=-1).values[:, -1:], rtol=0, atol=0
        )


def test_gradient_flows_to_the_selected_latents_only():
    latents = torch.tensor([[3.0, -1.0, 2.0, 1.0]], requires_grad=True)
    select_top_m(latents, 2).sum().backward()
    assert latents.grad is not None
    assert latents.grad.tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("m", [0, -1, 5])
def test_m_must_lie_between_1_and_K(m):
    with pytest.raises(InputError, match=rf"m = {m}: expected a number in 1..K = 4"):
        top_m_mask(torch.zeros(2, 4), m)


def test_a_nan_is_never_ranked():
    scores = torch.tensor([[1.0, float("nan"), 2.0]])
    for m in (1, 2):
        with pytest.raises(InputError, match="NaN"):
            top_m_mask(scores, m)


def test_an_unknown_activation_is_refused():
    with pytest.raises(InputError, match="activation 'gelu' is unknown"):
        select_top_m(torch.zeros(1, 3), 1, "gelu")


def test_batch_top_k_keeps_the_largest_of_all_rows_together():
    scores = torch.tensor([[3.0, 1.0, -1.0], [2.0, 2.0, 2.0]])
    assert batch_top_m_mask(scores, 1).tolist() == [[True, False, False], [True, False, False]]
    assert select_top_m(scores, 2, "batch").tolist() == [[3, 0, 0], [2, 2, 2]]
    with pytest.raises(InputError, match="m = 4"):
        batch_top_m_mask(scores, 4)
