"""The compiled loss against its oracles: the loop over prefixes, and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from osae_theory import threads
from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop, prefix_loss
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae.kernels import (
    SparseCodes,
    encoder_gradients,
    nested_dropout_loss_fused,
    prefix_gradients,
    select_sparse,
)

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def problem(n=9, d=7, K=6, m=3, S=2, seed=0, dtype=torch.float64, weights=None):
    """Data, codes with empty and full supports, atoms with a repeated one, weights."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    atoms = torch.nn.functional.normalize(draw(S, K, d), dim=-1)
    atoms[:, K - 1] = atoms[:, 0]
    scores = draw(S, n, K)
    scores[:, 0] = -1  # no latent is active
    scores[:, -1] = scores[:, -1].abs()
    codes = select_sparse(scores, m, backend="torch")
    if weights is None:
        weights = torch.rand(S, K, generator=generator, dtype=torch.float64)
        weights = weights.sort(descending=True).values
        weights[:, 0] = 1
    x = draw(S, n, d)
    return (
        x.to(dtype),
        SparseCodes(codes.indices, codes.values.to(dtype)),
        atoms.to(dtype),
        weights.to(dtype),
    )


def by_loop(x, codes, atoms, weights):
    """The loss and its gradients by the definition and automatic differentiation."""
    leaves = [t.double().requires_grad_() for t in (x, codes.values, atoms)]
    dense = SparseCodes(codes.indices, leaves[1]).dense(atoms.shape[1])
    loss = nested_dropout_loss_loop(leaves[0], dense, leaves[2], weights.double())
    return loss.detach(), *torch.autograd.grad(loss.sum(), leaves)


def fused(x, codes, atoms, weights, backend="numba"):
    found = prefix_gradients(x, codes, atoms, weights, with_x=True, backend=backend)
    return found.loss, found.x, found.values, found.atoms


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        error = float((a.double() - b).abs().max())
        assert error <= tolerance * max(float(b.abs().max()), 1)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 40),
    K=st.integers(1, 12),
    S=st.integers(1, 3),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_loss_and_gradients_equal_the_loop_over_prefixes(backend, dtype, n, d, K, S, seed, data):
    m = data.draw(st.integers(1, K))
    case = problem(n, d, K, m, S, seed, dtype)
    assert_close(fused(*case, backend=backend), by_loop(*case), TOLERANCE[dtype])


@pytest.mark.parametrize("d", [160, 161, 500])
def test_several_blocks_of_columns_equal_the_loop(d):
    case = problem(d=d, K=20, m=20)
    assert_close(fused(*case), by_loop(*case), 1e-12)


@pytest.mark.parametrize(
    "law",
    [PrefixLaw.full(6), PrefixLaw.uniform(6), PrefixLaw.groups(6, (2, 6)), PrefixLaw.zipf(6, 30)],
)
def test_every_law_goes_through_the_same_code(law):
    weights = torch.tensor(law.survival).expand(2, 6)
    case = problem(weights=weights)
    found = fused(*case)
    assert_close(found, by_loop(*case), 1e-12)
    if law.probabilities[-1] == 1:
        x, codes, atoms, _ = case
        torch.testing.assert_close(found[0], prefix_loss(x, codes.dense(6), atoms, 6))


@example(exponent=-300)
@example(exponent=0)
@given(exponent=st.integers(-300, 0))
def test_extreme_survival_weights_are_exact(exponent):
    weights = torch.tensor([1, 1, 10.0**exponent, 10.0**exponent, 0, 0], dtype=torch.float64)
    case = problem(weights=weights.expand(2, 6))
    assert_close(fused(*case), by_loop(*case), 1e-12)


def test_gradients_equal_finite_differences():
    x, codes, atoms, weights = problem(n=4, d=5, K=6, m=3)

    def loss(x, values, atoms):
        return nested_dropout_loss_fused(x, codes.indices, values, atoms, weights, backend="numba")

    leaves = [t.clone().requires_grad_() for t in (x, codes.values, atoms)]
    # A slot without a latent has no effect, and no gradient: both differences are 0.
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@given(seed=st.integers(0, 2**16), m=st.integers(1, 6))
def test_latents_in_any_order_give_the_loss_and_gradients_of_the_loop(backend, seed, m):
    x, codes, atoms, weights = problem(m=m, seed=seed)
    shuffled = torch.rand(codes.indices.shape, generator=torch.Generator().manual_seed(seed))
    order = shuffled.argsort(dim=-1)
    indices = codes.indices.gather(-1, order)
    leaves = [t.clone().requires_grad_() for t in (x, codes.values.gather(-1, order), atoms)]
    loss = nested_dropout_loss_fused(leaves[0], indices, *leaves[1:], weights, backend=backend)
    slopes = torch.autograd.grad(loss.sum(), leaves)
    expected = list(by_loop(x, codes, atoms, weights))
    expected[2] = expected[2].gather(-1, order).masked_fill(indices < 0, 0)
    assert_close((loss.detach(), *slopes), expected, 1e-12)


