"""U1: when a known dictionary has unique m-sparse codes, and which constructions give it.

Statement. Every x has at most one m-sparse code, x = D z, if and only if spark(D) > 2m (taken
as infinite for independent atoms); with K > d this needs d >= 2m, and 1 + 1/mu <= spark(D).
Full spark, d + 1: Vandermonde atoms at distinct nodes, consecutive or (K prime) any rows of the
Fourier matrix, harmonic frames with half-odd frequencies. Those with frequencies 1..d/2 need not
(they do for prime K, by Chebotarev's theorem on the minors of the Fourier matrix).

Source: Donoho & Elad (2003); Alexeev, Cahill & Mixon (2012); claim U1. Verdict: holds. Tight:
an equivalence; d = 4 with frequencies 1, 2 has spark 3 at K = 6, 4 at K = 8, and 5 at K = 5, 7.

>>> found = UNIQUE_CODES.check(5).certificate
>>> [found[f"spark, frequencies {f}"] for f in ("1, 2, K = 6", "1, 2, K = 8", "1/2, 3/2, K = 8")]
[3, 4, 5]
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import sympy
from jaxtyping import Shaped

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.claims.exact import as_fractions, rank, spark
from osae_theory.seeds import Axis, generator
from osae_theory.uniqueness import decide_codes, spark_exhaustive

_SLACK = 1e-9
_HALF = sympy.Rational(1, 2)


def supports_are_apart(D: Shaped[np.ndarray, "d K"], m: int) -> bool:
    """Return whether m-sparse codes are unique, by comparing every two supports, exactly.

    They are if the atoms of a support are independent and the spans of two supports share no
    more than the span of their common atoms.
    """
    supports = [frozenset(s) for s in combinations(range(D.shape[1]), m)]
    dims = {s: rank(D[:, sorted(s)]) for s in supports}
    return all(d == m for d in dims.values()) and all(
        2 * m - rank(D[:, sorted(s | t)]) == len(s & t) for s, t in combinations(supports, 2)
    )


def two_codes(D: Shaped[np.ndarray, "d K"], m: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return two m-sparse codes of one sample, halves of a null vector, or None."""
    found = spark_exhaustive(D.tolist())
    if found.value > min(2 * m, D.shape[1]):
        return None
    for size in range(1, 2 * m + 1):
        for subset in combinations(range(D.shape[1]), size):
            if rank(D[:, list(subset)]) == size:
                continue
            null = sympy.Matrix(D[:, list(subset)].tolist()).nullspace()[0]
            vector = [Fraction(int(v.p), int(v.q)) for v in null]
            codes = np.full((2, D.shape[1]), Fraction(0), dtype=object)
            codes[0, list(subset[:m])] = vector[:m]
            codes[1, list(subset[m:])] = [-v for v in vector[m:]]
            return codes[0], codes[1]
    return None


def harmonic_spark(frequencies: Sequence[Any], K: int) -> int:
    """Return the spark of the real harmonic frame with K atoms, by exact Gram determinants.

    Atom k has entries cos(f t_k), sin(f t_k), t_k = 2 pi k / K, for each frequency f, integer
    ones or half-odd ones only. A rotation moves any subset to one that holds atom 0.
    """
    gram = [sum(sympy.cos(2 * sympy.pi * f * n / K) for f in frequencies) for n in range(K)]
    for size in range(2, 2 * len(frequencies) + 1):
        for others in combinations(range(1, K), size - 1):
            subset = (0, *others)
            entries: Any = sympy.Matrix([[gram[abs(i - j)] for j in subset] for i in subset])
            # Only a determinant that is small is worth an exact decision.
            if abs(entries.evalf(30).det()) < _SLACK and sympy.simplify(entries.det()) == 0:
                return size
    return 2 * len(frequencies) + 1


def least_fourier_minor(K: int, rows: Sequence[int]) -> float:
    """Return the least |minor| of some rows of the K x K Fourier matrix."""
    F = np.exp(-2j * np.pi * np.outer(rows, np.arange(K)) / K)
    chosen = [np.linalg.det(F[:, list(c)]) for c in combinations(range(K), len(rows))]
    return float(np.abs(chosen).min())


