"""T3e: the exact global minimum for m = 1 against exhaustive maps and a search over angles."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers import (
    alternating,
    best_codes,
    best_encoder_loss,
    cluster_energies,
    nested_loss,
    ray_minimiser,
    rays_of,
)
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import coherence
from osae_theory.strategies import Draw, prefix_laws, seeds

P1 = np.array([[1.0, 0.6], [0.0, 0.8]])
TWIN = np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 1.0]])


def rays(seed, d, R):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, R))
    return D / np.linalg.norm(D, axis=0), np.sort(rng.uniform(0.2, 2.0, R))[::-1]


def exhaustive(D, energies, law):
    """The losses of all K^R maps of rays to slots, each cluster valued by its own matrix."""
    R = energies.size
    top = np.zeros(1 << R)
    for subset in range(1, 1 << R):
        T = [k for k in range(R) if (subset >> k) & 1]
        top[subset] = np.linalg.norm(D[:, T] * np.sqrt(energies[T]), ord=2) ** 2
    maps = np.indices((law.K,) * R).reshape(R, -1)
    kept = np.zeros(maps.shape[1])
    for j, w in enumerate(law.survival):
        kept += w * top[((maps == j) << np.arange(R)[:, None]).sum(axis=0)]
    return np.sort(energies.sum() - kept)


@st.composite
def small_rays(draw: Draw, max_R=5):
    d, R = draw(st.integers(2, 4)), draw(st.integers(1, max_R))
    return rays(draw(seeds()), d, R)


@pytest.mark.theory
@given(problem=small_rays(), law=prefix_laws(1, 5))
def test_dynamic_programming_gives_the_best_and_the_second_best_of_all_maps(problem, law):
    D, e = problem
    found = ray_minimiser(D * np.sqrt(e), law)
    losses = exhaustive(D, e, law)
    assert found.loss == pytest.approx(losses[0], abs=1e-12)
    assert abs(found.certificate.value - losses[0]) <= found.certificate.error
    second = losses[1] - losses[0] if len(losses) > 1 else np.inf
    assert found.gap == pytest.approx(second, abs=1e-12)
    assert len(found.maps) == min(64, (losses <= losses[0] + 1e-9 * e.sum()).sum()) or law.K > 1 + (
        e.size
    )


@pytest.mark.theory
def test_seven_rays_agree_with_all_823543_maps():
    D, e = rays(5, 3, 7)
    law = PrefixLaw.uniform(7)
    found = ray_minimiser(D * np.sqrt(e), law)
    losses = exhaustive(D, e, law)
    assert found.loss == pytest.approx(losses[0], abs=1e-12)
    assert found.gap == pytest.approx(losses[1] - losses[0], abs=1e-12)


@pytest.mark.theory
@given(seed=seeds(), law=prefix_laws(2, 2), R=st.integers(2, 5))
def test_in_the_plane_no_pair_of_angles_goes_below_the_minimum_and_the_nearest_reach_it(
    seed, law, R
):
    D, e = rays(seed, 2, R)
    found = ray_minimiser(D * np.sqrt(e), law)
    angles = np.arange(400) * np.pi / 400
    grid = np.stack([np.cos(angles), np.sin(angles)])
    cosine2 = (grid.T @ D) ** 2
    w = law.survival[:, None, None, None]
    kept = np.maximum(w[0] * cosine2[:, None, :], w[1] * cosine2[None, :, :]) @ e
    assert found.loss <= e.sum() - kept.max() + 1e-12
    # The nearest grid angle is within pi/800 of each atom.
    assert e.sum() - kept.max() <= found.loss + e.sum() * np.sin(np.pi / 800) * 2


@pytest.mark.theory
@pytest.mark.parametrize(("X", "value"), [(P1, 2 / 5), (TWIN, 8 / 15)])
def test_p1_and_its_overcomplete_twin_merge_two_rays(X, value):
    found = ray_minimiser(X, PrefixLaw.uniform(X.shape[1]))
    assert found.loss == pytest.approx(value, abs=1e-14)
    assert len(set(found.maps[0])) < X.shape[1]
    assert not found.unique


@pytest.mark.theory
@given(seed=seeds(), K=st.integers(2, 6))
def test_coherence_below_the_last_prefix_recovers_the_atoms_by_energy_with_the_gap_of_t3f(seed, K):
    D, e = rays(seed, 6, K)
    mu = coherence(D)
    last = (mu + 1) / 2
    law = PrefixLaw(np.append(np.full(K - 1, (1 - last) / (K - 1)), last))
    found = ray_minimiser(D * np.sqrt(e), law)
    assert found.unique
    assert found.maps == (tuple(range(K)),)
    np.testing.assert_allclose(np.abs((found.dictionary * D).sum(axis=0)), 1.0, atol=1e-12)
    margin = np.min(law.probabilities[:-1] * -np.diff(e))
    assert found.gap >= min((last - mu) * e[-1], margin) - 1e-12


@pytest.mark.theory
@given(seed=seeds(), K=st.integers(2, 5), share=st.floats(0.05, 0.95))
def test_equal_energies_are_recovered_exactly_if_coherence_is_below_the_last_prefix(seed, K, share):
    D, _ = rays(seed, 4, K)
    law = PrefixLaw(np.append(np.full(K - 1, (1 - share) / (K - 1)), share))
    found = ray_minimiser(D, law)
    apart = 1 - law.survival.mean()
    recovered = found.loss >= K * apart - 1e-12
    assert recovered == (coherence(D) <= share + 1e-12)


@pytest.mark.theory
@given(problem=small_rays(), data=st.data())
def test_the_best_encoder_of_a_dictionary_is_the_best_code_of_every_sample(problem, data):
    D_star, e = problem
    law = data.draw(prefix_laws(1, 5))
    D, _ = rays(data.draw(seeds()), D_star.shape[0], law.K)
    X = D_star * np.sqrt(e)
    oracle = nested_loss(X, best_codes(X, D, 1, law), D, law)
    assert best_encoder_loss(D, D_star, e, law) == pytest.approx(oracle, abs=1e-12)
    found = ray_minimiser(X, law)
    assert best_encoder_loss(found.dictionary, D_star, e, law) == pytest.approx(found.loss)
    assert found.loss <= oracle + 1e-12


@pytest.mark.theory
def test_descent_never_beats_the_exact_minimum_and_sometimes_reaches_it():
    reached = 0
    for seed in range(6):
        D, e = rays(seed, 3, 5)
        law = PrefixLaw.uniform(4)
        found = ray_minimiser(D * np.sqrt(e), law)
        upper = alternating(D * np.sqrt(e), 4, 1, law, n_starts=30, seed=seed)
        assert upper.loss >= found.loss - 1e-12
        reached += upper.loss <= found.loss + 1e-8
    assert reached >= 4


@pytest.mark.theory
@given(seed=seeds(), R=st.integers(1, 6))
def test_samples_are_grouped_by_ray_whatever_their_sign_and_size(seed, R):
    rng = np.random.default_rng(seed)
    D, _ = rays(seed, 4, R)
    label = np.concatenate([np.arange(R), rng.integers(R, size=10)])
    values = rng.uniform(0.5, 3.0, label.size) * rng.choice([-1.0, 1.0], label.size)
    X = np.insert(D[:, label] * values, 3, 0.0, axis=1)
    energy = np.bincount(label, values**2)
    found = rays_of(X)
    assert found.ray_of_sample[3] == -1
    np.testing.assert_allclose(found.energies, np.sort(energy)[::-1])
    by_energy = np.argsort(-energy)
    np.testing.assert_allclose(
        np.abs((found.directions * D[:, by_energy]).sum(axis=0)), 1.0, atol=1e-12
    )
    assert (by_energy[np.delete(found.ray_of_sample, 3)] == label).all()
    assert found.distance < 1e-12


def test_ties_are_all_listed_and_leave_no_gap():
    found = ray_minimiser(np.eye(3), PrefixLaw.uniform(3))
    assert sorted(found.maps) == [p for p in product(range(3), repeat=3) if len(set(p)) == 3]
    assert found.gap == pytest.approx(0.0, abs=1e-12)
    assert not found.unique
    assert len(ray_minimiser(np.eye(3), PrefixLaw.uniform(3), max_maps=2).maps) == 2


def test_a_merged_cluster_without_a_top_direction_is_not_unique():
    # One slot for two orthogonal rays of equal energy: either ray, or anything between.
    found = ray_minimiser(np.eye(2), PrefixLaw.uniform(1))
    assert found.loss == pytest.approx(1.0)
    assert found.gap == np.inf
    assert not found.unique


def test_subsets_of_rays_are_valued_by_their_largest_eigenvalue():
    D, e = rays(3, 2, 4)
    top = cluster_energies(D, e)
    assert top[0] == 0.0
    for subset in range(1, 16):
        T = [k for k in range(4) if (subset >> k) & 1]
        moment = (D[:, T] * e[T]) @ D[:, T].T
        assert top[subset] == pytest.approx(np.linalg.eigvalsh(moment)[-1])


@pytest.mark.theory
def test_twelve_rays_take_seconds_and_agree_with_the_best_encoder():
    D, e = rays(0, 5, 12)
    law = PrefixLaw.zipf(12)
    found = ray_minimiser(D * np.sqrt(e), law)
    assert best_encoder_loss(found.dictionary, D, e, law) == pytest.approx(found.loss, abs=1e-12)
    assert found.gap > 0


def test_data_beyond_the_exact_method_and_bad_dictionaries_are_refused():
    D, e = rays(0, 5, 15)
    with pytest.raises(InputError, match="data on more than 14 rays"):
        ray_minimiser(D, PrefixLaw.uniform(3))
    with pytest.raises(InputError, match="15 rays: expected at most 14"):
        cluster_energies(D, e)
    with pytest.raises(InputError, match="every sample is zero"):
        rays_of(np.zeros((2, 2)))
    with pytest.raises(InputError, match="column 0 has norm 0"):
        best_encoder_loss(np.zeros((5, 1)), D, e, PrefixLaw.uniform(1))
    with pytest.raises(InputError, match="expected none negative"):
        best_encoder_loss(D, D, -e, PrefixLaw.uniform(15))
