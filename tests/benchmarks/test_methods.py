import numpy as np
import pytest
import torch

from benchmarks import catalogue
from benchmarks.encoders.top_m import TopM
from benchmarks.methods import _sae
from benchmarks.methods._sae import sae_method
from benchmarks.presets._toy import PAPER_METHODS
from benchmarks.spec import Budget
from benchmarks.training import top_m
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import toy_spec
from osae_theory.sae import (
    CodePenalty,
    DeadLatentLoss,
    FrozenDecoder,
    NearDecoder,
    RunSeeds,
    TrainingConfig,
    UnitSweep,
)


def weights(name, K, step=0, n_steps=100, monkeypatch=None):
    """Return a method's survival weights at a step, read off what it has trained."""
    seen = []

    def train(x, sets, n_atoms, runs, config, **start):
        seen.extend(runs)
        raise KeyboardInterrupt

    monkeypatch.setattr(top_m, "train_on_sets", train)
    found = catalogue.variant(name)
    data = _sae.Data(np.zeros((4, 3), np.float32), K, 1)
    with pytest.raises(KeyboardInterrupt):
        found.method.fit(data, _sae.Fit(found.values, found.method.budget), [RunSeeds.same(0)])
    return seen[0].schedule.survival_at(step, n_steps, np.random.default_rng(0))


def test_the_papers_methods_are_those_of_its_table():
    assert PAPER_METHODS == ("topk", "msae-fixed", "msae-random", "osae")


