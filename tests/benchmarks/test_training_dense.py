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
from benchmarks.training.dense import (
    DenseConfig,
    Moment,
    Start,
    TopMModel,
    initial_atoms,
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


def rows(dtype=np.float64, n=200):
    return toy_spec(D, K, M, n, seed=2).draw().rows(dtype)[0]


def start(arithmetic="portable", dtype=np.float64):
    x = torch.from_numpy(rows(dtype))
    return Start(initial_atoms(SEEDS, K, x), x, M, SEEDS, operations(arithmetic))


def moment(step=60, n_steps=100, active=M, rate=0.01):
    return Moment(step, n_steps, active, rate)


def shaken(model, seed=0):
    """Move a model's parameters, so that no path is a copy of another."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for weights in model.weights.values():
            noise = torch.from_numpy(rng.standard_normal(tuple(weights.values.shape)))
            weights.values.add_(0.1 * noise.to(weights.values))
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
    config = DenseConfig(M, 0.02, n_steps=40, batch_size=50, arithmetic=arithmetic)
    [own] = train_dense(rows(), K, [SEEDS], config, TopMModel)
    theirs = train(
        torch.from_numpy(rows()),
        K,
        [Run(SEEDS, 0.02, PrefixLaw.full(K))],
        TrainingConfig(M, n_steps=40, batch_size=50, arithmetic=arithmetic),
    ).model
    for mine, other in (
        (own.decoder.values, theirs.atoms[0]),
        (own.encoder.values, theirs.encoder[0].mT),
        (own.bias.values, theirs.encoder_bias[0]),
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


@pytest.mark.parametrize(
    ("make", "params"),
    [
        (JumpReLU, DENSE["jumprelu"]),
        (GatedSAE, DENSE["gated"]),
        (DecoderDecay, DENSE["decoder-decay"]),
        (lambda s, p: Archetypal(s, p, centroids), DENSE["archetypal"]),
        (Group, DENSE["aligned"]),
    ],
)
def test_losses_and_gradients_are_those_of_plain_torch(make, params):
    found = []
    for arithmetic in ("portable", "fast"):
        model = shaken(make(start(arithmetic), params))
        loss = model.loss(torch.from_numpy(rows())[:50], moment())
        tensors = [weights.values for weights in model.weights.values()]
        found.append([loss, *torch.autograd.grad(loss, tensors)])
    for portable, fast in zip(*found, strict=True):
        np.testing.assert_allclose(
            portable.detach().numpy(), fast.detach().numpy(), rtol=1e-9, atol=1e-12
        )


def plain(model):
    return {name: weights.values.detach().numpy() for name, weights in model.weights.items()}


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
    codes, active = jump(z, t, 0.4)
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
    [found] = torch.autograd.grad(loss, [model.atoms.values])
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
    config = DenseConfig(M, 0.05, n_steps=30, batch_size=50)
    [model] = train_dense(
        rows(), K, [SEEDS], config, lambda s: Archetypal(s, {"relaxation": 0.2}, centroids)
    )
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
        model.decoder.values.mul_(torch.linspace(0.2, 3, K, dtype=torch.float64)[:, None])
    x = torch.from_numpy(rows())
    atoms = model.atoms()
    expected = (model.codes(x, atoms, M) @ atoms).detach().numpy()
    given = model.fitted()
    np.testing.assert_allclose(np.linalg.norm(given.dictionary, axis=0), 1)
    np.testing.assert_allclose(given.encoder(rows()) @ given.dictionary.T, expected, atol=1e-12)


def test_each_step_of_decay_multiplies_the_decoder():
    model = DecoderDecay(start(), {"decay": 2.0})
    before = model.decoder.values.detach().clone()
    model.stepped(moment(rate=0.1))
    np.testing.assert_allclose(model.decoder.values.detach(), 0.8 * before)


def test_the_distance_of_a_group_is_that_of_matched_atoms():
    group = Group(start(), {"members": 3, "pull": 1.0})
    assert float(group.distance().detach()) > 0.1
    first = group.members[0].decoder.values.detach()
    for shift, member in enumerate(group.members):
        with torch.no_grad():
            member.decoder.values.copy_(first.roll(shift, 0))
    group.stepped(moment(step=19))
    assert float(group.distance().detach()) == pytest.approx(0, abs=1e-12)


def test_a_pull_brings_members_together_and_divides_the_steps(monkeypatch):
    def distance(pull):
        config = DenseConfig(M, 0.02, n_steps=60, batch_size=50)
        params = {"members": 2, "pull": pull}
        [group] = train_dense(rows(), K, [SEEDS], config, lambda s: Group(s, params))
        return float(group.distance().detach())

    assert distance(10.0) < 0.2 * distance(0.0)
    steps = []
    original = Group.stepped
    monkeypatch.setattr(
        Group, "stepped", lambda self, at: (steps.append(at.n_steps), original(self, at))[1]
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
        ({"learning_rate": 0.0}, "learning rate = 0.0: expected a finite number above 0"),
        ({"n_steps": 0}, "n_steps = 0: expected"),
        ({"batch_size": 0}, "batch_size = 0: expected"),
        ({"n_nonzero": K + 1}, "m = 10: expected at most K = 9"),
        ({"arithmetic": "odd"}, "arithmetic 'odd' is unknown"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        train_dense(
            rows(),
            K,
            [SEEDS],
            DenseConfig(**{"n_nonzero": M, "learning_rate": 0.01, **changes}),
            TopMModel,
        )
