"""T4': where the pull of the short prefixes vanishes, L_ND gives D* back exactly at m >= 2.

Statement. As in T4 (a unique m-sparse factorisation, exactly m nonzeros a column, J injective, q
of full support on {1..K-1}), and besides: co-active atoms are orthogonal, C = Y* Y*^T is diagonal
(so codes are signed), and the energies are distinct. Then there is an eps_0 > 0 so that for every
eps in (0, eps_0) the minimisers of L_ND under (1 - eps) delta_K + eps q are exactly D*, Y* sorted
by energy, up to signs.

Source: claim T4'. Verdict: holds. Tight: eps_0 is finite, at most `local_threshold`; each
hypothesis is needed (with a 1-sparse column the codes, at m = 2, move at once). Such data are an
exception, of measure zero in the samples' scales (B).

>>> found = EXACT_RECOVERY_M2.check(20)
>>> found.confirmed
True
>>> found.certificate["D*: spark"], found.certificate["dictionaries with L_K = 0"]
(5, 1)
"""

from fractions import Fraction
from itertools import product
from math import comb
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from osae_theory.claims.base import Assumption, Claim, Finding
from osae_theory.claims.exact import Instance, columns, spark, uniform
from osae_theory.claims.unique_dictionary import is_certified_unique
from osae_theory.claims.vanishing_truncation import (
    TRUNCATION,
    exactly_sparse,
    injective,
    linearised,
    tangents,
)
from osae_theory.errors import InputError, check_integer
from osae_theory.metrics.ordering import order_by_energy
from osae_theory.minimisers.alternating import alternating, best_codes
from osae_theory.minimisers.losses import nested_loss, prefix_losses, stationarity
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import SparseCodingProblem, problem_from_arrays
from osae_theory.problems.geometry import unit_columns
from osae_theory.seeds import Axis, generator
from osae_theory.uniqueness.counting import counting_argument
from osae_theory.uniqueness.findings import read_instance
from osae_theory.uniqueness.samples import distinct_directions

EDGES = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4))
SHAPES = ((4, 5, 2), (5, 5, 2), (4, 6, 2), (5, 7, 2), (6, 6, 3))
"""The (d, K, m) that are tried in turn; d = 4 and 5 are overcomplete, m = 3 once."""
_TOLERANCE = 1e-9


def orthogonal_cycle() -> Instance:
    """Return the exact instance: (d, K, m) = (4, 5, 2), neighbours in the cycle orthogonal.

    On each edge the codes are (s_i, +-t s_j), t = 1..6, so that C is diagonal: N = 60.
    """
    third = Fraction(1, 3)
    D = columns(
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (2 * third, 0, 2 * third, third),
        (third, 2 * third, 0, -2 * third),
        (0, 2 * third, third, 2 * third),
    )
    scales = (7, 4, 3, 2, 1)
    codes = [
        [scales[i] if k == i else t * scales[j] if k == j else 0 for k in range(5)]
        for i, j in EDGES
        for t in (*range(-6, 0), *range(1, 7))
    ]
    return Instance(D, columns(*codes), uniform(5), m=2)


