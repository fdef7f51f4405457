import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import ray_recovery_energies
from osae_theory.claims.ray_instances import recovery_error
from osae_theory.claims.ray_recovery_energies import (
    ASSUMPTIONS,
    LOW_GAMMA,
    RAY_RECOVERY_ENERGIES,
    gammas,
    largest_gamma,
)
from osae_theory.claims.ray_worst_case import equiangular
from osae_theory.errors import InputError
from osae_theory.minimisers.rays import cluster_energies
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays

pytestmark = pytest.mark.theory


def test_every_instance_of_the_hypotheses_is_recovered_many_beyond_t3():
    found = RAY_RECOVERY_ENERGIES.check(200)
    assert found.confirmed
    assert found.certificate["of which recovered in energy order"] == 200
    assert found.certificate["of which mu >= p_K"] >= 25
    assert found.certificate["of which K > d"] > 0


@given(st.integers(0, 2**32 - 1))
def test_gammas_solve_their_equation_and_are_at_most_mu(seed):
    rng = np.random.default_rng(seed)
    K, mu = int(rng.integers(2, 7)), float(rng.uniform())
    e = -np.sort(-np.exp(rng.normal(0, 2, K)))
    found = gammas(rng.permutation(e), mu)
    for i, g in enumerate(found):
        S, rho = e[i + 1 :].sum() / e[i], e[i + 1] / e[i]
        terms = (S * g * g, (1 - (1 - mu) * rho - mu * S) * g, -mu * mu)
        assert sum(terms) == pytest.approx(0, abs=1e-12 * max(map(abs, terms)) + 1e-300)
        assert -1e-12 <= g <= mu * (1 + 1e-12)


@given(st.integers(0, 2**32 - 1))
def test_followers_earn_at_most_gamma_of_their_leader_in_the_worst_dictionary(seed):
    rng = np.random.default_rng(seed)
    K, mu = int(rng.integers(2, 6)), float(rng.uniform(0, 0.99))
    e = -np.sort(-np.exp(rng.normal(0, 1, K)))
    captured, limits = cluster_energies(equiangular(K, mu), e), gammas(e, mu)
    for subset in range(1, 1 << K):
        members = [k for k in range(K) if (subset >> k) & 1]
        if len(members) > 1:
            earned = captured[subset] - e[members[0]]
            assert earned <= limits[members[0]] * e[members[1:]].sum() + 1e-10 * e.sum()


def test_equal_energies_have_gamma_equal_to_mu():
    np.testing.assert_allclose(gammas(np.ones(4), 0.3), 0.3)
    np.testing.assert_allclose(gammas(np.ones(2), 1.0), 1.0)
    assert gammas(np.ones(1), 0.3).size == 0


@pytest.mark.parametrize(
    ("energies", "mu", "message"),
    [([1.0, 0.0], 0.5, "expected all above 0"), ([1.0, 0.5], 1.5, "mu = 1.5")],
)
def test_energies_and_coherence_are_checked(energies, mu, message):
    with pytest.raises(InputError, match=message):
        gammas(np.array(energies), mu)


def test_the_hypothesis_tells_instances_apart():
    D = np.array([[1.0, 0.6], [0.0, 0.8]])
    problem = problem_from_arrays(D, np.diag([2.0, 1.0]))
    limit = largest_gamma((problem, PrefixLaw.uniform(2)))
    below, above = (
        (problem, PrefixLaw.from_survival([1.0, limit + step])) for step in (-1e-6, 1e-6)
    )
    assert RAY_RECOVERY_ENERGIES.unmet(below) == [LOW_GAMMA.text]
    assert RAY_RECOVERY_ENERGIES.unmet(above) == []
    assert recovery_error(below) == np.inf
    assert recovery_error(above) < 1e-12
    unused = (problem_from_arrays(D, np.diag([2.0, 0.0])[:, :1]), PrefixLaw.uniform(2))
    assert not LOW_GAMMA.test(unused)


def test_without_the_hypothesis_the_check_does_not_confirm(monkeypatch):
    monkeypatch.setattr(ray_recovery_energies, "ASSUMPTIONS", ASSUMPTIONS[:-1])
    assert not RAY_RECOVERY_ENERGIES.check(100).confirmed


def test_a_smaller_gamma_is_noticed(monkeypatch):
    monkeypatch.setattr(ray_recovery_energies, "gammas", lambda e, mu: 0.8 * gammas(e, mu))
    assert not RAY_RECOVERY_ENERGIES.check(400).confirmed
