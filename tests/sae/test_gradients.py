"""The two ways through a training step against automatic differentiation of the definition."""

import numpy as np
import pytest
import torch

from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import DeadLatentLoss, TopMSAE, select_top_m
from osae_theory.sae import gradients as ways
from osae_theory.sae.auxiliary import DeadLatents
from osae_theory.sae.gradients import ModelGradients, Workspace, fill_gradients, sparse_pays

S, N, D, K = 2, 40, 9, 12
SHAPE = {"dtype": torch.float64}


def model_and_batch(activation="relu", with_bias=True, seed=0):
    generators = [np.random.default_rng(seed + s) for s in range(S)]
    bias = torch.linspace(-1, 1, D, **SHAPE) if with_bias else None
    model = TopMSAE.initialised(D, K, generators, decoder_bias=bias, activation=activation, **SHAPE)
    batch = torch.from_numpy(generators[0].standard_normal((S, N, D)))
    return model, batch


def by_autograd(model, batch, survival, active, dead):
    """The definition: a loop over prefixes, and AuxK as Gao et al. write it."""
    centred = model.centred(batch)
    latents = model.preactivations(centred)
    codes = select_top_m(latents, active, model.activation)
    loss = nested_dropout_loss_loop(centred, codes, model.atoms, survival)
    total = loss
    if dead is not None:
        residual = (centred - codes @ model.atoms).detach()
        chosen = select_top_m(dead.candidates(latents), dead.n_revived)
        error = (residual - chosen @ model.atoms).square().sum(dim=(-2, -1))
        total = loss + dead.config.coefficient * error
    total.sum().backward()
    return loss.detach()


def all_but(alive):
    config = DeadLatentLoss(coefficient=0.3, n_latents=3, dead_after=1)
    dead = DeadLatents(config, S, K, torch.device("cpu"))
    dead.count(torch.arange(K).expand(S, K) < alive)
    return dead


@pytest.mark.parametrize("way", ["sparse", "dense", "torch", "portable"])
@pytest.mark.parametrize("activation", ["relu", "signed", "batch"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("alive", [None, 7, K])
@pytest.mark.parametrize("chunked", [False, True])
def test_every_way_gives_the_gradients_of_the_definition(
    way, activation, with_bias, alive, chunked, monkeypatch
):
    monkeypatch.setattr(ways, "sparse_pays", lambda *shape: way == "sparse")
    if chunked:  # seven samples at a time
        monkeypatch.setattr(ways, "_ENTRIES", 7 * S * K)
    model, batch = model_and_batch(activation, with_bias)
    survival = torch.tensor(PrefixLaw.uniform(K).survival).expand(S, K)
    dead = None if alive is None else all_but(alive)
    expected = by_autograd(model, batch, survival, 4, dead)
    out = ModelGradients.like(model)
    backend = "torch" if way == "torch" else "numba"
    if way == "portable":
        model.arithmetic = way
    model.requires_grad_(False)
    found = fill_gradients(model, batch, survival, 4, dead, backend, out, Workspace())
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(out.encoder.mT, model.encoder.grad)
    torch.testing.assert_close(out.encoder_bias, model.encoder_bias.grad)
    torch.testing.assert_close(out.atoms, model.atoms.grad)
    if with_bias:
        torch.testing.assert_close(out.decoder_bias, model.decoder_bias.grad)


@pytest.mark.parametrize("way", ["sparse", "dense"])
def test_a_step_counts_the_latents_that_were_silent(way, monkeypatch):
    monkeypatch.setattr(ways, "sparse_pays", lambda *shape: way == "sparse")
    model, batch = model_and_batch()
    dead = all_but(K)
    survival = torch.ones(S, K, **SHAPE)
    out = ModelGradients.like(model)
    fill_gradients(model, batch[:, :2], survival, 1, dead, "auto", out, Workspace())
    codes = model.encode(batch[:, :2], 1)
    assert torch.equal(dead.dead, ~(codes != 0).any(dim=1))


def test_the_sparse_way_is_taken_where_few_latents_are_active():
    assert sparse_pays(1024, 5, 80, 100)
    assert not sparse_pays(1024, 90, 80, 100)
    assert sparse_pays(1024, 80, 640, 4096)


@pytest.mark.parametrize(
    ("laws", "plain"),
    [((PrefixLaw.full,) * S, True), ((PrefixLaw.full, PrefixLaw.uniform), False)],
)
def test_a_step_is_plain_where_the_laws_of_all_runs_are(laws, plain, monkeypatch):
    asked = []
    monkeypatch.setattr(ways, "sparse_pays", lambda *given: asked.append(given[-1]) or plain)
    model, batch = model_and_batch()
    survival = torch.tensor(np.stack([law(K).survival for law in laws]))
    out = ModelGradients.like(model)
    fill_gradients(model, batch, survival, 2, None, "numba", out, Workspace())
    assert asked == [plain]


def test_memory_is_used_again_and_grows_where_it_must():
    workspace = Workspace()
    like = torch.zeros(1)
    first = workspace.empty("scores", (2, 3), torch.float32, like)
    again = workspace.empty("scores", (5,), torch.float32, like)
    assert first.data_ptr() == again.data_ptr()
    assert workspace.empty("scores", (7, 2), torch.float32, like).shape == (7, 2)
