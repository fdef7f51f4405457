"""Public functions of arrays and laws: any form of numbers gives the same, the rest is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from osae_theory import metrics, minimisers, problems, pursuit, uniqueness
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import Run, RunSeeds, TrainingConfig, train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 8))
D = problems.toy_spec(3, 4, 2, 8).draw().dictionary
CODES = np.abs(RNG.normal(size=(4, 8))) * (RNG.random((4, 8)) < 0.6)
SUPPORTS = np.tile([0, 2], (8, 1))
LAW = PrefixLaw.uniform(4)
ENERGIES = np.array([3.0, 2.0, 1.0, 0.5])
INCLUSION = np.diag([0.5, 0.3, 0.2])
PURSUED = pursuit.nonnegative_omp(X.T, D.T, 2)

# Each function with arguments it can use; arrays and laws among them are what is varied.
FUNCTIONS = {
    metrics.match: (D, D),
    metrics.match_rows: (D.T, D.T),
    metrics.stability: (D, D),
    metrics.orderedness: (D, D),
    metrics.cosines: (D, D),
    metrics.sinkhorn_plan: (D.T @ D,),
    metrics.sinkhorn_stability: (D.T @ D,),
    metrics.subspace_agreement: (D[:, :2], D[:, 2:3]),
    metrics.match_similarities: (D.T @ D,),
    metrics.activation_correlations: (CODES, CODES),
    metrics.match_activations: (CODES, CODES),
    metrics.mean_correlation: (CODES, CODES),
    metrics.detection: (CODES != 0, CODES != 0),
    metrics.support_jaccard: (CODES != 0, CODES != 0),
    metrics.feature_uniqueness: (D, D),
    metrics.clusters: (D,),
    metrics.cluster_span: (D, D, np.array([1, 0, 2, -1])),
    metrics.resolved_pairs: (CODES,),
    metrics.order_of_resolved_pairs: (np.array([1, 0, 2]), np.triu(np.ones((4, 4), bool), 1)),
    metrics.frequencies: (CODES,),
    metrics.energies: (CODES,),
    metrics.order_by: (ENERGIES,),
    metrics.order_by_frequency: (CODES,),
    metrics.order_by_energy: (CODES,),
    metrics.mean_squared_error: (X, X + 1),
    metrics.fraction_of_variance_unexplained: (X, X + 1),
    metrics.mean_l0: (CODES,),
    metrics.dead_share: (CODES,),
    metrics.fifr_error: (D, CODES, D, CODES),
    metrics.orderedness_of_permutation: (np.array([1, 0, 2]),),
    metrics.inversions_of: (np.array([1, 0, 2]),),
    metrics.expected_orderedness: (np.triu(np.full((3, 3), 0.25), 1),),
    metrics.inversions_by_frequency: (INCLUSION, 9),
    metrics.inversions_by_energy: (INCLUSION, 9),
    metrics.normal_inversions_by_energy: (INCLUSION, 9),
    metrics.disorder_bound_by_frequency: (INCLUSION, 9),
    metrics.disorder_bound_by_energy: (INCLUSION, 9),
    minimisers.best_codes: (X, D, 2, LAW),
    minimisers.codes_on_supports: (X, D, SUPPORTS, LAW),
    minimisers.exchange_codes: (X, D, SUPPORTS, LAW),
    minimisers.update_atoms: (X, CODES, D, LAW),
    minimisers.nested_loss: (X, CODES, D, LAW),
    minimisers.prefix_losses: (X, CODES, D),
    minimisers.penalty_loss: (X, CODES, D, LAW, 0.5),
    minimisers.penalty_descent: (X, 4, 2, LAW, 0.5, 1),
    minimisers.ray_maps: (X[:, :3], LAW),
    minimisers.gradients: (X, CODES, D, LAW),
    minimisers.stationarity: (X, CODES, D, LAW),
    minimisers.pca_minimiser: (X, 2, PrefixLaw.uniform(2)),
    minimisers.eckart_young_bound: (X, LAW),
    minimisers.rays_of: (X,),
    minimisers.cluster_energies: (D, ENERGIES),
    problems.coherence: (D,),
    problems.inclusion_probabilities: (ENERGIES, 2),
    problems.inclusion_matrix: (ENERGIES, 2),
    problems.problem_from_arrays: (D, CODES),
    pursuit.nonnegative_omp: (X.T, D.T, 2),
    pursuit.mod_update: (X.T, PURSUED, D.T),
    pursuit.ksvd_update: (X.T, PURSUED, D.T),
    pursuit.refine: (X.T, D.T, 2),
    uniqueness.spark_by_coherence: (D,),
    uniqueness.coherence_certificate: (D,),
    uniqueness.rip_by_babel: (D, 2),
}


def varied():
    """Every argument that is an array or a law."""
    for function, arguments in FUNCTIONS.items():
        for place, value in enumerate(arguments):
            if isinstance(value, (np.ndarray, PrefixLaw)):
                yield pytest.param(function, place, id=f"{function.__name__}-{place}")


def called_with(function, place, value):
    arguments = list(FUNCTIONS[function])
    arguments[place] = value
    return function(*arguments)


def numbers(result):
    """All that a result holds, as one vector."""
    if dataclasses.is_dataclass(result):
        result = [getattr(result, field.name) for field in dataclasses.fields(result)]
    if isinstance(result, (list, tuple)):
        parts = [numbers(part) for part in result]
        return np.concatenate(parts) if parts else np.zeros(0)
    if isinstance(result, (np.ndarray, int, float)):
        return np.asarray(result, dtype=np.float64).ravel()
    return np.zeros(0)


def forms(value):
    if isinstance(value, PrefixLaw):
        value = value.probabilities
        return [value, value.tolist(), torch.from_numpy(value.copy()), pd.Series(value)]
    table = pd.DataFrame(value) if value.ndim == 2 else pd.Series(value)
    swapped = value.astype(value.dtype.newbyteorder(">"))
    whole = np.ma.masked_array(value, mask=False)
    return [table, torch.from_numpy(value.copy()), np.asfortranarray(value), swapped, whole]


@pytest.mark.parametrize(("function", "place"), list(varied()))
def test_every_form_of_the_same_numbers_gives_the_same(function, place):
    value = FUNCTIONS[function][place]
    expected = numbers(called_with(function, place, value))
    for form in forms(value):
        np.testing.assert_allclose(numbers(called_with(function, place, form)), expected)


def unusable(value):
    if isinstance(value, PrefixLaw):
        return [None, "uniform", 3, {}, [0.5, np.nan], np.full((4, 1), 0.25), RandomPrefixes(4, 1)]
    masked = np.ma.masked_array(value, mask=np.arange(value.size).reshape(value.shape) == 1)
    others = [None, "abc", {}, 3.0, value[None], value.astype(str), value + 1j, masked]
    others.append(np.full(value.shape, None, dtype=object))
    if value.ndim == 2:
        others += [scipy.sparse.csr_array(value), [[1.0, 2.0], [3.0]]]
    if value.dtype.kind == "f":
        others.append(value * np.nan)
    return others


@pytest.mark.parametrize(("function", "place"), list(varied()))
def test_what_is_no_such_array_or_law_is_refused_in_a_sentence(function, place):
    for value in unusable(FUNCTIONS[function][place]):
        with pytest.raises(InputError) as caught:
            called_with(function, place, value)
        message = str(caught.value)
        assert "expected" in message
        assert "\n" not in message
        assert len(message) < 400


def test_axes_that_arguments_share_must_agree():
    for function, place, value in (
        (minimisers.nested_loss, 1, CODES[:, :5]),
        (minimisers.gradients, 2, D[:2]),
        (minimisers.codes_on_supports, 2, SUPPORTS[:3]),
        (minimisers.cluster_energies, 1, ENERGIES[:2]),
    ):
        with pytest.raises(InputError, match=r"expected \(.*\) beside X|beside directions"):
            called_with(function, place, value)


def test_training_takes_what_is_no_tensor_yet_and_refuses_what_cannot_be_one():
    rows = X.T.astype(np.float32)
    run = Run(RunSeeds.same(0), 0.01, np.full(4, 0.25))
    config = TrainingConfig(2, n_steps=2, batch_size=4)
    expected = train(torch.from_numpy(rows), 4, [run], config).losses
    for form in (rows, pd.DataFrame(rows), np.asfortranarray(rows)):
        assert torch.equal(train(form, 4, [run], config).losses, expected)
    assert train(np.ones((8, 3), dtype=int), 4, [run], config).losses.dtype == torch.float64
    for bad in (None, rows[0], rows[None], rows + 1j, "abc", torch.zeros(8, 3, device="meta")):
        with pytest.raises(InputError, match=r"x .*expected"):
            train(bad, 4, [run], config)
    for bad in (torch.from_numpy(rows).to_sparse(), torch.zeros(8, 3, dtype=torch.bfloat16)):
        with pytest.raises(InputError, match=r"x .*expected"):
            train(bad, 4, [run], config)


@pytest.mark.parametrize("law", [[0.5, 0.6], None, "uniform"])
def test_a_run_without_a_law_is_refused(law):
    with pytest.raises(InputError, match=r"schedule = .*: expected a prefix law|sums to 1\.1"):
        Run(RunSeeds.same(0), 0.01, law)


def test_a_problem_beyond_memory_is_refused():
    with pytest.raises(InputError, match="n_samples = 1000000000000000: expected fewer"):
        problems.toy_spec(6, 8, 2, 10**15).draw()


@pytest.mark.parametrize("alpha", [10**400, 1e308, -1e308, float("nan")])
def test_exponents_beyond_floats_are_refused(alpha):
    with pytest.raises(InputError, match="alpha = "):
        problems.toy_spec(6, 8, 2, 10, alpha)
    with pytest.raises(InputError, match="alpha = "):
        PrefixLaw.zipf(5, alpha)


def test_exact_matrices_may_hold_whole_numbers_beyond_floats():
    rows = [[10**400, 1], [1, 10**400]]
    assert uniqueness.spark_exhaustive(rows).value == 3
    assert uniqueness.spark_mip(rows).value == 3
