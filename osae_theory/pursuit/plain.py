"""The compiled loops' arithmetic, operation by operation in numpy: the same bits, slowly.

The order of every sum is that of `osae_theory.pursuit.compiled`. It serves where numba does not
compile, and as the compiled loops' oracle to the last bit.
"""

import numpy as np
from jaxtyping import Float, Int

# Picks of a sample, in multiples of m: each lowers its error, and only rounding could go on.
MOST_PICKS = 4
# The least part of an atom's squared norm that must lie outside the span of the atoms before it.
LEAST_PIVOT = 1e-10
# Codes at most this share of the least correlation that an atom is picked for count as 0.
ZERO = 1e-6

Vector = Float[np.ndarray, " length"]


def pursue(
    correlations: Float[np.ndarray, "n K"],
    gram: Float[np.ndarray, "K K"],
    floors: Float[np.ndarray, " n"],
    m: int,
    signed: bool,
    indices: Int[np.ndarray, "n m"],
    values: Float[np.ndarray, "n m"],
) -> None:
    """Do as `compiled.pursue` does."""
    indices[:], values[:] = -1, 0
    for i, row in enumerate(correlations):
        remaining = row.copy()
        found = _Support(row, gram)
        for _ in range(MOST_PICKS * m):
            if len(found.atoms) == m:
                break
            scores = np.abs(remaining) if signed else remaining
            best = int(np.argmax(scores))
            if not scores[best] > floors[i] or not found.extended(best):
                break
            found.code.append(np.float64(0))
            if signed:
                found.code = found.solution()
            else:
                found.make_nonnegative(floors[i], MOST_PICKS * m)
            remaining = row.copy()
            for atom, value in zip(found.atoms, found.code, strict=True):
                remaining -= value * gram[atom]
            remaining[found.atoms] = 0
            if best not in found.atoms:
                break
        kept = sorted((a, v) for a, v in zip(found.atoms, found.code, strict=True) if v != 0)
        for s, (atom, value) in enumerate(kept):
            indices[i, s], values[i, s] = atom, value


class _Support:
    """Atoms, their codes, and the rows of the Cholesky factor of their Gram matrix."""

    def __init__(self, row: Vector, gram: Float[np.ndarray, "K K"]) -> None:
        self.row, self.gram = row, gram
        self.atoms: list[int] = []
        self.code: list[np.float64] = []
        self.factor: list[list[np.float64]] = []
        self.dropped: list[int] = []

    def extended(self, atom: int) -> bool:
        """Add an atom and a row of the factor; False if it depends on those before it."""
        own = self.gram[atom, atom]
        pivot, entries = own, []
        for s, other in enumerate(self.atoms):
            entry = self.gram[atom, other]
            for r in range(s):
                entry -= self.factor[s][r] * entries[r]
            entry /= self.factor[s][s]
            entries.append(entry)
            pivot -= entry * entry
        if not pivot > LEAST_PIVOT * own:
            return False
        self.factor.append([*entries, np.sqrt(pivot)])
        self.atoms.append(atom)
        return True

    def solution(self) -> list[np.float64]:
        """Return the least-squares codes."""
        size = len(self.atoms)
        out = []
        for s in range(size):
            entry = self.row[self.atoms[s]]
            for r in range(s):
                entry -= self.factor[s][r] * out[r]
            out.append(entry / self.factor[s][s])
        for s in range(size - 1, -1, -1):
            entry = out[s]
            for r in range(s + 1, size):
                entry -= self.factor[r][s] * out[r]
            out[s] = entry / self.factor[s][s]
        return out

    def make_nonnegative(self, floor: np.floating, most: int) -> None:
        """Solve nonnegative least squares; atoms at 0 leave the support."""
        self.dropped = []
        for _ in range(most):
            while self.atoms and not self._settled(ZERO * floor):
                pass
            top, best = floor, -1
            for t, atom in enumerate(self.dropped):
                value = self.row[atom]
                for other, code in zip(self.atoms, self.code, strict=True):
                    value -= code * self.gram[other, atom]
                if value > top:
                    top, best = value, t
            if best < 0 or not self.extended(self.dropped[best]):
                return
            self.code.append(np.float64(0))
            last = self.dropped.pop()
            if best < len(self.dropped):
                self.dropped[best] = last

    def _settled(self, least: np.floating) -> bool:
        """Move codes to least squares, or to where the first of them is 0; say which."""
        trial = self.solution()
        reaches = [
            (min(code / (code - aim), 1.0) if code > max(aim, 0) else 0.0, s)
            for s, (code, aim) in enumerate(zip(self.code, trial, strict=True))
            if aim <= least
        ]
        if not reaches:
            self.code = trial
            return True
        step, worst = min(reaches)
        moved = [c + step * (t - c) for c, t in zip(self.code, trial, strict=True)]
        moved[worst] = np.float64(0)
        before, self.atoms, self.code, self.factor = self.atoms, [], [], []
        for s, (atom, code) in enumerate(zip(before, moved, strict=True)):
            stays = code > 0 or (s != worst and trial[s] > least)
            if stays and self.extended(atom):
                self.code.append(code)
            else:
                self.dropped.append(atom)
        return False


