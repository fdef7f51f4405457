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
from osae_theory.metrics import chance_stability, cosines, sinkhorn_stability
from osae_theory.progress import Step
from realdata.comparison import compare as module
from realdata.comparison import levels, prefixes, progress
from realdata.comparison.compare import compare
from realdata.comparison.prefixes import default_prefixes, long_work, planned_prefixes
from realdata.comparison.scores import prefix_scores
from realdata.comparison.text import document, markdown, pair_frame, summary_frame


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

    def recorded(d, K, absolute=False, n_draws=50, **others):
        asked[K] = n_draws
        return chance_stability(2, 2, n_draws=2)

    monkeypatch.setattr(levels, "chance_stability", recorded)
    levels.chance_levels(2, [4, 256, 4096, 65536])
    assert asked == {4: 200, 256: 50, 4096: 4, 65536: 2}


def test_unrelated_dictionaries_score_about_chance():
    found = compare(gaussian(6, K=64, d=16, seed=5), [64])
    chance = found.chance[64]
    assert found.estimates[64]["stab"].mean == pytest.approx(chance.signed.mean, abs=0.01)
    assert found.estimates[64]["stab_abs"].mean == pytest.approx(chance.absolute.mean, abs=0.01)


def test_the_document_has_exactly_the_fields_agreed_and_no_nan():
    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(json.dumps(document(compare(gaussian(3), [1, 4]))), parse_constant=refuse)
    assert list(found) == ["prefixes", "pairs", "summary"]
    assert found["prefixes"] == [1, 4]
    fields = ["a", "b", "prefix", "stab", "stab_abs", "ord", "ord_abs", "left_out", "left_out_abs"]
    fields += ["ord_least", "ord_greatest", "stab_bound", "stab_abs_bound", "chance"]
    fields += ["overlap", "overlap_chance", "largest_angle"]
    assert all(list(pair) == fields for pair in found["pairs"])
    single = found["pairs"][0]
    assert (single["prefix"], single["ord"], single["ord_abs"]) == (1, None, None)
    assert (found["summary"][0]["ord_mean"], found["summary"][0]["ord_n"]) == (None, 0)
    low, high = found["summary"][1]["stab_ci95"]
    assert low <= found["summary"][1]["stab_mean"] <= high


def test_the_same_decoders_give_the_same_text():
    assert document(compare(gaussian(3))) == document(compare(gaussian(3)))


def test_zero_atoms_count_nothing_in_stab_and_have_no_place_in_ord():
    A = np.zeros((4, 3))
    A[0, 0] = 1.0
    found = scores_of(compare({"a": A, "b": A}, [4]), 4)
    assert (found.stab, found.ord, found.ord_abs) == (0.25, None, None)
    assert (found.left_out, found.ord_least, found.ord_greatest) == (0.75, None, None)


@pytest.mark.parametrize("last", [False, True])
def test_unrelated_decoders_that_share_zero_rows_have_no_order_in_common(last):
    """Zero rows that never fired, scattered or at the end: Ord was .17 to .99."""
    found, n = [], 40
    for seed in range(12):
        rng = np.random.default_rng(seed)
        A, B = rng.standard_normal((2, 64, 16)).astype(np.float32)
        for D in (A, B):
            D[np.arange(64 - n, 64) if last else rng.permutation(64)[:n]] = 0.0
        found.append(scores_of(compare({"a": A, "b": B}, [64]), 64))
    values = [score.ord for score in found]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(12)
    assert all(score.left_out >= n / 64 for score in found)


def test_the_chance_level_is_that_of_decoders_with_as_many_zero_rows():
    first, second, third = gaussian(3, K=12, d=6).values()
    first[:2] = 0.0
    second[8:] = 0.0
    found = compare({"a": first, "b": second}, [4, 12])
    assert found.chance[4].signed == chance_stability(6, 4, n_draws=200, zeros=(0, 2))
    assert found.chance[12].signed == chance_stability(6, 12, n_draws=200, zeros=(2, 4))
    assert document(found)["summary"][1]["zero_rows"] == [2, 4]
    assert "as many zero rows" in markdown(found)
    several = compare({"a": first, "b": second, "c": third}, [12])
    assert several.chance[12].signed.zeros == (2, 2)
    assert "left out" in markdown(several)


