"""Matrix products whose bits are defined, compiled by numba: register tiles of fused chains.

Entry (i, j) of a product is one chain of fused multiply-adds over the inner index, in its
order. How many entries are computed side by side, in what order, and by how wide a vector unit
cannot be told from the result. The oracle is `osae_theory.portable.plain`.
"""

# An intrinsic's first parameter is given by numba, which no type checker knows.
# pyright: reportCallIssue=false

from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from osae_theory.jit import kernel as _kernel

# Columns of a panel: 64 bytes of float32. Rows of a tile: with two vectors of eight columns
# their sums fit the sixteen registers of AVX2.
_PANEL = 16
_HALF = 8
_ROWS = 6
# Entries of packed panels that are gone through for one tile of rows before the next.
_PACKED = 2**16


@no_type_check
def _tile_of(n_rows: int, lanes: int) -> Any:
    """Return the intrinsic that computes `n_rows` x `lanes` entries from one packed panel."""

    @no_type_check
    @intrinsic
    def tile(typing_context, a, row, packed, panel, start, out, column):
        """out[row:row + n_rows, column:column + lanes] = start[column:] + a[row:] packed[panel].

        `packed` is (panels, inner, _PANEL), `start` one row as long as all panels.
        """
        n = types.intp
        signature = types.void(a, n, packed, n, start, out, n)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, row, packed, panel, start, out, column = args
            dtype = signature.args[0].dtype
            scalar = context.get_value_type(dtype)
            vector = ir.VectorType(scalar, lanes)
            align = dtype.bitwidth // 8
            integer = context.get_value_type(types.intp)
            fma = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(vector, [vector] * 3),
                f"llvm.fma.v{lanes}f{dtype.bitwidth}",
            )

            def proxy(place: int, value: Any) -> tuple[Any, list]:
                made = cgutils.create_struct_proxy(signature.args[place])(context, builder, value)
                return made.data, cgutils.unpack_tuple(builder, made.shape)

            def constant(value: int) -> Any:
                return ir.Constant(integer, value)

            def load(address: Any) -> Any:
                pointer = builder.bitcast(address, vector.as_pointer())
                return builder.load(pointer, align=align)

            def splat(value: Any) -> Any:
                index = ir.IntType(32)
                one = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), value, ir.Constant(index, 0)
                )
                zeros = ir.Constant(ir.VectorType(index, lanes), [0] * lanes)
                return builder.shuffle_vector(one, one, zeros)

            a_data, (_, inner) = proxy(0, a)
            p_data, _ = proxy(2, packed)
            s_data, _ = proxy(4, start)
            o_data, (_, width) = proxy(5, out)
            first = load(builder.gep(s_data, [column]))
            sums = [cgutils.alloca_once(builder, vector) for _ in range(n_rows)]
            for total in sums:
                builder.store(first, total)
            rows = [
                builder.gep(a_data, [builder.mul(builder.add(row, constant(r)), inner)])
                for r in range(n_rows)
            ]
            size = builder.mul(inner, constant(_PANEL))
            base = builder.gep(p_data, [builder.mul(panel, size)])
            with cgutils.for_range(builder, inner) as step:
                place = builder.mul(step.index, constant(_PANEL))
                b = load(builder.gep(base, [place]))
                for address, total in zip(rows, sums, strict=True):
                    factor = splat(builder.load(builder.gep(address, [step.index])))
                    builder.store(builder.call(fma, [factor, b, builder.load(total)]), total)
            for r, total in enumerate(sums):
                at = builder.mul(builder.add(row, constant(r)), width)
                address = builder.gep(o_data, [builder.add(at, column)])
                pointer = builder.bitcast(address, vector.as_pointer())
                builder.store(builder.load(total), pointer, align=align)
            return context.get_dummy_value()

        return signature, emit

    return tile


_tile_6 = _tile_of(_ROWS, _PANEL)
_tile_1 = _tile_of(1, _PANEL)
_half_6 = _tile_of(_ROWS, _HALF)
_half_1 = _tile_of(1, _HALF)


@no_type_check
@_kernel
def _packed_panels(b, first, last):
    """Return rows first:last of b as panels of columns, padded with zeros."""
    inner = b.shape[1]
    n_panels = (last - first + _PANEL - 1) // _PANEL
    packed = np.zeros((n_panels, inner, _PANEL), b.dtype)
    for p in range(n_panels):
        low = first + p * _PANEL
        for j in range(min(_PANEL, last - low)):
            for t in range(inner):
                packed[p, t, j] = b[low + j, t]
    return packed


@no_type_check
@_kernel
def _whole_panel(a, packed, panel, start, out, column):
    n = a.shape[0]
    full = n // _ROWS * _ROWS
    for i in range(0, full, _ROWS):
        _tile_6(a, i, packed, panel, start, out, column)
    for i in range(full, n):
        _tile_1(a, i, packed, panel, start, out, column)


@no_type_check
@_kernel
def _last_panel(a, packed, panel, start, out, column, lanes):
    """Do as `_whole_panel` does into an array of its own, where the panel is not full."""
    n = a.shape[0]
    full = n // _ROWS * _ROWS
    aside = np.empty((n, _PANEL), a.dtype)
    first = np.zeros((1, _PANEL), a.dtype)
    for j in range(out.shape[1] - column):
        first[0, j] = start[0, column + j]
    for i in range(0, full, _ROWS):
        if lanes == _HALF:
            _half_6(a, i, packed, panel, first, aside, 0)
        else:
            _tile_6(a, i, packed, panel, first, aside, 0)
    for i in range(full, n):
        if lanes == _HALF:
            _half_1(a, i, packed, panel, first, aside, 0)
        else:
            _tile_1(a, i, packed, panel, first, aside, 0)
    for i in range(n):
        for j in range(out.shape[1] - column):
            out[i, column + j] = aside[i, j]


@no_type_check
@_kernel
def chain_product(a, b, start, out):
    """Overwrite out (n, p) with start (1, p) + a (n, k) b (p, k)^T; all C-contiguous."""
    n, inner = a.shape
    p = b.shape[0]
    group = max(_PACKED // (max(inner, 1) * _PANEL), 1) * _PANEL
    strip = 2 * _ROWS
    for first in range(0, p, group):
        last = min(first + group, p)
        packed = _packed_panels(b, first, last)
        n_full = (last - first) // _PANEL
        for i in range(0, n, strip):
            rows = a[i : i + strip]
            for q in range(n_full):
                _whole_panel(rows, packed, q, start, out[i : i + strip], first + q * _PANEL)
        left = last - first - n_full * _PANEL
        if left > 0:
            lanes = _HALF if left <= _HALF else _PANEL
            _last_panel(a, packed, n_full, start, out, last - left, lanes)
