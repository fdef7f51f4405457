"""Training with weights that follow the fit (claim A), and sorting while training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop, prefix_loss
from osae_theory.prefixes import ExactPenalty, PrefixLaw
from osae_theory.sae import (
    DeadLatentLoss,
    Resorting,
    Run,
    RunSeeds,
    SparsityWarmup,
    TopMSAE,
    Trainer,
    TrainingConfig,
    UnitSweep,
    select_top_m,
    train,
)
from osae_theory.sae import gradients as ways
from osae_theory.sae.fit import Fit
from osae_theory.sae.gradients import ModelGradients, Workspace, fill_gradients
from runtime_types import end_checks

pytestmark = pytest.mark.trains

S, N, D, K, M = 2, 40, 9, 12, 3
PLAIN = TrainingConfig(M, n_steps=60, batch_size=64)


def model_and_batch(seed=0, arithmetic="fast"):
    generators = [np.random.default_rng(seed + s) for s in range(S)]
    model = TopMSAE.initialised(
        D, K, generators, decoder_bias=torch.linspace(-1, 1, D, dtype=torch.float64),
        arithmetic=arithmetic, dtype=torch.float64,
    )  # fmt: skip
    return model, torch.from_numpy(generators[0].standard_normal((S, N, D)))


def penalised(model, batch, q, strength, by_sample):
    """F of claim A as it is written, of each run, with lambda such that 2 lambda ||X|| = c."""
    centred = model.centred(batch)
    codes = select_top_m(model.preactivations(centred), M, model.activation)
    left = centred - codes @ model.atoms
    norm = centred.detach().square().sum(dim=(-2, -1)).sqrt()
    ordering = nested_dropout_loss_loop(
        centred, codes, model.atoms, torch.tensor(q.survival).expand(S, K)
    )
    if by_sample:
        lengths, norm = left.norm(dim=-1).sum(dim=-1), norm / N**0.5
    else:
        lengths = left.square().sum(dim=(-2, -1)).sqrt()
    return lengths + strength / (2 * norm) * ordering


@pytest.mark.parametrize("way", ["sparse", "dense", "torch", "portable"])
@pytest.mark.parametrize("by_sample", [False, True])
def test_the_gradient_of_a_step_is_along_that_of_the_loss_as_it_is_written(
    way, by_sample, monkeypatch
):
    monkeypatch.setattr(ways, "sparse_pays", lambda *shape: way == "sparse")
    model, batch = model_and_batch(arithmetic="portable" if way == "portable" else "fast")
    q = PrefixLaw.zipf(K)
    penalised(model, batch, q, 0.7, by_sample).sum().backward()
    expected = [
        torch.cat([p.grad.reshape(S, -1) for p in model.parameters()], dim=1),
    ]
    model.requires_grad_(False)
    fit = Fit([ExactPenalty(q, 0.7, by_sample=by_sample)] * S, M)
    backend = "torch" if way == "torch" else "numba"
    left, whole = fit.energies(model, batch, backend)
    fit.note(0, left.sum(dim=-1), whole.sum(dim=-1))
    survival = torch.from_numpy(np.stack([fit.survival(s) for s in range(S)]))
    out = ModelGradients.like(model)
    fill_gradients(
        model, batch, survival, M, None, backend, out, Workspace(),
        fit.sample_weights(left, left.mean(dim=-1), batch),
    )  # fmt: skip
    found = torch.cat(
        [
            out.encoder.mT.reshape(S, -1),
            out.encoder_bias.reshape(S, -1),
            out.atoms.reshape(S, -1),
            out.decoder_bias.reshape(S, -1),
        ],
        dim=1,
    )
    cosine = torch.nn.functional.cosine_similarity(found, expected[0], dim=1)
    torch.testing.assert_close(cosine, torch.ones(S, dtype=torch.float64), atol=1e-12, rtol=0)


def test_the_fit_is_measured_at_m_latents_and_as_often_as_was_asked_for():
    model, batch = model_and_batch()
    model.requires_grad_(False)
    fit = Fit([PrefixLaw.uniform(K), ExactPenalty(PrefixLaw.uniform(K), every=4)], M)
    assert [fit.is_due(step) for step in range(6)] == [True, False, False, False, True, False]
    left, whole = fit.energies(model, batch, "auto")
    centred = model.centred(batch)
    codes = model.encode(batch, M)
    for s in range(S):
        expected = prefix_loss(centred[s], codes[s], model.atoms[s], K)
        assert float(left[s].sum()) == pytest.approx(float(expected), rel=1e-12)
    torch.testing.assert_close(whole, centred.square().sum(dim=-1))
    fit.note(4, left.sum(dim=1), whole.sum(dim=1))
    assert float(fit.residuals[0]) == 1
    ratio = float(left[1].sum() / whole[1].sum())
    assert float(fit.residuals[1]) == pytest.approx(ratio**0.5, rel=1e-12)
    fit.note(5, left.sum(dim=1) * 4, whole.sum(dim=1))
    assert float(fit.residuals[1]) == pytest.approx(ratio**0.5, rel=1e-12)


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((K, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((n, K))
    for row in codes:
        row[rng.choice(K, M, replace=False, p=np.arange(K, 0, -1) / (K * (K + 1) / 2))] = 1
    return torch.from_numpy((codes * rng.uniform(0.5, 1.5, codes.shape)) @ atoms)


LAWS = [
    PrefixLaw.full(K),
    *(ExactPenalty(PrefixLaw.uniform(K), by_sample=b) for b in (False, True)),
]
SORTING = replace(PLAIN, resorting=Resorting(every=7), dead_latent_loss=DeadLatentLoss(0.1, 2, 3))


@pytest.mark.parametrize("config", [PLAIN, SORTING], ids=["plain", "re-sorted"])
def test_a_run_that_follows_its_fit_is_the_same_alone_and_in_company(config):
    x, runs = data().float(), [Run(RunSeeds.same(s), 1e-2, law) for s, law in enumerate(LAWS)]
    together = train(x, K, runs, config).model
    for s, one in enumerate(runs):
        alone = train(x, K, [one], config).model
        for a, b in zip(together.parameters(), alone.parameters(), strict=True):
            assert torch.equal(a[s], b[0])


@pytest.mark.parametrize("law", LAWS)
def test_a_training_that_is_interrupted_goes_on_to_the_same_bits(law):
    runs = [Run(RunSeeds.same(3), 1e-2, law)]
    x = data().float()[None]
    whole, first = (Trainer(D, K, runs, SORTING) for _ in range(2))
    for step in range(30):
        batch = x[:, step * 10 : step * 10 + 64]
        whole.step(batch)
        if step < 17:
            first.step(batch)
    second = Trainer(D, K, runs, SORTING)
    second.restore(first.state())
    for step in range(17, 30):
        second.step(x[:, step * 10 : step * 10 + 64])
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, second.state()[name]), name


def test_sorting_changes_nothing_of_a_plain_sae_but_its_order():
    x = data()
    common = replace(PLAIN, sparsity_warmup=SparsityWarmup(0.0), n_steps=28)
    run = Run(RunSeeds.same(1), 1e-2, PrefixLaw.full(K))
    plain = train(x, K, [run], common).model.atoms[0]
    sorted_ = train(x, K, [run], replace(common, resorting=Resorting(7))).model.atoms[0]
    similar = plain @ sorted_.T
    place = similar.argmax(dim=1)
    assert sorted(place.tolist()) == list(range(K))
    torch.testing.assert_close(similar.amax(dim=1), torch.ones(K, dtype=torch.float64))
    assert place.tolist() != list(range(K))


def test_sorted_latents_are_in_order_of_their_running_energy():
    x = data().float()
    config = replace(PLAIN, resorting=Resorting(every=5, memory=0.9), n_steps=20)
    trainer = Trainer(D, K, [Run(RunSeeds.same(0), 1e-2, PrefixLaw.full(K))], config)
    for _ in range(20):
        trainer.step(x[None])
    energies = trainer.state()["energies"][0]
    assert bool((energies[:-1] >= energies[1:]).all())
    # In the first step all latents are active: the newest batch has the weight 1.
    codes = trainer.model.encode(x[None], M)[0].double()
    order = codes.square().sum(dim=0)
    assert float(np.corrcoef(order, energies)[0, 1]) > 0.9


def test_sorting_and_unit_sweeping_exclude_each_other():
    with pytest.raises(InputError, match="expected only one of the two"):
        replace(PLAIN, resorting=Resorting(), unit_sweep=UnitSweep(5, 5))


class OwnFit:
    """A fit schedule of a user's own, with the weights that it is given."""

    def __init__(self, weights, every=1):
        self.K, self.every, self._weights = K, every, weights

    def survival_for(self, residual):
        return self._weights


