from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from osae_theory.errors import InputError
from osae_theory.metrics import activation_correlations, match
from osae_theory.progress import Step
from realdata.checkpoints.form import SparseAutoencoder, TopK
from realdata.comparison import compare as comparing
from realdata.comparison import matches as module
from realdata.comparison import substitution
from realdata.comparison.compare import compare, compare_latents
from realdata.comparison.dictionaries import Dictionary, dictionaries, on_activations
from realdata.comparison.matches import all_matches, match_pairs, matches, sentences
from realdata.comparison.substitution import substitutions
from realdata.latents.sparse import as_sparse

D, K, M = 8, 6, 2


def sae(decoder, **fields):
    rows = torch.tensor(np.asarray(decoder), dtype=torch.float32)
    given = {"activation": TopK(M), "decoder_bias": torch.zeros(rows.shape[1]), **fields}
    given["metadata"] = {"model": "a table", "layers": [1]}
    return SparseAutoencoder("topk", rows.T.clone(), torch.zeros(len(rows)), rows, **given)


def dictionary(decoder, name="a", order=None):
    own = sae(decoder)
    return Dictionary(name, own, np.arange(own.K) if order is None else np.array(order))


def matched(a, b, threshold=0.7):
    [pair] = match_pairs([a, b])
    return matches(pair, threshold)


def units(*rows):
    found = np.array(rows, dtype=float)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def located(tmp_path, monkeypatch):
    """Two SAEs of one shape by the names a and b, and activations in a file."""
    rng = np.random.default_rng(3)
    found = {
        name: sae(rng.standard_normal((K, D)) * [[3.0]] * (1 + i)) for i, name in enumerate("ab")
    }
    for name in ("load", "load_dictionary"):
        monkeypatch.setattr(
            f"realdata.comparison.dictionaries.{name}", lambda location, revision: found[location]
        )
    np.save(tmp_path / "x.npy", rng.standard_normal((5000, D)).astype(np.float32))
    return found, tmp_path / "x.npy"


def test_a_shuffled_copy_is_shared_throughout_by_the_indices_of_the_checkpoints():
    rows = np.random.default_rng(0).standard_normal((K, D))
    shuffled = np.random.default_rng(1).permutation(K)
    table = matched(dictionary(rows), dictionary(rows[shuffled], "b"))
    assert (
        list(shuffled[table["latent_b"].astype(int)]) == list(table["latent_a"]) == list(range(K))
    )
    np.testing.assert_allclose(table["cosine"], 1, atol=1e-6)
    assert set(table["kind_a"]) == set(table["kind_b"]) == {"shared"}
    # In other orders the places change, the checkpoints' indices do not.
    again = matched(dictionary(rows, order=[5, 4, 3, 2, 1, 0]), dictionary(rows[shuffled], "b"))
    assert list(again["latent_a"]) == [5, 4, 3, 2, 1, 0]
    assert list(again["place_a"]) == list(range(K))
    assert list(shuffled[again["latent_b"].astype(int)]) == list(again["latent_a"])


def test_a_feature_that_two_latents_share_is_split_and_one_that_nobody_has_alone():
    e = np.eye(D)
    first = units(e[0], e[1], e[2])
    second = units(e[0] + 0.1 * e[3], e[0] - 0.2 * e[3], e[4], e[1])
    table = matched(dictionary(first), dictionary(second, "b"))
    kinds = {
        side: table.dropna(subset=f"latent_{side}").set_index(f"latent_{side}") for side in "ab"
    }
    assert dict(kinds["a"]["kind_a"]) == {0: "shared", 1: "shared", 2: "alone"}
    assert dict(kinds["b"]["kind_b"]) == {0: "shared", 1: "split", 2: "alone", 3: "shared"}
    assert kinds["b"].loc[1, "nearest_to_b"] == 0
    left = table[table["latent_a"].isna()]
    assert len(table) == 4
    assert len(left) == 1
    assert left["kind_a"].isna().all()
    assert left["cosine"].isna().all()
    assert sentences(table) == [
        "a with b: 2 latents are shared (cosine of at least 0.7); split 0 and 1 more, alone 1 and 1."
    ]


def tied(seed):
    """Rows of which each stands there twice, in a drawn order: every matching has an equal."""
    rows = np.eye(D)[:3]
    return np.random.default_rng(seed).permutation(np.concatenate([rows, rows]))


