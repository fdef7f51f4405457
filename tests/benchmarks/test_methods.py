import numpy as np
import pytest

from benchmarks.config import Cell, RunConfig, run_seeds
from benchmarks.engine import run_task
from benchmarks.methods import METHODS, PAPER_METHODS, base, tuned_learning_rate
from osae_theory.errors import InputError
from osae_theory.sae import TrainingConfig, UnitSweep

TRAIN = base.train


def weights(name, K, step=0, n_steps=100):
    return METHODS[name].schedule(K).survival_at(step, n_steps, np.random.default_rng(0))


def test_the_four_methods_of_the_papers_table_come_first():
    assert PAPER_METHODS == ("topk", "msae-fixed", "msae-random", "osae")
    assert tuple(METHODS)[:4] == PAPER_METHODS
    assert all(name == method.name for name, method in METHODS.items())


def test_each_paper_method_is_its_vector_of_weights():
    np.testing.assert_array_equal(weights("topk", 10), np.ones(10))
    np.testing.assert_allclose(weights("osae", 10), np.arange(10, 0, -1) / 10)
    np.testing.assert_allclose(weights("msae-fixed", 10), np.repeat([1, 0.8, 0.6, 0.4, 0.2], 2))
    drawn = weights("msae-random", 100)
    assert drawn[-1] == pytest.approx(0.2)
    np.testing.assert_allclose(np.unique(np.round(drawn, 9)), [0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_variants_are_what_their_titles_say():
    zipf = -np.diff(np.append(weights("osae-zipf", 6), 0))
    np.testing.assert_allclose(zipf / zipf[0], np.arange(1, 7) ** -1.2)
    np.testing.assert_array_equal(weights("osae-annealed", 6, step=70), np.ones(6))
    assert weights("msae-fixed-doubling", 100)[6:13].tolist() == pytest.approx([1] + [0.8] * 6)
    swept = METHODS["osae-swept"].adapt(TrainingConfig(5, n_steps=1960), 100)
    assert swept.unit_sweep == UnitSweep(burn_in=980, every=9)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("K", [1, 2, 6])
def test_every_method_runs_at_every_small_K(name, K):
    cell = Cell(d=3, K=K, m=1, N=60)
    [record] = run_task([RunConfig(cell, 0, name, run_seeds(0, 0), 0.01, 4, 20)])
    assert record.status == "done"
    assert record.arrays["dictionary"].shape == (3, K)


@pytest.mark.parametrize("arithmetic", ["portable", "fast"])
def test_a_run_is_trained_with_its_own_arithmetic(arithmetic, monkeypatch):
    cell, trained = Cell(d=3, K=4, m=1, N=60), []

    def train(data, K, runs, config):
        trained.append(config.arithmetic)
        return TRAIN(data, K, runs, config)

    monkeypatch.setattr(base, "train", train)
    run = RunConfig(cell, 0, "osae", run_seeds(0, 0), 0.01, 4, 20, arithmetic=arithmetic)
    METHODS["osae"].fit(cell.spec(0).draw(), [run])
    assert trained == [arithmetic]


def test_every_method_has_a_learning_rate_chosen_by_the_protocol():
    for name in METHODS:
        assert 0 < tuned_learning_rate(name) < 1


def test_a_method_that_was_never_tuned_asks_for_it():
    with pytest.raises(InputError, match=r"'mine' has no tuned learning rate.*--lr"):
        tuned_learning_rate("mine")


def test_a_missing_file_of_rates_means_that_nothing_is_tuned(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "LEARNING_RATES", tmp_path / "none.json")
    base._tuned_rates.cache_clear()
    with pytest.raises(InputError, match="'topk' has no tuned learning rate"):
        tuned_learning_rate("topk")
    base._tuned_rates.cache_clear()