class OwnWeights(OwnFit):
    """The same as a schedule in steps."""

    every = property(doc="none")
    survival_for = None

    def __init__(self, weights):
        self.K, self._weights = K, weights

    def survival_at(self, step, n_steps, rng):
        return self._weights


FALLING = np.linspace(1, 0.1, K)


NO_WEIGHTS = {
    "one": np.ones(1),
    "too few": np.ones(K - 1),
    "too many": np.ones(K + 1),
    "a matrix": np.ones((K, 1)),
    "rising": FALLING[::-1],
    "from 2": FALLING * 2,
    "below 0": FALLING - 0.5,
    "NaN": np.full(K, np.nan),
    "complex": FALLING + 1j,
    "none": None,
    "a word": "uniform",
}


@pytest.mark.parametrize("weights", NO_WEIGHTS)
@pytest.mark.parametrize("kind", [OwnFit, OwnWeights])
def test_weights_of_a_users_own_schedule_that_are_none_are_refused(kind, weights):
    end_checks()
    with pytest.raises(InputError, match="survival weights of the schedule"):
        train(data().float(), K, [Run(RunSeeds.same(0), 1e-2, kind(NO_WEIGHTS[weights]))], PLAIN)


@pytest.mark.parametrize("kind", [OwnFit, OwnWeights])
def test_weights_of_a_users_own_schedule_are_those_of_the_law_they_are(kind):
    x, law = data().float(), PrefixLaw.from_survival(FALLING)
    own, theirs = (
        train(x, K, [Run(RunSeeds.same(0), 1e-2, schedule)], PLAIN).model.atoms
        for schedule in (kind(law.survival), law)
    )
    assert torch.equal(own, theirs)


