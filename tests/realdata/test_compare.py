import io
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import chance_stability, cosines
from realdata import compare as module
from realdata.compare import (
    compare,
    default_prefixes,
    document,
    json_text,
    markdown,
    pair_frame,
    prefix_scores,
    summary_frame,
)
from realdata.compare_files import write_files


def gaussian(n, K=12, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return {f"run{i}": rng.standard_normal((K, d)).astype(np.float32) for i in range(n)}


def orthogonal(K=8, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((K, K)))[0]


def scores_of(comparison, prefix):
    [found] = [pair.score for pair in comparison.pairs if pair.score.prefix == prefix]
    return found


def brute_force(S, prefix, absolute):
    """Best mean similarity of the first `prefix`, and Ord of its matching, over all matchings."""
    T = np.abs(S[:prefix, :prefix]) if absolute else S[:prefix, :prefix]
    rows = range(prefix)
    best = max(itertools.permutations(rows), key=lambda p: sum(T[i, p[i]] for i in rows))
    ord_ = None if prefix == 1 else stats.spearmanr(list(rows), best).statistic
    return sum(T[i, best[i]] for i in rows) / prefix, ord_


@given(d=st.integers(1, 6), K=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_each_prefix_is_the_best_of_all_matchings_of_the_first_atoms(d, K, seed):
    A, B = np.random.default_rng(seed).standard_normal((2, d, K))
    S = cosines(A, B)
    for found in prefix_scores(S, range(1, K + 1)):
        stab, _ = brute_force(S, found.prefix, absolute=False)
        stab_abs, _ = brute_force(S, found.prefix, absolute=True)
        assert found.stab == pytest.approx(stab)
        assert found.stab_abs == pytest.approx(stab_abs)
        if d > 2:  # below, ties leave the best matching open
            assert found.ord == pytest.approx(brute_force(S, found.prefix, False)[1])
            assert found.ord_abs == pytest.approx(brute_force(S, found.prefix, True)[1])


def test_a_dictionary_compared_with_itself_scores_one_at_every_prefix():
    A = gaussian(1)["run0"]
    for pair in compare({"a": A, "b": A}).pairs:
        score = pair.score
        assert (score.stab, score.stab_abs) == pytest.approx((1.0, 1.0))
        assert (score.ord, score.ord_abs) == (1.0, 1.0)


def test_a_reversed_copy_has_full_stability_only_as_a_whole_and_the_reverse_order():
    A = orthogonal(8)
    found = compare({"a": A, "b": A[::-1]}, [2, 4, 8])
    assert scores_of(found, 8).stab == pytest.approx(1.0)
    assert scores_of(found, 8).ord == -1.0
    # Atoms 1-4 and 5-8 are orthogonal: a prefix matches anew and finds nothing in common.
    assert scores_of(found, 4).stab == pytest.approx(0.0, abs=1e-12)


def test_a_noisy_copy_has_the_cosine_its_noise_gives():
    A = orthogonal(64)[:32]
    B = A + orthogonal(64)[32:]
    found = scores_of(compare({"a": A, "b": B}, [32]), 32)
    assert found.stab == pytest.approx(1 / math.sqrt(2))
    assert found.ord == 1.0


def test_signs_change_the_signed_scores_and_scales_change_none():
    A = orthogonal(8)
    scaled = scores_of(compare({"a": A, "b": 7.0 * A}, [8]), 8)
    flipped = scores_of(compare({"a": A, "b": -A}, [8]), 8)
    assert scaled.stab == pytest.approx(1.0)
    assert flipped.stab_abs == pytest.approx(1.0)
    assert flipped.ord_abs == 1.0
    assert flipped.stab == pytest.approx(0.0, abs=1e-12)


def test_widths_may_differ_and_the_narrowest_ends_the_prefixes():
    wide = gaussian(1, K=20)["run0"]
    found = compare({"wide": wide, "narrow": wide[:12]})
    assert found.prefixes == (4, 8, 12)
    assert scores_of(found, 12).stab == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("K", "expected"),
    [(1, (1,)), (3, (3,)), (4, (4,)), (5, (4, 5)), (16, (4, 8, 16)), (20, (4, 8, 16, 20))],
)
def test_default_prefixes_double_from_four_and_end_with_the_width(K, expected):
    assert default_prefixes(K) == expected


def test_every_pair_is_compared_at_every_prefix_in_ascending_order():
    found = compare(gaussian(4), [8, 2])
    assert found.prefixes == (2, 8)
    assert len(found.pairs) == 6 * 2
    assert len({(p.a, p.b, p.score.prefix) for p in found.pairs}) == 12


def test_the_summary_is_the_mean_and_the_delete_one_dictionary_jackknife():
    decoders = gaussian(5)
    found = compare(decoders, [4])
    values = {(p.a, p.b): p.score.ord for p in found.pairs}
    n = len(decoders)
    without = np.array([np.mean([v for p, v in values.items() if a not in p]) for a in decoders])
    variance = (n - 1) / n * np.sum((without - without.mean()) ** 2)
    half = stats.t.ppf(0.975, n - 1) * math.sqrt(variance)
    estimate = found.estimates[4]["ord"]
    mean = np.mean(list(values.values()))
    assert estimate.mean == pytest.approx(mean)
    assert estimate.ci95 == pytest.approx((mean - half, mean + half))
    assert estimate.n == 10


def test_two_dictionaries_have_one_pair_and_no_interval():
    [row] = document(compare(gaussian(2), [4]))["summary"]
    assert (row["pairs"], row["dictionaries"], row["stab_n"]) == (1, 2, 1)
    assert row["stab_ci95"] is row["ord_ci95"] is row["stab_std"] is None


def test_the_chance_level_is_that_of_each_prefix_with_its_error():
    found = document(compare(gaussian(2), [2, 12]))
    for prefix, row in zip((2, 12), found["summary"], strict=True):
        signed = chance_stability(6, prefix, n_draws=200)
        assert row["chance"] == signed.mean
        assert row["chance_se"] == signed.standard_error > 0
        assert row["chance_abs"] == chance_stability(6, prefix, absolute=True, n_draws=200).mean
        assert row["chance_draws"] == 200
    assert [pair["chance"] for pair in found["pairs"]] == [r["chance"] for r in found["summary"]]


def test_wide_prefixes_draw_the_chance_level_less_often(monkeypatch):
    asked = {}

    def recorded(d, K, absolute=False, n_draws=50):
        asked[K] = n_draws
        return chance_stability(2, 2, n_draws=2)

    monkeypatch.setattr(module, "chance_stability", recorded)
    module.chance_levels(2, [4, 256, 4096, 65536])
    assert asked == {4: 200, 256: 50, 4096: 4, 65536: 4}


def test_unrelated_dictionaries_score_about_chance():
    found = compare(gaussian(6, K=64, d=16, seed=5), [64])
    chance = found.chance[64]
    assert found.estimates[64]["stab"].mean == pytest.approx(chance.signed.mean, abs=0.01)
    assert found.estimates[64]["stab_abs"].mean == pytest.approx(chance.absolute.mean, abs=0.01)


def test_the_document_has_exactly_the_fields_agreed_and_no_nan():
    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(json_text(compare(gaussian(3), [1, 4])), parse_constant=refuse)
    assert list(found) == ["prefixes", "pairs", "summary"]
    assert found["prefixes"] == [1, 4]
    fields = ["a", "b", "prefix", "stab", "stab_abs", "ord", "ord_abs", "chance"]
    assert all(list(pair) == fields for pair in found["pairs"])
    single = found["pairs"][0]
    assert (single["prefix"], single["ord"], single["ord_abs"]) == (1, None, None)
    assert (found["summary"][0]["ord_mean"], found["summary"][0]["ord_n"]) == (None, 0)
    low, high = found["summary"][1]["stab_ci95"]
    assert low <= found["summary"][1]["stab_mean"] <= high


def test_the_same_decoders_give_the_same_text():
    assert json_text(compare(gaussian(3))) == json_text(compare(gaussian(3)))


def test_zero_atoms_and_exact_ties_give_finite_scores():
    A = np.zeros((4, 3))
    A[0, 0] = 1.0
    found = scores_of(compare({"a": A, "b": A}, [4]), 4)
    assert found.stab == 0.25
    assert math.isfinite(found.ord)


def test_tables_hold_the_document():
    found = compare(gaussian(3), [1, 4])
    pairs = pd.read_csv(io.StringIO(pair_frame(found).to_csv(index=False)))
    assert pairs["stab"].to_numpy() == pytest.approx([p.score.stab for p in found.pairs])
    summary = summary_frame(found)
    low, high = found.estimates[4]["stab"].ci95
    assert summary.loc[1, ["stab_low", "stab_high"]].tolist() == [low, high]
    assert "stab_ci95" not in summary.columns


def test_the_markdown_table_has_a_row_a_prefix_and_says_what_a_single_pair_lacks():
    several, one = markdown(compare(gaussian(3), [1, 4])), markdown(compare(gaussian(2), [4]))
    assert several.count("\n| 1 ") == several.count("\n| 4 ") == 1
    assert "3 pairs of 3 dictionaries" in several
    assert "–" in several.splitlines()[2]
    assert "±" not in one
    assert "One pair" in one


def test_files_are_written_once_whole(tmp_path):
    write_files(compare(gaussian(3)), tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    expected = {"comparison.json", "comparison.md", "comparison.png", "pairs.csv", "summary.csv"}
    assert names == expected


@pytest.mark.parametrize(
    ("decoders", "prefixes", "words"),
    [
        (gaussian(1), None, "1 dictionaries: expected at least two"),
        ({}, None, "0 dictionaries"),
        (gaussian(2), [13], "prefix = 13: expected at most 12"),
        (gaussian(2), [0], "prefix = 0"),
        (gaussian(2), [], "prefixes is empty"),
        (gaussian(2), [4, 4], "each prefix once"),
        ({"a": np.ones((4, 3)), "b": np.ones((4, 2))}, None, "b has atoms of length 2: expected 3"),
        ({"a": np.ones((4, 3)), "b": np.ones((0, 3))}, None, "b has shape"),
        ({"a": np.ones((4, 3)), "b": np.full((4, 3), np.nan)}, None, r"b\[0, 0\] = nan"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(decoders, prefixes, words):
    with pytest.raises(InputError, match=words):
        compare(decoders, prefixes)