def test_the_range_of_ord_over_tied_matchings_is_told_where_there_are_few_atoms():
    A = np.ones((4, 3))
    found = scores_of(compare({"a": A, "b": A}, [4]), 4)
    assert (found.ord_least, found.ord_greatest) == (-1.0, 1.0)
    other = scores_of(compare(gaussian(2), [8]), 8)
    assert other.ord_least == other.ord_greatest == other.ord
    assert scores_of(compare(gaussian(2), [9]), 9).ord_least is None


def test_each_pair_breaks_its_ties_by_a_seed_of_its_own():
    copies = {f"run{i}": np.ones((30, 4)) for i in range(4)}
    values = [pair.score.ord for pair in compare(copies, [30]).pairs]
    assert len(set(values)) == len(values) == 6


def test_intervals_stay_inside_the_bounds_of_the_scores_and_are_printed_as_they_are():
    decoders = gaussian(3, K=4)
    found = compare(decoders, [4])
    low, high = found.estimates[4]["ord"].ci95
    assert -1.0 <= low <= high <= 1.0
    assert f"[{low:.3f}, {high:.3f}]" in markdown(found)


def test_what_takes_long_is_told_before_it_begins(monkeypatch):
    monkeypatch.setattr(progress, "SLOW_ATOMS", 8)
    told = []
    compare(gaussian(2, K=9), [4, 9], told.append)
    assert told[:3] == [
        Step("run0 with run1, first 9", 0, 1, "assignment"),
        Step("run0 with run1, first 9", 1, 1, "assignment"),
        Step("chance level, first 9", 0, 200, "draws at most"),
    ]
    assert told[-1].what == "chance level, absolute, first 9"
    assert not any("first 4" in step.what for step in told)


def test_of_very_many_atoms_it_is_told_how_many_have_their_candidates(monkeypatch):
    monkeypatch.setattr(progress, "SLOW_ATOMS", 8)
    monkeypatch.setattr(module, "MOST_DENSE", 8)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    monkeypatch.setattr("osae_theory.metrics.candidates._BLOCK", 5)
    told = []
    compare(gaussian(2), [12], told.append)
    own = [(step.stage, step.done) for step in told if step.what == "run0 with run1, first 12"]
    first = [("candidates", 0), ("candidates", 5), ("candidates", 10), ("assignment", 12)]
    assert own[:4] == first
    signed = [done for _, done in own].index(12)
    absolute = [(stage, done - 12) for stage, done in own if done > 12]
    assert signed == 3
    assert absolute[:2] == [("candidates", 5), ("candidates", 10)]
    assert {step.total for step in told if "with" in step.what} == {24}
    assert max(done for _, done in own) == 24


def test_only_what_takes_minutes_is_announced_with_the_cheaper_way():
    assert long_work(4096) is None
    assert "--prefixes of at most 4,096 are the cheaper way" in long_work(16_384)
    whole = long_work(64, 16_384)
    assert "comparing 16,384 atoms takes minutes" in whole
    assert "4,096, without --matches and --activations, are the cheaper way" in whole
    assert long_work(64, 4096) is None


def test_correlations_for_which_there_is_no_memory_are_refused_with_what_they_need(monkeypatch):
    monkeypatch.setattr(prefixes, "available_memory", lambda: 32 * 1000**2)
    shapes = {"a": (1001, 8), "b": (2000, 8)}
    message = (
        r"the correlations of 1,001 latents take 32,064,032 bytes of memory: expected at most"
        r" 32,000,000, which are free \(--prefixes of at most 1,000, or no --activations\)"
    )
    with pytest.raises(InputError, match=message):
        planned_prefixes(shapes, latents=True)
    assert planned_prefixes(shapes, [1000], latents=True) == (1000,)
    assert planned_prefixes(shapes)[-1] == 1001
    # Beyond 4,096 no table is held, up to there one is.
    wide = {"a": (5000, 8), "b": (5000, 8)}
    assert planned_prefixes(wide, [8, 5000], latents=True) == (8, 5000)
    with pytest.raises(InputError, match="the correlations of 4,096 latents take"):
        planned_prefixes(wide, latents=True)
    monkeypatch.setattr(prefixes, "available_memory", lambda: None)
    assert planned_prefixes(shapes, latents=True)[-1] == 1001


