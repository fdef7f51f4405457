"""Methods that learn atoms and take codes by pursuit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks import catalogue
from benchmarks.contracts import Data, Fit, Shape
from benchmarks.encoders.top_m import TopM
from benchmarks.engine.task import FitTask, code_of, data_for, run_task
from benchmarks.methods import _pursuit, refined, refined_midway
from benchmarks.spec import Budget, Setting, run_seeds
from benchmarks.training.dense import member_seeds
from benchmarks.tuning import tunable
from osae_theory.errors import InputError
from osae_theory.metrics import match, stability
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import toy_spec
from osae_theory.pursuit import refine
from osae_theory.sae import Run, SparsityWarmup, Trainer, TrainingConfig, train
from osae_theory.sae.kmeans import spherical_kmeans

pytestmark = pytest.mark.trains

SEEDS = run_seeds(0, 0)


def fitted(selector, spec, amounts=None, batch=None):
    """Return one run of a method on a problem, and the problem."""
    found = catalogue.variant(selector)
    problem = spec.draw()
    budget = catalogue.budget_of(found.method, amounts or {}, batch)
    [fit] = found.method.fit(
        data_for(found.method, problem, (spec.K, spec.m)), Fit(found.values, budget), [SEEDS]
    )
    return fit, problem


def error(fit, problem):
    rows, _, _ = problem.rows(np.float32)
    return ((rows - fit.encoder(rows) @ fit.dictionary.T) ** 2).mean()


def test_the_learners_fit_better_than_random_samples_and_refinement_best_of_all():
    spec = toy_spec(30, 34, 2, 2000, seed=3)
    steps = {"steps": 60}
    errors = {
        name: error(*fitted(name, spec, steps, 128))
        for name in [
            *("samples", "kmeans", "minibatch", "topk-refined[lr=0.018]"),
            *("mod", "ksvd", "ksvd[momentum=0.9]", "truth-pursuit"),
        ]
    }
    for name in errors:
        if name not in ("samples", "truth-pursuit"):
            assert errors[name] < 0.8 * errors["samples"]
        if name != "truth-pursuit":
            assert errors["truth-pursuit"] < errors[name]
    assert errors["topk-refined[lr=0.018]"] < errors["mod"]


@pytest.mark.parametrize("name", ["topk", "osae-exact"])
def test_a_refined_method_trains_as_its_base_does_and_keeps_its_order(name):
    spec = toy_spec(30, 34, 2, 3000, seed=3)
    said = "lr=0.018" if name != "osae-exact" else "lr=0.018,strength=1"
    before, problem = fitted(f"{name}[{said}]", spec, {"steps": 150}, 128)
    after, _ = fitted(f"{name}-refined[{said}]", spec, {"steps": 150}, 128)
    better = stability(after.dictionary, problem.dictionary)
    assert better > 0.9 > stability(before.dictionary, problem.dictionary)
    kept = match(before.dictionary, after.dictionary).permutation == np.arange(34)
    assert kept.mean() > 0.7


def test_a_refined_method_has_the_tuned_values_of_its_base_and_is_not_tuned():
    for method in refined.METHODS:
        base = catalogue.methods()[method.tuned_as]
        assert catalogue.tuned_values(method.name) == catalogue.tuned_values(base.name)
        assert set(base.tuned) == set(method.tuned)
        assert method.budget == base.budget
        assert base.name in tunable()
        assert method.name not in tunable()
        values = catalogue.variant(method.name).values
        assert values["lr"] == catalogue.variant(base.name).values["lr"]
    titles = [method.title for method in refined.METHODS]
    assert titles == ["top-m SAE (refined)", "OSAE (refined)", "OSAE (exact penalty, refined)"]


def test_a_run_that_diverged_is_not_refined():
    base = replace(catalogue.methods()["topk"], fit=lambda data, how, seeds: [None])
    data = Data(np.zeros((4, 3), np.float32), 3, 1)
    assert refined.refined(base).fit(data, Fit({}, base.budget), [SEEDS]) == [None]


MIDWAY = [method.name for method in refined_midway.METHODS]


def midway_fits(name, given, amount, seeds=(SEEDS,)):
    """Return runs of a method refined midway on a small problem, and the samples."""
    rows, _, _ = toy_spec(12, 14, 2, 600, seed=3).draw().rows(np.float32)
    found = catalogue.variant(name, {"lr": 0.02, **given})
    how = Fit(found.values, Budget("steps", amount, 64))
    return found.method.fit(Data(rows, 14, 2), how, seeds), rows


def test_an_sae_refined_midway_is_trained_refined_and_trained_on_from_there():
    [fit], rows = midway_fits("topk-refined-midway", {"share": 0.4, "iterations": 3}, 50)
    x, law = torch.from_numpy(rows), PrefixLaw.full(14)
    first = TrainingConfig(2, n_steps=20, batch_size=64)
    atoms = train(x, 14, [Run(SEEDS, 0.02, law)], first).model.atoms[0].double().numpy()
    atoms /= np.sqrt((atoms * atoms).sum(axis=1, keepdims=True))
    start = refine(rows, atoms, 2, iterations=3, update="mod", compiled=False).atoms
    rest = TrainingConfig(2, n_steps=30, batch_size=64, sparsity_warmup=SparsityWarmup(0.0))
    runs = [Run(member_seeds(SEEDS, 1), 0.02, law)]
    trained = train(x, 14, runs, rest, initial_atoms=torch.from_numpy(start)[None]).model
    np.testing.assert_array_equal(fit.dictionary, trained.atoms[0].numpy().T)
    np.testing.assert_array_equal(fit.encoder.arrays["encoder"], trained.encoder[0].numpy())
    np.testing.assert_array_equal(fit.encoder.arrays["encoder_bias"], trained.encoder_bias[0])
    assert stability(fit.dictionary, start.T) < 0.9999


@pytest.mark.parametrize("name", MIDWAY)
def test_an_sae_refined_midway_has_a_linear_encoder_and_the_same_bits_in_any_company(name):
    seeds = [run_seeds(0, i) for i in range(3)]
    fits, rows = midway_fits(name, {"share": 0.2}, 70, seeds)
    [alone], _ = midway_fits(name, {"share": 0.2}, 70, seeds[1:2])
    assert isinstance(alone.encoder, TopM)
    assert ((alone.encoder(rows) != 0).sum(axis=1) <= 2).all()
    np.testing.assert_array_equal(alone.dictionary, fits[1].dictionary)
    for key, array in alone.encoder.arrays.items():
        np.testing.assert_array_equal(array, fits[1].encoder.arrays[key])
    assert not np.array_equal(fits[0].dictionary, fits[2].dictionary)


@pytest.mark.parametrize("name", MIDWAY)
@pytest.mark.parametrize(
    ("share", "amount", "expected"),
    [
        (0.5, 7, [4, 3]),
        (0.25, 40, [10, 30]),
        (0.01, 9, [1, 8]),
        (0.99, 9, [8, 1]),
        (0.5, 2, [1, 1]),
    ],
)
def test_an_sae_refined_midway_does_the_steps_of_its_budget(
    name, share, amount, expected, monkeypatch
):
    done, step = [], Trainer.step

    def counted(self, batch):
        done.append(self.config.n_steps)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", counted)
    midway_fits(name, {"share": share}, amount)
    assert [done.count(n) for n in expected] == [n * expected.count(n) for n in expected]
    assert len(done) == amount


def test_an_sae_refined_midway_recovers_more_than_the_plain_one_in_as_many_steps():
    spec, steps = toy_spec(30, 34, 2, 3000, seed=3), {"steps": 200}
    plain, problem = fitted("topk[lr=0.018]", spec, steps, 128)
    fit, _ = fitted("topk-refined-midway[lr=0.018]", spec, steps, 128)
    recovered = [stability(one.dictionary, problem.dictionary) for one in (plain, fit)]
    assert recovered[1] > recovered[0] + 0.05
    assert error(fit, problem) < 0.5 * error(plain, problem)


def test_a_resorted_sae_refined_midway_is_the_same_sae_with_its_latents_in_order_of_energy():
    spec, steps = toy_spec(30, 34, 2, 3000, seed=3), {"steps": 200}
    plain, problem = fitted("topk-refined-midway[lr=0.018]", spec, steps, 128)
    fit, _ = fitted("topk-refined-midway-resorted[lr=0.018]", spec, steps, 128)
    assert stability(plain.dictionary, fit.dictionary) > 0.999
    rows, _, _ = problem.rows(np.float32)
    orders = [
        spearmanr(-(one.encoder(rows) ** 2).sum(axis=0), np.arange(34)).statistic
        for one in (plain, fit)
    ]
    assert orders[1] > 0.9 > 0.5 > orders[0]


def test_a_run_refined_midway_that_diverges_before_or_after_is_none_and_harms_no_other(monkeypatch):
    seeds = [run_seeds(0, i) for i in range(2)]
    assert midway_fits("topk-refined-midway", {"lr": 1e30}, 20, seeds)[0] == [None, None]
    fits, _ = midway_fits("topk", {}, 20, seeds)
    kept, _ = midway_fits("topk-refined-midway", {}, 40, seeds)

    def half(data, how, seeds):
        return [None, fits[1]]

    monkeypatch.setattr(refined_midway, "_PLAIN", replace(refined_midway._PLAIN, fit=half))
    none, other = midway_fits("topk-refined-midway", {}, 40, seeds)[0]
    assert none is None
    np.testing.assert_array_equal(other.dictionary, kept[1].dictionary)
    assert midway_fits("topk-refined-midway", {"lr": 1e30}, 40, seeds)[0] == [None, None]


@pytest.mark.parametrize("name", MIDWAY)
@pytest.mark.parametrize(
    ("given", "amount", "message"),
    [
        ({"share": 0}, 9, "share = 0: expected a finite number above 0"),
        ({"share": 1}, 9, "share = 1: expected a finite number above 0 and below 1"),
        ({"share": float("nan")}, 9, "share = nan: expected"),
        ({"iterations": 0}, 9, "iterations = 0: expected a whole number of at least 1"),
        ({"iterations": 2.5}, 9, r"iterations = 2\.5: expected a whole number"),
        ({}, 1, "steps = 1: expected at least 2"),
    ],
)
def test_an_sae_refined_midway_that_cannot_be_is_one_sentence(name, given, amount, message):
    with pytest.raises(InputError, match=message):
        midway_fits(name, given, amount)


def test_an_sae_refined_midway_is_trained_at_the_plain_ones_rate_and_is_not_tuned():
    for name in MIDWAY:
        assert catalogue.methods()[name].tuned_as == "topk"
        assert catalogue.variant(name).values["lr"] == catalogue.variant("topk").values["lr"]
        assert name not in tunable()
    titles = [method.title for method in refined_midway.METHODS]
    assert titles == ["top-m SAE (refined midway)", "top-m SAE (refined midway, re-sorted)"]


def test_methods_for_fewer_atoms_than_dimensions_say_so_elsewhere():
    for name, message in (("pca", "K > d: there are at most d"), ("fastica", "K > d: FastICA")):
        found = catalogue.variant(name)
        assert found.method.skip(found.values, Shape(6, 6, 2, 100)) is None
        assert found.method.skip(found.values, Shape(6, 7, 2, 100)).startswith(message)
    for name in ("samples", "kmeans", "ksvd", "mod"):
        found = catalogue.variant(name)
        assert found.method.skip(found.values, Shape(6, 101, 2, 100)).startswith("K > N")


def test_what_stands_on_the_machines_linear_algebra_says_that_it_is_not_portable():
    unportable = {name for name, method in catalogue.methods().items() if not method.portable}
    assert unportable == {"fastica", "minibatch", "pca"}


def test_pca_gives_the_leading_singular_directions_turned_to_the_mean():
    fit, problem = fitted("pca", toy_spec(8, 6, 2, 300, seed=1))
    u, _, _ = np.linalg.svd(problem.data, full_matrices=False)
    cosines = (fit.dictionary * u[:, :6]).sum(axis=0)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
    assert (fit.dictionary.T @ problem.data.mean(axis=1) > 0).all()


def test_fastica_finds_independent_sources_with_their_sign():
    rng = np.random.default_rng(0)
    D = rng.standard_normal((8, 5))
    D /= np.linalg.norm(D, axis=0)
    codes = rng.exponential(size=(4000, 5))
    method = catalogue.methods()["fastica"]
    data = Data((codes @ D.T).astype(np.float32), 5, 5)
    [fit] = method.fit(data, Fit({"signed": "off"}, method.budget), [SEEDS])
    assert stability(fit.dictionary, D) > 0.99


@pytest.mark.parametrize("signed", [False, True])
def test_k_means_is_lloyds_iteration(signed):
    rng = np.random.default_rng(0)
    rows = _pursuit.scaled(rng.standard_normal((80, 4)))
    start = rows[:6]
    centroids = start.copy()
    for _ in range(7):
        members = [[] for _ in centroids]
        for x in rows:
            cosines = centroids @ x
            k = int(np.argmax(np.abs(cosines) if signed else cosines))
            members[k].append(x if cosines[k] >= 0 or not signed else -x)
        centroids = np.array([np.sum(own, axis=0) for own in members])
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    found = spherical_kmeans(rows, start, 7, signed=signed)
    np.testing.assert_allclose(found, centroids, atol=1e-12)
    last = spherical_kmeans(rows, start, 100, signed=signed)
    np.testing.assert_array_equal(spherical_kmeans(rows, last, 1, signed=signed), last)


def test_random_samples_are_samples_and_none_is_zero_or_there_twice():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((12, 3)).astype(np.float32)
    rows[:4] = 0
    found = _pursuit.random_samples(Data(rows, 8, 1), SEEDS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    matches = found @ _pursuit.scaled(rows).T > 1 - 1e-9
    assert (matches.sum(axis=0) == [0] * 4 + [1] * 8).all()
    with pytest.raises(InputError, match="8 samples are not 0: expected at least K = 9"):
        _pursuit.random_samples(Data(rows, 9, 1), SEEDS)


@pytest.mark.parametrize("name", ["minibatch", "kmeans", "truth-pursuit"])
def test_a_run_goes_through_the_engine_with_fewer_samples_a_step_than_atoms(name):
    case = catalogue.case_of("toy", {"d": 6, "K": 8, "m": 2, "N": 300}, 1)
    found = catalogue.variant(name)
    unit = found.method.unit
    budget = Budget("steps", 2, 4) if unit == "steps" else found.method.budget
    setting = Setting(case, found.method.name, found.identity, budget)
    runs = tuple(catalogue.run_specs(setting, 1))
    [outcome] = run_task(FitTask(runs, code_of("toy", found.method.name)))
    assert (outcome.status, outcome.reason, outcome.encoder) == ("done", "", "pursuit")
    assert 0 < outcome.values["mse"] < 0.3


def test_signed_codes_are_had_where_they_are_asked_for():
    spec = toy_spec(8, 6, 2, 300, seed=1)
    for name in ("samples", "ksvd", "pca", "truth-pursuit"):
        plain, problem = fitted(name, spec, {"iterations": 2})
        signed, _ = fitted(f"{name}[signed=on]", spec, {"iterations": 2})
        rows = -problem.rows(np.float32)[0]
        assert (plain.encoder(rows) >= 0).all()
        assert (signed.encoder(rows) < 0).any()
