"""B: at m >= 2 exact recovery by plain nested dropout is an exception, of measure zero.

Statement. Any law of full support, any unit-norm D*, samples x_n = D* y_n with m-sparse y_n, signed
or nonnegative, at least one of them not parallel to an atom (so m >= 2). For all scales alpha in
(0, inf)^N outside a closed set of measure zero, D* minimises L_ND of the data alpha_n x_n in no
order and with no encoder, nor, where codes are signed, with other signs. Source: claim B. Verdict:
holds. Tight: T4', T8 and B2 have data in the set, and L_K alone never excludes D*.

>>> found = MEASURE_ZERO.check(5)
>>> found.confirmed, found.error
(True, 0.0)
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, permutations
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Shaped

from osae_theory.claims.base import Assumption, Claim, Finding, Formal
from osae_theory.claims.exact import FULL_SUPPORT, UNIT_NORM, Instance, Law, columns, rank
from osae_theory.claims.exact_recovery_m2 import exact_pulls, orthogonal_cycle
from osae_theory.claims.shared_atom import by_energy, is_certified, three_in_a_plane
from osae_theory.errors import check_integer
from osae_theory.minimisers.exact_encoders import BestEncoder, exact_best_encoder
from osae_theory.minimisers.rational import exact_codes, rational_unit_vector

_STEPS = tuple(2.0**-n for n in range(1, 24))
_DENOMINATOR = 10**7


def scaled(instance: Instance, sample: int, scale: Fraction) -> Instance:
    """Return the instance with one sample, from 0, multiplied by a number above 0."""
    Y = instance.Y.copy()
    Y[:, sample] = Y[:, sample] * scale
    return replace(instance, Y=Y)


def turns(
    x: Shaped[np.ndarray, " d"],
    z: Shaped[np.ndarray, " K"],
    D: Shaped[np.ndarray, "d K"],
    law: Law,
) -> Shaped[np.ndarray, "d K"]:
    """Return t_j, half the downward slope of a sample's L_ND as d_j turns on the sphere, exactly.

    t_j = z_j P_j sum_{l >= j} p_l (x - D Lambda_l z), P_j the projector orthogonal to d_j.
    """
    K = D.shape[1]
    left, residuals = x, []
    for j in range(K):
        left = left - z[j] * D[:, j]
        residuals.append(left)
    pulls = []
    for j in range(K):
        pull = z[j] * sum(law[k] * residuals[k] for k in range(j, K))
        pulls.append(pull - (pull @ D[:, j]) * D[:, j])
    return np.array(pulls, dtype=object).T


def best_on_supports(
    x: Shaped[np.ndarray, " d"], D: Shaped[np.ndarray, "d K"], m: int, law: Law
) -> Iterator[Shaped[np.ndarray, " K"]]:
    """Yield the codes of least L_ND of a sample on every support of m atoms, exactly."""
    for support in combinations(range(D.shape[1]), m):
        yield exact_codes(x[:, None], D, np.array([support]), law)[:, 0]


def is_parallel(x: Shaped[np.ndarray, " d"], D: Shaped[np.ndarray, "d K"]) -> bool:
    """Return whether a sample is a multiple of an atom; 0 is."""
    return any(rank(np.column_stack([x, atom])) < 2 for atom in D.T)


def trivial_conditions(instance: Instance) -> tuple[int, int]:
    """Return how many conditions there are, and how many hold for all scales.

    One for each order, each sample that is no multiple of an atom, and each support of m atoms on
    which its codes are not all 0: that its t_j all vanish.
    """
    count = trivial = 0
    samples = [x for x in instance.X.T if not is_parallel(x, instance.D)]
    for order in permutations(range(instance.K)):
        D = instance.D[:, list(order)]
        for x in samples:
            for z in best_on_supports(x, D, instance.m, instance.law):
                if (z != 0).any():
                    count += 1
                    trivial += not (turns(x, z, D, instance.law) != 0).any()
    return count, trivial


def total_turns(
    instance: Instance, best: BestEncoder
) -> tuple[Shaped[np.ndarray, "d K"], Shaped[np.ndarray, "d K"]]:
    """Return D* in the best order, and the sum over samples of t_j there."""
    D = instance.D[:, list(best.order)]
    parts = [turns(x, z, D, instance.law) for x, z in zip(instance.X.T, best.codes.T, strict=True)]
    return D, sum(parts[1:], start=parts[0])


def lower_point(instance: Instance, best: BestEncoder) -> Fraction | None:
    """Return L_ND below that of D* in every order with every encoder; None if D* is stationary.

    From the best order and encoder, atoms turn along their slopes, to rational unit vectors; then
    the codes are the best ones again.

    Raises
    ------
    ArithmeticError
        If no step is lower.
    """
    D, slope = total_turns(instance, best)
    if not (slope != 0).any():
        return None
    start, along = D.astype(np.float64), slope.astype(np.float64)
    along /= np.linalg.norm(along)
    found, lowest = best.loss, D
    for step in _STEPS:
        moved = start + step * along
        atoms = [
            rational_unit_vector(a, _DENOMINATOR) if (t != 0).any() else d
            for a, t, d in zip(moved.T, slope.T, D.T, strict=True)
        ]
        turned = np.stack(atoms, axis=1)
        loss = instance.loss(best.codes, turned)
        if loss < found:
            found, lowest = loss, turned
        elif found < best.loss:
            break
    if found == best.loss:
        raise ArithmeticError("no step along the slope is lower: expected one")
    in_place = [tuple(range(instance.K))]
    return exact_best_encoder(instance.X, lowest, instance.m, instance.law, in_place).loss


def random_instance(rng: np.random.Generator) -> Instance:
    """Return d of 2 or 3, K of 2 to 4, m = 2, whole numbers for codes, a law of full support."""
    d, K = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    D = np.stack([rational_unit_vector(v, 4) for v in rng.standard_normal((K, d))], axis=1)
    codes = []
    for _ in range(int(rng.integers(2, 5))):
        y = [0] * K
        for k in rng.choice(K, size=2, replace=False):
            y[k] = int(rng.choice([-3, -2, -1, 1, 2, 3]))
        codes.append(y)
    weights = [int(n) for n in rng.integers(1, 6, K)]
    law = tuple(Fraction(n, sum(weights)) for n in weights)
    return Instance(D, columns(*codes), law, m=2)


def lost(instance: Instance) -> bool:
    """Return whether, at these scales, an exact point is lower than D* in any order."""
    return lower_point(instance, instance.least_at_truth()) is not None


def check(n_examples: int) -> Finding:
    """Lose B2's and T4's dictionary to one scale, and go through conditions on examples."""
    check_integer("n_examples", n_examples, 1)
    n_random = max(3, n_examples // 100)
    plane = three_in_a_plane()
    moved = scaled(plane, 0, Fraction(11, 10))
    at_truth = moved.least_at_truth()
    lower = lower_point(moved, at_truth)
    here = plane.least_at_truth()
    kept = is_certified(plane) and here.loss == plane.ordered_loss(by_energy(plane))
    cycle = orthogonal_cycle()
    pulls = exact_pulls(cycle)[0], exact_pulls(scaled(cycle, 0, Fraction(11, 10)))[0]
    rng = np.random.default_rng(12)
    conditions = trivial = drawn = beaten = 0
    while drawn < n_random:
        instance = random_instance(rng)
        if all(is_parallel(x, instance.D) for x in instance.X.T):
            continue
        drawn += 1
        n, none = trivial_conditions(instance)
        conditions, trivial = conditions + n, trivial + none
        beaten += lost(instance)
    certificate: dict[str, Any] = {
        "B2's (3,4), a sample scaled by 11/10: L_ND at D*, over orders and encoders": at_truth.loss,
        "B2's (3,4), the same: L_ND elsewhere, rounded up": Fraction(
            ceil(1000 * (at_truth.loss if lower is None else lower)), 1000
        ),
        "T4's exact instance: sum_j ||v_j||^2": pulls[0],
        "T4's exact instance, a sample scaled by 11/10: sum_j ||v_j||^2": pulls[1],
        "random instances": drawn,
        "conditions: orders, samples, supports": conditions,
        "of which hold for all scales": trivial,
        "random instances with an exact point lower than D*": beaten,
    }
    confirmed = (
        kept
        and lower is not None
        and lower < at_truth.loss
        and pulls[0] == 0 < pulls[1]
        and trivial == 0 < conditions
        and beaten == drawn
    )
    return Finding(bool(confirmed), certificate, 0.0, drawn)


MEASURE_ZERO = Claim(
    id="B",
    title="exact recovery, m >= 2: measure zero",
    source="this project, after N1",
    statement=(
        "For every law of full support on {1..K}, every unit-norm D* and samples x_n = D* y_n,"
        " y_n m-sparse, signed or nonnegative, at least one x_n not parallel to an atom (then m"
        " >= 2): for all scales alpha in (0, inf)^N outside a closed set of measure zero, D*"
        " minimises L_ND of the data alpha_n x_n in no order and with no encoder, nor, where codes"
        " are signed, with other signs."
        " The set is finitely many zero sets of equations sum_n alpha_n^2 t_n = 0, the t_n not"
        " all 0."
    ),
    verdict="holds",
    evidence="exact certificate",
    story=(
        "Fix the order; signs of atoms are signs of codes, where codes are signed. Samples do not"
        " share codes, so at a minimiser (D*, Z) each z_n is best for its sample. With full"
        " support W is positive definite, hence W o G on every support (I1), so each support"
        " has one best code; the"
        " best code of alpha x is alpha times that of x, and nonnegative best codes are, on the"
        " atoms they use, the signed ones. So Z is one of finitely many choices of supports,"
        " with columns alpha_n z_n that depend on alpha through the factor alone.\n"
        "As D* minimises L_ND for those codes, d_j is stationary on the sphere: sum_n alpha_n^2"
        " t_jn = 0, with t_jn = z_j P_j rho_j, rho_j = sum_{l >= j} p_l (x - D Lambda_l z), P_j"
        " the projector orthogonal to d_j. For every order and every choice of supports this is"
        " an equation in alpha^2. Let x be a sample that is parallel to no atom. As x is in the"
        " span of the atoms and not 0, z is not 0 (some <d_j, x> is not 0, positive if codes are"
        " nonnegative, as ||x||^2 = sum_k y_k <d_k, x>). Suppose that all its t_j are 0. As z_j is"
        " best, <d_j, rho_j> = 0 for each active j, so rho_j = 0. Let b be the last active atom:"
        " rho_b = w_b (x - D z), so x = D z. Were there an active atom before b, a the last of"
        " them, rho_a = (w_a - w_b)"
        " z_b d_b would be 0, but w_a > w_b. So x = z_b d_b, parallel to an atom. Hence some t_j"
        " of this sample is not 0, and for each choice some equation is not trivial: the zero"
        " set of a quadratic form in alpha that does not vanish identically, closed and of"
        " measure zero. There are finitely many orders and choices.\n"
        "Ties between best codes do no harm, since every choice has its equation; nor does it"
        " matter whether D* is identified by L_K. T4', T8 and B2 are in the set: signs or sums"
        " that balance, sum_n alpha_n^2 t_n = 0. One sample of B2's (3,4) multiplied by 11/10,"
        " and D* has 464169/125000 at least, in all orders and with all encoders, and a"
        " dictionary close by less. The law is fixed here; for almost all scales the same is"
        " true of almost every law. What it does not say: how far the minimiser is from D*,"
        " which tends to 0 as p_K tends to 1 (T4). With the residual not squared the dictionary"
        " is exact (A).\n"
        "Checked in fractions: on random instances, d = 2 or 3, K = 2 to 4, m = 2, every"
        " equation of every order, sample and support is not trivial, and at the scales drawn an"
        " exact point is lower than D* in every order with every encoder."
    ),
    check=check,
    assumptions=(
        UNIT_NORM,
        FULL_SUPPORT,
        Assumption(
            "some sample is not parallel to an atom (instance: an exact Instance)",
            lambda i: not all(is_parallel(x, i.D) for x in i.X.T),
        ),
        Assumption(
            "the columns of Y* are m-sparse",
            lambda i: bool((np.count_nonzero(i.Y, axis=0) <= i.m).all()),
        ),
    ),
    machine_checked=(
        Formal(
            "Pull.v",
            "the_pull_is_balanced",
            "at a minimiser of L_ND, any m, the pulls of the samples on each atom sum to 0",
        ),
        Formal(
            "MeasureZero.v",
            "a_sample_off_the_atoms_pulls",
            "a sample whose pulls all vanish lies on one atom, or has no code",
        ),
        Formal(
            "MeasureZero.v",
            "one_scale_at_most",
            "for given codes, at most one scale of a sample off the atoms leaves D a minimiser",
        ),
    ),
)