def subtract(
    rows: Float[np.ndarray, "n d"],
    atoms: Float[np.ndarray, "K d"],
    indices: Int[np.ndarray, "n m"],
    values: Float[np.ndarray, "n m"],
    out: Float[np.ndarray, "n d"],
) -> None:
    """Do as `compiled.subtract` does."""
    out[:] = rows
    for own, chosen, codes in zip(out, indices, values, strict=True):
        for k, value in zip(chosen[chosen >= 0], codes, strict=False):
            own -= value * atoms[k]


def moments(
    rows: Float[np.ndarray, "n d"],
    indices: Int[np.ndarray, "n m"],
    values: Float[np.ndarray, "n m"],
    gram: Float[np.ndarray, "K K"],
    cross: Float[np.ndarray, "K d"],
) -> None:
    """Do as `compiled.moments` does."""
    gram[:], cross[:] = 0, 0
    for row, chosen, codes in zip(rows, indices, values, strict=True):
        active = chosen[chosen >= 0]
        code = codes[: len(active)]
        gram[np.ix_(active, active)] += code[:, None] * code[None, :]
        for k, value in zip(active, code, strict=True):
            cross[k] += value * row


def solve_positive(matrix: Float[np.ndarray, "K K"], right: Float[np.ndarray, "K d"]) -> bool:
    """Do as `compiled.solve_positive` does."""
    K = len(right)
    for k in range(K):
        for s in range(k):
            entry = matrix[k, s]
            for r in range(s):
                entry -= matrix[s, r] * matrix[k, r]
            matrix[k, s] = entry / matrix[s, s]
        pivot = matrix[k, k]
        for r in range(k):
            pivot -= matrix[k, r] * matrix[k, r]
        if not pivot > 0:
            return False
        matrix[k, k] = np.sqrt(pivot)
    for k in range(K):
        for r in range(k):
            right[k] -= matrix[k, r] * right[r]
        right[k] /= matrix[k, k]
    for k in range(K - 1, -1, -1):
        for r in range(k + 1, K):
            right[k] -= matrix[r, k] * right[r]
        right[k] /= matrix[k, k]
    return True


def sweep(
    residual: Float[np.ndarray, "n d"],
    atoms: Float[np.ndarray, "K d"],
    values: Float[np.ndarray, " n_m"],
    users: Int[np.ndarray, " n_m"],
    starts: Int[np.ndarray, " K_plus_1"],
    signed: bool,
) -> None:
    """Do as `compiled.sweep` does."""
    m = len(values) // len(residual)
    for k in range(len(atoms)):
        places = users[starts[k] : starts[k + 1]]
        old, new = atoms[k].copy(), np.zeros_like(atoms[k])
        energy = np.float64(0)
        for place in places:
            energy += values[place] * values[place]
            new += values[place] * residual[place // m]
        new += energy * old
        norm = np.sqrt(_dot(new, new))
        if not norm > 0:
            continue
        new /= norm
        turned = _dot(old, new)
        for place in places:
            value, row = values[place], residual[place // m]
            code = _dot(row, new) + value * turned
            if code < 0 and not signed:
                code = np.float64(0)
            row[:] = (row + value * old) - code * new
            values[place] = code
        atoms[k] = new


def _dot(a: Vector, b: Vector) -> np.float64:
    whole = len(a) // 4 * 4
    lanes, tail = np.zeros(4), np.float64(0)
    for first in range(0, whole, 4):
        lanes += a[first : first + 4] * b[first : first + 4]
    for x, y in zip(a[whole:], b[whole:], strict=True):
        tail += x * y
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + tail
