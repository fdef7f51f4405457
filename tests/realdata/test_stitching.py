import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.metrics import mean_squared_error
from realdata.consistency import stitching as module
from realdata.consistency.stitching import StitchingRule, greatest_cosines, share_frame, stitch
from realdata.latents.sparse import SparseLatents

seeds = st.integers(0, 2**32 - 1)


def problem(n, K, K_narrow, d, seed):
    rng = np.random.default_rng(seed)
    wide, narrow = rng.standard_normal((K, d)), rng.standard_normal((K_narrow, d))
    latents = rng.exponential(size=(n, K)) * (rng.random((n, K)) < 0.4)
    return wide, narrow, latents, rng.standard_normal((n, d))


@given(n=st.integers(1, 12), K=st.integers(1, 7), seed=seeds, size=st.integers(1, 12))
def test_the_change_is_that_of_the_mse_with_each_latent_added_alone(n, K, seed, size):
    wide, narrow, latents, residuals = problem(n, K, 3, 4, seed)
    parts = [slice(i, i + size) for i in range(0, n, size)]
    found = stitch(wide, narrow, [(latents[p], residuals[p]) for p in parts])
    zero = np.zeros_like(residuals)
    before = mean_squared_error(residuals.T, zero.T)
    assert found.mse == pytest.approx(before)
    for j in range(K):
        after = mean_squared_error(residuals.T, np.outer(latents[:, j], wide[j]).T)
        assert found.mse_changes[j] == pytest.approx(after - before, abs=1e-12)
    assert found.n_samples == n


def test_sparse_latents_and_small_blocks_change_nothing(monkeypatch):
    wide, narrow, dense, residuals = problem(20, 7, 5, 4, 0)
    whole = stitch(wide, narrow, [(dense, residuals)])
    monkeypatch.setattr(module, "BLOCK", 2)
    indices = np.tile(np.arange(7), (20, 1))
    found = stitch(wide, narrow, [(SparseLatents(indices, dense, 7), residuals)])
    np.testing.assert_allclose(found.mse_changes, whole.mse_changes)
    np.testing.assert_array_equal(found.greatest_cosines, whole.greatest_cosines)
    np.testing.assert_array_equal(found.nearest, whole.nearest)


def test_the_greatest_cosine_is_signed_and_does_not_depend_on_norms():
    narrow = np.array([[1.0, 0], [0, 2.0]])
    wide = np.array([[5.0, 0], [0, -1.0], [3.0, 4.0], [0.0, 0.0]])
    values, places = greatest_cosines(wide, narrow)
    np.testing.assert_allclose(values, [1.0, 0.0, 0.8, 0.0], atol=1e-15)
    assert places.tolist() == [0, 0, 1, 0]


def built_by_hand(rule=None):
    """The data have directions 1, 2, 3; the narrow SAE knows the first two, both exactly.

    Wide latents: the missing direction; the first direction again; a dead one.
    """
    rng = np.random.default_rng(0)
    y = rng.exponential(size=(50, 3))
    narrow = np.eye(3)[:2]
    residuals = y @ np.eye(3) - y[:, :2] @ narrow
    wide = np.eye(3)[[2, 0, 1]]
    latents = np.stack([y[:, 2], y[:, 0], np.zeros(50)], axis=1)
    return stitch(wide, narrow, [(latents, residuals)], rule), y


@pytest.mark.parametrize("decide_by", ["cosine", "effect"])
def test_a_missing_direction_is_novel_and_a_known_one_reconstruction(decide_by):
    found, y = built_by_hand(StitchingRule(decide_by=decide_by))
    assert found.classes == ("novel", "reconstruction", "no MSE change")
    assert found.mse_changes[0] == pytest.approx(-found.mse)
    # What is known already is reconstructed twice.
    assert found.mse_changes[1] == pytest.approx(np.mean(y[:, 0] ** 2) / 3)
    assert found.mse_changes[2] == 0.0
    assert found.shares == pytest.approx(dict.fromkeys(found.shares, 1 / 3))
    assert found.predictive_auc == 1.0


def test_cosine_and_effect_can_disagree():
    """A latent in a new direction that overshoots is novel by cosine and not by effect."""
    residuals = np.array([[0.0, 1.0], [0.0, 1.0]])
    args = (np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), [(np.full((2, 1), 3.0), residuals)])
    assert stitch(*args).classes == ("novel",)
    by_effect = stitch(*args, StitchingRule(decide_by="effect"))
    assert by_effect.classes == ("reconstruction",)
    assert by_effect.predictive_auc is None


def test_the_threshold_itself_counts_as_reconstruction():
    narrow = np.array([[1.0, 0.0]])
    wide = np.array([[0.6, 0.8]])
    chunk = [(np.ones((1, 1)), np.array([[1.0, 1.0]]))]
    cosine = float(greatest_cosines(wide, narrow)[0][0])
    assert stitch(wide, narrow, chunk, StitchingRule(threshold=cosine)).classes == (
        "reconstruction",
    )
    above = StitchingRule(threshold=float(np.nextafter(cosine, 1)))
    assert stitch(wide, narrow, chunk, above).classes == ("novel",)


def test_a_change_within_the_tolerance_is_none():
    wide, narrow, latents, residuals = problem(20, 5, 3, 4, 1)
    share = np.sort(np.abs(stitch(wide, narrow, [(latents, residuals)]).mse_changes))
    mse = np.mean(residuals**2)
    rule = StitchingRule(tolerance=float((share[2] + share[3]) / 2 / mse))
    assert stitch(wide, narrow, [(latents, residuals)], rule).shares["no MSE change"] == 0.6


def test_the_table_has_a_row_a_method_in_percent():
    found, _ = built_by_hand()
    table = share_frame({"OSAE": found, "BatchTopK": found})
    assert table.index.tolist() == ["OSAE", "BatchTopK"]
    assert table[["novel", "reconstruction", "no MSE change"]].sum(axis=1).tolist() == (
        pytest.approx([100.0, 100.0])
    )


def test_what_does_not_fit_is_refused():
    wide, narrow, latents, residuals = problem(5, 4, 3, 2, 0)
    with pytest.raises(InputError, match="expected at least one sample"):
        stitch(wide, narrow, [])
    with pytest.raises(InputError, match="3 latents: expected 4"):
        stitch(wide, narrow, [(latents[:, :3], residuals)])
    with pytest.raises(InputError, match=r"shape \(5, 1\): expected \(5, 2\)"):
        stitch(wide, narrow, [(latents, residuals[:, :1])])
    with pytest.raises(InputError, match="residuals"):
        stitch(wide, narrow, [(latents, residuals * np.nan)])
    with pytest.raises(InputError, match="length"):
        stitch(wide, narrow[:, :1], [(latents, residuals)])
    with pytest.raises(InputError, match="narrow has shape"):
        stitch(wide, narrow[:0], [(latents, residuals)])


@pytest.mark.parametrize(
    "fields", [{"decide_by": "sign"}, {"threshold": 1.1}, {"tolerance": -1e-9}]
)
def test_a_rule_out_of_range_is_refused(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        StitchingRule(**fields)
