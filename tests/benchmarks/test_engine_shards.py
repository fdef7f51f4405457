import pytest

from benchmarks.engine.shards import Shard
from osae_theory.errors import InputError
from small_runs import small_setting


@pytest.mark.parametrize("text", ["5/4", "0/4", "a/b", "1/0", "-1/4", "1", "1/4/2", "1.0/4", ""])
def test_a_shard_that_there_is_not_is_refused_with_its_name(text):
    with pytest.raises(InputError, match=r"expected I/N with I from 1 to N") as refused:
        Shard.read(text)
    assert repr(text) in str(refused.value)


def test_a_setting_is_in_exactly_one_shard_and_always_in_the_same():
    settings = [
        small_setting(method, problem_seed=draw)
        for method in ("topk", "osae")
        for draw in range(30)
    ]
    held = [[s for s in settings if Shard(i, 4).holds(s)] for i in (1, 2, 3, 4)]
    assert sorted(map(len, held))[0] > 0
    assert sum(map(len, held)) == len(settings)
    assert {setting for part in held for setting in part} == set(settings)
    # Pinned: jobs of different days must agree.
    assert [next(i for i in (1, 2, 3, 4) if Shard(i, 4).holds(s)) for s in settings[:6]] == PINNED


PINNED = [1, 1, 4, 3, 4, 4]


def test_one_shard_of_one_holds_everything():
    assert Shard.read(" 1/1 ").holds(small_setting())
