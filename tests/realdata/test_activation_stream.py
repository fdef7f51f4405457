from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.activations.stream import stream
from tiny_language import SETTINGS, TEXT, TinyModel, loop_over_positions


def test_a_stream_gives_every_row_of_the_store_once_a_pass_and_stores_nothing(tmp_path, store):
    streamed = stream(TinyModel(), TEXT.training, replace(SETTINGS, calibration=27))
    batches = list(streamed.batches(4, buffer=40, seed=1))
    x = np.concatenate(batches)
    assert {len(batch) for batch in batches} == {4}
    expected = store.manifest["counts"]["kept"] // 4 * 4
    assert abs(len(x) - expected) <= 4
    limit = streamed.calibration.norm_limit
    rows, _ = loop_over_positions(TinyModel(), TEXT.training, limit)
    every = streamed.standardisation.apply(rows)
    # All but the few at the end that fill no batch: each is one of the rows, and none is twice.
    values, counts = np.unique(np.concatenate([every, x]), axis=0, return_counts=True)
    own, own_counts = np.unique(every, axis=0, return_counts=True)
    np.testing.assert_array_equal(values, own)
    assert (counts <= 2 * own_counts).all()
    assert len(x) == len(every) // 4 * 4
    np.testing.assert_allclose(every.mean(axis=0), 0, atol=1e-5)


def test_a_stream_is_shuffled_by_its_seed(store):
    streamed = stream(TinyModel(), TEXT.training, SETTINGS)
    one, same, other = (
        np.concatenate(list(streamed.batches(4, buffer=40, seed=seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert streamed.calibration.norm_limit == store.calibration.norm_limit
    twice = np.concatenate(list(streamed.batches(4, buffer=40, seed=1, passes=2)))
    assert len(twice) >= 2 * len(one)
    with pytest.raises(InputError, match="buffer = 7: expected a whole number of at least 8"):
        next(streamed.batches(4, buffer=7))
