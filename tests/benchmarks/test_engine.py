from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import engine
from benchmarks.engine import complete, run_task
from benchmarks.methods import METHODS
from benchmarks.store import RunStore
from osae_theory.errors import JobError
from osae_theory.metrics import order_by
from osae_theory.provenance import dictionary_sha256, provenance_here
from small_runs import SMALL, small_configs

pytestmark = pytest.mark.trains


def numbers(records):
    """Everything a record holds but the clock."""
    return [
        (r.config, r.status, {k: v for k, v in r.scalars.items() if k != "seconds"})
        for r in records
    ]


def same(first, second):
    """Whether two lists of records agree bit for bit, but for the clock."""
    return numbers(first) == numbers(second) and all(
        np.array_equal(a.arrays[name], b.arrays[name])
        for a, b in zip(first, second, strict=True)
        for name in a.arrays
    )


def test_the_numbers_do_not_depend_on_workers_or_company(tmp_path):
    configs = small_configs("topk") + small_configs("msae-random")
    alone = [record for config in configs for record in run_task([config])]
    assert same(alone, complete(configs, RunStore(tmp_path / "one"), n_workers=1))
    assert same(alone, complete(configs, RunStore(tmp_path / "two"), n_workers=2))


def test_finished_runs_are_taken_from_the_store(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "store")
    configs = small_configs()
    first = complete(configs[:2], store, n_workers=1)
    trained = []
    monkeypatch.setattr(engine, "run_task", lambda task: trained.extend(task) or run_task(task))
    progress = []
    again = complete(configs, store, n_workers=1, on_progress=progress.append)
    assert trained == configs[2:]
    assert progress == [2, 1]
    assert same(first, again[:2])


@pytest.mark.parametrize(
    "change",
    [
        {"cell": replace(SMALL, alpha=1.1)},
        {"problem_seed": 1},
        {"method": "osae"},
        {"n_steps": 31},
        {"batch_size": 99},
        {"device": "cuda"},
        {"arithmetic": "fast"},
    ],
)
def test_runs_that_differ_in_more_than_seeds_and_rate_are_not_fitted_together(change):
    config = small_configs(n=1)[0]
    together = [config, replace(config, seeds=small_configs()[1].seeds, learning_rate=0.02)]
    assert engine._tasks(together, 1) == [together]
    apart = [config, replace(config, **change)]
    assert engine._tasks(apart, 1) == [[run] for run in apart]


def test_runs_on_one_problem_are_split_only_where_workers_would_be_idle():
    two_draws = [*small_configs(n=2), *small_configs(n=2, problem_seed=1)]
    assert engine._tasks(two_draws, 2) == [two_draws[:2], two_draws[2:]]
    assert engine._tasks(two_draws[:2], 2) == [[run] for run in two_draws[:2]]


def test_measurements_equal_those_worked_out_from_the_fit():
    [config] = small_configs(n=1, n_steps=100)
    [record] = run_task([config])
    problem, heldout = SMALL.spec(0).draw(), SMALL.spec(0).draw("heldout", 10_000)
    [fit] = METHODS["topk"].fit(problem, [config])
    D, mu = fit.dictionary, record.arrays["permutation"]
    np.testing.assert_array_equal(D, record.arrays["dictionary"])
    cosines = np.sum(D * problem.dictionary[:, mu], axis=0)
    assert record.scalars["stab_truth"] == pytest.approx(cosines.mean())
    assert record.scalars["recovered_share"] == np.mean(np.abs(cosines) >= 0.9)
    codes = fit.encode(problem.rows()[0])
    uses, energy = (codes != 0).sum(axis=0), (codes.astype(float) ** 2).sum(axis=0)
    drawn = config.seeds.initialisation
    for key, order in (
        ("ord_truth", np.arange(8)),
        ("ord_by_frequency", order_by(uses, uses == 0, drawn)),
        ("ord_by_energy", order_by(energy, uses == 0, drawn)),
    ):
        kept = mu[order][uses[order] > 0]
        expected = spearmanr(range(len(kept)), kept).statistic
        assert record.scalars[key] == pytest.approx(expected)
    assert record.scalars["ord_left_out"] == np.mean(uses == 0)
    assert record.scalars["dead_share"] == np.mean(uses == 0)
    reconstruction = D @ fit.encode(heldout.rows()[0]).T
    assert record.scalars["mse"] == pytest.approx(np.mean((heldout.data - reconstruction) ** 2))
    assert record.scalars["l0"] <= 2


def test_a_run_that_diverges_says_so_and_the_others_go_on():
    wild, calm = small_configs(n=2)
    records = run_task([replace(wild, learning_rate=1e30), calm])
    assert [record.status for record in records] == ["diverged", "done"]
    assert set(records[0].scalars) == {"seconds"}


def test_the_number_of_threads_of_the_caller_is_left_as_it_was():
    import torch

    before = torch.get_num_threads()
    run_task(small_configs(n=1))
    assert torch.get_num_threads() == before


def test_a_record_says_where_it_comes_from_and_names_its_dictionary():
    wild, calm = small_configs(n=2)
    diverged, done = run_task([replace(wild, learning_rate=1e30), calm])
    assert diverged.provenance == done.provenance == provenance_here()
    assert "dictionary_sha256" not in diverged.scalars
    assert done.scalars["dictionary_sha256"] == dictionary_sha256(done.arrays["dictionary"])


def test_a_run_is_not_timed_before_what_it_needs_is_compiled(monkeypatch):
    fits = []

    class Counting:
        def fit(self, problem, runs):
            fits.append([(run.n_steps, run.cell.N) for run in runs])
            return [None for _ in runs]

    monkeypatch.setattr(engine, "METHODS", {"counting": Counting()})
    engine._warmed_up.cache_clear()
    configs = small_configs("counting", n=2)
    for _ in range(2):
        run_task(configs)
    assert fits == [[(2, 100)], [(30, 400)] * 2, [(30, 400)] * 2]
    engine._warmed_up.cache_clear()


def test_every_method_can_be_warmed_up():
    for method in METHODS:
        engine._warm_up(small_configs(method, n=1)[0])


def test_runs_of_code_changed_since_the_job_began_are_not_kept(tmp_path, monkeypatch):
    [config] = small_configs(n=1)
    monkeypatch.setattr(engine, "_imported_code", lambda: "other")
    with pytest.raises(JobError, match="code was changed while the job was starting"):
        complete([config], RunStore(tmp_path / "store"), n_workers=1)
    assert not (tmp_path / "store").exists()
