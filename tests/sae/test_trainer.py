from dataclasses import replace

import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import (
    CodePenalty,
    DataOrder,
    DeadLatentLoss,
    FrozenDecoder,
    NearDecoder,
    Resorting,
    Run,
    RunSeeds,
    Trainer,
    TrainingConfig,
)

D, K, M = 6, 9, 2
CONFIG = TrainingConfig(M, n_steps=30, batch_size=16)
RUNS = [Run(RunSeeds.same(s), 1e-2, RandomPrefixes(K)) for s in range(2)]
CONFIGS = {
    "plain": CONFIG,
    "batch": replace(CONFIG, activation="batch", use_decoder_bias=True),
    "dead latents": replace(CONFIG, dead_latent_loss=DeadLatentLoss(dead_after=2)),
    "near its start": replace(CONFIG, decoder=NearDecoder(0.99), resorting=Resorting(every=4)),
    "frozen, penalised": replace(
        CONFIG, decoder=FrozenDecoder(), code_penalty=CodePenalty(0.1, warmup=0.8)
    ),
    "torch": replace(CONFIG, backend="torch", arithmetic="fast"),
}


def data(n=100, dtype=torch.float32):
    return torch.randn(n, D, generator=torch.Generator().manual_seed(0)).to(dtype)


def advance(trainer, order, steps):
    x = data()
    return [trainer.step(x[order.next()]) for _ in range(steps)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stop", [1, 17])
def test_training_that_stops_and_goes_on_ends_with_the_same_bits(name, stop):
    def fresh():
        seeds = [run.seeds for run in RUNS]
        return Trainer(D, K, RUNS, CONFIGS[name]), DataOrder(100, 16, seeds)

    whole, order = fresh()
    advance(whole, order, 30)
    first, order = fresh()
    advance(first, order, stop)
    saved, place = first.state(), order.state()
    advance(first, order, 3)  # what is saved must not change with the trainer
    second, order = fresh()
    second.restore(saved)
    order.restore(place)
    advance(second, order, 30 - stop)
    for (key, a), b in zip(whole.state().items(), second.state().values(), strict=True):
        assert torch.equal(a, b), key


def test_a_state_of_other_runs_is_refused():
    trainer = Trainer(D, K, RUNS, CONFIG)
    with pytest.raises(InputError, match=r"training state without model\.encoder"):
        trainer.restore(Trainer(D, K, RUNS[:1], CONFIG).state())
    with pytest.raises(InputError, match="training state without diverged"):
        trainer.restore({k: v for k, v in trainer.state().items() if k != "diverged"})


def test_no_step_is_done_beyond_the_last():
    trainer = Trainer(D, K, RUNS, replace(CONFIG, n_steps=1))
    batch = data()[:16].expand(2, 16, D)
    trainer.step(batch)
    with pytest.raises(InputError, match="step 2: expected at most n_steps = 1"):
        trainer.step(batch)


def test_processes_that_share_gradients_train_as_one_with_the_whole_batch():
    config = replace(CONFIG, use_decoder_bias=True)
    runs = [Run(RunSeeds.same(0), 1e-2, PrefixLaw.uniform(K))]
    x = data(64, torch.float64)[None]
    together = Trainer(D, K, runs, config, dtype=torch.float64)
    sums = []
    half = Trainer(
        D, K, runs, config, dtype=torch.float64, world_size=2,
        all_reduce=lambda t: sums.append(t.clone()),
    )  # fmt: skip
    other = Trainer(
        D, K, runs, config, dtype=torch.float64, world_size=2,
        all_reduce=lambda t: t.add_(sums.pop(0)),
    )  # fmt: skip
    for _ in range(5):
        expected = together.step(x)
        # The other process stands at the same place and has the other half of the batch.
        half.restore(other.state())
        half.step(x[:, 32:])
        torch.testing.assert_close(other.step(x[:, :32]), expected)
        assert not sums
    for a, b in zip(together.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_an_auxiliary_loss_cannot_be_shared_by_processes():
    with pytest.raises(InputError, match="world_size = 2: expected 1 with a dead-latent loss"):
        Trainer(D, K, RUNS, CONFIGS["dead latents"], world_size=2)


def test_batch_top_k_spends_its_latents_where_they_are_needed_and_tracks_a_threshold():
    trainer = Trainer(D, K, RUNS, CONFIGS["batch"])
    x = data() * torch.linspace(0.1, 3, 100)[:, None]
    order = DataOrder(100, 50, [run.seeds for run in RUNS])
    for _ in range(30):
        trainer.step(x[order.next()])
    codes = trainer.model.encode(x.expand(2, 100, D), M)
    counts = (codes > 0).sum(dim=-1)
    assert counts.sum(dim=-1).tolist() == [100 * M, 100 * M]
    assert (counts[:, -30:].float().mean(dim=-1) > counts[:, :30].float().mean(dim=-1)).all()
    assert (trainer.thresholds > 0).all()
    latents = trainer.model.preactivations(trainer.model.centred(x.expand(2, 100, D)))
    active = (latents > trainer.thresholds[:, None, None]).float().sum(dim=-1).mean(dim=-1)
    assert ((active > 0.6 * M) & (active < 1.6 * M)).all()
