"""What makes each family what it is; that it is a family at all, test_contracts.py checks."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, spearmanr

from benchmarks import catalogue
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.families import bernoulli, synth_sae
from benchmarks.spec import Budget, Setting
from osae_theory.errors import InputError
from osae_theory.problems import ForestSupports, compensated, forest_parents, inclusion_matrix

DEFAULTS = {"d": 16, "K": 32, "m": 3, "N": 20_000}
NEW = (
    *("bernoulli", "coherent", "conflict", "correlated", "equal-frequency"),
    *("signed", "synth-sae", "tree", "width"),
)


def spec_of(family, seed=5, **given):
    return catalogue.problem_spec(catalogue.case_of(family, given, seed))


def drawn(family, **given):
    return spec_of(family, **given).draw()


def active(problem):
    return problem.codes != 0


def assert_shares(problem, expected):
    """Check how often each atom is used, to 5 standard deviations."""
    expected = np.minimum(expected, 1.0)
    n = problem.n_samples
    shares = active(problem).mean(axis=1)
    assert np.all(np.abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / n) + 1e-12)


@pytest.mark.parametrize("name", NEW)
def test_a_family_has_the_small_shape_by_default(name):
    params = catalogue.case_params(catalogue.case_of(name, {}, 0))
    assert {key: params[key] for key in DEFAULTS if key in params} == {
        key: DEFAULTS[key] for key in DEFAULTS if key in params
    }
    shape = catalogue.shape_of(catalogue.case_of(name, {}, 0))
    assert (shape.d, shape.N, shape.K_true) == (16, 20_000, 32)


def test_conflict_turns_the_order_of_the_energies_and_leaves_the_frequencies():
    frequency = np.diag(inclusion_matrix(np.arange(1.0, 33) ** -1.2, 3))
    correlations, supports = [], []
    for conflict in (0, 0.25, 0.4, 0.45, 0.5, 0.75, 1):
        spec = spec_of("conflict", conflict=conflict)
        energy = frequency * np.array(spec.values.scale) ** 2
        correlations.append(spearmanr(frequency, energy).statistic)
        supports.append(spec.supports)
        assert 0.5 < energy.sum() / frequency.sum() < 2
    assert set(supports) == {spec_of("toy", d=16, K=32, m=3, N=20_000).supports}
    assert correlations[0] == pytest.approx(1)
    assert correlations[1] == pytest.approx(1)
    assert all(np.diff(correlations) <= 1e-12)
    assert correlations[-2] == correlations[-1] == pytest.approx(-1)
    problem = drawn("conflict")
    energies = (problem.codes**2).mean(axis=1)
    assert spearmanr(active(problem).mean(axis=1), energies).statistic < -0.95


def test_equal_frequency_has_atoms_of_one_frequency_and_one_energy():
    problem = drawn("equal-frequency")
    assert_shares(problem, np.full(32, 3 / 32))
    energies = (problem.codes**2).mean(axis=1)
    # The square of a normal number has variance 2: that of a code's, 3 p - p^2.
    sigma = math.sqrt((3 * 3 / 32 - (3 / 32) ** 2) / problem.n_samples)
    assert np.all(np.abs(energies - 3 / 32) < 5 * sigma)


def test_coherent_atoms_of_a_cluster_have_the_cosine_and_neighbours_are_in_different_ones():
    D = drawn("coherent", coherence=0.6, cluster=4, N=10).dictionary
    gram, cluster = D.T @ D, np.arange(32) % 8
    same = (cluster[:, None] == cluster) & ~np.eye(32, dtype=bool)
    np.testing.assert_allclose(gram[same], 0.6, atol=1e-13)
    assert abs(gram[cluster[:, None] != cluster].mean()) < 0.1


@pytest.mark.parametrize("given", [{}, {"K": 20, "m": 2}, {"m": 5}, {"alpha": 0.5}])
def test_every_atom_of_the_tree_is_used_and_parents_more_than_children(given):
    spec = spec_of("tree", **given)
    expected = spec.supports.inclusion_probabilities(spec.K)
    assert expected[0] == pytest.approx(1)
    assert np.all(expected > 0)
    # The last family has one child of six: at a small alpha that one is no rarer than others.
    assert np.all(np.diff(expected)[: -1 if "alpha" in given else None] < 0)
    problem = spec.draw()
    assert_shares(problem, expected)
    used = active(problem)
    for child in range(1, spec.K):
        parent = (child - 1) // spec.supports.branching
        assert expected[child] < expected[parent]
        assert not (used[child] & ~used[parent]).any()


def test_bernoulli_atoms_fire_independently_and_m_on_average():
    problem = drawn("bernoulli")
    rates = np.array(bernoulli.rates_of({**DEFAULTS, "alpha": 1.2}))
    assert rates.sum() == pytest.approx(3)
    assert np.all(np.diff(rates) < 0)
    assert_shares(problem, rates)
    counts = active(problem).sum(axis=0)
    assert counts.min() == 0
    assert counts.var() == pytest.approx((rates * (1 - rates)).sum(), rel=0.05)
    assert (counts == 0).mean() == pytest.approx(np.prod(1 - rates), rel=0.1)
    assert not problem.data[:, counts == 0].any()
    assert catalogue.learned(catalogue.case_of("bernoulli", {}, 0)) == (32, 3)


@pytest.mark.parametrize("strength", [0.0, 0.8])
def test_correlated_atoms_have_the_same_rates_and_fire_together_in_their_groups(strength):
    problem = drawn("correlated", strength=strength)
    rates = np.array(bernoulli.rates_of({**DEFAULTS, "alpha": 1.2}))
    assert_shares(problem, rates)
    used = active(problem)
    for i, j in [(0, 1), (2, 3), (6, 7), (1, 2), (0, 7)]:
        r = strength if i // 2 == j // 2 else 0.0
        law = multivariate_normal([0, 0], [[1, r], [r, 1]])
        both = law.cdf(norm.ppf(rates[[i, j]]))
        sigma = math.sqrt(both * (1 - both) / problem.n_samples)
        assert abs((used[i] & used[j]).mean() - both) < 5 * sigma


def test_at_strength_1_the_rarer_atom_of_a_pair_never_fires_alone():
    used = active(drawn("correlated", strength=1, N=2000))
    for first in range(0, 32, 2):
        assert not (used[first + 1] & ~used[first]).any()


def test_signed_codes_are_the_toys_with_either_sign():
    problem, toy = drawn("signed"), drawn("toy", **DEFAULTS)
    np.testing.assert_array_equal(np.abs(problem.codes), toy.codes)
    negative = (problem.codes < 0).sum() / active(problem).sum()
    assert abs(negative - 0.5) < 5 * 0.5 / math.sqrt(60_000)


def test_width_is_the_toy_model_with_other_numbers_to_learn():
    toy = spec_of("toy", **DEFAULTS)
    for given, expected in [
        ({}, (16, 3)),
        ({"learned_K": 64}, (64, 3)),
        ({"learned_K": 0, "learned_m": 5}, (32, 5)),
        ({"learned_K": 8, "learned_m": 8}, (8, 8)),
    ]:
        assert spec_of("width", **given) == toy
        assert catalogue.learned(catalogue.case_of("width", given, 5)) == expected


def test_the_rates_after_synthsaebench_are_the_published_ones_at_the_published_size():
    rates = synth_sae.base_rates(16_384)
    assert (rates[0], rates[-1]) == (pytest.approx(0.4), pytest.approx(5e-4))
    parents = forest_parents(16_384, 128, 4, 3)
    assert sum(parent >= 0 for parent in parents) == 128 * (4 + 16 + 64)
    forest = ForestSupports(compensated(rates, parents), ((0.0,),) * 16_384, parents)
    # Published: about 34 atoms a sample, of which about 25 are among the first 4,096.
    assert forest.rates().sum() == pytest.approx(34, abs=0.5)
    assert forest.rates()[:4096].sum() == pytest.approx(25, abs=0.5)


def test_without_correlation_atoms_fire_at_the_rates_of_the_trees_which_are_nearly_zipfs():
    spec = spec_of("synth-sae", correlation=0)
    problem = spec.draw()
    rates = spec.supports.rates()
    assert_shares(problem, rates)
    np.testing.assert_allclose(rates, synth_sae.base_rates(32), rtol=0.06)
    assert np.all(np.diff(rates) < 0)
    assert catalogue.learned(catalogue.case_of("synth-sae", {}, 0)) == (32, round(rates.sum()))


def test_synth_sae_keeps_trees_exclusion_and_roots_rates_under_correlation():
    spec = spec_of("synth-sae", correlation=0.5)
    problem = spec.draw()
    used, parents = active(problem), np.array(spec.supports.parents)
    assert (parents >= 0).sum() == 28
    for parent in range(32):
        children = np.flatnonzero(parents == parent)
        assert not (used[children] & ~used[parent]).any()
        assert used[children].sum(axis=0).max(initial=0) <= 1
    shares = used.mean(axis=1)[:4]
    np.testing.assert_allclose(shares, synth_sae.base_rates(32)[:4], atol=0.02)
    independent = ForestSupports(spec.supports.proposed, ((0.0,),) * 32, spec.supports.parents)
    assert isinstance(spec.supports, ForestSupports)
    assert not np.allclose(used.mean(axis=1), independent.rates(), atol=0.01)
    norms = np.array([math.fsum(a * a for a in row) for row in spec.supports.loadings])
    assert 0.25 < norms.mean() < 0.75
    assert norms.max() <= 0.99 + 1e-12


def test_synth_sae_values_follow_their_parents_and_a_constant_vector_is_added():
    spec = spec_of("synth-sae")
    problem = spec.draw()
    roots = [problem.codes[j][problem.codes[j] > 0] for j in range(4)]
    means = np.linspace(5, 4, 32)
    np.testing.assert_allclose([r.mean() for r in roots], means[:4], rtol=0.03)
    assert problem.codes.min() == 0
    child = 4  # a child of the first atom
    together = active(problem)[child]
    first, second = problem.codes[0, together], problem.codes[child, together]
    assert np.corrcoef(first, second)[0, 1] > 0.1
    assert np.linalg.norm(problem.bias) == pytest.approx(0.5)
    signal = problem.dictionary @ problem.codes
    np.testing.assert_allclose(problem.data, signal + problem.bias[:, None], atol=1e-12)
    other = spec_of("synth-sae", seed=6)
    assert other.supports.loadings != spec.supports.loadings
    assert other.values.deviations != spec.values.deviations
    gaussian = drawn("toy", **DEFAULTS).dictionary
    sums = [((D.T @ D) ** 2).sum() for D in (problem.dictionary, gaussian)]
    assert 32**2 / 16 < sums[0] < sums[1]


@pytest.mark.parametrize(
    ("family", "given", "message"),
    [
        ("conflict", {"m": 33}, "m = 33: expected at most K = 32"),
        ("conflict", {"conflict": 2}, "conflict: conflict = 2: expected"),
        ("equal-frequency", {"K": 2}, "m = 3: expected at most K = 2"),
        ("coherent", {"d": 4}, "cluster = 4: expected less than d = 4"),
        ("coherent", {"coherence": 1}, "coherence = 1: expected"),
        ("tree", {"m": 1}, "m = 1: expected at least 2"),
        ("tree", {"branching": 2}, "branching = 2: expected at least 6, for all K = 32 atoms"),
        ("bernoulli", {"K": 3}, "m = 3: expected less than K = 3"),
        ("correlated", {"group": 33}, "group = 33: expected at most K = 32"),
        ("correlated", {"K": 3}, "m = 3: expected less than K = 3"),
        ("signed", {"m": 40}, "m = 40: expected at most K = 32"),
        ("width", {"learned_K": 2}, "learned_m = 3: expected at most learned_K = 2"),
        ("synth-sae", {"roots": 1, "branching": 9}, "branching = 9: expected fewer.* of atom 1 "),
        ("synth-sae", {"correlation": 1}, "correlation = 1: expected"),
    ],
)
def test_parameters_that_do_not_go_together_are_one_sentence(family, given, message):
    with pytest.raises(InputError, match=message):
        catalogue.case_of(family, given, 0)


@pytest.mark.trains
@pytest.mark.parametrize("name", NEW)
def test_a_run_on_a_family_is_trained_and_measured(name):
    case = catalogue.case_of(name, {"N": 400}, 0)
    found = catalogue.variant("topk", {"lr": 0.01})
    setting = Setting(case, "topk", found.identity, Budget("steps", 10, 100))
    task = FitTask(tuple(catalogue.run_specs(setting, 1)), code_of(name, "topk"))
    [outcome] = run_task(task)
    assert (outcome.status, outcome.unmeasured) == ("done", {})
    assert 0 < outcome.values["mse"] < math.inf
    assert -1 <= outcome.values["ord_by_energy"] <= 1
