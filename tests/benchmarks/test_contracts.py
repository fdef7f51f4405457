"""What every registered family, method and metric has to keep; a new file is held to it as it is."""

import math
from functools import cache

import numpy as np
import pytest

from benchmarks import catalogue
from benchmarks.contracts import Fit, Scored, Shape
from benchmarks.engine.task import data_for
from benchmarks.parameters import bind
from osae_theory.problems import toy_spec
from osae_theory.sae import RunSeeds

pytestmark = pytest.mark.trains

SMALL = {"d": 6, "K": 8, "m": 2, "N": 300}


def params_of(family):
    """Return small parameters: the defaults, and small sizes where there are none."""
    given = {p.name: SMALL[p.name] for p in family.parameters if p.name in SMALL}
    return bind(family.name, family.parameters, given).values


@pytest.mark.parametrize("name", catalogue.families())
def test_a_family_draws_the_same_problem_from_a_seed_and_another_from_another(name):
    family = catalogue.families()[name]
    params = params_of(family)
    spec = family.spec(params, 3)
    problem = spec.draw(n_samples=50)
    assert problem.data.shape == (spec.d, 50)
    assert np.array_equal(problem.data, family.spec(params, 3).draw(n_samples=50).data)
    assert not np.array_equal(problem.data, family.spec(params, 4).draw(n_samples=50).data)
    np.testing.assert_allclose(np.linalg.norm(problem.dictionary, axis=0), 1, rtol=1e-9)
    assert ((problem.codes != 0).sum(axis=0) <= spec.m).all()
    heldout = spec.draw("heldout", 50)
    assert np.array_equal(heldout.dictionary, problem.dictionary)
    assert not np.array_equal(heldout.data, problem.data)
    assert family.title_of(params)
    assert family.n_heldout > 0


@cache
def problem(d=6, K=8):
    spec = toy_spec(d, K, 2, 300, seed=1)
    return spec, spec.draw(), spec.draw("heldout", 200)


@cache
def problem_for(name):
    """Return a problem that a method can be run on: with more atoms than dimensions, or fewer."""
    method = catalogue.methods()[name]
    params = params_for(method)
    for spec, train, heldout in (problem(), problem(8, 6)):
        if method.skip(params, Shape(spec.d, spec.K, spec.m, 300)) is None:
            return spec, train, heldout
    raise AssertionError(f"{name} cannot be run with more atoms than dimensions, nor with fewer")


def params_for(method):
    given = {p.name: p.candidates[0] for p in method.parameters if p.tuned}
    return bind(method.name, method.parameters, given).values


@cache
def fitted(name, seeds=(0, 1)):
    method = catalogue.methods()[name]
    params = params_for(method)
    spec, train, _ = problem_for(name)
    how = catalogue.budget_of(method, {"steps": 40}, 64)
    runs = [RunSeeds.same(seed) for seed in seeds]
    return method.fit(data_for(method, train, (spec.K, spec.m)), Fit(params, how), runs)


@pytest.mark.parametrize("name", catalogue.methods())
def test_a_run_of_a_method_is_a_dictionary_and_depends_on_its_own_seeds_alone(name):
    first, second = fitted(name)
    [alone] = fitted(name, (1,))
    spec, train, _ = problem_for(name)
    for fit in (first, second):
        assert fit.dictionary.shape == (spec.d, spec.K)
        assert np.isfinite(fit.dictionary).all()
        np.testing.assert_allclose(np.linalg.norm(fit.dictionary, axis=0), 1, rtol=1e-5)
    assert np.array_equal(second.dictionary, alone.dictionary)
    deterministic = catalogue.methods()[name].deterministic
    assert np.array_equal(first.dictionary, second.dictionary) == deterministic
    if catalogue.methods()[name].sees == "data":
        codes = first.encoder(train.rows(np.float32)[0])
        assert codes.shape == (300, spec.K)
        assert ((codes != 0).sum(axis=1) <= spec.m).all()


def of(scope):
    return [name for name, metric in catalogue.metrics().items() if metric.scope == scope]


@pytest.mark.parametrize("name", of("run"))
def test_a_metric_is_in_its_range_and_the_truth_has_the_best_of_it(name):
    metric = catalogue.metrics()[name]
    _, train, heldout = problem()
    low, high = metric.bounds
    values = {}
    for method in ("topk", "osae", "truth"):
        values[method] = metric.of_run(Scored(fitted(method)[0], train, heldout, 0))
        assert math.isnan(values[method]) or low <= values[method] <= high
    for method in ("topk", "osae"):
        lead = metric.better * (values["truth"] - values[method])
        assert lead > 0 or not metric.question
        assert lead >= 0 or math.isnan(lead)


PERFECT = (
    *("stab_truth_abs", "recovered_share", "recovered_precision", "mcc", "uniqueness"),
    *("precision", "recall", "f1", "support_jaccard"),
)


@pytest.mark.parametrize("name", PERFECT)
def test_the_truth_is_perfect_and_a_short_training_is_not(name):
    metric = catalogue.metrics()[name]
    _, train, heldout = problem()
    found = [metric.of_run(Scored(fitted(m)[0], train, heldout, 0)) for m in ("truth", "topk")]
    assert found[0] == pytest.approx(1, abs=1e-12)
    assert found[1] < 0.99


@pytest.mark.parametrize("name", of("pair"))
def test_a_metric_of_pairs_is_in_its_range_and_best_for_one_dictionary_twice(name):
    metric = catalogue.metrics()[name]
    first, second = (fit.dictionary for fit in fitted("topk"))
    low, high = metric.bounds
    assert low <= metric.of_pair(first, second) <= high
    assert metric.better * (metric.of_pair(first, first) - metric.of_pair(first, second)) > 0


@pytest.mark.parametrize("name", of("derived"))
def test_a_derived_metric_follows_from_another_of_its_kind(name):
    source, derive = catalogue.metrics()[name].of_value
    assert catalogue.metrics()[source].scope == "run"
    found = [derive(value, Shape(6, 8, 2, 300)) for value in (0.2, 0.9)]
    assert found[0] != found[1]
