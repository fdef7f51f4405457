from dataclasses import replace

import numpy as np
import pytest

from osae_theory.errors import InputError
from realdata.activations.rule import kept_rows, splice
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
