"""The dense trainer against the sparse one, and its methods against their formulas in loops."""

import math

import numpy as np
import pytest
import torch

from benchmarks import catalogue
from benchmarks.contracts import Data, Fit
from benchmarks.encoders.gated import Gated
from benchmarks.encoders.jump import Jump
from benchmarks.kept import fitted_from, stored_arrays
from benchmarks.methods.aligned import Group
from benchmarks.methods.archetypal import Archetypal, centroids, mixtures, random_points
from benchmarks.methods.consensus import consensus
from benchmarks.methods.decoder_decay import DecoderDecay
from benchmarks.methods.gated import GatedSAE
from benchmarks.methods.jumprelu import JumpReLU, jump
from benchmarks.training import dense as module
from benchmarks.training.dense import (
    DenseConfig,
    DenseRun,
    Moment,
    Start,
    TopMModel,
    initial_atoms,
    largest,
    member_seeds,
    train_dense,
)
from benchmarks.training.portable_autograd import operations
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import toy_spec
from osae_theory.sae import Run, RunSeeds, TrainingConfig, train
from osae_theory.threads import limited_threads

pytestmark = pytest.mark.trains

D, K, M = 6, 9, 2
SEEDS = RunSeeds.same(3)
DENSE = {
    "aligned": {"members": 2, "pull": 1.0},
    "archetypal": {"relaxation": 0.5},
    "archetypal-random": {"relaxation": 0.5},
    "consensus": {},
    "decoder-decay": {"decay": 0.1},
    "gated": {"strength": 0.1},
    "jumprelu": {"bandwidth": 0.3, "strength": 0.1},
}


MODELS = {
    "aligned": lambda s: Group(s, DENSE["aligned"]),
    "archetypal": lambda s: Archetypal(s, DENSE["archetypal"], centroids),
    "decoder-decay": lambda s: DecoderDecay(s, DENSE["decoder-decay"]),
    "gated": lambda s: GatedSAE(s, DENSE["gated"]),
    "jumprelu": lambda s: JumpReLU(s, DENSE["jumprelu"]),
    "top-m": TopMModel,
}


def rows(dtype=np.float64, n=200):
    return toy_spec(D, K, M, n, seed=2).draw().rows(dtype)[0]


def start(arithmetic="portable", dtype=np.float64):
    x = torch.from_numpy(rows(dtype))
    return Start(initial_atoms(SEEDS, K, x), x, M, SEEDS, operations(arithmetic))


def moment(step=60, n_steps=100, active=M):
    return Moment(step, n_steps, active)


def trained(make, rate=0.02, **config):
    """Train one run of a model on the data."""
    x = torch.from_numpy(rows())[None]
    given = DenseConfig(**{"n_nonzero": M, "batch_size": 50, **config})
    [model] = train_dense(x, [0], K, [DenseRun(SEEDS, rate, make)], given)
    return model


