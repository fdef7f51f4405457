import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import match, match_activations
from realdata.consistency.collection import (
    ORDERS,
    PAIR_KINDS,
    activation_similarity,
    pair_scores,
    point_frame,
    score_frame,
    sorted_afterwards,
    summarise,
    with_liveness,
)
from realdata.latents.sparse import latent_statistics
from small_saes import checkpoint, cut, drawn_latents


def collection(n_seeds=5, datasets=("docs", "source"), **fields):
    return [checkpoint(s, dataset=name, **fields) for name in datasets for s in range(n_seeds)]


# Pairs.


def test_there_are_as_many_pairs_of_each_kind_as_in_the_paper():
    found = summarise(pair_scores(collection(5), [4]))
    counts = {point.kind: point.pairs for point in found}
    # Ten pairs a dataset, two datasets.
    assert counts == {
        "cross-seed": 20,
        "cross-dataset cross-seed": 20,
        "cross-dataset same-seed": 5,
    }
    assert {point.seeds for point in found} == {5}


def test_pairs_stay_within_method_order_and_tokens():
    checkpoints = [
        checkpoint(s, method=m, tokens=t)
        for s, m, t in itertools.product(range(3), ("osae", "topk"), (0, 100))
    ]
    found = pair_scores(checkpoints, [4], kinds=["cross-seed"])
    assert len(found) == 4 * 3
    assert {(s.method, s.tokens) for s in found} == set(
        itertools.product(("osae", "topk"), (0, 100))
    )


def test_a_pairs_scores_are_stab_and_ord_of_the_first_atoms():
    a, b = checkpoint(0), checkpoint(1)
    for found in pair_scores([a, b], [2, 8]):
        p = found.score.prefix
        expected = match(a.decoder.T, b.decoder.T, prefix=p)
        absolute = match(a.decoder.T, b.decoder.T, absolute=True, prefix=p)
        assert found.score.stab == pytest.approx(expected.stability)
        assert found.score.ord == pytest.approx(expected.orderedness)
        assert found.score.stab_abs == pytest.approx(absolute.stability)
        assert found.score.ord_abs == pytest.approx(absolute.orderedness)


@pytest.mark.parametrize("kind", list(PAIR_KINDS))
def test_the_interval_leaves_out_a_seed_everywhere(kind):
    scores = [s for s in pair_scores(collection(4), [8]) if s.kind == kind]
    [point] = summarise(scores)
    values = {seed: [s.score.ord for s in scores if seed not in s.seeds] for seed in range(4)}
    without = np.array([np.mean(values[seed]) for seed in range(4)])
    half = stats.t.ppf(0.975, 3) * math.sqrt(3 / 4 * np.sum((without - without.mean()) ** 2))
    mean = np.mean([s.score.ord for s in scores])
    bounded = max(mean - half, -1.0), min(mean + half, 1.0)
    assert point.estimates["ord"].ci95 == pytest.approx(bounded)


def test_activation_scores_are_stab_z_and_ord_z():
    a, b = checkpoint(0), checkpoint(1)
    first, Z = drawn_latents(60, 8, 3, 0)
    second, W = drawn_latents(60, 8, 3, 1)
    similarity = activation_similarity({a.key: cut(first, 25), b.key: cut(second, 25)})
    for found in pair_scores([a, b], [3, 8], similarity):
        expected = match_activations(Z.T, W.T, prefix=found.score.prefix)
        assert found.score.stab == pytest.approx(expected.stability)
        assert found.score.ord == pytest.approx(expected.orderedness)
    with pytest.raises(InputError, match="no latents of"):
        pair_scores([a, checkpoint(2)], [3], similarity)


def test_frames_have_a_row_a_score_and_a_point():
    scores = pair_scores(collection(3), [1, 8])
    frame = score_frame(scores)
    assert len(frame) == len(scores)
    assert frame["stab"].tolist() == [s.score.stab for s in scores]
    points = summarise(scores)
    table = point_frame(points)
    assert len(table) == len(points)
    low, high = points[1].estimates["ord"].ci95
    assert table.loc[1, ["ord_low", "ord_high"]].tolist() == [low, high]


def test_collections_that_cannot_be_paired_are_refused():
    with pytest.raises(InputError, match="occurs twice"):
        pair_scores([checkpoint(0), checkpoint(0)])
    with pytest.raises(InputError, match="occurs twice"):
        pair_scores([checkpoint(0), checkpoint(0, tokens=5)], across_tokens=True)
    with pytest.raises(InputError, match="prefix = 9: expected at most 8"):
        pair_scores([checkpoint(0), checkpoint(1)], [9])
    with pytest.raises(InputError, match="kind 'cross-sed' is unknown"):
        pair_scores([checkpoint(0)], kinds=["cross-sed"])
    with pytest.raises(InputError, match="length"):
        pair_scores([checkpoint(0), checkpoint(1, d=4)])


def test_one_checkpoint_has_no_pairs():
    assert pair_scores([checkpoint(0)], [4]) == []
    assert summarise([]) == []


