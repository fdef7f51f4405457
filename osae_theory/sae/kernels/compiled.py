"""The inner loops of training, compiled by numba: loss, selection, encoder gradient, Adam.

Every function here is sequential and releases the interpreter's lock; the callers in this
package split the work into parts that write to disjoint memory, by runs, rows or columns
that do not depend on the number of threads, so neither do the bits. No fast-math: sums go
through a fixed number of lanes that are added in a fixed order.

All functions are in one file, because numba's cache notices changes of that file alone.
The oracles are in `osae_theory.sae.kernels.reference`.
"""

# An intrinsic's first parameter is given by numba, which no type checker knows.
# pyright: reportCallIssue=false

from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from osae_theory.jit import kernel

# No run-time type check (`no_type_check`) may wrap what numba compiles.
_kernel = kernel
# Partial sums kept side by side; a multiple of every vector unit's width in use.
_LANES = 16
# Scores compared at once in the selection, and the share of a row's m-th largest score
# that is tried on the next row.
_BLOCK = 32
_GUESS = 0.8


@no_type_check
class _Vectors:
    """Emits loops over rows of contiguous matrices, `_LANES` entries at a time."""

    def __init__(self, context: Any, builder: Any, dtype: Any, lanes: int = _LANES) -> None:
        self.builder = builder
        self.lanes = lanes
        self.scalar = context.get_value_type(dtype)
        self.vector = ir.VectorType(self.scalar, lanes)
        self.align = dtype.bitwidth // 8
        self.integer = context.get_value_type(types.intp)
        self._context = context

    def row(self, array_type: Any, array: Any, row: Any, start: Any) -> Any:
        """Return the address of entry (row, start) of a C-contiguous matrix."""
        matrix = cgutils.create_struct_proxy(array_type)(self._context, self.builder, array)
        width = cgutils.unpack_tuple(self.builder, matrix.shape)[1]
        offset = self.builder.add(self.builder.mul(row, width), start)
        return self.builder.gep(matrix.data, [offset])

    def splat(self, value: Any) -> Any:
        """Return a vector that holds `value` in every lane."""
        index = ir.IntType(32)
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(index, 0)
        )
        zeros = ir.Constant(ir.VectorType(index, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, zeros)

    def load(self, address: Any, whole: bool) -> Any:
        if not whole:
            return self.builder.load(address)
        pointer = self.builder.bitcast(address, self.vector.as_pointer())
        return self.builder.load(pointer, align=self.align)

    def store(self, value: Any, address: Any, whole: bool) -> None:
        if whole:
            pointer = self.builder.bitcast(address, self.vector.as_pointer())
            self.builder.store(value, pointer, align=self.align)
        else:
            self.builder.store(value, address)

    def loop(self, length: Any, factors: list, n_sums: int, body: Any) -> list:
        """Emit `body` over vectors, then over what is left; return the `n_sums` sums."""
        builder, lanes = self.builder, ir.Constant(self.integer, self.lanes)
        n_vectors = builder.sdiv(length, lanes)
        left = builder.mul(n_vectors, lanes)
        wide = [self.splat(factor) for factor in factors]
        sums = [cgutils.alloca_once(builder, self.vector) for _ in range(n_sums)]
        tails = [cgutils.alloca_once(builder, self.scalar) for _ in range(n_sums)]
        for total, tail in zip(sums, tails, strict=True):
            builder.store(ir.Constant(self.vector, [0.0] * self.lanes), total)
            builder.store(ir.Constant(self.scalar, 0.0), tail)
        with cgutils.for_range(builder, n_vectors) as step:
            body(builder.mul(step.index, lanes), wide, sums, True)
        with cgutils.for_range(builder, builder.sub(length, left)) as step:
            body(builder.add(left, step.index), factors, tails, False)
        return [self._total(s, t) for s, t in zip(sums, tails, strict=True)]

    def accumulate(self, sums: list, terms: list) -> None:
        for total, term in zip(sums, terms, strict=True):
            self.builder.store(self.builder.fadd(self.builder.load(total), term), total)

    def _total(self, lanes: Any, tail: Any) -> Any:
        vector = self.builder.load(lanes)
        parts = [
            self.builder.extract_element(vector, ir.Constant(ir.IntType(32), i))
            for i in range(self.lanes)
        ]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [self.builder.fadd(parts[i], parts[i + half]) for i in range(half)]
        return self.builder.fadd(parts[0], self.builder.load(tail))


@no_type_check
@intrinsic
def _add_row(typing_context, target, row, start, factor, source, source_row, source_start, length):
    """target[row, start:] += factor * source[source_row, source_start:], `length` entries."""
    dtype, n = target.dtype, types.intp
    signature = types.void(target, n, n, dtype, source, n, n, n)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, row, start, factor, of, of_row, of_start, length = args
        v = _Vectors(context, builder, dtype)
        into = v.row(signature.args[0], to, row, start)
        come = v.row(signature.args[4], of, of_row, of_start)

        def body(index: Any, factors: list, sums: list, whole: bool) -> None:
            place = builder.gep(into, [index])
            term = builder.fmul(factors[0], v.load(builder.gep(come, [index]), whole))
            v.store(builder.fadd(v.load(place, whole), term), place, whole)

        v.loop(length, [factor], 0, body)
        return context.get_dummy_value()

    return signature, emit


@no_type_check
@intrinsic
def _walk_back(
    typing_context, residual, gathered, atoms, gradient, atom, start, code, weight, length
):
    """One step from the full residual to shorter prefixes, in one pass over the columns.

    gathered += weight * residual; gradient[atom] -= 2 code * gathered;
    energy = |residual|^2; residual += code * atoms[atom].
    Returns <gathered, atoms[atom]> and the energy.
    """
    dtype, n = residual.dtype, types.intp
    signature = types.UniTuple(dtype, 2)(residual, gathered, atoms, gradient, n, n, dtype, dtype, n)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        residual, gathered, atoms, gradient, atom, start, code, weight, length = args
        v = _Vectors(context, builder, dtype)
        zero = ir.Constant(v.integer, 0)
        rows = [
            v.row(signature.args[0], residual, zero, zero),
            v.row(signature.args[1], gathered, zero, zero),
            v.row(signature.args[2], atoms, atom, start),
            v.row(signature.args[3], gradient, atom, start),
        ]
        slope = builder.fmul(ir.Constant(v.scalar, -2.0), code)

        def body(index: Any, factors: list, sums: list, whole: bool) -> None:
            code, weight, slope = factors
            r_at, q_at, d_at, g_at = (builder.gep(row, [index]) for row in rows)
            r, d = v.load(r_at, whole), v.load(d_at, whole)
            q = builder.fadd(v.load(q_at, whole), builder.fmul(weight, r))
            v.store(q, q_at, whole)
            v.store(builder.fadd(v.load(g_at, whole), builder.fmul(slope, q)), g_at, whole)
            v.store(builder.fadd(r, builder.fmul(code, d)), r_at, whole)
            v.accumulate(sums, [builder.fmul(q, d), builder.fmul(r, r)])

        sums = v.loop(length, [code, weight, slope], 2, body)
        return context.make_tuple(builder, signature.return_type, sums)

    return signature, emit


@no_type_check
@intrinsic
def _dot_rows(typing_context, left, right, row, length):
    """<left[row], right[row]> over `length` entries."""
    signature = left.dtype(left, right, types.intp, types.intp)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right, row, length = args
        v = _Vectors(context, builder, signature.args[0].dtype)
        zero = ir.Constant(v.integer, 0)
        rows = [
            v.row(signature.args[0], left, row, zero),
            v.row(signature.args[1], right, row, zero),
        ]

        def body(index: Any, factors: list, sums: list, whole: bool) -> None:
            a, b = (v.load(builder.gep(address, [index]), whole) for address in rows)
            v.accumulate(sums, [builder.fmul(a, b)])

        return v.loop(length, [], 1, body)[0]

    return signature, emit


@no_type_check
@_kernel
def prefix_gradients(
    x, indices, values, atoms, survival, start, stop, losses, d_values, d_atoms, d_x
):
    """Loss and gradients of the nested-dropout loss on columns start:stop (claim I2).

    Per sample: walk the active atoms to the full residual, then back, adding each atom in
    again. r_t is the residual before atom t, v_t = w_{a_t} - w_{a_{t+1}} the probability
    that the prefix ends between them, and Q_t = sum_{s >= t} v_s r_s, so that
    dL/dz_t = -2 <d_t, Q_t> and dL/dd_t = -2 z_t Q_t.

    Overwrites losses (n,), d_values (n, s) with this part's share, d_atoms[:, start:stop]
    and, unless it has no rows, d_x[:, start:stop]. A negative index ends a sample.
    """
    n, s = indices.shape
    width = stop - start
    residual = np.empty((1, width), x.dtype)
    gathered = np.empty((1, width), x.dtype)
    d_atoms[:, start:stop] = 0
    for i in range(n):
        residual[0] = x[i, start:stop]
        gathered[0] = 0
        count = 0
        while count < s and indices[i, count] >= 0:
            atom = indices[i, count]
            _add_row(residual, 0, 0, -values[i, count], atoms, atom, start, width)
            count += 1
        loss = 0.0
        later = 0.0
        for t in range(count - 1, -1, -1):
            atom = indices[i, t]
            weight = survival[atom] - later
            later = survival[atom]
            correlation, energy = _walk_back(
                residual, gathered, atoms, d_atoms, atom, start, values[i, t], weight, width
            )
            d_values[i, t] = -2 * correlation
            loss += weight * energy
        for t in range(count, s):
            d_values[i, t] = 0
        energy = 0.0
        for c in range(width):
            energy += residual[0, c] * residual[0, c]
        losses[i] = loss + (1 - later) * energy
        if d_x.shape[0] > 0:
            for c in range(width):
                d_x[i, start + c] = 2 * (gathered[0, c] + (1 - later) * residual[0, c])


@no_type_check
@_kernel
def encoder_gradient(x, indices, d_values, start, stop, d_encoder):
    """Overwrite d_encoder[:, start:stop], rows by latent, from the active latents alone."""
    n, s = indices.shape
    d_encoder[:, start:stop] = 0
    for i in range(n):
        for t in range(s):
            latent = indices[i, t]
            if latent < 0:
                break
            _add_row(d_encoder, latent, start, d_values[i, t], x, i, start, stop - start)


@no_type_check
@_kernel
def bias_gradient(indices, d_values, d_bias):
    """Overwrite d_bias (K,) with the sums of d_values by latent."""
    d_bias[:] = 0
    n, s = indices.shape
    for i in range(n):
        for t in range(s):
            latent = indices[i, t]
            if latent < 0:
                break
            d_bias[latent] += d_values[i, t]


@no_type_check
@intrinsic
def _candidates(typing_context, scores, row, start, threshold, by_magnitude):
    """Return a bit for each of `_BLOCK` scores that is above the threshold, or NaN."""
    signature = types.uint64(scores, types.intp, types.intp, scores.dtype, types.boolean)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scores, row, start, threshold, by_magnitude = args
        v = _Vectors(context, builder, signature.args[0].dtype, _BLOCK)
        block = v.load(v.row(signature.args[0], scores, row, start), True)
        negative = builder.fcmp_ordered("<", block, ir.Constant(v.vector, [0.0] * _BLOCK))
        magnitude = builder.select(negative, builder.fneg(block), block)
        ranked = builder.select(by_magnitude, magnitude, block)
        above = builder.fcmp_unordered(">", ranked, v.splat(threshold))
        bits = builder.bitcast(above, ir.IntType(_BLOCK))
        return builder.zext(bits, ir.IntType(64))

    return signature, emit


@no_type_check
@intrinsic
def _lowest(typing_context, bits):
    """Return the place of the lowest bit that is set."""
    signature = types.int64(types.uint64)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return signature, emit


@no_type_check
@_kernel
def _mth_largest(keys, count, m):
    """Return the m-th largest of keys[:count]; reorders them (Hoare's selection)."""
    low, high, target = 0, count - 1, m - 1
    while low < high:
        pivot = keys[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return keys[target]


@no_type_check
@_kernel
def _keep_largest(keys, places, scratch, count, m):
    """Keep the m largest candidates in their order, the first among equals; return the m-th."""
    for c in range(count):
        scratch[c] = keys[c]
    threshold = _mth_largest(scratch, count, m)
    room = m
    for c in range(count):
        room -= keys[c] > threshold
    kept = 0
    for c in range(count):
        key = keys[c]
        if key > threshold or (key == threshold and room > 0):
            room -= key == threshold
            keys[kept] = key
            places[kept] = places[c]
            kept += 1
    return threshold


@no_type_check
@_kernel
def _select_row(scores, i, threshold, m, by_magnitude, keys, places, scratch):
    """Find the m largest scores above `threshold` in row i; return their number and the least.

    The number is -1 if a score is NaN. Keys, places and scratch hold 2m + `_BLOCK` entries.
    """
    K = scores.shape[1]
    count = 0
    for first in range(0, K, _BLOCK):
        if first + _BLOCK <= K:
            bits = _candidates(scores, i, first, threshold, by_magnitude)
        else:
            bits = ~np.uint64(0) >> np.uint64(64 - (K - first))
        while bits != 0:
            c = first + _lowest(bits)
            bits &= bits - np.uint64(1)
            key = scores[i, c]
            if np.isnan(key):
                return -1, threshold
            if by_magnitude:
                key = abs(key)
            if key > threshold:
                keys[count] = key
                places[count] = c
                count += 1
        if count > 2 * m:
            threshold = _keep_largest(keys, places, scratch, count, m)
            count = m
    if count > m:
        threshold = _keep_largest(keys, places, scratch, count, m)
        count = m
    return count, threshold


@no_type_check
@_kernel
def select_rows(scores, m, by_magnitude, start, stop, indices, values):
    """Write the active latents of rows start:stop, ascending, and their values.

    Ranks positive scores, or magnitudes. Latents whose activation would be 0 are left out:
    the index is then -1. Returns False at the first NaN.

    The rows of a batch resemble one another, so most of the m-th largest of one row is
    tried as the threshold of the next; what is selected does not depend on that.
    """
    keys = np.empty(2 * m + _BLOCK, scores.dtype)
    scratch = np.empty(2 * m + _BLOCK, scores.dtype)
    places = np.empty(2 * m + _BLOCK, np.int32)
    zero = scores.dtype.type(0)
    guess = zero
    for i in range(start, stop):
        count, least = _select_row(scores, i, guess, m, by_magnitude, keys, places, scratch)
        if 0 <= count < m and guess > zero:
            count, least = _select_row(scores, i, zero, m, by_magnitude, keys, places, scratch)
        if count < 0:
            return False
        guess = scores.dtype.type(least * _GUESS)
        for t in range(count):
            indices[i, t] = places[t]
            values[i, t] = scores[i, places[t]]
        for t in range(count, m):
            indices[i, t] = -1
            values[i, t] = 0
    return True


@no_type_check
@_kernel
def collect_rows(scores, least, below, m, by_magnitude, start, stop, indices, values):
    """Do as `select_rows` does, given the m-th largest rank of each row, or 0, in `least`.

    `below` holds the largest number below each, or 0: what exceeds it is a candidate.
    """
    K = scores.shape[1]
    for i in range(start, stop):
        count = 0
        for first in range(0, K, _BLOCK):
            if first + _BLOCK <= K:
                bits = _candidates(scores, i, first, below[i], by_magnitude)
            else:
                bits = ~np.uint64(0) >> np.uint64(64 - (K - first))
            while bits != 0:
                c = first + _lowest(bits)
                bits &= bits - np.uint64(1)
                value = scores[i, c]
                if np.isnan(value):
                    return False
                key = abs(value) if by_magnitude else value
                if key <= below[i]:
                    continue
                if count == m:
                    # Too many equal ones: a greater score takes the place of the last of them.
                    if key == least[i]:
                        continue
                    count -= 1
                    last = count
                    while abs(values[i, last]) != least[i]:
                        last -= 1
                    for t in range(last, count):
                        indices[i, t] = indices[i, t + 1]
                        values[i, t] = values[i, t + 1]
                indices[i, count] = c
                values[i, count] = value
                count += 1
        for t in range(count, m):
            indices[i, t] = -1
            values[i, t] = 0
    return True


@no_type_check
@_kernel
def adam_rows(
    parameter, gradient, mean, square, start, stop, frozen, on_sphere, scale, rate, betas, epsilon
):
    """One Adam step on rows start:stop; return the largest squared norm of a row after it.

    Gradients are multiplied by `scale` first. On the sphere, a row's gradient loses its
    radial part and the row is normalised afterwards. Rows before `frozen` keep their
    values, though not their moments. `rate` is the step size and the second moment's
    correction, (lr / (1 - beta1^t), sqrt(1 - beta2^t)); `betas` each beta with 1 - beta.
    """
    width = parameter.shape[1]
    beta1, rest1, beta2, rest2 = betas
    step, correction = rate
    largest = 0.0
    for j in range(start, stop):
        p, g, m, v = parameter[j], gradient[j], mean[j], square[j]
        radial = scale - scale
        if on_sphere:
            radial = _dot_rows(parameter, gradient, j, width) * scale
        for c in range(width):
            slope = g[c] * scale - radial * p[c]
            m[c] = beta1 * m[c] + rest1 * slope
            v[c] = beta2 * v[c] + rest2 * slope * slope
        if j >= frozen:
            for c in range(width):
                p[c] -= step * (m[c] / (np.sqrt(v[c]) / correction + epsilon))
            if on_sphere:
                norm = np.sqrt(_dot_rows(parameter, parameter, j, width))
                for c in range(width):
                    p[c] /= norm
        energy = _dot_rows(parameter, parameter, j, width)
        # NaN counts as infinite: it would win or lose every comparison by its place.
        largest = max(largest, np.inf if np.isnan(energy) else energy)
    return largest
