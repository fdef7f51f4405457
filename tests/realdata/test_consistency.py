import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import match, match_activations
from realdata.consistency import (
    ORDERS,
    PAIR_KINDS,
    activation_similarity,
    pair_scores,
    point_frame,
    score_frame,
    sorted_afterwards,
    summarise,
)
from realdata.latents import latent_statistics
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
    assert point.estimates["ord"].ci95 == pytest.approx((mean - half, mean + half))


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


# Orders.


@pytest.mark.parametrize("order", list(ORDERS))
def test_sorting_afterwards_undoes_a_permutation_of_the_latents(order):
    _, Z = drawn_latents(200, 8, 3, 0)
    Z = Z * np.linspace(1, 3, 8, dtype=np.float32)
    Z[: 20 * 8] *= (np.arange(160)[:, None] // 20 >= np.arange(8)).astype(np.float32)
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