def _example(seed: int) -> tuple[bool, bool, bool]:
    """Return whether codes are unique, whether both tests agree, and if 1 + 1/mu <= spark."""
    rng = generator(seed, Axis.DICTIONARY)
    d, m = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    K = int(rng.integers(max(m, 2), 6))
    entries = rng.integers(-2, 3, (d, K))
    entries[0, ~entries.any(axis=0)] = 1
    D = as_fractions(entries.tolist())
    value = spark(D)
    unique = value > min(2 * m, K)
    agree = supports_are_apart(D, m) == unique and not (unique and K > d and d < 2 * m)
    codes = two_codes(D, m)
    if codes is None:
        agree = agree and unique
    else:
        z, y = codes
        sparse = max(np.count_nonzero(z), np.count_nonzero(y)) <= m
        agree = agree and not unique and sparse and (D @ z == D @ y).all() and (z != y).any()
    G = D.T @ D
    squares = [G[i, j] ** 2 / (G[i, i] * G[j, j]) for i, j in combinations(range(K), 2)]
    return unique, bool(agree), bool(value == K + 1 or (value - 1) ** 2 * max(squares) >= 1)


def _check(n_examples: int) -> Finding:
    n_examples = fewer(n_examples, 8)
    unique, agree, bounded = zip(*map(_example, range(n_examples)), strict=True)
    frames = {
        f"spark, frequencies {name}, K = {K}": harmonic_spark(frequencies, K)
        for name, frequencies in (("1, 2", (1, 2)), ("1/2, 3/2", (_HALF, 3 * _HALF)))
        for K in (6, 8)
    }
    prime = {
        f"spark, frequencies {name}, K = {K}": harmonic_spark(frequencies, K)
        for name, frequencies, K in (("1", (1,), 3), ("1, 2", (1, 2), 5), ("1, 2", (1, 2), 7))
    }
    nodes = [spark(as_fractions([[t**i for t in range(1, 7)] for i in range(d)])) for d in (3, 4)]
    minors = [least_fourier_minor(5, rows) for rows in ((0, 1, 3), (0, 1, 2))]
    minors += [least_fourier_minor(6, (2, 3, 4)), least_fourier_minor(4, (0, 2))]
    constructed = list(frames.values()) == [3, 4, 5, 5] and nodes == [4, 5]
    constructed = constructed and list(prime.values()) == [3, 5, 5]
    fourier = min(minors[:3]) > _SLACK and minors[3] < _SLACK
    return Finding(
        confirmed=bool(all(agree) and all(bounded) and constructed and fourier),
        certificate={
            "random integer dictionaries with unique codes": sum(unique),
            "without: two m-sparse codes of one sample found": n_examples - sum(unique),
            **frames,
            **prime,
            "spark, Vandermonde nodes 1..6, d = 4": nodes[1],
            "least |minor|, Fourier rows 0, 1, 3 of K = 5": minors[0],
            "least |minor|, Fourier rows 2, 3, 4 of K = 6": minors[2],
            "least |minor|, Fourier rows 0, 2 of K = 4": minors[3],
        },
        error=100 * float(np.finfo(np.float64).eps),
        n_examples=n_examples,
    )


def codes_are_certified(instance: Any) -> bool:
    """Return whether spark(D) > 2m is proved for an instance (D, m)."""
    return decide_codes(*instance).answer == "unique"


UNIQUE_CODES = Claim(
    id="U1",
    title="Codes are unique iff spark(D) > 2m",
    source="paper, section 2.3; Donoho & Elad (2003)",
    statement=(
        "Every x has at most one m-sparse code if and only if spark(D) > 2m, which with K > d "
        "needs d >= 2m; spark(D) >= 1 + 1/mu. Vandermonde atoms, consecutive or (K prime) any "
        "Fourier rows, and half-odd harmonic frames have spark d + 1; with frequencies 1..d/2 "
        "they need not, but do for prime K."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "Two m-sparse codes of one x differ by a null vector with at most 2m entries, and a null "
        "vector with at most 2m entries splits into two such codes. Any d + 1 atoms of R^d are "
        "dependent, so spark <= d + 1 for K > d. Gershgorin's theorem on the Gram matrix of s "
        "dependent atoms gives 1 <= (s - 1) mu. With frequencies 1, 2 the atoms 0, 2, 4 of K = 6 "
        "sum to 0, and so do 0, 2, 4, 6 of K = 8; any 4 atoms with 1/2, 3/2 are independent. For "
        "prime K the frame is, over the complex numbers, d rows of the Fourier matrix, of which no "
        "minor is 0 (Chebotarev): spark 3 at d = 2, K = 3, and 5 at d = 4, K = 5 and 7. "
        "What holds is a statement about codes for known D: a unique dictionary needs U2."
    ),
    check=_check,
    assumptions=(Assumption("spark(D) > 2m (instance (D, m))", codes_are_certified),),
    references=(
        "Donoho & Elad (2003), Optimally sparse representation in general dictionaries",
        "Alexeev, Cahill & Mixon (2012), Full spark frames",
        "Tao (2005), An uncertainty principle for cyclic groups of prime order (Chebotarev)",
    ),
)
