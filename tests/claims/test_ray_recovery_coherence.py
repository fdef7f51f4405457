import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_recovery_coherence
from osae_theory.claims.ray_instances import draw_instance, energies_of
from osae_theory.claims.ray_recovery_coherence import (
    LOW_WORST_CASE,
    RAY_RECOVERY_COHERENCE,
    pairs_do_not_suffice,
    weighted_gammas_do_not_suffice,
)
from osae_theory.claims.ray_recovery_energies import gammas
from osae_theory.claims.ray_worst_case import critical_coherence, equiangular, margin
from osae_theory.errors import InputError
from osae_theory.minimisers.rays import cluster_energies
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import coherence, problem_from_arrays

pytestmark = pytest.mark.theory


def test_the_critical_coherence_decides_on_both_sides():
    found = RAY_RECOVERY_COHERENCE.check(200)
    assert found.confirmed
    assert found.certificate["instances that disagree"] == 0
    assert found.certificate["of which T3d does not cover"] >= 10
    assert found.certificate["equiangular instances with mu < mu_c"] > 10
    assert found.certificate["equiangular instances with mu > mu_c"] > 10
    assert found.certificate["least mu_c / p_K"] > 1


@given(st.integers(1, 8), st.floats(0, 0.999))
def test_equiangular_atoms_are_of_unit_norm_with_every_cosine_mu(K, mu):
    gram = equiangular(K, mu).T @ equiangular(K, mu)
    np.testing.assert_allclose(gram, (1 - mu) * np.eye(K) + mu, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_no_dictionary_of_the_same_coherence_captures_more_of_any_set_of_atoms(seed):
    problem, _ = draw_instance(np.random.default_rng(seed))
    mu = min(coherence(problem.dictionary), 1 - 1e-12)
    e = energies_of(problem)
    own = cluster_energies(problem.dictionary, e)
    worst = cluster_energies(equiangular(problem.K, mu), e)
    assert (own <= worst + 1e-10 * e.sum()).all()


@given(st.integers(0, 2**32 - 1))
def test_the_margin_falls_with_mu_and_t3_and_t3d_imply_that_it_is_positive(seed):
    rng = np.random.default_rng(seed)
    problem, law = draw_instance(rng)
    e = energies_of(problem)
    margins = [margin(e, mu, law) for mu in np.linspace(0, 0.999, 12)]
    assert (np.diff(margins) <= 1e-12 * e.sum()).all()
    critical = critical_coherence(e, law)
    assert critical >= law.probabilities[-1] - 1e-9
    assert gammas(e, critical).max() >= law.probabilities[-1] - 1e-9


def test_equal_energies_have_p_k_for_critical_coherence():
    law = PrefixLaw(np.array([0.1, 0.2, 0.3, 0.4]))
    assert critical_coherence(np.ones(4), law) == pytest.approx(0.4)


def test_conditions_that_are_simpler_are_wrong_at_the_numbers_given():
    for seeming, true in (pairs_do_not_suffice(), weighted_gammas_do_not_suffice()):
        assert seeming > 1e-3
        assert true < -1e-3


@pytest.mark.parametrize(
    ("K", "mu", "law_K", "message"),
    [
        (1, 0.5, 1, "1 energies: expected 2 to 8"),
        (9, 0.5, 9, "9 energies"),
        (3, 1.0, 3, "mu = 1.0"),
        (3, 0.5, 4, "prefix law on 4 atoms"),
    ],
)
def test_sizes_and_coherence_are_checked(K, mu, law_K, message):
    with pytest.raises(InputError, match=message):
        margin(np.ones(K), mu, PrefixLaw.uniform(law_K))


def test_the_hypothesis_tells_instances_apart():
    e, law = np.array([4.0, 2.0, 1.0]), PrefixLaw.uniform(3)
    critical = critical_coherence(e, law)
    below, above = (
        (problem_from_arrays(equiangular(3, critical + step), np.diag(e**0.5)), law)
        for step in (-1e-3, 1e-3)
    )
    assert RAY_RECOVERY_COHERENCE.unmet(below) == []
    assert RAY_RECOVERY_COHERENCE.unmet(above) == [LOW_WORST_CASE.text]


def test_a_shifted_critical_coherence_is_noticed(monkeypatch):
    monkeypatch.setattr(
        ray_recovery_coherence,
        "critical_coherence",
        lambda e, law: min(1.05 * critical_coherence(e, law), 0.999),
    )
    assert not RAY_RECOVERY_COHERENCE.check(100).confirmed
