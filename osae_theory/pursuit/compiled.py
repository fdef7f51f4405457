"""The inner loops of pursuit and of atom updates, compiled by numba.

Every function is sequential, works in float64 and releases the interpreter's lock; callers split
samples into parts. No fast-math: a sum is one chain in the order of its loop, or four chains that
are added as (0 + 1) + (2 + 3). `osae_theory.pursuit.plain` has the same bits.

All functions are in one file, because numba's cache notices changes of that file alone.
"""

from typing import no_type_check

import numpy as np

from osae_theory.jit import kernel

# As in `plain`: numba's cache would not notice a change there.
MOST_PICKS = 4
LEAST_PIVOT = 1e-10
ZERO = 1e-6


@no_type_check
@kernel
def pursue(correlations, gram, floors, m, signed, indices, values):
    """Overwrite indices and values (n, m) with codes, by correlations (n, K) and Gram matrix.

    Indices rise; places that are not used hold -1 and 0. No atom is picked whose correlation
    with the residual is at most floors[i].
    """
    n, K = correlations.shape
    remaining = np.empty(K)
    factor = np.empty((m, m))
    support = np.empty(m, np.int64)
    code = np.empty(m)
    trial = np.empty(m)
    dropped = np.empty(m, np.int64)
    for i in range(n):
        row = correlations[i]
        size = 0
        remaining[:] = row
        for _ in range(MOST_PICKS * m):
            if size == m:
                break
            best = _largest(remaining, floors[i], signed)
            if best < 0 or not _extended(gram, factor, support, size, best):
                break
            code[size] = 0.0
            size += 1
            if signed:
                _solve(row, factor, support, size, code)
            else:
                size = _nonnegative(
                    row, gram, factor, support, size, code, trial, dropped, floors[i]
                )
            kept = False
            remaining[:] = row
            for s in range(size):
                kept = kept or support[s] == best
                factor_s = code[s]
                column = gram[support[s]]
                for k in range(K):
                    remaining[k] -= factor_s * column[k]
            for s in range(size):
                remaining[support[s]] = 0.0
            if not kept:
                break
        _store(support, code, size, indices[i], values[i])


@no_type_check
@kernel
def _largest(remaining, floor, signed):
    """Return the first place of the largest entry, or absolute entry, above a floor; or -1."""
    best = -1
    top = floor
    for k in range(len(remaining)):
        value = abs(remaining[k]) if signed else remaining[k]
        if value > top:
            top = value
            best = k
    return best


@no_type_check
@kernel
def _extended(gram, factor, support, size, atom):
    """Add an atom to a support and a row to its Cholesky factor; False if it depends on them."""
    pivot = gram[atom, atom]
    for s in range(size):
        entry = gram[atom, support[s]]
        for r in range(s):
            entry -= factor[s, r] * factor[size, r]
        entry /= factor[s, s]
        factor[size, s] = entry
        pivot -= entry * entry
    if not pivot > LEAST_PIVOT * gram[atom, atom]:
        return False
    factor[size, size] = np.sqrt(pivot)
    support[size] = atom
    return True


@no_type_check
@kernel
def _solve(row, factor, support, size, out):
    """Overwrite out[:size] with the least-squares codes on a support."""
    for s in range(size):
        entry = row[support[s]]
        for r in range(s):
            entry -= factor[s, r] * out[r]
        out[s] = entry / factor[s, s]
    for s in range(size - 1, -1, -1):
        entry = out[s]
        for r in range(s + 1, size):
            entry -= factor[r, s] * out[r]
        out[s] = entry / factor[s, s]


@no_type_check
@kernel
def _nonnegative(row, gram, factor, support, size, code, trial, dropped, floor):
    """Solve nonnegative least squares on a support; return how many atoms keep a code above 0.

    Lawson and Hanson's active set: those that are at 0 leave the support, and come back where
    their correlation with the residual is above the floor.
    """
    n_dropped = 0
    for _ in range(MOST_PICKS * len(support)):
        size, n_dropped = _settled(
            row, gram, factor, support, size, code, trial, dropped, n_dropped, ZERO * floor
        )
        best = -1
        top = floor
        for t in range(n_dropped):
            value = row[dropped[t]]
            for s in range(size):
                value -= code[s] * gram[support[s], dropped[t]]
            if value > top:
                top = value
                best = t
        if best < 0 or not _extended(gram, factor, support, size, dropped[best]):
            break
        code[size] = 0.0
        size += 1
        n_dropped -= 1
        dropped[best] = dropped[n_dropped]
    return size


@no_type_check
@kernel
def _settled(row, gram, factor, support, size, code, trial, dropped, n_dropped, least):
    """Move codes to least squares; where one would fall to 0, drop it and move on without it.

    What is at most `least` counts as 0: it is what rounding leaves of an atom that is not needed.
    """
    while size > 0:
        _solve(row, factor, support, size, trial)
        step = 1.0
        worst = -1
        for s in range(size):
            if trial[s] <= least:
                reach = 0.0
                if code[s] > 0.0 and code[s] > trial[s]:
                    reach = min(code[s] / (code[s] - trial[s]), 1.0)
                if worst < 0 or reach < step:
                    step = reach
                    worst = s
        if worst < 0:
            for s in range(size):
                code[s] = trial[s]
            break
        for s in range(size):
            code[s] += step * (trial[s] - code[s])
        code[worst] = 0.0
        left = 0
        for s in range(size):
            atom = support[s]
            # An atom that has just come in stands at 0 while it is still to move up.
            stays = code[s] > 0.0 or (s != worst and trial[s] > least)
            if stays and _extended(gram, factor, support, left, atom):
                code[left] = code[s]
                left += 1
            else:
                dropped[n_dropped] = atom
                n_dropped += 1
        size = left
    return size, n_dropped