# Dead latents.


def test_latents_dead_in_either_run_are_left_out_of_ord_and_kept_in_stab():
    a, b = checkpoint(0), checkpoint(1, decoder=checkpoint(0).decoder[[7, 1, 2, 3, 4, 5, 6, 0]])
    Z = np.ones((3, 8))
    Z[:, 0] = 0.0
    one, other = (with_liveness(c, latent_statistics([Z])) for c in (a, b))
    [found] = pair_scores([one, other], [8])
    # Latents 1 and 8 are exchanged, and latent 1 is dead in both: both their pairs are left out.
    assert found.score.stab == pytest.approx(1.0)
    assert (found.score.ord, found.score.left_out) == (1.0, 0.25)
    assert pair_scores([a, b], [8])[0].score.ord < 0.5
    with pytest.raises(InputError, match="8 latents: expected 6"):
        with_liveness(checkpoint(K=6), latent_statistics([Z]))


def test_liveness_goes_with_the_latents_when_they_are_sorted():
    Z = np.ones((3, 8))
    Z[:, [2, 5]] = 0.0
    found = sorted_afterwards(checkpoint(), latent_statistics([Z]), "by frequency")
    assert found.live.tolist() == [True] * 6 + [False] * 2
    assert set(found.permutation[-2:].tolist()) == {2, 5}


def test_dead_latents_sorted_last_do_not_make_unrelated_runs_look_ordered():
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(10):
        decoder = rng.standard_normal((40, 12))
        Z = rng.random((50, 40)) * (rng.random((50, 40)) < 0.5)
        dead = rng.permutation(40)[:20]
        # Dead latents share a direction, as those do that never left a common start.
        decoder[dead] += 20.0
        Z[:, dead] = 0.0
        run = checkpoint(seed, decoder=decoder.astype(np.float32))
        runs.append(sorted_afterwards(run, latent_statistics([Z]), "by energy"))
    found = [s.score for s in pair_scores(runs, [40])]
    whole = [s.score.ord for s in pair_scores([replace(run, live=None) for run in runs], [40])]
    assert min(whole) > 0.5
    assert abs(np.mean([score.ord for score in found])) < 0.1
    assert min(score.left_out for score in found) >= 0.5


def test_ties_of_runs_of_one_seed_on_two_datasets_are_broken_apart():
    equal = latent_statistics([np.ones((3, 8))])
    orders = {
        tuple(sorted_afterwards(checkpoint(**label), equal, "by frequency").permutation.tolist())
        for label in ({}, {"seed": 1}, {"dataset": "source"}, {"method": "topk"})
    }
    assert len(orders) == 4


# Orders.


@pytest.mark.parametrize("order", list(ORDERS))
def test_sorting_afterwards_undoes_a_permutation_of_the_latents(order):
    _, Z = drawn_latents(200, 8, 3, 0)
    Z = Z * np.linspace(1, 3, 8, dtype=np.float32)
    Z *= (np.arange(200)[:, None] // 25 >= np.arange(8)).astype(np.float32)
    a = checkpoint(0)
    shuffle = np.random.default_rng(1).permutation(8)
    b = replace(a, seed=1, decoder=a.decoder[shuffle])
    one = sorted_afterwards(a, latent_statistics([Z]), order)
    other = sorted_afterwards(b, latent_statistics([Z[:, shuffle]]), order)
    np.testing.assert_array_equal(one.decoder, other.decoder)
    [found] = pair_scores([one, other], [8])
    assert (found.order, found.score.ord) == (order, 1.0)
    # The activation stream follows the same order.
    latents = {a.key: [Z], b.key: [Z[:, shuffle]]}
    [found] = pair_scores([one, other], [4], activation_similarity(latents))
    assert found.score.stab == pytest.approx(1.0)
    assert found.score.ord == 1.0


def test_energy_counts_the_norm_of_the_decoder_row_and_dead_latents_go_last():
    decoder = np.array([[1.0, 0], [10.0, 0], [99.0, 0]])
    Z = np.array([[2.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    found = sorted_afterwards(checkpoint(decoder=decoder), latent_statistics([Z]), "by energy")
    assert found.permutation.tolist() == [1, 0, 2]
    found = sorted_afterwards(checkpoint(decoder=decoder), latent_statistics([Z]), "by frequency")
    assert found.permutation.tolist() == [0, 1, 2]


def test_what_cannot_be_sorted_is_refused():
    statistics = latent_statistics([np.ones((2, 8))])
    once = sorted_afterwards(checkpoint(), statistics, "by energy")
    with pytest.raises(InputError, match="expected 'trained'"):
        sorted_afterwards(once, statistics, "by energy")
    with pytest.raises(InputError, match="8 latents: expected 6"):
        sorted_afterwards(checkpoint(K=6), statistics, "by energy")
    with pytest.raises(InputError, match="order 'energy' is unknown"):
        sorted_afterwards(checkpoint(), statistics, "energy")
