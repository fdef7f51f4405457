"""The internal form of a checkpoint: each part against the same thing in plain loops."""

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from realdata.checkpoints.form import (
    ConstantNorm,
    Gated,
    JumpReLU,
    LayerNorm,
    NoNormalisation,
    ReLU,
    SparseAutoencoder,
    Standardisation,
    TopK,
    TopM,
    Whitening,
)

D, K, N = 5, 9, 30


def draw(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def autoencoder(**changes):
    parts = {
        "architecture": "test",
        "encoder": draw(D, K, seed=1),
        "encoder_bias": draw(K, seed=2),
        "decoder_rows": draw(K, D, seed=3),
        "decoder_bias": draw(D, seed=4),
        "activation": ReLU(),
    }
    return SparseAutoencoder(**{**parts, **changes})


def kept_by_sorting(row, k, signed):
    kept = np.zeros_like(row)
    order = np.argsort(-np.abs(row) if signed else -row, kind="stable")[:k]
    kept[order] = row[order] if signed else np.maximum(row[order], 0)
    return kept


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("k", [1, 4, K])
def test_top_k_keeps_the_k_first_of_each_sorted_row(k, signed):
    a = draw(N, K)
    expected = np.array([kept_by_sorting(row, k, signed) for row in a.numpy()])
    np.testing.assert_array_equal(TopK(k, signed)(a).numpy(), expected)


@pytest.mark.parametrize("activation", ["relu", "signed"])
def test_top_m_keeps_what_top_k_keeps_where_nothing_is_tied(activation):
    a = draw(N, K)
    expected = TopK(3, signed=activation == "signed")(a)
    np.testing.assert_array_equal(TopM(3, activation)(a).numpy(), expected.numpy())


def test_top_m_gives_ties_to_the_lower_index():
    a = torch.tensor([[1.0, 2.0, 2.0, 2.0]])
    assert TopM(2)(a).tolist() == [[0.0, 2.0, 2.0, 0.0]]


def test_jump_relu_zeroes_what_is_at_or_below_its_threshold_and_never_passes_negatives():
    threshold = torch.tensor([0.5, 0.5, 0.5, -2.0, -2.0])
    a = torch.tensor([[0.4, 0.5, 0.6, -1.0, 1.0]])
    assert JumpReLU(threshold)(a).tolist() == [[0.0, 0.0, pytest.approx(0.6), 0.0, 1.0]]


def test_a_gate_opens_on_its_own_bias_and_the_magnitude_has_another_scale_and_bias():
    a, gate, scale, magnitude = draw(N, K), draw(K, seed=5), draw(K, seed=6), draw(K, seed=7)
    made = Gated(gate, scale, magnitude)(a).numpy()
    for i in range(N):
        for j in range(K):
            opened = a[i, j] + gate[j] > 0
            size = max(float(a[i, j] * torch.exp(scale[j]) + magnitude[j]), 0.0)
            assert made[i, j] == pytest.approx(size if opened else 0.0, rel=1e-6, abs=1e-7)


def test_layer_norm_divides_by_the_deviation_with_ddof_1_plus_epsilon():
    x = draw(N, D) * 3 + 1
    rows = x.double().numpy()
    centred = rows - rows.mean(axis=1, keepdims=True)
    expected = centred / (rows.std(axis=1, ddof=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(LayerNorm().enter(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_constant_norm_gives_every_activation_the_norm_root_d():
    norms = ConstantNorm().enter(draw(N, D)).norm(dim=1)
    np.testing.assert_allclose(norms.numpy(), D**0.5, rtol=1e-6)


def normalisations():
    matrix = draw(D, D, seed=8) + 3 * torch.eye(D)
    return [
        NoNormalisation(),
        LayerNorm(),
        ConstantNorm(),
        Standardisation(draw(D, seed=9), draw(D, seed=10).abs() + 0.1),
        Whitening(draw(D, seed=9), matrix, torch.linalg.inv(matrix)),
    ]


@pytest.mark.parametrize("kind", normalisations(), ids=lambda n: type(n).__name__)
def test_a_normalisation_undoes_on_the_way_out_what_it_does_on_the_way_in(kind):
    x = draw(N, D) + 2
    np.testing.assert_allclose(kind.leave(kind.enter(x), x).numpy(), x.numpy(), rtol=2e-4)


@pytest.mark.parametrize("kind", normalisations(), ids=lambda n: type(n).__name__)
def test_the_decoder_is_what_a_unit_of_a_latent_adds_up_to_a_factor(kind):
    sae = autoencoder(normalisation=kind)
    x, latents = draw(1, D) + 2, torch.zeros(1, K)
    silent = sae.decode(latents, x)
    for j in range(K):
        one = latents.clone()
        one[0, j] = 1.0
        added = (sae.decode(one, x) - silent).double().numpy()[0]
        row = sae.decoder[j].astype(np.float64)
        cosine = added @ row / np.linalg.norm(added) / np.linalg.norm(row)
        assert cosine == pytest.approx(1.0, abs=1e-5)


def test_the_form_computes_what_its_formula_says():
    rng = np.random.default_rng(11)
    offset, mean, scale = rng.normal(size=(3, D))
    first, second = rng.uniform(0.5, 2, size=(2, K))
    skip, scale = rng.normal(size=(D, D)), np.abs(scale) + 0.1

    def tensor(array):
        return torch.from_numpy(np.asarray(array)).float()

    sae = autoencoder(
        activation=TopK(4),
        input_offset=tensor(offset),
        normalisation=Standardisation(tensor(mean), tensor(scale)),
        preactivation_scale=tensor(first),
        latent_scale=tensor(second),
        skip=tensor(skip),
    )
    x = rng.normal(size=(N, D))
    z = (x - mean) / scale
    a = ((z - offset) @ sae.encoder.numpy() + sae.encoder_bias.numpy()) * first
    latents = np.array([kept_by_sorting(row, 4, False) for row in a])
    inner = (latents * second) @ sae.decoder_rows.numpy() + sae.decoder_bias.numpy()
    made = sae.encode(tensor(x))
    np.testing.assert_allclose(made.numpy(), latents, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        sae.decode(made, tensor(x)).numpy(), inner * scale + mean + x @ skip, rtol=1e-4, atol=1e-4
    )


def test_chunks_put_together_are_the_whole():
    sae = autoencoder(activation=TopK(3), normalisation=LayerNorm())
    x = draw(N, D)
    latents, reconstructions = zip(*sae.chunks(x, 7), strict=True)
    assert [len(part) for part in latents] == [7, 7, 7, 7, 2]
    whole = sae.encode(x)
    np.testing.assert_allclose(torch.cat(latents).numpy(), whole.numpy(), atol=1e-6)
    np.testing.assert_allclose(
        torch.cat(reconstructions).numpy(), sae.decode(whole, x).numpy(), atol=1e-5
    )


def test_float64_weights_compute_in_float64_and_their_decoder_is_given_in_float32():
    single = autoencoder()
    names = ("encoder", "encoder_bias", "decoder_rows", "decoder_bias")
    double = autoencoder(**{name: getattr(single, name).double() for name in names})
    assert double.encode(draw(N, D)).dtype == torch.float64
    assert single.decoder.dtype == double.decoder.dtype == np.float32


@pytest.mark.parametrize("make", [TopK, TopM])
@pytest.mark.parametrize("k", [0, -1, K + 1])
def test_a_sparsity_outside_1_to_K_is_refused(make, k):
    with pytest.raises(InputError, match="expected"):
        autoencoder(activation=make(k))


def test_thresholds_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"threshold has shape \(8,\): expected \(9,\)"):
        autoencoder(activation=JumpReLU(torch.zeros(K - 1)))


def unit_rows(rows):
    rows = rows.astype(np.float64) / np.abs(rows).max(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("exponent", [-300, -60, -38, 0, 37, 60, 300])
def test_the_decoder_of_a_float64_checkpoint_keeps_its_directions_at_any_scale(exponent):
    rows = draw(K, D, seed=3).double()
    rows[2] = 0
    kept = autoencoder(decoder_rows=rows * 10.0**exponent).decoder
    nonzero = [k for k in range(K) if k != 2]
    assert not kept[2].any()
    assert kept.dtype == (np.float32 if exponent in (0, 37) else np.float64)
    np.testing.assert_allclose(
        unit_rows(kept[nonzero]), unit_rows(rows.numpy()[nonzero]), atol=1e-7
    )


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1.0, 1e38])
def test_the_decoder_keeps_its_directions_at_any_scale_of_the_input(scale):
    rows = draw(K, D, seed=3)
    scales = torch.full((D,), scale)
    scalings = (
        Standardisation(torch.zeros(D), scales),
        Whitening(torch.zeros(D), torch.eye(D), torch.diag(scales)),
    )
    for scaling in scalings:
        made = autoencoder(decoder_rows=rows * 30, normalisation=scaling).decoder
        np.testing.assert_allclose(unit_rows(made), unit_rows(rows.numpy()), atol=1e-6)