@no_type_check
@kernel
def _store(support, code, size, indices, values):
    """Write a code with rising indices; what is 0 is left out."""
    used = 0
    for s in range(size):
        if code[s] != 0.0:
            place = used
            while place > 0 and indices[place - 1] > support[s]:
                indices[place] = indices[place - 1]
                values[place] = values[place - 1]
                place -= 1
            indices[place] = support[s]
            values[place] = code[s]
            used += 1
    for s in range(used, len(indices)):
        indices[s] = -1
        values[s] = 0.0


@no_type_check
@kernel
def subtract(rows, atoms, indices, values, out):
    """Overwrite out (n, d) with rows minus their codes times the atoms, in the codes' order."""
    n, d = rows.shape
    for i in range(n):
        out[i] = rows[i]
        for s in range(indices.shape[1]):
            if indices[i, s] < 0:
                break
            value = values[i, s]
            atom = atoms[indices[i, s]]
            for j in range(d):
                out[i, j] -= value * atom[j]


@no_type_check
@kernel
def moments(rows, indices, values, gram, cross):
    """Overwrite gram (K, K) and cross (K, d) with Y^T Y and Y^T X, samples in their order."""
    d = rows.shape[1]
    gram[:] = 0.0
    cross[:] = 0.0
    for i in range(len(rows)):
        for s in range(indices.shape[1]):
            if indices[i, s] < 0:
                break
            value = values[i, s]
            a = indices[i, s]
            for t in range(s + 1):
                product = value * values[i, t]
                gram[a, indices[i, t]] += product
                if t < s:
                    gram[indices[i, t], a] += product
            for j in range(d):
                cross[a, j] += value * rows[i, j]


@no_type_check
@kernel
def solve_positive(matrix, right):
    """Overwrite right (K, d) with the solution of matrix times it; matrix gets its factor.

    Cholesky, row by row; False if the matrix is not positive definite.
    """
    K, d = right.shape
    for k in range(K):
        for s in range(k):
            entry = matrix[k, s]
            for r in range(s):
                entry -= matrix[s, r] * matrix[k, r]
            matrix[k, s] = entry / matrix[s, s]
        pivot = matrix[k, k]
        for r in range(k):
            pivot -= matrix[k, r] * matrix[k, r]
        if not pivot > 0.0:
            return False
        matrix[k, k] = np.sqrt(pivot)
    for k in range(K):
        for r in range(k):
            factor = matrix[k, r]
            for j in range(d):
                right[k, j] -= factor * right[r, j]
        for j in range(d):
            right[k, j] /= matrix[k, k]
    for k in range(K - 1, -1, -1):
        for r in range(k + 1, K):
            factor = matrix[r, k]
            for j in range(d):
                right[k, j] -= factor * right[r, j]
        for j in range(d):
            right[k, j] /= matrix[k, k]
    return True


@no_type_check
@kernel
def sweep(residual, atoms, values, users, starts, signed):
    """Update atoms (K, d) one after another with their codes; the residual (n, d) follows.

    values is flat, (n m,); users[starts[k]:starts[k + 1]] are the places in it of atom k.
    """
    K, d = atoms.shape
    m = len(values) // len(residual)
    old = np.empty(d)
    new = np.empty(d)
    for k in range(K):
        old[:] = atoms[k]
        new[:] = 0.0
        energy = 0.0
        for p in range(starts[k], starts[k + 1]):
            value = values[users[p]]
            row = residual[users[p] // m]
            energy += value * value
            for j in range(d):
                new[j] += value * row[j]
        for j in range(d):
            new[j] += energy * old[j]
        norm = np.sqrt(_dot(new, new))
        if not norm > 0.0:
            continue
        for j in range(d):
            new[j] /= norm
        turned = _dot(old, new)
        for p in range(starts[k], starts[k + 1]):
            value = values[users[p]]
            row = residual[users[p] // m]
            code = _dot(row, new) + value * turned
            if code < 0.0 and not signed:
                code = 0.0
            for j in range(d):
                row[j] = (row[j] + value * old[j]) - code * new[j]
            values[users[p]] = code
        atoms[k] = new


@no_type_check
@kernel
def _dot(a, b):
    """Return the inner product in four chains."""
    whole = len(a) // 4 * 4
    s0 = s1 = s2 = s3 = 0.0
    for j in range(0, whole, 4):
        s0 += a[j] * b[j]
        s1 += a[j + 1] * b[j + 1]
        s2 += a[j + 2] * b[j + 2]
        s3 += a[j + 3] * b[j + 3]
    tail = 0.0
    for j in range(whole, len(a)):
        tail += a[j] * b[j]
    return ((s0 + s1) + (s2 + s3)) + tail
