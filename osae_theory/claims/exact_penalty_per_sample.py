"""A': the exact penalty with one norm a sample, which separates over samples.

Statement. As A, with F(D, Y) = sum_n ||x_n - D y_n|| + lambda L_q(D, Y): the same conclusion, with
lambda_0' = inf of sum_n ||x_n - D y_n|| / (L* - L_q(D, Y)) over L_q < L*, and with m nonzeros in
every column the local threshold

    lambda_loc' = 1 / min { max_n ||u_n|| : sum_n J_n^T u_n = -g },

J_n the rows of J that belong to sample n. lambda_0 <= lambda_0' <= sqrt(N) lambda_0, and the same
of the local thresholds. Source: claim A'. Verdict: holds. Tight: both thresholds are sharp.

>>> found = EXACT_PENALTY_PER_SAMPLE.check(20)
>>> found.confirmed
True
>>> 1 < found.certificate["least lambda_loc' / lambda_loc"]
True
"""

from typing import Any

import numpy as np

from osae_theory.claims.base import Claim, Finding
from osae_theory.claims.exact_penalty import (
    INJECTIVE,
    UNIQUE,
    measured_threshold,
    truncated_loss,
)
from osae_theory.claims.exact_penalty_growth import BELOW, sides
from osae_theory.claims.exact_penalty_instances import NO_LOWER, certified, three_planes
from osae_theory.claims.vanishing_truncation import SHAPES, TRUNCATION, random_instance
from osae_theory.errors import check_integer
from osae_theory.minimisers.exact_penalty import penalty_descent
from osae_theory.minimisers.penalty_thresholds import local_threshold
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

_GAP = 1e-3  # relative, of the local thresholds


def lowest_at_certified() -> float:
    """Return the lowest F' that descents find on A's certified instance, over F' at D*, less 1.

    At A's certified lambda, which is below lambda_0', no point is lower than D*.
    """
    instance, sure = three_planes(), certified()
    D, Y = instance.D.astype(np.float64), instance.Y.astype(np.float64)
    problem = problem_from_arrays(D, Y)
    truncation = PrefixLaw(np.array(instance.law, dtype=np.float64))
    weight = float(sure.weight)
    found = penalty_descent(
        problem.data, 3, 2, truncation, weight, 6, form="per sample", initial=[D]
    )
    return found.loss / (weight * truncated_loss(problem, truncation)) - 1


def check(n_examples: int) -> Finding:
    """Compare both forms' local thresholds on examples, measure growth, and search by descent."""
    check_integer("n_examples", n_examples, 1)
    n_local = max(len(SHAPES), n_examples // 25)
    told, ratios, gaps, bracketed = [], [], [], 0
    for seed in range(n_local):
        problem, truncation = random_instance(seed, SHAPES[seed % len(SHAPES)])
        D, Y = problem.dictionary, problem.codes
        total = local_threshold(D, Y, truncation).value
        own = local_threshold(D, Y, truncation, "per sample", tolerance=_GAP)
        told.append(sides(problem, truncation, own, "per sample"))
        ratios.append(own.value / total)
        gaps.append(own.error / own.value)
        bracketed += bool(1 - NO_LOWER < ratios[-1] < np.sqrt(Y.shape[1]))
    problem, truncation = random_instance(1)
    own = local_threshold(problem.dictionary, problem.codes, truncation, "per sample").value
    share = measured_threshold(problem, truncation, "per sample", 1, 60)[1] / own
    lowest = lowest_at_certified()
    certificate: dict[str, Any] = {
        "instances with growth 0.01 at 0.99 lambda_loc' and -0.01 at 1.01": sum(
            side.as_predicted for side in told
        ),
        "of which lambda_loc <= lambda_loc' <= sqrt(N) lambda_loc": bracketed,
        "least lambda_loc' / lambda_loc": min(ratios),
        "largest lambda_loc' / lambda_loc": max(ratios),
        "largest relative gap of lambda_loc'": max(gaps),
        "lambda_0' over lambda_loc', upper bound by descent, one instance": share,
        "three planes: lowest F' found at A's certified lambda, over that of D*, less 1": lowest,
    }
    confirmed = (
        all(side.as_predicted for side in told)
        and bracketed == n_local
        and max(gaps) <= _GAP
        and share > 0
        and lowest > -NO_LOWER
    )
    error = max(abs(side.below - 1 + BELOW) for side in told)
    return Finding(bool(confirmed), certificate, max(error, *gaps), n_local)


EXACT_PENALTY_PER_SAMPLE = Claim(
    id="A'",
    title="the same with one norm a sample",
    source="this project, after A",
    statement=(
        "Under A's assumptions, A holds for F(D, Y) = sum_n ||x_n - D y_n|| + lambda L_q(D, Y)"
        " with lambda_0' = inf of sum_n ||x_n - D y_n|| / (L* - L_q) over the points with L_q <"
        " L*. With m nonzeros in every column (D*, Y*) in an order with L_q = L* is a local"
        " minimiser for lambda below and none for lambda above lambda_loc' = 1 / min { max_n"
        " ||u_n|| : sum_n J_n^T u_n = -g }, J_n the rows of J for sample n. lambda_0 <="
        " lambda_0' <= sqrt(N) lambda_0, and lambda_loc <= lambda_loc' <= sqrt(N) lambda_loc."
    ),
    verdict="holds",
    evidence="property test",
    story=(
        "A's proof uses of the residual's size that it is a norm: ||X - D Y||_F <= sum_n ||x_n -"
        " D y_n|| <= sqrt(N) ||X - D Y||_F, which gives the bounds on the thresholds too. Along"
        " v, F changes by sum_n ||J_n v|| + lambda <g, v>, so lambda_loc' is 1 over the largest"
        " -<g, v> with sum_n ||J_n v|| <= 1; by duality, J being injective, that is the least"
        " max_n ||u_n|| with J^T u = -g.\n"
        "F is a sum over samples, so minibatches estimate it and its gradients without bias,"
        " which the norm of all residuals does not allow. At a sample with residual r_n it is"
        " nested dropout with mass on l = K in proportion 1 / (2 r_n): each sample has its own"
        " law, nearer to l = K the better it is fitted. lambda has another unit than in A: up to"
        " sqrt(N) times as large for the same data.\n"
        "It has more corners than A's F: a sample that is fitted exactly while the atoms are"
        " still off outweighs all others, and descent block by block stops there."
        " `penalty_descent` rounds the corners, (r_n^2 + floor^2)^(1/2), with a floor that falls"
        " with the residuals; then it comes to D* from close by.\n"
        "Tried at (d,K,m) = (4,5,2), (5,5,2), (4,6,2), (3,3,2), (4,4,3). lambda_loc' comes with"
        " a lower and an upper bound, from u and from v (least squares, reweighted). On A's"
        " certified instance A's lambda serves, as lambda_0 <= lambda_0'."
    ),
    check=check,
    assumptions=(UNIQUE, INJECTIVE, TRUNCATION),
)