def test_what_topk_gives_needs_no_sorting_by_the_user():
    generator = torch.Generator().manual_seed(5)
    scores = torch.rand(40, 9, generator=generator, dtype=torch.float64)
    x = torch.randn(40, 7, generator=generator, dtype=torch.float64)
    atoms = torch.randn(9, 7, generator=generator, dtype=torch.float64)
    weights = PrefixLaw.zipf(9).survival
    found = scores.topk(4)
    assert not (found.indices.diff(dim=-1) > 0).all()
    dense = torch.zeros_like(scores).scatter(-1, found.indices, found.values)
    torch.testing.assert_close(
        nested_dropout_loss_fused(x, found.indices, found.values, atoms, weights),
        nested_dropout_loss_loop(x, dense, atoms, weights),
        rtol=1e-12,
        atol=0,
    )


@pytest.mark.parametrize("wrong", [6, -2, 2**31 - 1])
def test_a_latent_that_is_not_there_is_refused(wrong):
    x, codes, atoms, weights = problem()
    indices = codes.indices.clone()
    indices[1, 3, 0] = wrong
    with pytest.raises(InputError, match=rf"indices hold {wrong}: expected latents in 0\.\.5"):
        nested_dropout_loss_fused(x, indices, codes.values, atoms, weights)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_leading_axes_are_runs_and_weights_may_be_shared(shape):
    x, codes, atoms, weights = problem(S=6)
    n_runs = int(np.prod(shape))
    parts = [
        t[:n_runs].reshape(*shape, *t.shape[1:]) for t in (x, codes.indices, codes.values, atoms)
    ]
    found = nested_dropout_loss_fused(*parts, weights[0])
    assert found.shape == shape
    shared = weights[:1].expand(6, -1)
    torch.testing.assert_close(found.flatten(), by_loop(x, codes, atoms, shared)[0][:n_runs])


def test_float32_keeps_its_digits_near_zero_residual():
    _, codes, atoms, weights = problem(n=50, d=80, K=40, m=6)
    weights = torch.ones_like(weights)
    exact = codes.dense(40) @ atoms
    x = exact + 1e-5 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(3))
    small = [t.float() for t in (x, atoms, weights)]
    found = fused(small[0], SparseCodes(codes.indices, codes.values.float()), *small[1:])
    expected = by_loop(small[0], SparseCodes(codes.indices, codes.values.float()), *small[1:])
    # The data are of size 1 and the residual of size 1e-5: the Gram form would give noise.
    torch.testing.assert_close(found[0], expected[0], rtol=2e-2, atol=0)
    assert float(expected[0].max()) < 1e-6


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "_WORTH_IT", 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 257, 333, generator=generator)
    scores = torch.randn(3, 257, 100, generator=generator)
    atoms = torch.randn(3, 100, 333, generator=generator)
    weights = torch.tensor(PrefixLaw.uniform(100).survival).float().expand(3, 100)
    results = []
    for count in (1, 2, 3, 7):
        torch.set_num_threads(count)
        try:
            codes = select_sparse(scores, 9, backend="numba")
            found = prefix_gradients(x, codes, atoms, weights, with_x=True, backend="numba")
            through = encoder_gradients(x, codes.indices, found.values, 100, backend="numba")
        finally:
            torch.set_num_threads(1)
        results.append(
            [
                *(codes.indices, codes.values, found.loss, found.x, found.values, found.atoms),
                *(through.encoder, through.bias),
            ]
        )
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a is not None
            assert torch.equal(a, b)


def test_a_run_among_others_has_the_same_bits_as_alone():
    x, codes, atoms, weights = problem(n=30, d=200, K=12, m=5, S=4, dtype=torch.float32)
    together = fused(x, codes, atoms, weights)
    for s in range(4):
        one = slice(s, s + 1)
        alone = fused(
            x[one], SparseCodes(codes.indices[one], codes.values[one]), atoms[one], weights[one]
        )
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[one], b)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_encoder_gradients_equal_the_dense_products(dtype):
    x, codes, _, _ = problem(n=20, d=170, K=12, m=4, dtype=dtype)
    slopes = torch.randn(codes.values.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    slopes[codes.indices < 0] = 0
    dense = SparseCodes(codes.indices, slopes.double()).dense(12)
    for backend in ("numba", "torch"):
        found = encoder_gradients(x, codes.indices, slopes, 12, backend=backend)
        expected = dense.mT @ x.double(), dense.sum(dim=1)
        assert_close((found.encoder, found.bias), expected, TOLERANCE[dtype])


def test_a_backend_that_is_unknown_or_unsuitable_is_refused():
    x, codes, atoms, weights = problem()
    with pytest.raises(InputError, match="backend 'cuda'"):
        prefix_gradients(x, codes, atoms, weights, backend="cuda")
    half = [t.half() for t in (x, atoms, weights)]
    halved = SparseCodes(codes.indices, codes.values.half())
    with pytest.raises(InputError, match="expected float32 or float64 tensors on the CPU"):
        prefix_gradients(half[0], halved, *half[1:], backend="numba")
