"""Differentiable operations with defined bits: against loops, torch's gradients, and themselves."""

import math

import numpy as np
import pytest
import torch

from benchmarks.training.portable_autograd import Operations, PortableOperations, operations
from osae_theory.errors import InputError
from osae_theory.threads import limited_threads

FAST, PORTABLE = Operations(), PortableOperations()
# Each operation by name, with the shapes of its arguments.
CALLS = {
    "matmul": (lambda ops, a, b: ops.matmul(a, b), [(7, 5), (5, 9)]),
    "affine": (lambda ops, x, w, b: ops.affine(x, w, b), [(7, 5), (9, 5), (9,)]),
    "row_sums": (lambda ops, a: ops.row_sums(a), [(7, 5)]),
    "column_sums": (lambda ops, a: ops.column_sums(a), [(7, 5)]),
    "total": (lambda ops, a: ops.total(a), [(7, 5)]),
    "rows_of": (lambda ops, a: ops.rows_of(a, 4), [(5,)]),
    "columns_of": (lambda ops, a: ops.columns_of(a, 4), [(5,)]),
    "unit_rows": (lambda ops, a: ops.unit_rows(a), [(7, 5)]),
    "exp": (lambda ops, a: ops.exp(a), [(7, 5)]),
}


def in_loops(name, *arrays):
    """Return an operation's result entry by entry."""
    if name == "affine":
        x, w, b = arrays
        return [
            [b[j] + sum(x[i, t] * w[j, t] for t in range(5)) for j in range(9)] for i in range(7)
        ]
    a = arrays[0]
    if name == "matmul":
        return [
            [sum(a[i, t] * arrays[1][t, j] for t in range(5)) for j in range(9)] for i in range(7)
        ]
    if name == "row_sums":
        return [sum(row) for row in a]
    if name == "column_sums":
        return [sum(row[j] for row in a) for j in range(5)]
    if name == "total":
        return sum(sum(row) for row in a)
    if name == "rows_of":
        return [list(a) for _ in range(4)]
    if name == "columns_of":
        return [[value] * 4 for value in a]
    if name == "unit_rows":
        return [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in a]
    return [[math.exp(value) for value in row] for row in a]


def drawn(shapes, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.standard_normal(s)).to(dtype).requires_grad_() for s in shapes]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("ops", [FAST, PORTABLE])
def test_an_operation_is_its_formula_in_plain_loops(name, ops):
    call, shapes = CALLS[name]
    tensors = drawn(shapes)
    expected = in_loops(name, *(t.detach().numpy() for t in tensors))
    np.testing.assert_allclose(call(ops, *tensors).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_finite_differences_and_of_torch(name):
    call, shapes = CALLS[name]
    tensors = drawn(shapes)
    assert torch.autograd.gradcheck(lambda *t: call(PORTABLE, *t), tensors)
    slopes = []
    for ops in (PORTABLE, FAST):
        out = call(ops, *tensors)
        weights = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view(out.shape)
        slopes.append(torch.autograd.grad((out * weights).sum(), tensors))
    for own, theirs in zip(*slopes, strict=True):
        np.testing.assert_allclose(own.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-13)


def test_gradients_that_nobody_wants_are_not_computed():
    a, b = drawn([(3, 2), (2, 4)])
    [slope] = torch.autograd.grad(PORTABLE.matmul(a, b.detach()).sum(), [a])
    assert slope.shape == a.shape


def bits(n, threads, columns=slice(None)):
    """Return products and sums of n rows in float32, with their gradients."""
    with limited_threads(threads):
        x, w, b = drawn([(1500, 90), (400, 90), (400,)], torch.float32)
        x = x.detach()[:n].contiguous()
        w, b = (t.detach()[columns].contiguous().requires_grad_() for t in (w, b))
        out = PORTABLE.affine(x, w, b).relu()
        unit = PORTABLE.unit_rows(out + 1)
        loss = PORTABLE.total(unit * PORTABLE.exp(unit))
        return out.detach(), *torch.autograd.grad(loss, [w, b])


def test_bits_do_not_depend_on_the_number_of_threads():
    for one, two in zip(bits(1500, 1), bits(1500, 2), strict=True):
        assert torch.equal(one, two)


def test_an_entrys_bits_do_not_depend_on_its_company():
    whole, _, _ = bits(1500, 1)
    assert torch.equal(bits(700, 1)[0], whole[:700])
    assert torch.equal(bits(1500, 1, slice(0, 33))[0], whole[:, :33])


def test_a_layout_in_memory_decides_no_bit():
    a = drawn([(200, 300)], torch.float32)[0].detach()
    turned = a.mT.contiguous().mT
    assert torch.equal(PORTABLE.row_sums(a), PORTABLE.row_sums(turned))
    assert torch.equal(PORTABLE.column_sums(a), PORTABLE.column_sums(turned))


@pytest.mark.parametrize("ops", [FAST, PORTABLE])
def test_a_row_of_zeros_stays_and_has_a_finite_slope(ops):
    a = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(ops.unit_rows(a), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    if ops is PORTABLE:
        a.requires_grad_()
        [slope] = torch.autograd.grad(ops.unit_rows(a)[:, 0].sum(), [a])
        np.testing.assert_allclose(slope, [[1, 0], [0.128, -0.096]], rtol=1e-5)


def test_an_unknown_arithmetic_is_refused():
    assert (operations("fast").arithmetic, operations("portable").arithmetic) == (
        "fast",
        "portable",
    )
    with pytest.raises(InputError, match="arithmetic 'odd' is unknown"):
        operations("odd")
