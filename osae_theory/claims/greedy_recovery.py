"""U3: when OMP and basis pursuit find the codes, which section 2.3 calls greedy methods.

Statement. If mu(D) < 1/(2m-1), orthogonal matching pursuit and basis pursuit recover every
m-sparse code, for every support and all values.

Source: paper, section 2.3, which has mu (m-1) < 1 (P3: not enough); Tropp (2004). Verdict:
holds. Tight: 2m unit vectors with inner products -1/(2m-1) sum to 0, so at mu = 1/(2m-1) a
sample can have two m-sparse codes, of equal l1 norm, and no method can tell.

>>> finding = GREEDY_RECOVERY.check(5)
>>> finding.confirmed, finding.certificate["m = 3: ||D 1||^2 at mu = 1/(2m-1)"]
(True, Fraction(0, 1))
"""

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog
from sklearn.linear_model import orthogonal_mp

from osae_theory.claims.base import Assumption, Claim, Finding, fewer
from osae_theory.problems import DiracHadamard, EquiangularFrame, coherence
from osae_theory.problems.geometry import haar_basis, unit_columns
from osae_theory.seeds import Axis, generator

_SLACK = 1e-6
LARGEST_M = 4


def exact_recovery_coefficient(
    D: Float[np.ndarray, "d K"], supports: Int[np.ndarray, "S m"]
) -> float:
    """Return max ||D_S^+ d_j||_1 over the supports S and j not in S; below 1, all are recovered.

    Tropp's condition for every code on every one of the supports.
    """
    inverses = np.linalg.pinv(D[:, supports].transpose(1, 0, 2))
    sums = np.abs(inverses @ D).sum(axis=1)
    np.put_along_axis(sums, supports, 0.0, axis=1)
    return float(sums.max())


def pursuit(D: Float[np.ndarray, "d K"], x: Float[np.ndarray, " d"], m: int) -> Any:
    """Return the codes of OMP with m steps (scikit-learn)."""
    return orthogonal_mp(D, x, n_nonzero_coefs=m)


def basis_pursuit(D: Float[np.ndarray, "d K"], x: Float[np.ndarray, " d"]) -> Any:
    """Return codes of least l1 norm with D z = x, by linear programming (HiGHS)."""
    K = D.shape[1]
    program = linprog(np.ones(2 * K), A_eq=np.hstack([D, -D]), b_eq=x, method="highs")
    split = np.asarray(program.x, dtype=np.float64)
    return split[:K] - split[K:]


def incoherent_dictionary(rng: np.random.Generator) -> tuple[Float[np.ndarray, "d K"], int]:
    """Return a dictionary and the largest m with mu < 1/(2m-1), at most 4."""
    kind = int(rng.integers(3))
    if kind == 0:
        basis = haar_basis(int(rng.integers(3, 9)), rng)
        D = unit_columns(basis + rng.uniform(0.01, 0.12) * rng.standard_normal(basis.shape))
    elif kind == 1:
        D = DiracHadamard(16).draw(rng)
    else:
        d = int(rng.choice([5, 7, 9]))
        D = EquiangularFrame(d, d + 1).draw(rng)
    mu = coherence(D)
    m = max(s for s in range(1, LARGEST_M + 1) if s == 1 or mu * (2 * s - 1) < 1 - _SLACK)
    return D * rng.choice([-1, 1], D.shape[1]), min(m, D.shape[1])


def simplex_defect(m: int) -> tuple[Fraction, Fraction]:
    """Return ||D 1||^2 and mu of 2m unit vectors with inner products -1/(2m-1), from their Gram.

    0 means d_1 + ... + d_m = -(d_{m+1} + ... + d_{2m}): two m-sparse codes, each of l1 norm m.
    """
    mu = Fraction(1, 2 * m - 1)
    gram = np.array([[1 if i == j else -mu for j in range(2 * m)] for i in range(2 * m)])
    return Fraction(gram.sum()), mu


def _example(seed: int) -> tuple[float, float, float]:
    """Return both methods' relative errors, and the worst coefficient over its bound.

    The coefficient is the largest over all supports of m atoms, the bound m mu / (1 - (m-1) mu).
    """
    rng = generator(seed, Axis.VALUES)
    D, m = incoherent_dictionary(rng)
    K, mu = D.shape[1], coherence(D)
    z = np.zeros(K)
    support = rng.choice(K, m, replace=False)
    z[support] = rng.choice([-1, 1], m) * 10.0 ** rng.uniform(-2, 0, m)
    x, size = D @ z, np.abs(z).max()
    errors = [
        np.abs(pursuit(D, x, m) - z).max() / size,
        np.abs(basis_pursuit(D, x) - z).max() / size,
    ]
    supports = list(combinations(range(K), m)) if K <= 16 else [support]
    worst = exact_recovery_coefficient(D, np.array(supports))
    return float(errors[0]), float(errors[1]), worst / max(m * mu / (1 - (m - 1) * mu), 1e-300)


def _check(n_examples: int) -> Finding:
    n_examples = fewer(n_examples, 4)
    greedy, convex, shares = zip(*map(_example, range(n_examples)), strict=True)
    defects = {m: simplex_defect(m)[0] for m in range(1, LARGEST_M + 1)}
    error = max(*greedy, *convex)
    return Finding(
        confirmed=bool(error <= _SLACK and max(shares) <= 1 + _SLACK and not any(defects.values())),
        certificate={
            "largest relative error of OMP": max(greedy),
            "largest relative error of basis pursuit": max(convex),
            "largest ||D_S^+ d_j||_1 / (m mu / (1 - (m-1) mu))": max(shares),
            **{f"m = {m}: ||D 1||^2 at mu = 1/(2m-1)": v for m, v in defects.items()},
        },
        error=error,
        n_examples=n_examples,
    )


def is_incoherent(instance: Any) -> bool:
    """Return whether mu (2m-1) < 1 for an instance (D, m)."""
    D, m = instance
    return coherence(D) * (2 * m - 1) < 1


GREEDY_RECOVERY = Claim(
    id="U3",
    title="Greedy and convex recovery of codes",
    source="paper, section 2.3, corrected; Tropp (2004)",
    statement=(
        "If mu(D) < 1/(2m-1), orthogonal matching pursuit and basis pursuit recover every m-sparse "
        "code, whatever its support, signs and magnitudes."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "By Neumann's series ||(D_S^T D_S)^-1||_1 <= 1 / (1 - (m-1) mu), and the column sums of "
        "D_S^T d_j are at most m mu, so ||D_S^+ d_j||_1 <= m mu / (1 - (m-1) mu) < 1 for every j "
        "outside S: an OMP residual on S correlates most with an atom of S, and any other code of "
        "x has a larger l1 norm. The paper's mu (m-1) < 1 makes m atoms independent and no more. "
        "At mu = 1/(2m-1) the 2m vertices of a simplex give two m-sparse codes of one sample."
    ),
    check=_check,
    assumptions=(Assumption("mu(D) (2m-1) < 1 (instance (D, m))", is_incoherent),),
    references=("Tropp (2004), Greed is good", "Donoho & Elad (2003)"),
)