def test_each_paper_method_is_its_vector_of_weights(monkeypatch):
    def of(name, K):
        return weights(name, K, monkeypatch=monkeypatch)

    np.testing.assert_array_equal(of("topk", 10), np.ones(10))
    np.testing.assert_allclose(of("osae", 10), np.arange(10, 0, -1) / 10)
    np.testing.assert_allclose(of("msae-fixed", 10), np.repeat([1, 0.8, 0.6, 0.4, 0.2], 2))
    drawn = of("msae-random", 100)
    assert drawn[-1] == pytest.approx(0.2)
    np.testing.assert_allclose(np.unique(np.round(drawn, 9)), [0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_variants_are_what_their_titles_say(monkeypatch):
    def of(name, K, step=0):
        return weights(name, K, step, monkeypatch=monkeypatch)

    for name, alpha in (("osae-zipf", 1.2), ("osae-zipf[alpha=0.5]", 0.5)):
        zipf = -np.diff(np.append(of(name, 6), 0))
        np.testing.assert_allclose(zipf / zipf[0], np.arange(1.0, 7) ** -alpha)
    np.testing.assert_array_equal(of("osae-annealed", 6, step=70), np.ones(6))
    np.testing.assert_allclose(of("osae-massed[lr=0.01]", 5), [1, 0.975, 0.95, 0.925, 0.9])
    np.testing.assert_allclose(of("osae-massed[p_K=0.2,lr=0.01]", 5), [1, 0.8, 0.6, 0.4, 0.2])
    geometric = -np.diff(np.append(of("osae-geometric[ratio=0.5,lr=0.01]", 5), 0))
    np.testing.assert_allclose(geometric / geometric[0], 0.5 ** np.arange(5.0))
    assert set(of("osae-sampled[lr=0.01]", 60)) == {0, 1}
    recipe = of("osae-recipe[lr=0.01]", 32)
    np.testing.assert_allclose(recipe[[0, 1, 3, 7, 15]], [1, 0.8, 0.6, 0.4, 0.2])
    assert (np.diff(recipe) < 0).all()
    assert of("msae-fixed-doubling", 100)[6:13].tolist() == pytest.approx([1] + [0.8] * 6)
    swept = _sae.swept(TrainingConfig(5, n_steps=1960), 100, {})
    assert swept.unit_sweep == UnitSweep(burn_in=980, every=9)


def test_a_top_m_sae_as_a_method_has_a_tuned_learning_rate_and_honest_data():
    method = sae_method("mine", "mine", lambda K, params: PrefixLaw.full(K))
    assert method.tuned == ("lr",)
    assert (method.sees, method.unit, method.deterministic) == ("data", "steps", False)


def config_of(name, monkeypatch):
    """Return the training configuration of a method with K = 32 and m = 4."""
    seen = []

    def train(x, sets, n_atoms, runs, config, **start):
        seen.append((config, start["initial_atoms"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(top_m, "train_on_sets", train)
    found = catalogue.variant(name, {"lr": 0.01})
    rows = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)
    with pytest.raises(KeyboardInterrupt):
        found.method.fit(
            _sae.Data(rows, 32, 4), _sae.Fit(found.values, Budget("steps", 320, 16)),
            [RunSeeds.same(0), RunSeeds.same(1)],
        )  # fmt: skip
    return seen[0]


def test_the_literatures_variants_are_what_their_titles_say(monkeypatch):
    def of(name):
        return config_of(name, monkeypatch)[0]

    recipe = of("osae-recipe")
    assert recipe.unit_sweep == UnitSweep(burn_in=160, every=5)
    assert recipe.sparsity_warmup == TrainingConfig(4).sparsity_warmup
    assert of("osae-recipe[warmup=1]").sparsity_warmup.share == 1
    assert of("batch-topk").activation == "batch"
    relu = of("relu-l1[l1=0.1]")
    assert [relu.sparsity_warmup.active_at(s, 320, 32, relu.n_nonzero) for s in (0, 319)] == [
        32
    ] * 2
    assert relu.code_penalty == CodePenalty(0.1)
    assert of("penalised[strength=2]").code_penalty.weights == tuple(np.arange(1, 33) / 32)
    assert of("topk-l1[strength=2]").code_penalty.weights is None
    assert of("topk-aux").dead_latent_loss == of("osae-aux").dead_latent_loss == DeadLatentLoss()
    assert of("frozen-decoder").decoder == FrozenDecoder()
    assert of("softly-frozen-decoder").decoder == NearDecoder(0.8)
    for name in ("topk-kmeans", "osae-kmeans"):
        _, start = config_of(name, monkeypatch)
        assert start.shape == (2, 32, 6)
        assert not torch.equal(start[0], start[1])


def test_whatever_the_activation_in_training_the_largest_latents_of_a_sample_are_measured():
    rows = np.random.default_rng(0).standard_normal((300, 6)).astype(np.float32)
    for name in ("batch-topk", "relu-l1[l1=0.1]"):
        found = catalogue.variant(name, {"lr": 0.01})
        how = _sae.Fit(found.values, Budget("steps", 30, 50))
        [fitted] = found.method.fit(_sae.Data(rows, 9, 2), how, [RunSeeds.same(0)])
        codes = fitted.encoder(rows)
        # Codes of a sample do not hang on which others are there.
        assert np.array_equal(codes[:7], fitted.encoder(rows[:7]))
        model = fitted.encoder.model
        weights, bias = model.encoder[0].detach().numpy(), model.encoder_bias[0].detach().numpy()
        latents = rows @ weights + bias
        second = np.sort(latents, axis=1)[:, -2:-1]
        expected = np.where((latents >= second) & (latents > 0), latents, 0)
        np.testing.assert_allclose(codes, expected, atol=1e-5)


def test_an_encoder_for_the_true_dictionary_is_learned_and_needs_the_truth():
    problem = toy_spec(d=6, K=8, m=2, n_samples=300).draw()
    found = catalogue.variant("truth-encoder", {"lr": 0.01})
    how = _sae.Fit(found.values, Budget("steps", 30, 50))
    rows = problem.rows(np.float32)[0]
    data = _sae.Data(rows, 8, 2, problem)
    first, second = found.method.fit(data, how, [RunSeeds.same(0), RunSeeds.same(1)])
    np.testing.assert_allclose(first.dictionary, problem.dictionary, atol=1e-7)
    assert np.array_equal(first.encoder(rows), second.encoder(rows))
    start = TopM.correlating(problem.dictionary, 2)
    assert not np.array_equal(first.encoder(rows), start(rows))
    with pytest.raises(InputError, match="the truth was not given"):
        found.method.fit(_sae.Data(rows, 8, 2), how, [RunSeeds.same(0)])
