import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.methods import _sae
from benchmarks.methods._sae import sae_method
from benchmarks.presets._toy import PAPER_METHODS
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import RunSeeds, TrainingConfig, UnitSweep


def weights(name, K, step=0, n_steps=100, monkeypatch=None):
    """Return a method's survival weights at a step, read off what it has trained."""
    seen = []

    def train(x, n_atoms, runs, config, **start):
        seen.extend(runs)
        raise KeyboardInterrupt

    monkeypatch.setattr(_sae, "train", train)
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
    assert of("msae-fixed-doubling", 100)[6:13].tolist() == pytest.approx([1] + [0.8] * 6)
    swept = _sae.swept(TrainingConfig(5, n_steps=1960), 100, {})
    assert swept.unit_sweep == UnitSweep(burn_in=980, every=9)


def test_a_top_m_sae_as_a_method_has_a_tuned_learning_rate_and_honest_data():
    method = sae_method("mine", "mine", lambda K, params: PrefixLaw.full(K))
    assert method.tuned == ("lr",)
    assert (method.sees, method.unit, method.deterministic) == ("data", "steps", False)
