from itertools import combinations

import numpy as np
import pytest

from osae_theory.metrics.intervals import estimate_shared
from realdata.comparison.scores import PrefixScore
from realdata.consistency.collection import Checkpoint, PairScore, pair_scores
from realdata.consistency.differences import difference_frame, differences_from

PREFIXES = (4, 8)


def scores_of(methods, n_seeds=4, datasets=("docs",)):
    return pair_scores(
        [
            Checkpoint(m, s, d, 9, np.random.default_rng([s, i, j]).standard_normal((8, 5)))
            for i, m in enumerate(methods)
            for j, d in enumerate(datasets)
            for s in range(n_seeds)
        ],
        PREFIXES,
    )


def test_a_difference_is_the_mean_over_pairs_of_the_same_seeds():
    scores = scores_of(["topk", "osae"], datasets=("docs", "source"))
    found = differences_from(scores, "topk", "trained")
    assert {one.method for one in found} == {"osae"}
    for one in found:
        mine, theirs = (
            [
                s.score.stab
                for s in scores
                if (s.method, s.kind, s.score.prefix) == (method, one.kind, one.prefix)
            ]
            for method in ("osae", "topk")
        )
        assert one.pairs == len(mine) == len(theirs)
        assert one.stab.mean == pytest.approx(np.mean(mine) - np.mean(theirs))


def test_its_interval_is_that_of_the_paired_values():
    scores = scores_of(["topk", "osae"])
    [own] = [d for d in differences_from(scores, "topk", "trained") if d.prefix == 8]
    values = {
        method: [s.score.stab for s in scores if s.method == method and s.score.prefix == 8]
        for method in ("topk", "osae")
    }
    paired = np.subtract(values["osae"], values["topk"])
    units = [set(pair) for pair in combinations(range(4), 2)]
    assert own.stab == estimate_shared(paired.tolist(), units)


def test_a_method_that_is_better_by_a_constant_has_no_uncertainty():
    scores = scores_of(["topk"])
    better = [
        PairScore(
            "osae", s.order, s.kind, s.tokens, s.seeds[::-1], s.datasets[::-1],
            PrefixScore(**{**vars(s.score), "stab": s.score.stab + 0.125}),
        )
        for s in scores
    ]  # fmt: skip
    for one in differences_from([*scores, *better], "topk", "trained"):
        assert one.stab.mean == pytest.approx(0.125)
        assert one.stab.ci95 == pytest.approx((0.125, 0.125))


def test_a_pair_without_a_counterpart_does_not_count():
    scores = scores_of(["topk", "osae"])
    kept = [s for s in scores if s.method == "osae" or 3 not in s.seeds]
    assert {one.pairs for one in differences_from(kept, "topk", "trained")} == {3}
    assert differences_from(scores, "topk", "by energy") == []


def test_the_frame_has_one_row_a_difference():
    found = differences_from(scores_of(["topk", "osae"]), "topk", "trained")
    frame = difference_frame(found)
    assert len(frame) == len(found) == 2
    assert frame["stab_mean"].tolist() == [one.stab.mean for one in found]
    assert {"reference", "ord_low", "ord_high"} <= set(frame.columns)