def random_instance(
    seed: int, shape: tuple[int, int, int] = SHAPES[0]
) -> tuple[SparseCodingProblem, PrefixLaw]:
    """Return such a problem in the order of energy, and a q of full support on {1..K-1}.

    Parameters
    ----------
    seed : int
        At least 0.
    shape : tuple of int
        (d, K, m), m >= 2: the supports are the K cyclic ones, atoms less than m apart in the
        cycle are orthogonal, and the codes of a support take all signs. (4, 5, 2) has N = 60.
    """
    d, K, m = shape
    rng = generator(seed, Axis.DICTIONARY)
    D = rng.standard_normal((d, K))
    for k in range(1, K):
        near = [j for j in range(k) if min(k - j, K - k + j) < m]
        basis = scipy.linalg.orth(D[:, near])
        D[:, k] -= basis @ (basis.T @ D[:, k])
    signs = np.array([(1, *rest) for rest in product((1, -1), repeat=m - 1)])
    n_values = -(-((m - 1) * comb(K, m) + 1) // len(signs))
    n_each = n_values * len(signs)
    Y = np.zeros((K, K * n_each))
    for place in range(K):
        support = sorted((place + step) % K for step in range(m))
        values = rng.uniform(0.3, 2.0, (m, n_values))
        samples = slice(n_each * place, n_each * (place + 1))
        Y[support, samples] = np.hstack([row[:, None] * values for row in signs])
    Y *= rng.uniform(0.7, 1.5, (K, 1))
    order = order_by_energy(Y)
    truncation = PrefixLaw(np.append(rng.dirichlet(np.full(K - 1, 3.0)), 0.0), "q")
    return problem_from_arrays(unit_columns(D)[:, order], Y[order]), truncation


def local_threshold(problem: SparseCodingProblem, truncation: PrefixLaw) -> float:
    """Return the eps up to which (D*, Y*) is a strict local minimum on its supports, at most 1.

    There 2 J^T J and 2 Q are the Hessians of L_K and L_q, so (1 - eps) J^T J + eps Q must be
    positive definite: eps < 1 / (1 - lambda), lambda the least generalised eigenvalue. No eps_0
    is larger.

    Raises
    ------
    InputError
        If the gradient of L_q does not vanish at (D*, Y*), or J is not injective.
    """
    D, Y = problem.dictionary, problem.codes
    pull = max(stationarity(problem.data, Y, D, truncation))
    if pull > _TOLERANCE * float(np.vdot(Y, Y)):
        raise InputError(f"gradient of L_q at D* = {pull:.3g}: expected none; see T4")
    if not injective(problem):
        raise InputError("the linearised map is not injective: expected that it is")
    bases = tangents(D)
    J = linearised(D, Y, bases)
    samples, coded = np.nonzero(Y.T)
    n_turns = bases.shape[0] * bases.shape[2]
    atoms: Int[np.ndarray, " n"] = np.append(np.repeat(np.arange(len(Y)), bases.shape[2]), coded)
    w = truncation.survival
    gram = J.T @ J
    Q = gram * np.minimum(w[atoms][:, None], w[atoms][None, :])
    # <R_l, dD Lambda_l dY>: what the prefixes that hold atom j leave of a sample, seen by d_j.
    left = D @ (np.triu(w[:, None] - w[None, :])[:, :, None] * Y)
    cross = np.zeros((len(Y), bases.shape[2], coded.size))
    for place, (n, j) in enumerate(zip(samples, coded, strict=True)):
        cross[j, :, place] = -bases[j].T @ left[j, :, n]
    Q[:n_turns, n_turns:] += cross.reshape(n_turns, -1)
    Q[n_turns:, :n_turns] = Q[:n_turns, n_turns:].T
    least = float(scipy.linalg.eigh(Q, gram, eigvals_only=True)[0])
    return 1 / (1 - min(least, 0.0))


def code_threshold(problem: SparseCodingProblem, truncation: PrefixLaw) -> float:
    """Return the eps up to which Y* are best codes for D*, to 1e-3, by bisection; at most 1."""

    def kept(share: float) -> bool:
        law = truncation.mixed_with_full(1 - share)
        Y = best_codes(problem.data, problem.dictionary, problem.m, law)
        return not _below(problem, law, Y, problem.dictionary)

    return _bisection(kept)


def measured_threshold(
    problem: SparseCodingProblem, truncation: PrefixLaw, n_starts: int = 2, seed: int = 0
) -> float:
    """Return the eps up to which descents find nothing below D*, to 1/256: measured, no proof.

    `alternating` starts from D*, slightly turned, and from `n_starts` random dictionaries; a
    failure to find a lower point proves nothing, so eps_0 can be smaller.
    """
    rng = generator(seed, Axis.INITIALISATION)
    noise = rng.standard_normal((2, *problem.dictionary.shape))
    near = [unit_columns(problem.dictionary + 0.05 * a) for a in noise]

    def kept(share: float) -> bool:
        law = truncation.mixed_with_full(1 - share)
        found = alternating(
            problem.data, problem.K, problem.m, law, n_starts, seed, initial=near, max_steps=200
        )
        return not _below(problem, law, found.codes, found.dictionary)

    return _bisection(kept, steps=8)


def _below(
    problem: SparseCodingProblem,
    law: PrefixLaw,
    Y: Float[np.ndarray, "K N"],
    D: Float[np.ndarray, "d K"],
) -> bool:
    truth = float(
        law.probabilities @ prefix_losses(problem.data, problem.codes, problem.dictionary)
    )
    return nested_loss(problem.data, Y, D, law) < truth - _TOLERANCE * float(np.vdot(Y, Y))


def _bisection(kept: Any, steps: int = 10) -> float:
    """Return the largest eps of a grid of 2^-steps at which `kept` holds, if it holds below it."""
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low


def exact_pulls(instance: Instance) -> tuple[Fraction, Fraction]:
    """Return sum_j ||v_j||^2 and the squared sum of (i) of N1, D* sorted by energy, exactly.

    Both are 0 if and only if (D*, Y*) in this order is stationary for L_ND.
    """
    order = sorted(range(instance.K), key=lambda j: -instance.energies[j])
    D, Y = instance.D[:, order], instance.Y[order]
    w = [sum(instance.law[j:], start=Fraction(0)) for j in range(instance.K)]
    gaps = np.array([[max(a - b, Fraction(0)) for b in w] for a in w], dtype=object)
    atoms = D @ (gaps * (Y @ Y.T)).T
    codes = ((gaps * (D.T @ D)) @ Y) * (Y != 0)
    return Fraction((atoms * atoms).sum()), Fraction((codes * codes).sum())


def sparser_column_moves(share: float = 1e-4) -> bool:
    """Return whether, at m = 2, a sample on the last atom alone gets a second entry at D*."""
    problem, truncation = random_instance(0)
    law = truncation.mixed_with_full(1 - share)
    z = best_codes(problem.dictionary[:, -1:], problem.dictionary, 2, law)
    return bool(np.abs(z[:-1]).max() > 0.01 * share)


def check(n_examples: int) -> Finding:
    """Verify the exact instance, first and second order on examples, and measure eps_0 on one."""
    check_integer("n_examples", n_examples, 1)
    exact = orthogonal_cycle()
    rows = (exact.D.tolist(), exact.Y.tolist())
    unique = counting_argument(rows[0], distinct_directions(read_instance(*rows)))
    pulls = exact_pulls(exact)
    confirmed = bool(unique.met) and pulls == (0, 0) and len(set(exact.energies)) == 5
    certificate: dict[str, Any] = {
        "D*: spark": spark(exact.D),
        "dictionaries with L_K = 0": unique.certificate.value if unique.certificate else 0,
        "sum_j ||v_j||^2 by energy": pulls[0],
        "squared pull on the codes by energy": pulls[1],
    }
    n_instances = max(2, n_examples // 400)
    instances = [random_instance(seed, SHAPES[seed % len(SHAPES)]) for seed in range(n_instances)]
    one = random_instance(1)
    largest = max(_relative_pull(*instance) for instance in instances)
    local = [local_threshold(*instance) for instance in instances]
    codes = [code_threshold(*instance) for instance in instances]
    measured, of_codes = measured_threshold(*one), code_threshold(*one)
    certificate["largest gradient of L_q at D*, over the energy"] = largest
    certificate["eps to which D* is a local minimum, least and median"] = _spread(local)
    certificate["eps to which Y* are the best codes, least and median"] = _spread(codes)
    certificate["eps to which Y* are the best codes, one instance"] = of_codes
    certificate["eps to which descents find nothing below D*, the same one"] = measured
    confirmed = confirmed and 0 < measured <= min(local_threshold(*one), of_codes)
    confirmed = confirmed and largest < _TOLERANCE and min(codes) > 0 and sparser_column_moves()
    return Finding(bool(confirmed), certificate, largest, n_instances + 1)


def coactive_orthogonal(problem: SparseCodingProblem) -> bool:
    """Return whether atoms that some sample uses together are orthogonal, up to rounding."""
    together = np.abs(problem.codes) @ np.abs(problem.codes.T) > 0
    cosines = np.where(together, problem.dictionary.T @ problem.dictionary, 0.0)
    return bool(np.abs(cosines - np.diag(np.diag(cosines))).max() <= 1e-10)


def uncorrelated(problem: SparseCodingProblem) -> bool:
    """Return whether C = Y* Y*^T is diagonal, up to rounding."""
    C = problem.codes @ problem.codes.T
    return bool(np.abs(C - np.diag(np.diag(C))).max() <= 1e-10 * C.max())


def _distinct_energies(problem: SparseCodingProblem) -> bool:
    e = np.sort((problem.codes**2).sum(axis=1))
    return bool(e[0] > 0 and (np.diff(e) > 1e-10 * e[-1]).all())


def _relative_pull(problem: SparseCodingProblem, truncation: PrefixLaw) -> float:
    pull = max(stationarity(problem.data, problem.codes, problem.dictionary, truncation))
    return pull / float(np.vdot(problem.codes, problem.codes))


def _spread(values: list[float]) -> str:
    return f"{min(values):.3f} {float(np.median(values)):.3f}"


EXACT_RECOVERY_M2 = Claim(
    id="T4'",
    title="exact recovery for m >= 2",
    source="this project",
    statement=(
        "If X = D* Y* has one m-sparse factorisation, exactly m nonzeros a column, the map J of T4"
        " is injective, co-active atoms are orthogonal, Y* Y*^T is diagonal with distinct energies,"
        " and q has full support on {1..K-1}, then for some eps_0 > 0 and every eps in (0, eps_0)"
        " the minimisers of L_ND under (1 - eps) delta_K + eps q (mass 1 - eps on l = K) are"
        " exactly D*, Y* sorted by energy, up to signs."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "With C diagonal v_j = 0, and with co-active atoms orthogonal the pull (i) of N1 on the"
        " codes is 0: the gradient of L_q vanishes at D*, in every order. Close to it L_K grows as"
        " ||J theta||^2, so by a positive multiple of ||theta||^2, and L_q falls by a multiple of"
        " ||theta||^2 at most: for small eps the growth wins. By T4 minimisers are close to D*, in"
        " the order that minimises L_q; A = G o C is diagonal and q has full support, so that is"
        " by energy. If some q_l is 0 for an l < K, exchanging atoms l and l + 1 changes nothing.\n"
        "Exact instance: (d,K,m) = (4,5,2), D* = e_1, e_2, (2,0,2,1)/3, (1,2,0,-2)/3, (0,2,1,2)/3,"
        " neighbours in the cycle orthogonal, codes (s_i, +-t s_j), t = 1..6, s = (7,4,3,2,1).\n"
        "Tried at (d,K,m) = (4,5,2), (5,5,2), (4,6,2), (5,7,2) and (6,6,3). How large eps_0 is"
        " depends on the instance. `local_threshold` and `code_threshold` bound"
        " it from above; descents (measured, no proof) find nothing below D* almost up to the"
        " latter: it is a sample with a small entry that changes its support first. A law"
        " certified in full, for data of another kind: B2.\n"
        "Such data are an exception: at m >= 2, for any law of full support, almost every choice of"
        " the samples' scales loses D* (B). One of the exact instance's samples times 11/10 brings"
        " the pull back."
    ),
    check=check,
    assumptions=(
        Assumption(
            "the m-sparse factorisation is unique, as far as a known condition tells (instance:"
            " (problem, q))",
            lambda i: i[0].noise is None and is_certified_unique(i[0]),
        ),
        Assumption("every column has exactly m nonzeros", lambda i: exactly_sparse(i[0])),
        Assumption("the linearised map is injective", lambda i: injective(i[0])),
        Assumption("co-active atoms are orthogonal", lambda i: coactive_orthogonal(i[0])),
        Assumption("Y* Y*^T is diagonal", lambda i: uncorrelated(i[0])),
        Assumption("energies are distinct and positive", lambda i: _distinct_energies(i[0])),
        TRUNCATION,
    ),
)
