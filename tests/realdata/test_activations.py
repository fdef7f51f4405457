from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.activations import kept_rows, splice, stream
from tiny_language import LOUD, SETTINGS, TEXT, TinyModel, loop_over_positions


def test_kept_are_all_positions_but_the_first_within_three_median_norms(store):
    model = TinyModel()
    norms = [
        np.linalg.norm(row.astype(np.float64))
        for context in TEXT.training.contexts[:6]
        for row in model.activations(context[None])[0, 1:]
    ]
    assert store.calibration.norm_limit == pytest.approx(3 * np.median(norms), rel=1e-12)
    rows, places = loop_over_positions(model, TEXT.training, store.calibration.norm_limit)
    np.testing.assert_allclose(
        store.read_all(raw=True), rows, atol=2e-3
    )  # half a step of float16 at 4
    found = store.places(np.arange(store.n))
    np.testing.assert_array_equal(np.stack([found.context, found.position], axis=1), places)
    loud = int((TEXT.training.contexts == ord(LOUD)).sum())
    assert loud > 3
    assert (store.counts.kept, store.counts.dropped_first, store.counts.dropped_norm) == (
        len(rows),
        27,
        loud,
    )


@pytest.mark.parametrize(
    "values",
    [
        {"batch": 0},
        {"shard": 3},
        {"calibration": 0},
        {"norm_factor": 1.0},
        {"standardise": "whiten"},
        {"precision": "float16"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        replace(SETTINGS, **values)


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


def test_a_splice_replaces_what_the_sae_was_trained_on_and_nothing_else(store):
    model = TinyModel()
    x = model.activations(TEXT.training.contexts[:8])[:, 1:].reshape(-1, model.d)
    limit = store.calibration.norm_limit
    zeros = splice(np.zeros_like, store.standardisation, limit)(x)
    loud = np.linalg.norm(x, axis=1) > limit
    assert loud.any()
    np.testing.assert_array_equal(zeros[loud], x[loud])
    np.testing.assert_allclose(
        zeros[~loud], np.broadcast_to(store.standardisation.mean, zeros[~loud].shape)
    )
    same = splice(lambda rows: rows, store.standardisation, limit)(x)
    np.testing.assert_allclose(same, x, rtol=1e-5, atol=1e-5)


def test_the_rule_keeps_a_norm_that_equals_the_limit():
    x = np.array([[[3.0, 4.0], [3.0, 4.0], [3.0, 4.1]]], dtype=np.float32)
    np.testing.assert_array_equal(kept_rows(x, 5.0), [[False, True, False]])
