"""The metrics of runs on made-up fits, against plain loops, and their pinned values."""

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment, nnls

from benchmarks import catalogue
from benchmarks.contracts import Fitted, Scored
from benchmarks.encoders.top_m import TopM
from benchmarks.encoders.truth import Truth
from osae_theory.portable import standard_normal
from osae_theory.problems import toy_spec

WIDTHS = (8, 6, 11)
NEW = (
    *("recovered_precision", "mcc", "uniqueness", "cluster_span"),
    *("precision", "recall", "f1", "support_jaccard", "support_jaccard_pursuit"),
    "order_resolved_pairs",
)
# As they were before the others came.
PINNED = {
    "stab_truth": 0.8933039020157547,
    "stab_truth_abs": 0.8933039020157547,
    "ord_truth": 0.25,
    "ord_by_energy": 0.5714285714285714,
    "ord_by_frequency": 0.5,
    "ord_recovered": 1.0,
    "ord_left_out": 0.125,
    "recovered_share": 0.25,
    "mse": 0.046045551484420265,
    "fvu": 0.34618231709231206,
    "fifr": 0.34883170822012,
    "l0": 2.0,
    "dead_share": 0.125,
}


@cache
def scored(width=8):
    """Return a fit of `width` atoms, one of them dead, near those of a problem of eight."""
    spec = toy_spec(12, 8, 2, 2000, seed=0)
    problem, heldout = spec.draw(), spec.draw("heldout", 300)
    rng = np.random.default_rng(7)
    D = standard_normal(rng, (12, width))
    shared = min(width, 8)
    D[:, :shared] = 0.15 * D[:, :shared] + problem.dictionary[:, rng.permutation(8)[:shared]]
    D /= np.sqrt(np.sum(D * D, axis=0))
    dead = {"encoder_bias": np.float32([-1e3] + [0] * (width - 1))}
    encoder = TopM.of(D, {**TopM.correlating(D, 2).arrays, **dead})
    return Scored(Fitted(D, encoder), problem, heldout, 3)


def value(name, width=8):
    return catalogue.metrics()[name].of_run(scored(width))


def pairs_of(one):
    """Return the latent and the true atom of each pair of the signed matching."""
    D, D_true = one.fitted.dictionary, one.problem.dictionary
    latents, atoms = linear_sum_assignment(-(D.T @ D_true))
    return list(zip(latents.tolist(), atoms.tolist(), strict=True))


def expected(name, width):
    """Return a metric by plain loops."""
    one = scored(width)
    D, D_true = one.fitted.dictionary, one.problem.dictionary
    pairs = pairs_of(one)
    true, codes = one.heldout.codes, one.fitted.encoder(one.heldout.rows(np.float32)[0]).T
    if name == "recovered_precision":
        return sum(abs(D[:, k] @ D_true[:, j]) >= 0.9 for k, j in pairs) / width
    if name == "mcc":
        S = np.zeros((width, 8))
        for k in range(width):
            for j in range(8):
                if np.ptp(codes[k]) and np.ptp(true[j]):
                    S[k, j] = abs(np.corrcoef(codes[k], true[j])[0, 1])
        return S[linear_sum_assignment(-S)].sum() / min(width, 8)
    if name == "uniqueness":
        return len({int(np.argmax(np.abs(atom @ D_true))) for atom in D.T}) / width
    if name == "cluster_span":
        total = 0.0
        for group in clusters_of(D_true):
            latents = [k for k, j in pairs if j in group]
            if latents:
                angles = subspace_angles(D_true[:, sorted(group)], D[:, latents])
                total += np.sum(np.cos(angles) ** 2)
        return total / 8
    if name == "support_jaccard_pursuit":
        codes = np.array([pursued(x, D, 2) for x in one.heldout.data.T]).T
    if name.startswith("support_jaccard"):
        found = []
        mate = dict(pairs)
        for i in range(true.shape[1]):
            used = {mate.get(k, ("none", k)) for k in np.flatnonzero(codes[:, i]).tolist()}
            support = set(np.flatnonzero(true[:, i]).tolist())
            found.append(len(used & support) / len(used | support))
        return np.mean(found)
    if name == "order_resolved_pairs":
        train = one.fitted.encoder(one.problem.rows(np.float32)[0]).T.astype(float)
        energy = np.sum(train**2, axis=1)
        score = [0, 0]
        for (k, i), (n, j) in combinations(pairs, 2):
            lead = one.problem.codes[i] ** 2 - one.problem.codes[j] ** 2
            error = math.sqrt(2000 * np.var(lead, ddof=1))
            # 3.569 leaves 0.01 / 28 of a normal law on its two sides.
            if energy[k] and energy[n] and abs(lead.sum()) > 3.569 * error:
                score[int((energy[k] - energy[n]) * lead.sum() > 0)] += 1
        return (score[1] - score[0]) / sum(score)
    values = []
    for k, j in pairs:
        fires, there = codes[k] != 0, true[j] != 0
        p = (fires & there).sum() / fires.sum() if fires.any() else 0.0
        r = (fires & there).sum() / there.sum()
        f = 2 * p * r / (p + r) if p + r else 0.0
        values.append({"precision": p, "recall": r, "f1": f}[name])
    return np.mean(values)


