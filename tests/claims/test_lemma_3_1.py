from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import lemma_3_1
from osae_theory.claims.exact import (
    Instance,
    as_fractions,
    columns,
    nested_loss,
    prefix_losses,
    uniform,
)
from osae_theory.claims.lemma_3_1 import (
    LEMMA_3_1,
    full_loss_minimisers,
    lemma_fails,
    merged_point,
    refute,
    three_atoms,
    threshold,
    two_atoms,
)
from osae_theory.errors import InputError
from osae_theory.minimisers.exact_rays import exact_two_ray_minimum

pytestmark = pytest.mark.theory

A, B = Fraction(3, 5), Fraction(4, 5)


def test_the_check_confirms_with_the_numbers_of_theory_p1():
    found = LEMMA_3_1.check(300)
    assert found.confirmed
    assert found.error == 0
    assert found.certificate["L_ND at every minimiser of L_K"] == Fraction(1, 2)
    assert found.certificate["min L_ND"] == Fraction(2, 5)
    assert found.certificate["overcomplete: L_ND at every minimiser of L_K"] == 1
    assert found.certificate["overcomplete: min L_ND"] == Fraction(8, 15)
    assert found.certificate["sum_j ||R* y_j^T||^2 there"] == 0
    assert found.certificate["two-atom instances that disagree with the condition"] == 0


@pytest.mark.parametrize(("instance", "number"), [(two_atoms(), 8), (three_atoms(), 48)])
def test_every_signed_permutation_of_the_atoms_is_a_minimiser_of_the_full_loss(instance, number):
    found = list(full_loss_minimisers(instance))
    assert len(found) == number
    assert len({tuple(map(tuple, D.T)) for D, _ in found}) == number
    assert all(prefix_losses(instance.X, Y, D)[-1] == 0 for D, Y in found)


def test_orthogonal_atoms_are_no_counterexample():
    basis = as_fractions(np.eye(2, dtype=int))
    numbers = refute(Instance(basis, basis, uniform(2), 1), columns((1, 1)), (0, 0))
    assert numbers.minimum == numbers.at_full == Fraction(1, 2)
    assert not numbers.is_refutation


def test_a_law_with_enough_mass_on_the_last_prefix_is_no_counterexample():
    atoms = two_atoms()
    law = (Fraction(1, 5), Fraction(4, 5))
    numbers = refute(Instance(atoms.D, atoms.Y, law, 1), columns((2, 1)), (0, 0))
    assert not numbers.is_refutation


def test_a_merged_atom_along_the_wrong_line_does_not_attain_the_minimum():
    numbers = refute(two_atoms(), columns((1, 1)), (0, 0))
    assert numbers.attained > numbers.minimum
    assert numbers.moved > 0
    assert not numbers.is_refutation


def test_parallel_samples_are_refused_as_their_minimisers_are_not_enumerated():
    D = columns((1, 0), (-1, 0))
    with pytest.raises(InputError, match="pairwise not parallel"):
        list(full_loss_minimisers(Instance(D, as_fractions(np.eye(2, dtype=int)), uniform(2), 1)))


def test_an_instance_whose_full_loss_minimisers_differ_in_loss_is_refused(monkeypatch):
    losses = iter(range(8))
    monkeypatch.setattr(Instance, "loss", lambda self, Y, D: Fraction(next(losses)))
    with pytest.raises(InputError, match="takes 8 values"):
        refute(two_atoms(), columns((2, 1)), (0, 0))


def test_the_merged_projector_is_that_of_theory_p1():
    loss, _ = merged_point(two_atoms().X, columns((2, 1)), (0, 0), uniform(2))
    projector = np.array([[4, 2], [2, 1]]) / 5
    X = np.array([[1, 0.6], [0, 0.8]])
    assert float(loss) == pytest.approx(np.linalg.norm(X - projector @ X) ** 2)


@given(st.integers(0, 2**32 - 1))
def test_the_two_ray_minimum_is_that_over_all_maps_of_the_samples_to_the_slots(seed):
    rng = np.random.default_rng(seed)
    t, p_2 = (Fraction(int(n), 20) for n in rng.integers(1, 20, 2))
    c, s = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    ray = np.repeat([0, 1], rng.integers(1, 4, 2))
    values = rng.integers(1, 4, len(ray))
    X = np.array([[1, float(c)], [0, float(s)]])[:, ray] * values
    weights = (1.0, float(p_2))
    saved = [
        sum(
            w * np.linalg.norm(X[:, np.array(slots) == j], 2) ** 2
            for j, w in enumerate(weights)
            if j in slots
        )
        for slots in product((0, 1), repeat=len(ray))
    ]
    energies = tuple(int((values[ray == k] ** 2).sum()) for k in (0, 1))
    exact = float(exact_two_ray_minimum(c, energies, p_2).value)
    assert (X**2).sum() - max(saved) == pytest.approx(exact, rel=1e-9, abs=1e-9)
    fails = lemma_fails(columns((1, 0), (c, s)), tuple(map(Fraction, energies)), p_2)
    if abs(exact - float((1 - p_2) * min(energies))) > 1e-9:
        assert fails == (exact < float((1 - p_2) * min(energies)))


def test_equal_energies_fail_up_to_and_at_p_2_equal_to_the_cosine():
    atoms, ones = columns((1, 0), (A, B)), (Fraction(1), Fraction(1))
    assert threshold(0.6, 1.0) == pytest.approx(0.6)
    assert lemma_fails(atoms, ones, A)
    assert not lemma_fails(atoms, ones, A + Fraction(1, 10**12))


def test_parallel_atoms_are_one_ray_where_the_lemma_holds_so_the_condition_is_for_c_below_1():
    atoms, ones = columns((1, 0), (-1, 0)), (Fraction(1), Fraction(1))
    with pytest.raises(InputError, match="parallel"):
        lemma_fails(atoms, ones, Fraction(1, 2))
    # Both samples in slot 1: L_ND = L_K = 0, though p_2 <= c = 1.
    codes = columns((1, 0), (-1, 0))
    assert nested_loss(atoms, codes, atoms, uniform(2)) == 0


def test_a_wrong_threshold_is_noticed(monkeypatch):
    monkeypatch.setattr(lemma_3_1, "threshold", lambda cosine, rho: cosine)
    assert not LEMMA_3_1.check(50).confirmed


def test_the_hypotheses_are_tests_of_an_instance():
    assert LEMMA_3_1.unmet(two_atoms()) == []
    atoms = two_atoms()
    skewed = Instance(atoms.D, atoms.Y, (Fraction(0), Fraction(1)), 1)
    assert LEMMA_3_1.unmet(skewed) == ["every prefix length 1..K has positive probability"]


def test_a_check_of_no_examples_is_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        LEMMA_3_1.check(0)