def test_the_spans_of_the_first_atoms_agree_where_the_atoms_do_not():
    A = orthogonal(8)
    B = A.copy()
    B[:4] = orthogonal(4, seed=1) @ A[:4]
    found = compare({"a": A, "b": B}, [2, 4, 8])
    first, whole, all_of_space = [pair.subspace for pair in found.pairs]
    assert (whole.overlap, whole.chance) == (pytest.approx(1.0), 0.5)
    assert whole.largest_angle == pytest.approx(0.0, abs=1e-5)
    assert first.overlap < 0.99
    assert all_of_space is None
    assert scores_of(found, 4).stab < 0.9


def test_the_agreement_of_spans_is_in_the_document_the_table_and_the_words():
    found = compare(gaussian(3), [2, 4, 12])
    rows = document(found)["summary"]
    values = [pair.subspace.overlap for pair in found.pairs if pair.score.prefix == 2]
    assert rows[0]["overlap_mean"] == pytest.approx(np.mean(values))
    assert [row["overlap_chance"] for row in rows] == pytest.approx([2 / 6, 4 / 6, None])
    assert rows[2]["largest_angle_mean"] is None
    assert pair_frame(found)["largest_angle"].isna().sum() == 3
    assert "6 atoms or more can span the whole space" in markdown(found)
    assert "whole space" not in markdown(compare(gaussian(2), [4]))
    assert "squared cosine" not in markdown(compare(gaussian(2), [12]))


def test_soft_stab_stands_beside_stab_with_a_chance_level_of_its_own(monkeypatch):
    monkeypatch.setattr(module, "MOST_SOFT", 4)
    decoders = gaussian(3)
    found = compare(decoders, [4, 12], temperature=0.05)
    for pair in found.pairs:
        if pair.score.prefix == 12:
            assert pair.soft_stab is None
            continue
        S = cosines(decoders[pair.a][:4].T, decoders[pair.b][:4].T)
        assert pair.soft_stab == sinkhorn_stability(S, 0.05) <= pair.score.stab
    first, last = document(found)["summary"]
    assert first["soft_stab_mean"] == pytest.approx(found.estimates[4]["soft_stab"].mean)
    assert first["soft_chance"] == chance_stability(6, 4, n_draws=10, temperature=0.05).mean
    assert (last["soft_stab_mean"], last["soft_chance"]) == (None, None)
    assert "soft Stab" in markdown(found)
    plain = compare(decoders, [4])
    assert "soft" not in markdown(plain) + json.dumps(document(plain))


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
    scores, _, subspaces, _ = several.split("\n\n")
    for table in (scores, subspaces):
        assert table.count("\n| 1 ") == table.count("\n| 4 ") == 1
    assert "3 pairs of 3 dictionaries" in several
    assert "–" in several.splitlines()[2]
    assert "±" not in one
    assert "One pair" in one


def test_very_many_atoms_are_matched_over_their_nearest_with_a_bound(monkeypatch):
    dense = compare(gaussian(3), [4, 12])
    monkeypatch.setattr(module, "MOST_DENSE", 8)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    large = compare(gaussian(3), [4, 12])
    for one, other in zip(dense.pairs, large.pairs, strict=True):
        assert other.score.stab == pytest.approx(one.score.stab, abs=1e-9)
        assert other.score.ord == pytest.approx(one.score.ord, abs=1e-9)
        if one.score.prefix == 12:
            assert one.score.stab_bound is None
            assert one.score.stab <= other.score.stab_bound < one.score.stab + 1e-4
    assert "is higher by at most" in markdown(large)
    assert "is higher by at most" not in markdown(dense)


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
