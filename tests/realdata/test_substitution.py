from dataclasses import replace

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.metrics import fraction_of_variance_unexplained, match
from realdata.checkpoints.form import (
    LayerNorm,
    NoNormalisation,
    SparseAutoencoder,
    Standardisation,
    TopK,
    Whitening,
)
from realdata.comparison.dictionaries import dictionaries
from realdata.comparison.matches import match_pairs
from realdata.comparison.substitution import (
    substitution_frame,
    substitutions,
    with_directions,
)

D, K, M = 8, 10, 2


def sae(seed, atoms=None, **fields):
    """An SAE with unit rows, drawn or given, which are its encoder too."""
    drawn = np.random.default_rng(seed).standard_normal((K, D)) if atoms is None else atoms
    rows = torch.nn.functional.normalize(torch.from_numpy(drawn).float(), dim=1)
    given = {"activation": TopK(M), "decoder_bias": torch.zeros(D), **fields}
    return SparseAutoencoder("topk", rows.T.clone(), torch.zeros(len(rows)), rows, **given)


def standardisation(seed):
    rng = np.random.default_rng(seed)
    mean, scale = rng.standard_normal(D), rng.uniform(0.5, 2.0, D)
    return Standardisation(torch.from_numpy(mean).float(), torch.from_numpy(scale).float())


def whitening(seed):
    matrix = torch.from_numpy(np.random.default_rng(seed).standard_normal((D, D)))
    inverse = torch.linalg.inv(matrix)
    return Whitening(torch.zeros(D), matrix.float(), inverse.float())


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A function that makes dictionaries of SAEs by name, on drawn activations."""
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(9).standard_normal((5000, D)).astype(np.float32))

    def make(**saes):
        monkeypatch.setattr(
            "realdata.comparison.dictionaries.load", lambda location, revision: saes[location]
        )
        return match_pairs(dictionaries({name: name for name in saes}, activations=path)), path

    return make


@pytest.mark.parametrize("normalisation", [NoNormalisation(), standardisation(2), LayerNorm()])
def test_an_sae_takes_its_own_directions_without_any_change(loaded, normalisation):
    own = sae(0, normalisation=normalisation)
    for found in substitutions(*loaded(a=own, b=own)):
        assert (found.shared, found.matched) == (K, K)
        assert found.fvu_shared == pytest.approx(found.fvu, rel=1e-4)
        assert found.fvu_all == pytest.approx(found.fvu, rel=1e-4)
        assert found.fvu_all_random > found.fvu


def test_a_rotated_copy_has_other_directions_and_they_cost(loaded):
    own = sae(0)
    rotation = np.linalg.qr(np.random.default_rng(5).standard_normal((D, D)))[0]
    rotated = replace(own, decoder_rows=own.decoder_rows @ torch.from_numpy(rotation).float())
    into_own, _ = substitutions(*loaded(a=own, b=rotated))
    assert into_own.fvu_all > 1.1 * into_own.fvu


@pytest.mark.parametrize(
    "normalisations", [(None, None), (standardisation(3), standardisation(4)), (whitening(5), None)]
)
def test_the_errors_are_those_of_the_reconstruction_with_the_rows_replaced(loaded, normalisations):
    first, second = (
        sae(seed, normalisation=NoNormalisation() if one is None else one)
        for seed, one in enumerate(normalisations)
    )
    given, path = loaded(a=first, b=second)
    into_a, into_b = substitutions(given, path, threshold=0.3)
    assert (into_b.directions_of, into_b.sae, into_a.sae) == ("a", "b", "a")
    x = np.load(path)
    A, B = (one.decoder.astype(float) for one in (first, second))
    found = match(A.T, B.T)
    near = found.similarities >= 0.3
    Z = second.encode(torch.from_numpy(x)).numpy().astype(float)
    plain = second.decode(torch.from_numpy(Z).float(), torch.from_numpy(x)).numpy()
    for kept, value in ((near, into_b.fvu_shared), (near | ~near, into_b.fvu_all)):
        changed = B.copy()
        for i in np.flatnonzero(kept):
            j = found.permutation[i]
            changed[j] = A[i] / np.linalg.norm(A[i]) * np.linalg.norm(B[j])
        reconstruction = plain + Z @ (changed - B)
        expected = fraction_of_variance_unexplained(x.T.astype(float), reconstruction.T)
        assert value == pytest.approx(expected, rel=1e-4)
    assert into_b.shared == near.sum() > 0


def test_norms_and_the_other_rows_stay_as_they_are():
    own = sae(0, normalisation=standardisation(2))
    turned = with_directions(own, np.array([3, 5]), np.eye(D)[:2])
    np.testing.assert_allclose(
        np.linalg.norm(turned.decoder, axis=1), np.linalg.norm(own.decoder, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(turned.decoder[3, 1:], 0.0, atol=1e-6)
    others = np.setdiff1d(np.arange(K), [3, 5])
    assert torch.equal(turned.decoder_rows[others], own.decoder_rows[others])


def test_the_same_seed_costs_nothing_another_seed_little_and_random_rows_most(loaded):
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.standard_normal((D, D)))[0]
    # As two trainings find the same features: each with an error of its own, in another order.
    noisy = [atoms + 0.15 * rng.standard_normal((D, D)) for _ in range(2)]
    saes = {"first": sae(0, noisy[0]), "again": sae(0, noisy[0])}
    _, path = loaded(**saes, other=sae(0, noisy[1][::-1].copy()))
    codes = rng.exponential(size=(5000, D)) * (rng.random((5000, D)) < 0.2)
    np.save(path, (codes @ atoms).astype(np.float32))
    given = dictionaries({name: name for name in (*saes, "other")}, activations=path)
    frame = substitution_frame(substitutions(match_pairs(given), path))
    own = frame[frame["sae"] == "first"].set_index("directions_of")
    again, other = own.loc["again"], own.loc["other"]
    assert again["fvu_all"] == pytest.approx(again["fvu"], rel=1e-4)
    assert again["fvu_all"] < other["fvu_all"] < 0.5 * other["fvu_all_random"]
    assert other["fvu"] < other["fvu_shared"] < other["fvu_shared_random"]


def test_zero_rows_take_no_part_and_a_transcoder_gives_only_its_directions(loaded):
    first, second = sae(0), sae(1)
    rows = second.decoder_rows.clone()
    rows[4] = 0.0
    second = replace(second, decoder_rows=rows, metadata={"transcoder": True})
    [found] = substitutions(*loaded(a=first, b=second))
    assert (found.sae, found.directions_of, found.matched) == ("a", "b", K - 1)


def test_the_drawn_rows_are_the_same_every_time_and_others_by_another_seed(loaded):
    given = loaded(a=sae(0), b=sae(1))
    assert substitutions(*given) == substitutions(*given)
    assert substitutions(*given)[0] != substitutions(*given, seed=1)[0]


def test_without_latents_there_is_nothing_to_substitute(loaded):
    given, path = loaded(a=sae(0), b=sae(1))
    with pytest.raises(InputError, match="nothing is known of a's latents"):
        substitutions([replace(one, a=replace(one.a, latents=())) for one in given], path)
