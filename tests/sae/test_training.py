from dataclasses import replace

import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import AnnealedLaw, PrefixLaw, RandomPrefixes, SampledPrefix
from osae_theory.problems import toy_spec
from osae_theory.sae import (
    CodePenalty,
    DataOrder,
    DeadLatentLoss,
    LearningRateSchedule,
    NearDecoder,
    Resorting,
    Run,
    RunSeeds,
    SparsityWarmup,
    TopMSAE,
    TrainingConfig,
    UnitSweep,
    select_top_m,
    train,
)
from osae_theory.sae.auxiliary import DeadLatents
from osae_theory.sae.training import train_on_sets
from osae_theory.seeds import Axis, generator

pytestmark = pytest.mark.trains

K, M = 11, 3
PLAIN = TrainingConfig(M, n_steps=60, batch_size=101)


def data(n=501, d=7, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def run(seed=0, learning_rate=1e-2, law=None):
    return Run(RunSeeds.same(seed), learning_rate, law or PrefixLaw.uniform(K))


def parameters(result, index):
    return [p[index] for p in result.model.parameters()]


FOUR_RUNS = [
    run(0),
    run(1, 3e-3, PrefixLaw.full(K)),
    Run(RunSeeds(0, 1, 2), 1e-2, RandomPrefixes(K)),
    run(3, 2e-2, AnnealedLaw(PrefixLaw.uniform(K))),
]
CONFIGS = {
    "plain": PLAIN,
    "everything": replace(
        PLAIN,
        activation="signed",
        use_decoder_bias=True,
        dead_latent_loss=DeadLatentLoss(dead_after=3),
        unit_sweep=UnitSweep(20, 4),
        learning_rate_schedule=LearningRateSchedule(0.1, 0.6),
    ),
    "held": replace(
        PLAIN,
        activation="batch",
        code_penalty=CodePenalty.increasing(0.3, K),
        decoder=NearDecoder(0.9),
        resorting=Resorting(every=6),
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("d", [2, 7, 80])
def test_a_run_in_a_batch_equals_the_same_run_alone_bit_for_bit(name, d):
    x, config = data(d=d), replace(CONFIGS[name], n_steps=25)
    runs = [*FOUR_RUNS, run(4, law=SampledPrefix(PrefixLaw.uniform(K)))]
    together = train(x, K, runs, config)
    for s, one in enumerate(runs):
        alone = train(x, K, [one], config)
        for batched, single in zip(parameters(together, s), parameters(alone, 0), strict=True):
            assert torch.equal(batched, single)


@pytest.mark.parametrize(
    "config",
    [PLAIN, replace(PLAIN, use_decoder_bias=True, dead_latent_loss=DeadLatentLoss(dead_after=5))],
    ids=["plain", "bias, dead latents"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_runs_on_several_data_sets_equal_those_on_one_each(config, dtype):
    sets = torch.stack([data(seed=seed, dtype=dtype) + seed for seed in range(3)])
    places = [2, 0, 0, 2]
    together = train_on_sets(sets, places, K, FOUR_RUNS, config)
    fast = replace(config, arithmetic="fast", n_steps=10)
    roughly = train_on_sets(sets, places, K, FOUR_RUNS, fast)
    for s, place in enumerate(places):
        alone = train(sets[place], K, [FOUR_RUNS[s]], config)
        assert torch.equal(together.losses[:, s], alone.losses[:, 0])
        for a, b in zip(parameters(together, s), parameters(alone, 0), strict=True):
            assert torch.equal(a, b)
        alone = train(sets[place], K, [FOUR_RUNS[s]], fast)
        for a, b in zip(parameters(roughly, s), parameters(alone, 0), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("places", [[0], [0, 2], [0, -1]])
def test_a_run_on_a_data_set_that_is_not_there_is_refused(places):
    with pytest.raises(InputError, match=r"data sets \[.*\] of 2 runs: expected one of 0\.\.1"):
        train_on_sets(data()[None].expand(2, -1, -1), places, K, FOUR_RUNS[:2], PLAIN)


def test_the_same_seeds_give_the_same_bits_and_each_axis_changes_them():
    x = data()
    base = RunSeeds(1, 2, 3)

    def trained(seeds):
        return train(x, K, [Run(seeds, 1e-2, RandomPrefixes(K))], PLAIN).model.atoms

    reference = trained(base)
    assert torch.equal(reference, trained(base))
    for axis in ("initialisation", "data_order", "prefixes"):
        assert not torch.equal(reference, trained(replace(base, **{axis: 9})))


def reference_training(x, one, config):
    """One run by the textbook: torch autograd, the loop over prefixes, torch.optim.Adam."""
    n, d = x.shape
    model = TopMSAE.initialised(
        d, K, [generator(one.seeds.initialisation, Axis.INITIALISATION)], dtype=x.dtype
    )
    order = generator(one.seeds.data_order, Axis.DATA_ORDER)
    queue = torch.cat([torch.from_numpy(order.permutation(n)) for _ in range(20)])
    adam = torch.optim.Adam(model.parameters(), lr=one.learning_rate)
    weights = torch.tensor(one.schedule.survival, dtype=x.dtype)
    for step in range(config.n_steps):
        for group in adam.param_groups:
            group["lr"] = one.learning_rate * config.learning_rate_schedule.factor_at(
                step, config.n_steps
            )
        batch = x[queue[step * config.batch_size : (step + 1) * config.batch_size]]
        active = config.sparsity_warmup.active_at(step, config.n_steps, K, M)
        codes = select_top_m(batch @ model.encoder[0] + model.encoder_bias[0], active)
        loss = nested_dropout_loss_loop(batch, codes, model.atoms[0], weights) / len(batch)
        adam.zero_grad()
        loss.backward()
        with torch.no_grad():
            gradient = model.atoms.grad
            gradient -= (gradient * model.atoms).sum(-1, keepdim=True) * model.atoms
            adam.step()
            model.atoms /= model.atoms.norm(dim=-1, keepdim=True)
    return list(model.parameters())


@pytest.mark.parametrize("law", [PrefixLaw.uniform(K), PrefixLaw.full(K), PrefixLaw.zipf(K)])
def test_training_equals_a_textbook_loop_in_float64(law):
    x = data(dtype=torch.float64)
    found = train(x, K, [run(4, law=law)], PLAIN).model.parameters()
    for a, b in zip(found, reference_training(x, run(4, law=law), PLAIN), strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-9, atol=1e-9)


def test_atoms_keep_unit_norm_and_the_loss_falls():
    result = train(data(), K, FOUR_RUNS, CONFIGS["everything"])
    torch.testing.assert_close(result.model.atoms.norm(dim=-1), torch.ones(4, K))
    config = replace(PLAIN, sparsity_warmup=SparsityWarmup(0))
    losses = train(data(), K, FOUR_RUNS, config).losses
    assert (losses[-5:].mean(dim=0) < 0.9 * losses[:5].mean(dim=0)).all()


def test_swept_units_stay_as_they_were_when_frozen():
    long = replace(PLAIN, unit_sweep=UnitSweep(burn_in=30, every=10))
    # A constant rate and no warm-up: the shorter run is then the longer one's beginning.
    constant = replace(
        long,
        sparsity_warmup=SparsityWarmup(0),
        learning_rate_schedule=LearningRateSchedule(0, 1),
    )
    # Steps 30, 40, 50 freeze units 1, 2, 3: unit 1 is what it was after step 30.
    for unit, frozen_from in enumerate((30, 40, 50)):
        before = train(data(), K, [run()], replace(constant, n_steps=frozen_from)).model
        after = train(data(), K, [run()], constant).model
        assert torch.equal(before.atoms[0, unit], after.atoms[0, unit])
        assert torch.equal(before.encoder[0, :, unit], after.encoder[0, :, unit])
        assert torch.equal(before.encoder_bias[0, unit], after.encoder_bias[0, unit])
        assert not torch.equal(before.atoms[0, 4], after.atoms[0, 4])


def test_every_sample_is_seen_once_an_epoch():
    order = DataOrder(10, 4, [RunSeeds.same(0), RunSeeds.same(1)])
    walked = torch.cat([order.next() for _ in range(5)], dim=1)
    for s in range(2):
        for epoch in (walked[s, :10], walked[s, 10:]):
            assert sorted(epoch.tolist()) == list(range(10))
    assert not torch.equal(walked[0], walked[1])


def test_a_diverged_run_is_reported_and_leaves_the_others_alone():
    x = data()
    result = train(x, K, [run(0, 1e30), run(1)], PLAIN)
    assert result.diverged.tolist() == [True, False]
    alone = train(x, K, [run(1)], PLAIN)
    assert torch.equal(result.model.atoms[1], alone.model.atoms[0])
    assert result.model.atoms.isfinite().all()


def test_progress_is_reported_after_each_step():
    seen = []
    train(data(), K, [run()], replace(PLAIN, n_steps=3), on_step=seen.append)
    assert seen == [1, 2, 3]


def test_latents_are_dead_after_so_many_silent_steps_and_alive_when_they_fire():
    config = DeadLatentLoss(n_latents=2, dead_after=2)
    dead = DeadLatents(config, n_runs=1, n_atoms=3, device=torch.device("cpu"))
    latents = torch.tensor([[[0.5, 0.4, -1.0]]])
    for _ in range(2):
        assert not dead.dead.any()
        dead.count(torch.tensor([[True, False, False]]))
    assert dead.dead.tolist() == [[False, True, True]]
    assert dead.candidates(latents)[0, 0, 1:].tolist() == latents[0, 0, 1:].tolist()
    assert dead.candidates(latents)[0, 0, 0] == -torch.inf
    dead.count(torch.tensor([[False, True, False]]))
    assert dead.dead.tolist() == [[False, False, True]]


def test_the_auxiliary_loss_revives_dead_latents():
    rows, _, _ = toy_spec(d=16, K=32, m=3, n_samples=4000, alpha=0.3, seed=1).draw().rows()
    x = torch.from_numpy(rows)
    # A large rate without k warm-up kills latents.
    plain = TrainingConfig(3, n_steps=400, batch_size=256, sparsity_warmup=SparsityWarmup(0))
    revived = replace(plain, dead_latent_loss=DeadLatentLoss(1.0, 8, dead_after=10))
    runs = [run(seed, 3e-2, PrefixLaw.full(32)) for seed in range(2)]

    def alive(config):
        codes = train(x, 32, runs, config).model.encode_all(x, 3)
        return int((codes != 0).any(dim=1).sum())

    assert alive(revived) > alive(plain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(data(), K, [], PLAIN), "at least one"),
        (lambda: train(data(n=0), K, [run()], PLAIN), r"data of shape \(0, 7\)"),
        (lambda: train(data() / 0, K, [run()], PLAIN), "NaN or Inf"),
        (
            lambda: train(data(), 2, [run(law=PrefixLaw.full(2))], PLAIN),
            "m = 3: expected at most K = 2",
        ),
        (lambda: train(data(), 12, [run()], PLAIN), "over 11 atoms: expected K = 12"),
        (lambda: train(data(), 0, [run()], PLAIN), "n_atoms = 0"),
        (lambda: run(learning_rate=0.0), r"learning rate = 0\.0"),
        (lambda: RunSeeds(0, -1, 0), "data_order seed = -1"),
        (lambda: TrainingConfig(0), "n_nonzero = 0"),
        (lambda: TrainingConfig(1, n_steps=0), "n_steps = 0"),
        (lambda: TrainingConfig(1, batch_size=0), "batch_size = 0"),
        (lambda: TrainingConfig(1, betas=(0.9, 1.0)), r"Adam beta = 1\.0"),
        (lambda: DeadLatentLoss(coefficient=-1.0), r"coefficient = -1\.0"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_the_door(call, message):
    with pytest.raises(InputError, match=message):
        call()