def test_very_many_latents_are_matched_by_their_correlations_over_the_nearest(
    monkeypatch, tmp_path
):
    rng = np.random.default_rng(0)
    given = [dictionary(rng.standard_normal((12, D)), name) for name in "abc"]
    np.save(tmp_path / "x.npy", rng.standard_normal((300, D)).astype(np.float32))
    given = on_activations(given, tmp_path / "x.npy")
    told = []
    dense = compare_latents(given, [4, 12])
    monkeypatch.setattr(comparing, "MOST_DENSE", 8)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    monkeypatch.setattr("realdata.comparison.progress.SLOW_ATOMS", 8)
    large = compare_latents(given, [4, 12], told.append)
    for one, other in zip(dense.pairs, large.pairs, strict=True):
        assert other.score.stab == pytest.approx(one.score.stab, abs=1e-9)
        assert other.score.stab_abs == pytest.approx(one.score.stab_abs, abs=1e-9)
        assert other.score.ord == pytest.approx(one.score.ord, abs=1e-9)
        if one.score.prefix == 12:
            assert one.score.stab <= other.score.stab_bound < one.score.stab + 1e-6
    assert {step.stage for step in told} == {"candidates", "assignment"}


@pytest.mark.parametrize("most_dense", [4096, 2])
def test_a_pair_is_matched_in_one_way_wherever_it_is_told(monkeypatch, tmp_path, most_dense):
    for where in (module, comparing):
        monkeypatch.setattr(where, "MOST_DENSE", most_dense)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    given = [dictionary(tied(seed), name) for seed, name in enumerate("abc")]
    x = np.random.default_rng(0).standard_normal((50, D)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    given = on_activations(given, tmp_path / "x.npy")
    pairs = match_pairs(given)
    told = compare({one.name: one.decoder for one in given}, [K]).pairs
    turned = []
    monkeypatch.setattr(
        substitution,
        "with_directions",
        lambda own, kept, taken: turned.append((kept, taken)) or own,
    )
    substitutions(pairs, tmp_path / "x.npy")
    # Of each SAE with each other: the shared pairs, as many at random, all, as many at random.
    wholes = iter(turned[2::4])
    for pair, one in zip(pairs, told, strict=True):
        assert one.score.ord == pytest.approx(stats.spearmanr(pair.places_a, pair.places_b)[0])
        table = matches(pair)
        assert list(table["place_b"]) == list(pair.places_b)
    for target in given:
        for pair in (pair for pair in pairs if target in (pair.a, pair.b)):
            kept, taken = next(wholes)
            own, other = pair.places_a, pair.places_b
            source = pair.b
            if target is pair.b:
                own, other, source = other, own, pair.a
            order = np.argsort(own)
            assert list(kept) == list(own[order])
            np.testing.assert_array_equal(taken, source.decoder[other[order]])


def test_progress_is_told_of_very_many_rows_by_the_names_of_the_pair(monkeypatch):
    monkeypatch.setattr(module, "MOST_DENSE", 2)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    told = []
    match_pairs([dictionary(tied(0)), dictionary(tied(1), "b")], told.append)
    assert told[0] == Step("a with b, all", 0, K, "candidates")
    assert told[-1] == Step("a with b, all", K, K, "assignment")


def test_the_table_of_very_many_latents_is_that_of_few(monkeypatch, located):
    _, path = located
    loaded = dictionaries({"a": "a", "b": "b"}, activations=path)
    table = all_matches(match_pairs(loaded))
    monkeypatch.setattr(module, "MOST_DENSE", 2)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    pd.testing.assert_frame_equal(all_matches(match_pairs(loaded)), table)


def test_the_matching_is_that_of_stab():
    rng = np.random.default_rng(5)
    first, second = rng.standard_normal((2, K, D)).astype(np.float32)
    table = matched(dictionary(first), dictionary(second, "b"))
    assert table["cosine"].mean() == pytest.approx(match(first.T, second.T).stability, abs=1e-6)


@pytest.mark.parametrize(("K", "other"), [(30, 30), (30, 24), (24, 30)])
def test_very_many_rows_are_matched_over_their_nearest_to_the_same_pairs(monkeypatch, K, other):
    rng = np.random.default_rng(K + other)
    A = rng.standard_normal((30, 16))
    B = A[rng.permutation(30)[:other]] + 0.1 * rng.standard_normal((other, 16))
    dense = module.matched_places(A[:K], B)
    monkeypatch.setattr(module, "MOST_DENSE", 8)
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 2)
    large = module.matched_places(A[:K], B)
    places = [set(zip(rows, columns, strict=True)) for rows, columns, _ in (dense, large)]
    near = [cosine[cosine > 0.5] for _, _, cosine in (dense, large)]
    assert len(places[0]) == len(places[1]) == 30
    np.testing.assert_allclose(np.sort(near[1]), np.sort(near[0]), atol=1e-9)
    assert len(near[0]) >= 18
    for rows, columns, cosine in (dense, large):
        assert sorted(rows[rows >= 0]) == list(range(K))
        assert sorted(columns[columns >= 0]) == list(range(other))
        assert np.isnan(cosine).sum() == abs(K - other)


