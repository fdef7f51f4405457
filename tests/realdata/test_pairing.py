import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.consistency.collection import pair_scores, sorted_afterwards
from realdata.consistency.pairing import equal_loss, equal_seconds, equal_tokens
from realdata.latents.sparse import latent_statistics
from small_saes import checkpoint


def run_of(method, seed, losses, tokens=(10, 20, 30), seconds=(1.0, 2.0, 3.0)):
    return [
        checkpoint(seed, method=method, tokens=t, loss=loss, seconds=s)
        for t, loss, s in zip(tokens, losses, seconds, strict=True)
    ]


def test_equal_loss_takes_each_runs_nearest_to_what_the_worst_run_reaches():
    checkpoints = run_of("topk", 0, (0.9, 0.52, 0.3)) + run_of("osae", 0, (0.9, 0.7, 0.5))
    found = equal_loss(checkpoints)
    assert found.target == 0.5
    assert [(c.method, c.tokens) for c in found.checkpoints] == [("topk", 20), ("osae", 30)]
    assert "0.5" in found.rule
    tie = equal_loss(run_of("topk", 0, (0.6, 0.4, 0.4)), 0.5)
    assert [c.tokens for c in tie.checkpoints] == [10]


def test_equal_tokens_takes_the_greatest_number_all_have():
    checkpoints = run_of("topk", 0, (1.0, 1, 1)) + run_of("osae", 0, (1.0, 1, 1), (10, 20, 25))
    found = equal_tokens(checkpoints)
    assert [c.tokens for c in found.checkpoints] == [20, 20]
    assert [c.tokens for c in equal_tokens(checkpoints, 10).checkpoints] == [10, 10]


def test_equal_seconds_takes_the_last_within_the_quickest_runs_time():
    checkpoints = run_of("topk", 0, (1.0, 1, 1)) + run_of(
        "osae", 0, (1.0, 1, 1), seconds=(2.0, 4.0, 6.0)
    )
    found = equal_seconds(checkpoints)
    assert found.target == 3.0
    assert [(c.method, c.tokens) for c in found.checkpoints] == [("topk", 30), ("osae", 10)]


def test_checkpoints_of_equal_loss_pair_across_tokens():
    checkpoints = run_of("osae", 0, (0.9, 0.5, 0.4)) + run_of("osae", 1, (0.9, 0.8, 0.5))
    chosen = equal_loss(checkpoints).checkpoints
    assert [c.tokens for c in chosen] == [20, 30]
    [found] = pair_scores(chosen, [8], across_tokens=True)
    assert (found.seeds, found.tokens) == ((0, 1), None)
    assert pair_scores(chosen, [8]) == []


def test_sorted_versions_of_a_run_are_chosen_apart():
    run = run_of("osae", 0, (0.9, 0.5, 0.4))
    statistics = latent_statistics([np.ones((2, 8))])
    both = [*run, *(sorted_afterwards(c, statistics, "by energy") for c in run)]
    assert [c.order for c in equal_tokens(both).checkpoints] == ["trained", "by energy"]


def test_choices_that_cannot_be_made_are_refused():
    run = run_of("osae", 0, (0.9, 0.5, 0.4))
    with pytest.raises(InputError, match="no checkpoints"):
        equal_loss([])
    with pytest.raises(InputError, match="loss of"):
        equal_loss([checkpoint()])
    with pytest.raises(InputError, match="seconds of"):
        equal_seconds([checkpoint()])
    with pytest.raises(InputError, match=r"within 0\.5 seconds"):
        equal_seconds(run, 0.5)
    with pytest.raises(InputError, match="no checkpoint of 15 tokens"):
        equal_tokens(run, 15)
    with pytest.raises(InputError, match="share no number of tokens"):
        equal_tokens(run[:1] + run_of("topk", 0, (1.0, 1, 1))[1:])