def shaken(model, seed=0):
    """Move a model's parameters, so that no path is a copy of another."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for values in model.parameters():
            noise = torch.from_numpy(rng.standard_normal(tuple(values.shape)))
            values.add_(0.1 * noise.to(values))
    return model


def fit(name, seeds=(0,), arithmetic="portable", dtype=np.float32, steps=40, **changes):
    method = catalogue.methods()[name]
    budget = catalogue.budget_of(method, {"steps": steps}, 64)
    params = {**DENSE[name], "lr": 0.01, **changes}
    runs = [RunSeeds.same(seed) for seed in seeds]
    data = Data(rows(dtype), K, M)
    return method.fit(data, Fit(params, budget, arithmetic=arithmetic), runs)


@pytest.mark.parametrize("arithmetic", ["portable", "fast"])
def test_the_plain_model_is_trained_as_by_the_sparse_kernels(arithmetic):
    own = trained(TopMModel, n_steps=40, arithmetic=arithmetic)
    theirs = train(
        torch.from_numpy(rows()),
        K,
        [Run(SEEDS, 0.02, PrefixLaw.full(K))],
        TrainingConfig(M, n_steps=40, batch_size=50, arithmetic=arithmetic),
    ).model
    for mine, other in (
        (own.decoder, theirs.atoms[0]),
        (own.encoder, theirs.encoder[0].mT),
        (own.bias, theirs.encoder_bias[0]),
    ):
        np.testing.assert_allclose(mine.detach(), other.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", DENSE)
def test_a_run_has_the_same_bits_in_company_and_on_two_threads(name):
    first, second = fit(name, (0, 1), steps=12)
    with limited_threads(2):
        [alone] = fit(name, (1,), steps=12)
    assert not np.array_equal(first.dictionary, second.dictionary)
    assert np.array_equal(alone.dictionary, second.dictionary)
    for key, array in second.encoder.arrays.items():
        assert np.array_equal(array, alone.encoder.arrays[key])


@pytest.mark.parametrize("name", DENSE)
def test_fast_arithmetic_gives_the_same_but_for_rounding_and_stored_runs_their_codes(name):
    [portable], [fast] = (
        fit(name, arithmetic=arithmetic, dtype=np.float64, steps=12)
        for arithmetic in ("portable", "fast")
    )
    np.testing.assert_allclose(fast.dictionary, portable.dictionary, rtol=1e-9, atol=1e-10)
    for one in (portable, fast):
        again = fitted_from(one.encoder.kind, stored_arrays(one))
        codes = again.encoder(rows())
        np.testing.assert_array_equal(codes, one.encoder(rows()))
        assert (np.count_nonzero(codes, axis=1) <= M).all()


@pytest.mark.parametrize("name", DENSE)
def test_a_run_that_diverges_is_none(name):
    assert fit(name, lr=1e30) == [None]


@pytest.mark.parametrize("name", DENSE)
def test_training_lowers_the_error(name):
    def error(one):
        x = rows(np.float32)
        return float(((x - one.encoder(x) @ one.dictionary.T) ** 2).mean())

    [trained], [untrained] = fit(name), fit(name, lr=1e-9)
    assert error(trained) < 0.9 * error(untrained)


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_those_of_plain_torch(name):
    found = []
    for arithmetic in ("portable", "fast"):
        model = shaken(MODELS[name](start(arithmetic)))
        loss = model.loss(torch.from_numpy(rows())[:50], moment())
        found.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    for portable, fast in zip(*found, strict=True):
        np.testing.assert_allclose(
            portable.detach().numpy(), fast.detach().numpy(), rtol=1e-9, atol=1e-12
        )


def plain(model):
    return {name: values.detach().numpy() for name, values in model.named_parameters()}


# Runs in one program, in fast arithmetic, against each alone: two draws, of which the second has
# another typical norm, so that penalties, thresholds and candidates differ from run to run.

SETS = (0, 1, 1, 0)
RUN_SEEDS = [RunSeeds.same(seed) for seed in range(4)]


def draws():
    found = [toy_spec(D, K, M, 200, seed=seed).draw().rows(np.float64)[0] for seed in (2, 3)]
    return torch.from_numpy(np.stack([found[0], 3 * found[1]]))


def alone_and_together(name, rates, n_steps=45):
    config = DenseConfig(M, n_steps, 50, "fast")
    runs = [DenseRun(*one, MODELS[name]) for one in zip(RUN_SEEDS, rates, strict=True)]
    alone = [
        train_dense(draws()[place][None], [0], K, [run], config)[0]
        for run, place in zip(runs, SETS, strict=True)
    ]
    return alone, train_dense(draws(), SETS, K, runs, config)


def assert_equal_to_rounding(own, other, tolerance=1e-9):
    for (name, one), (same, two) in zip(
        own.named_parameters(), other.named_parameters(), strict=True
    ):
        assert name == same
        np.testing.assert_allclose(one.detach(), two.detach(), rtol=tolerance, atol=tolerance)
    one, two = own.fitted(), other.fitted()
    np.testing.assert_allclose(one.dictionary, two.dictionary, rtol=tolerance, atol=tolerance)
    assert one.encoder.arrays.keys() == two.encoder.arrays.keys()
    for key, array in one.encoder.arrays.items():
        np.testing.assert_allclose(array, two.encoder.arrays[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_runs_of_several_draws_and_rates_in_one_program_equal_runs_alone(name):
    alone, together = alone_and_together(name, (0.01, 0.005, 0.02, 0.01))
    for own, other in zip(alone, together, strict=True):
        assert_equal_to_rounding(other, own)
        begun = MODELS[name](start("fast"))
        assert not torch.allclose(next(other.parameters()), next(begun.parameters()), atol=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_so_they_do_where_torch_steps_the_parameters_as_on_a_gpu(name, monkeypatch):
    rates = (0.01, 1e30, 0.02, 0.01)
    compiled, _ = alone_and_together(name, rates, n_steps=25)
    monkeypatch.setattr(module, "backend_for", lambda *given: "torch")
    alone, together = alone_and_together(name, rates, n_steps=25)
    for own, other, expected in zip(alone, together, compiled, strict=True):
        assert (own is None) == (other is None) == (expected is None)
        if own is not None:
            assert_equal_to_rounding(other, own)
            assert_equal_to_rounding(own, expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_run_that_diverges_in_a_program_leaves_the_others_as_they_are_alone(name):
    alone, together = alone_and_together(name, (0.01, 1e30, 0.02, 1e12))
    assert [model is None for model in together] == [model is None for model in alone]
    assert [model is None for model in together][:3] == [False, True, False]
    for own, other in zip(alone, together, strict=True):
        if own is not None:
            assert_equal_to_rounding(other, own)


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_in_one_program_are_those_of_each_run(name):
    x, ops = draws(), operations("fast")

    def model(run):
        own, at = RUN_SEEDS[run], x[SETS[run]]
        return shaken(MODELS[name](Start(initial_atoms(own, K, at), at, M, own, ops)), run)

    batch = torch.stack([x[place][20 * run : 20 * run + 50] for run, place in enumerate(SETS)])
    models = [model(run) for run in range(4)]
    parameters = module._side_by_side([dict(one.named_parameters()) for one in models])
    buffers = module._side_by_side([dict(one.named_buffers()) for one in models])
    for values in parameters.values():
        values.requires_grad_()
    losses = module._losses(models[0], {**parameters, **buffers}, batch, moment())
    slopes = torch.autograd.grad(losses.sum(), list(parameters.values()))
    for run in range(4):
        alone = model(run)
        loss = alone.loss(batch[run], moment())
        np.testing.assert_allclose(losses[run].detach(), loss.detach(), rtol=1e-12)
        expected = torch.autograd.grad(loss, list(alone.parameters()))
        assert any(bool(one.any()) for one in expected)
        for found, one in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(found[run], one, rtol=1e-10, atol=1e-12)


def test_the_largest_scores_of_several_runs_are_those_of_each_ties_included():
    scores = torch.tensor([[[1.0, 1, 1, 0], [0, 2, 3, 2]], [[5, 4, 4, 5], [0, 0, 0, 0]]])
    found = torch.vmap(lambda own: largest(own, 2))(scores)
    assert found.tolist() == [largest(own, 2).tolist() for own in scores]
    across = torch.vmap(lambda own: largest(own, 2), in_dims=1)(scores)
    assert across.tolist() == [largest(scores[:, row], 2).tolist() for row in range(2)]
    assert found[0].tolist() == [[True, True, False, False], [False, True, True, False]]


def test_the_jumprelu_loss_is_its_formula_in_loops():
    model = shaken(JumpReLU(start(), {"bandwidth": 0.3, "strength": 0.2}))
    p, x = plain(model), rows()
    energy = sum(float(v) ** 2 for v in x.ravel()) / len(x)
    error = count = 0.0
    for row in x[:50]:
        z = [p["bias"][j] + sum(p["encoder"][j] * row) for j in range(K)]
        y = [v if v > math.exp(t) else 0.0 for v, t in zip(z, p["log_threshold"], strict=True)]
        count += sum(v != 0 for v in y)
        error += sum((row - sum(y[j] * p["atoms"][j] for j in range(K))) ** 2)
    expected = error / 50 + 0.2 * energy * (count / 50 / 3 - 1) ** 2
    loss = model.loss(torch.from_numpy(x)[:50], moment(active=3))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-10)


def test_the_jump_has_the_slopes_of_a_rectangle_kernel():
    z = torch.tensor([[1.0, 1.2, 0.95, 2.0, 0.2]], dtype=torch.float64, requires_grad=True)
    t = torch.full((1, 5), 1.1, dtype=torch.float64, requires_grad=True)
    codes, active = jump(z, t, torch.tensor(0.4, dtype=torch.float64))
    assert codes.tolist() == [[0, 1.2, 0, 2.0, 0]]
    assert active.tolist() == [[0, 1, 0, 1, 0]]
    of_z, of_t = torch.autograd.grad(codes.sum() * 2 + active.sum() * 3, [z, t])
    assert of_z.tolist() == [[0, 2, 0, 2, 0]]
    expected = -(2 * 1.1 + 3) / 0.4
    np.testing.assert_allclose(of_t, [[expected, expected, expected, 0, 0]])


def test_the_gated_loss_is_its_formula_in_loops_and_frozen_atoms_have_no_slope():
    model = shaken(GatedSAE(start(), {"strength": 0.2}))
    p, x = plain(model), rows()
    norm = math.sqrt(sum(float(v) ** 2 for v in x.ravel()) / len(x))
    expected = 0.0
    slope = np.zeros((K, D))
    for row in x[:50]:
        shared = [sum(p["encoder"][j] * row) for j in range(K)]
        gates = [shared[j] + p["gate_bias"][j] for j in range(K)]
        size = [math.exp(p["log_scale"][j]) * shared[j] + p["magnitude_bias"][j] for j in range(K)]
        y = [max(s, 0.0) if g > 0 else 0.0 for s, g in zip(size, gates, strict=True)]
        opened = [max(g, 0.0) for g in gates]
        left = row - sum(y[j] * p["atoms"][j] for j in range(K))
        aside = row - sum(opened[j] * p["atoms"][j] for j in range(K))
        expected += (sum(left**2) + sum(aside**2) + 0.5 * 0.2 * norm * sum(opened)) / 50
        slope -= 2 * np.outer(y, left) / 50
    loss = model.loss(torch.from_numpy(x)[:50], moment(step=25))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-10)
    [found] = torch.autograd.grad(loss, [model.atoms])
    np.testing.assert_allclose(found, slope, rtol=1e-9, atol=1e-12)


def test_encoders_with_thresholds_and_gates_are_their_formulas_in_loops():
    rng = np.random.default_rng(1)
    W = rng.standard_normal((D, K)).astype(np.float32)
    b, c, s = (rng.standard_normal(K).astype(np.float32) for _ in range(3))
    x = rng.standard_normal((30, D)).astype(np.float32)
    s, high = np.exp(s), np.abs(c)
    latents = x.astype(np.float64) @ W
    for encoder, whole in (
        (Jump(W, b, high, M, "portable"), np.where(latents + b > high, latents + b, 0)),
        (Gated(W, b, c, s, M, "fast"), np.maximum(latents * s + c, 0) * (latents + b > 0)),
    ):
        for found, row in zip(encoder(x), whole, strict=True):
            expected = np.zeros(K)
            kept = sorted(range(K), key=lambda j: -row[j])[:M]
            expected[kept] = row[kept]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_mixtures_are_rows_of_shares():
    ops = operations("portable")
    weights = torch.tensor([[0.5, -1.0, 1.5], [-1.0, -2.0, 0.0]])
    np.testing.assert_allclose(mixtures(ops, weights), [[0.25, 0, 0.75], [1 / 3] * 3], rtol=1e-6)


def test_archetypal_atoms_stay_mixtures_with_a_bounded_rest():
    model = trained(lambda s: Archetypal(s, {"relaxation": 0.2}, centroids), 0.05, n_steps=30)
    p, points = plain(model), model.points.numpy()
    assert points.shape == (5 * K, D)
    assert (p["mixture"] >= 0).all()
    np.testing.assert_allclose(p["mixture"].sum(axis=1), 1)
    typical = math.sqrt((points**2).sum(axis=1).mean())
    norms = np.sqrt((p["relaxation"] ** 2).sum(axis=1))
    assert norms.max() == pytest.approx(0.2 * typical)
    atoms = p["mixture"] @ points + p["relaxation"]
    atoms /= np.sqrt((atoms**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.fitted().dictionary.T, atoms, rtol=1e-9, atol=1e-12)


def test_centroids_are_those_of_lloyds_iterations_in_loops():
    begun = start()
    x, n = begun.rows.numpy(), 7
    found = x[np.random.default_rng(5).permutation(len(x))[:n]].copy()
    for _ in range(8):
        held = [min(range(n), key=lambda c: sum((row - found[c]) ** 2)) for row in x]
        for c in range(n):
            own = [row for row, at in zip(x, held, strict=True) if at == c]
            if own:
                found[c] = sum(own) / len(own)
    np.testing.assert_allclose(centroids(begun, n, np.random.default_rng(5)), found, rtol=1e-9)


def test_random_candidates_have_the_samples_typical_norm_and_no_direction_of_theirs():
    begun = start()
    points = random_points(begun, 2000, np.random.default_rng(0))
    typical = math.sqrt((begun.rows.numpy() ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(np.sqrt((points**2).sum(axis=1)), typical)
    assert np.abs(points.mean(axis=0)).max() < 0.1 * typical


def test_moving_norms_into_the_encoder_changes_no_reconstruction():
    model = shaken(DecoderDecay(start(), {"decay": 0.1}))
    with torch.no_grad():
        model.decoder.mul_(torch.linspace(0.2, 3, K, dtype=torch.float64)[:, None])
    x = torch.from_numpy(rows())
    atoms = model.atoms()
    expected = (model.codes(x, atoms, M) @ atoms).detach().numpy()
    given = model.fitted()
    np.testing.assert_allclose(np.linalg.norm(given.dictionary, axis=0), 1)
    np.testing.assert_allclose(given.encoder(rows()) @ given.dictionary.T, expected, atol=1e-12)


def test_each_step_of_decay_multiplies_the_decoder():
    model = DecoderDecay(start(), {"decay": 2.0})
    before = model.decoder.detach().clone()
    model.stepped(moment(), 0.1)
    np.testing.assert_allclose(model.decoder.detach(), 0.8 * before)


def test_the_distance_of_a_group_is_that_of_matched_atoms():
    group = Group(start(), {"members": 3, "pull": 1.0})
    assert float(group.distance().detach()) > 0.1
    first = group.members[0].decoder.detach()
    for shift, member in enumerate(group.members):
        with torch.no_grad():
            member.decoder.copy_(first.roll(shift, 0))
    group.stepped(moment(step=19), 0.01)
    assert float(group.distance().detach()) == pytest.approx(0, abs=1e-12)


def test_a_pull_brings_members_together_and_divides_the_steps(monkeypatch):
    def distance(pull):
        group = trained(lambda s: Group(s, {"members": 2, "pull": pull}), n_steps=60)
        return float(group.distance().detach())

    assert distance(10.0) < 0.2 * distance(0.0)
    steps = []
    original = Group.stepped
    monkeypatch.setattr(
        Group,
        "stepped",
        lambda self, at, rate: (steps.append(at.n_steps), original(self, at, rate))[1],
    )
    fit("aligned", members=4)
    assert steps == [10] * 10


def test_a_consensus_is_the_mean_of_matched_atoms_with_their_signs():
    rng = np.random.default_rng(0)
    first = np.linalg.qr(rng.standard_normal((D, D)))[0]
    order = rng.permutation(D)
    near = first + 0.05 * rng.standard_normal((D, D))
    second = -near[order]
    mean = first + near
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(consensus(np.stack([first, second])), mean, atol=1e-12)


def test_members_of_a_run_have_seeds_of_their_own():
    seeds = [member_seeds(own, r) for own in (SEEDS, RunSeeds.same(4)) for r in range(4)]
    assert seeds[0] == SEEDS
    assert len({seed.initialisation for seed in seeds}) == 8
    assert len({seed.data_order for seed in seeds}) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_nonzero": 0}, "n_nonzero = 0: expected a whole number of at least 1"),
        ({"rate": 0.0}, "learning rate = 0.0: expected a finite number above 0"),
        ({"n_steps": 0}, "n_steps = 0: expected"),
        ({"batch_size": 0}, "batch_size = 0: expected"),
        ({"n_nonzero": K + 1}, "m = 10: expected at most K = 9"),
        ({"arithmetic": "odd"}, "arithmetic 'odd' is unknown"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        trained(TopMModel, **changes)