def test_with_activations_each_side_says_how_often_and_how_much_and_how_correlated(located):
    saes, path = located
    loaded = dictionaries({"a": "a", "b": "b"}, activations=path)
    [table] = [all_matches(match_pairs(loaded))]
    x = torch.from_numpy(np.load(path))
    Z = {name: one.encode(x).numpy().T for name, one in saes.items()}
    R = activation_correlations(Z["a"], Z["b"])
    for _, row in table.iterrows():
        i, j = int(row["latent_a"]), int(row["latent_b"])
        assert row["frequency_b"] == np.mean(Z["b"][j] != 0)
        added = Z["a"][i][:, None] * saes["a"].decoder_rows[i].numpy()
        assert row["energy_a"] == pytest.approx(np.mean(np.sum(added**2, axis=1)), rel=1e-5)
        assert row["correlation"] == pytest.approx(R[i, j], abs=1e-6)


@pytest.mark.parametrize("order", ["frequency", "energy"])
def test_sorted_latents_fall_in_what_they_are_sorted_by(order, located):
    _, path = located
    loaded = dictionaries({"a": "a", "b": "b"}, activations=path, order=order)
    for one in loaded:
        values = one.frequencies() if order == "frequency" else one.energies()
        assert (np.diff(values) <= 0).all()
        assert not np.array_equal(one.order, np.arange(K))
        np.testing.assert_array_equal(one.decoder, one.autoencoder.decoder[one.order])
    found = compare_latents(loaded, [3])
    assert found.order == order
    first, second = (as_sparse(one.latents[0]).toarray().T for one in loaded)
    kept = [Z[one.order[:3]] for Z, one in zip((first, second), loaded, strict=True)]
    if len(loaded[0].latents) == 1:
        R = activation_correlations(*kept)
        assert found.pairs[0].score.stab == pytest.approx(match_mean(R), abs=1e-9)


def match_mean(S):
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(S, maximize=True)
    return S[rows, columns].mean()


def test_latents_that_are_never_active_have_no_place_in_ord():
    rows = {name: np.random.default_rng(i).standard_normal((K, D)) for i, name in enumerate("ab")}
    live = {"a": np.arange(K) != 2, "b": np.ones(K, dtype=bool)}
    found = compare(rows, [K], live=live).pairs[0].score
    assert found.left_out == pytest.approx(1 / K)


def test_what_is_compared_is_described(located):
    _, path = located
    [one, _] = dictionaries({"a": "a", "b": "b"}, activations=path)
    assert one.description() == {
        **{"name": "a", "architecture": "topk", "d": D, "K": K, "model": "a table"},
        "dead": int((one.frequencies() == 0).sum()),
    }


def test_an_order_by_activations_needs_them(located):
    with pytest.raises(InputError, match="order 'energy' needs activations"):
        dictionaries({"a": "a"}, order="energy")
    with pytest.raises(InputError, match="'energie' is unknown"):
        dictionaries({"a": "a"}, order="energie")
    with pytest.raises(InputError, match="expected SAEs with activations"):
        compare_latents(dictionaries({"a": "a", "b": "b"}))
    with pytest.raises(InputError, match="cannot be read"):
        dictionaries({"a": "a"}, activations=Path("nowhere.npy"))


def test_atoms_of_other_lengths_and_a_threshold_beyond_one_are_refused():
    with pytest.raises(InputError, match="b has atoms of length 3: expected 8, as in a"):
        matched(dictionary(np.ones((2, D))), dictionary(np.ones((2, 3)), "b"))
    with pytest.raises(InputError, match="threshold = 1"):
        matched(dictionary(np.ones((2, D))), dictionary(np.ones((2, D)), "b"), 1.5)


def test_a_table_comes_back_from_parquet_as_it_was(tmp_path):
    rows = np.random.default_rng(0).standard_normal((K, D))
    table = matched(dictionary(rows), dictionary(rows[:4], "b"))
    table.to_parquet(tmp_path / "m.parquet", index=False)
    back = pd.read_parquet(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