def pursued(x, D, m):
    """Return one sample's code: the nearest atom to what is left, then least squares."""
    support, code, rest = [], np.zeros(0), x
    while len(support) < m and (D.T @ rest).max() > 1e-6 * np.linalg.norm(x):
        support.append(int(np.argmax(D.T @ rest)))
        code, _ = nnls(D[:, support], x)
        support = [k for k, c in zip(support, code, strict=True) if c > 0]
        rest = x - D[:, support] @ code[code > 0]
    found = np.zeros(D.shape[1])
    found[support] = code[code > 0]
    return found


def clusters_of(D):
    groups = [{j} for j in range(D.shape[1])]
    for i, j in combinations(range(D.shape[1]), 2):
        if abs(D[:, i] @ D[:, j]) > 0.5:
            [a], [b] = ([g for g in groups if x in g] for x in (i, j))
            if a is not b:
                groups.remove(b)
                a |= b
    return groups


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NEW)
def test_a_metric_of_a_fit_with_more_or_fewer_atoms_equals_plain_loops(name, width):
    assert value(name, width) == pytest.approx(expected(name, width), rel=1e-6)


def test_the_made_up_fits_have_what_the_metrics_are_about():
    one = scored(8)
    assert one.latents.dead.tolist() == [True] + [False] * 7
    assert sorted(map(len, clusters_of(one.problem.dictionary))) == [1, 1, 1, 1, 2, 2]
    assert all(0.2 < value(name, 11) < 0.9 for name in NEW)


def test_the_share_of_latents_and_of_atoms_recovered_differ_where_their_numbers_do():
    for width in WIDTHS:
        recovered = value("recovered_share", width) * 8
        assert value("recovered_precision", width) * width == pytest.approx(recovered)


def test_atoms_reappear_in_either_direction_alike():
    metric = catalogue.metrics()["reappears"].of_pair
    first, second = scored().fitted.dictionary, scored().problem.dictionary
    assert metric(first, second) == metric(second, first) == value("recovered_share")
    assert metric(first, first[:, ::-1]) == 1


def test_the_true_codes_have_every_resolved_pair_in_order():
    one = scored()
    truth = Scored(Fitted(one.problem.dictionary, Truth()), one.problem, one.heldout, 3)
    assert catalogue.metrics()["order_resolved_pairs"].of_run(truth) == 1


@pytest.mark.parametrize("name", PINNED)
def test_a_metric_has_the_pinned_value(name):
    assert value(name) == pytest.approx(PINNED[name], rel=1e-12)
