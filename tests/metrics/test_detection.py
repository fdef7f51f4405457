import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics.detection import detection, support_jaccard

sizes = {
    "pairs": st.integers(1, 6),
    "n": st.integers(1, 20),
    "density": st.floats(0.05, 0.9),
    "seed": st.integers(0, 2**32 - 1),
}


def supports(pairs, n, density, seed):
    return np.random.default_rng(seed).random((2, pairs, n)) < density


def detection_in_loops(features, latents):
    precisions, recalls, scores = [], [], []
    for feature, latent in zip(features, latents, strict=True):
        hits = sum(a and b for a, b in zip(feature, latent, strict=True))
        false_alarms = sum(b and not a for a, b in zip(feature, latent, strict=True))
        misses = sum(a and not b for a, b in zip(feature, latent, strict=True))
        if hits + misses == 0:
            continue
        p = hits / (hits + false_alarms) if hits + false_alarms else 0.0
        r = hits / (hits + misses)
        precisions.append(p)
        recalls.append(r)
        scores.append(2 * p * r / (p + r) if p + r else 0.0)
    if not scores:
        return [math.nan] * 3
    return [np.mean(precisions), np.mean(recalls), np.mean(scores)]


def jaccard_in_loops(features, latents):
    found = []
    for i in range(features.shape[1]):
        true = {j for j in range(len(features)) if features[j, i]}
        used = {j for j in range(len(latents)) if latents[j, i]}
        found.append(len(true & used) / len(true | used) if true | used else 1.0)
    return np.mean(found)


@given(**sizes)
def test_detection_equals_plain_loops(pairs, n, density, seed):
    features, latents = supports(pairs, n, density, seed)
    found = detection(features, latents)
    expected = detection_in_loops(features, latents)
    np.testing.assert_allclose([found.precision, found.recall, found.f1], expected, rtol=1e-12)


@given(**sizes)
def test_the_jaccard_index_equals_plain_loops_over_sets(pairs, n, density, seed):
    features, latents = supports(pairs, n, density, seed)
    assert support_jaccard(features, latents) == pytest.approx(jaccard_in_loops(features, latents))


@given(**sizes)
def test_supports_score_one_against_themselves_and_less_with_one_entry_wrong(
    pairs, n, density, seed
):
    features, _ = supports(pairs, n, density, seed)
    features[0, 0] = True
    found = detection(features, features)
    assert found.precision == found.recall == found.f1 == support_jaccard(features, features) == 1
    wrong = features.copy()
    wrong[0, 0] = False
    found = detection(features, wrong)
    assert found.precision in (1.0, pytest.approx(1 - 1 / features.any(axis=1).sum()))
    assert max(found.recall, found.f1, support_jaccard(features, wrong)) < 1


def test_a_latent_that_is_never_active_counts_zero_and_a_feature_that_never_is_does_not_count():
    features = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
    latents = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    found = detection(features, latents)
    assert (found.precision, found.recall) == (0.25, 0.5)
    assert found.f1 == pytest.approx((2 * 0.5 / 1.5) / 2)
    nothing = detection(features[2:], latents[2:])
    assert np.isnan([nothing.precision, nothing.recall, nothing.f1]).all()


def test_a_latent_without_a_feature_is_a_false_alarm_to_the_support():
    features = np.array([[True], [False]])
    latents = np.array([[True], [True]])
    assert support_jaccard(features, latents) == 0.5
    assert support_jaccard(features, ~latents) == 0.0
    assert support_jaccard(0 * features > 0, ~latents) == 1.0


@pytest.mark.parametrize("measure", [detection, support_jaccard])
def test_supports_of_other_shapes_are_refused(measure):
    with pytest.raises(InputError, match=r"latents of shape \(3, 5\)"):
        measure(np.zeros((3, 4), bool), np.zeros((3, 5), bool))


def test_no_sample_is_refused():
    with pytest.raises(InputError, match="at least one sample"):
        support_jaccard(np.zeros((3, 0), bool), np.zeros((3, 0), bool))