@pytest.mark.parametrize("every", [0, -1, 2.5, "a", None])
def test_an_interval_of_a_users_own_schedule_that_is_none_is_refused(every):
    end_checks()
    with pytest.raises(InputError, match="every = "):
        Run(RunSeeds.same(0), 1e-2, OwnFit(FALLING, every))


def test_a_batch_of_zeros_says_nothing_of_the_fit():
    fit = Fit([ExactPenalty(PrefixLaw.uniform(K))], M)
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    fit.note(0, one / 4, one)
    for left in (zero, one):
        fit.note(10, left, zero)
        assert fit.residuals.tolist() == [0.5]
    assert ExactPenalty(PrefixLaw.uniform(3), 1e300).share_for(1e10) == 1


@pytest.mark.parametrize("resorting", [True, 50, "energy"])
def test_a_resorting_that_is_none_is_refused(resorting):
    end_checks()
    with pytest.raises(InputError, match=r"resorting = .*expected a Resorting"):
        replace(PLAIN, resorting=resorting)


def test_a_state_of_another_kind_of_trainer_is_refused():
    runs = [Run(RunSeeds.same(3), 1e-2, PrefixLaw.full(K))]
    sorting = Trainer(D, K, runs, replace(PLAIN, resorting=Resorting()))
    with pytest.raises(InputError, match="training state with energies"):
        Trainer(D, K, runs, PLAIN).restore(sorting.state())
