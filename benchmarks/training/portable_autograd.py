"""Differentiable matrix operations, with defined bits on a CPU or by plain torch.

A loss that is built of these and of torch's entrywise sums, products, quotients, square roots and
comparisons has the same bits on any machine, and so have its gradients. Two rules go with that: no
tensor that has a gradient is broadcast, for torch would add the gradients up in an order of its own
(`rows_of` and `columns_of` do it instead), and no other reduction is used.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from osae_theory.errors import check_choice
from osae_theory.portable import affine, exp
from osae_theory.sae.kernels import ARITHMETICS

Gradients = tuple[Tensor | None, ...]


class Operations:
    """The operations by plain torch, on any device: arithmetic "fast"."""

    arithmetic = "fast"

    def matmul(self, a: Float[Tensor, "n k"], b: Float[Tensor, "k p"]) -> Float[Tensor, "n p"]:
        """Return a b."""
        return a @ b

    def affine(
        self, x: Float[Tensor, "n d"], weights: Float[Tensor, "K d"], bias: Float[Tensor, " K"]
    ) -> Float[Tensor, "n K"]:
        """Return x weights^T + bias."""
        return torch.addmm(bias, x, weights.mT)

    def row_sums(self, a: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the sum of each row."""
        return a.sum(dim=1)

    def column_sums(self, a: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
        """Return the sum of each column."""
        return a.sum(dim=0)

    def total(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
        """Return the sum of all entries."""
        return a.sum()

    def rows_of(self, row: Float[Tensor, " k"], n: int) -> Float[Tensor, "n k"]:
        """Return the matrix of n rows that all are `row`."""
        return row.expand(n, -1)

    def columns_of(self, column: Float[Tensor, " n"], k: int) -> Float[Tensor, "n k"]:
        """Return the matrix of k columns that all are `column`."""
        return column[:, None].expand(-1, k)

    def unit_rows(self, a: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the rows divided by their norms; a row of zeros stays, with slope 1."""
        return a / _norms(a.square().sum(dim=1, keepdim=True).sqrt())

    def exp(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return e to the power of each entry."""
        return a.exp()


class PortableOperations(Operations):
    """The operations with defined bits, on a CPU: arithmetic "portable".

    Products are chains of fused multiply-adds (`osae_theory.portable`), forward and backward; sums
    are numpy's, of arrays of one layout.
    """

    arithmetic = "portable"

    def matmul(self, a: Float[Tensor, "n k"], b: Float[Tensor, "k p"]) -> Float[Tensor, "n p"]:
        """Return a b."""
        return _applied(_Matmul, a, b)

    def affine(
        self, x: Float[Tensor, "n d"], weights: Float[Tensor, "K d"], bias: Float[Tensor, " K"]
    ) -> Float[Tensor, "n K"]:
        """Return x weights^T + bias."""
        return _applied(_Affine, x, weights, bias)

    def row_sums(self, a: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the sum of each row."""
        return _applied(_RowSums, a)

    def column_sums(self, a: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
        """Return the sum of each column."""
        return _applied(_ColumnSums, a)

    def total(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
        """Return the sum of all entries."""
        return _applied(_RowSums, a.reshape(1, -1))[0]

    def rows_of(self, row: Float[Tensor, " k"], n: int) -> Float[Tensor, "n k"]:
        """Return the matrix of n rows that all are `row`."""
        return _applied(_RowsOf, row, n)

    def columns_of(self, column: Float[Tensor, " n"], k: int) -> Float[Tensor, "n k"]:
        """Return the matrix of k columns that all are `column`."""
        return _applied(_ColumnsOf, column, k)

    def unit_rows(self, a: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the rows divided by their norms; a row of zeros stays, with slope 1."""
        return _applied(_UnitRows, a)

    def exp(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return e to the power of each entry."""
        return _applied(_Exp, a)


def operations(arithmetic: str) -> Operations:
    """Return the operations of an arithmetic.

    Raises
    ------
    InputError
        If it is neither "portable" nor "fast".
    """
    check_choice("arithmetic", arithmetic, ARITHMETICS)
    return PortableOperations() if arithmetic == "portable" else Operations()


def row_sums(a: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """Return the sum of each row by numpy, which adds a row in one order; no gradient."""
    return torch.from_numpy(_array(a).sum(axis=1))


def column_sums(a: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
    """Return the sum of each column by numpy, which adds the rows in one order; no gradient."""
    return torch.from_numpy(_array(a).sum(axis=0))


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _product(a, b.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b = ctx.saved_tensors
        [slope] = slopes
        wanted = ctx.needs_input_grad
        return (
            _product(slope, b) if wanted[0] else None,
            _product(a.mT, slope.mT) if wanted[1] else None,
        )


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights)
        return _product(x, weights, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weights = ctx.saved_tensors
        [slope] = slopes
        wanted = ctx.needs_input_grad
        return (
            _product(slope, weights.mT) if wanted[0] else None,
            _product(slope.mT, x.mT) if wanted[1] else None,
            column_sums(slope) if wanted[2] else None,
        )


class _RowSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.width = a.shape[1]
        return row_sums(a)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (slopes[0][:, None].expand(-1, ctx.width),)


class _ColumnSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.height = a.shape[0]
        return column_sums(a)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (slopes[0].expand(ctx.height, -1),)


class _RowsOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, row: Tensor, n: int) -> Tensor:
        return row.expand(n, -1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        return column_sums(slopes[0]), None


class _ColumnsOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, column: Tensor, k: int) -> Tensor:
        return column[:, None].expand(-1, k).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        return row_sums(slopes[0]), None


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        norms = _norms(row_sums(a * a).sqrt()[:, None])
        unit = a / norms
        ctx.save_for_backward(unit, norms)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        unit, norms = ctx.saved_tensors
        [slope] = slopes
        return ((slope - unit * row_sums(slope * unit)[:, None]) / norms,)


class _Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        power = torch.from_numpy(exp(_array(a))).to(a.dtype)
        ctx.save_for_backward(power)
        return power

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        [power] = ctx.saved_tensors
        return (slopes[0] * power,)


def _applied(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    apply: Callable[..., Any] = function.apply
    return apply(*arguments)


def _array(a: Tensor) -> np.ndarray:
    # One layout, so that sums are taken in one order.
    return np.ascontiguousarray(a.detach().numpy())


def _product(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weights^T + bias with defined bits."""
    out = np.empty((x.shape[0], weights.shape[0]), x.detach().numpy().dtype)
    affine(_array(x), _array(weights), None if bias is None else _array(bias), out)
    return torch.from_numpy(out)


def _norms(found: Tensor) -> Tensor:
    """Return norms, 1 in place of 0."""
    return torch.where(found > 0, found, torch.ones_like(found))
