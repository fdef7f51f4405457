"""The penalty on codes against automatic differentiation of the definition."""

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import CodePenalty, Run, RunSeeds, TopMSAE, TrainingConfig, select_top_m, train
from osae_theory.sae import gradients as ways
from osae_theory.sae.gradients import ModelGradients, Workspace, fill_gradients
from runtime_types import end_checks

S, N, D, K = 2, 40, 9, 12


@pytest.mark.parametrize("way", ["sparse", "dense", "torch", "portable"])
@pytest.mark.parametrize("activation", ["relu", "signed", "batch"])
@pytest.mark.parametrize("active", [4, K])
def test_every_way_gives_the_gradients_of_the_penalised_loss(way, activation, active, monkeypatch):
    monkeypatch.setattr(ways, "sparse_pays", lambda *shape: way == "sparse")
    generators = [np.random.default_rng(s) for s in range(S)]
    bias = torch.linspace(-1, 1, D, dtype=torch.float64)
    model = TopMSAE.initialised(
        D, K, generators, decoder_bias=bias, activation=activation, dtype=torch.float64
    )
    batch = torch.from_numpy(generators[0].standard_normal((S, N, D)))
    survival = torch.tensor(PrefixLaw.uniform(K).survival).expand(S, K)
    penalty = torch.linspace(0, 2, K, dtype=torch.float64)

    centred = model.centred(batch)
    codes = select_top_m(model.preactivations(centred), active, activation)
    loss = nested_dropout_loss_loop(centred, codes, model.atoms, survival)
    added = sum(penalty[j] * codes[..., j].abs().sum() for j in range(K))
    (loss.sum() + added).backward()

    model.requires_grad_(False)
    model.arithmetic = "portable" if way == "portable" else "fast"
    out = ModelGradients.like(model)
    backend = "torch" if way == "torch" else "numba"
    found = fill_gradients(
        model, batch, survival, active, None, backend, out, Workspace(), penalty=penalty
    )
    torch.testing.assert_close(found.loss, loss.detach())
    torch.testing.assert_close(out.encoder.mT, model.encoder.grad)
    torch.testing.assert_close(out.encoder_bias, model.encoder_bias.grad)
    torch.testing.assert_close(out.atoms, model.atoms.grad)
    torch.testing.assert_close(out.decoder_bias, model.decoder_bias.grad)


def test_the_strength_rises_linearly_and_the_weights_with_the_index():
    penalty = CodePenalty.increasing(3.0, 4, warmup=0.5)
    np.testing.assert_allclose(penalty.slopes_at(0, 10, 4), np.arange(1, 5) / 4 * 3 / 5)
    np.testing.assert_allclose(penalty.slopes_at(4, 10, 4), np.arange(1, 5) / 4 * 3)
    np.testing.assert_allclose(penalty.slopes_at(9, 10, 4), np.arange(1, 5) / 4 * 3)
    np.testing.assert_array_equal(CodePenalty(2.0, warmup=0).slopes_at(0, 10, 3), [2, 2, 2])


def trained(penalty, backend="numba"):
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((200, D), dtype=np.float32))
    config = TrainingConfig(
        K, n_steps=60, batch_size=50, code_penalty=penalty, backend=backend
    )  # fmt: skip
    return x, train(x, K, [Run(RunSeeds.same(0), 1e-2, PrefixLaw.full(K))], config).model


@pytest.mark.trains
def test_no_strength_changes_no_bit_and_more_of_it_makes_smaller_codes():
    sizes = []
    for strength in (0.0, 0.3, 1.0):
        x, model = trained(CodePenalty(strength))
        sizes.append(float(model.encode_all(x, K).abs().sum()))
        if strength == 0:
            _, plain = trained(None)
            for a, b in zip(model.parameters(), plain.parameters(), strict=True):
                assert torch.equal(a, b)
    assert sizes[0] > 1.1 * sizes[1]
    assert sizes[1] > 1.1 * sizes[2]


@pytest.mark.trains
def test_plain_numpy_gives_the_same_bits():
    for a, b in zip(
        trained(CodePenalty.increasing(0.2, K))[1].parameters(),
        trained(CodePenalty.increasing(0.2, K), "plain")[1].parameters(),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CodePenalty(-1.0), r"penalty strength = -1\.0"),
        (lambda: CodePenalty(1.0, warmup=2), "penalty warm-up = 2"),
        (lambda: CodePenalty(1.0, [1.0, -2.0]), "none negative"),
        (lambda: CodePenalty(1.0, []), "one for each latent"),
        (lambda: CodePenalty(1.0, [np.nan]), "penalty weights"),
        (lambda: CodePenalty.increasing(1.0, 0), "K = 0"),
        (lambda: TrainingConfig(1, code_penalty=0.1), r"code_penalty = 0\.1: expected a CodePen"),
        (lambda: trained(CodePenalty(1.0, [1.0])), "a penalty on 1 latents: expected K = 12"),
    ],
)
def test_a_penalty_that_cannot_be_is_refused(call, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        call()
