"""Updates of atoms against least squares by numpy, and dictionaries that are found again."""

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.metrics import stability
from osae_theory.problems import toy_spec
from osae_theory.pursuit import Codes, ksvd_update, mod_update, nonnegative_omp, refine
from osae_theory.pursuit.updates import idle_atoms, with_new_atoms


@pytest.fixture
def small():
    """Samples, atoms near the true ones, and codes; the last atom is used by no sample."""
    problem = toy_spec(7, 9, 3, 200, seed=1).draw()
    rng = np.random.default_rng(0)
    atoms = problem.dictionary.T + 0.2 * rng.standard_normal((9, 7))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = nonnegative_omp(problem.data.T, atoms, 3)
    unused = codes.indices == 8
    indices, values = np.where(unused, -1, codes.indices), np.where(unused, 0, codes.values)
    return problem.data.T, atoms, Codes(indices, values)


def error(X, codes, atoms):
    return ((X - codes.dense(len(atoms)) @ atoms) ** 2).sum()


def test_mod_is_least_squares_for_all_atoms_and_leaves_unused_ones(small):
    X, atoms, codes = small
    Y = codes.dense(9)
    expected = np.linalg.lstsq(Y[:, :8], X, rcond=None)[0]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = mod_update(X, codes, atoms)
    np.testing.assert_allclose(found[:8], expected, atol=1e-7)
    np.testing.assert_allclose(found[8], atoms[8], atol=1e-15)


def test_mod_leaves_atoms_that_codes_do_not_determine_near_where_they_were(small):
    X, atoms, codes = small
    Y = np.tile(codes.values[:, :1], (1, 2))
    both = Codes(np.tile([0, 1], (len(X), 1)).astype(np.int32), Y)
    found = mod_update(X, both, atoms)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[2:], atoms[2:], atol=1e-15)
    nothing = Codes(np.full((len(X), 1), -1, np.int32), np.zeros((len(X), 1)))
    np.testing.assert_array_equal(mod_update(X, nothing, atoms), atoms)


@pytest.mark.parametrize("signed", [False, True])
def test_a_sweep_is_one_atom_after_another_by_its_definition(small, signed):
    X, atoms, codes = small
    D, Y = atoms.copy(), codes.dense(9)
    for k in range(9):
        own = Y[:, k] != 0
        if own.any():
            without = X[own] - Y[own] @ D + np.outer(Y[own, k], D[k])
            D[k] = Y[own, k] @ without
            D[k] /= np.linalg.norm(D[k])
            Y[own, k] = without @ D[k] if signed else np.maximum(without @ D[k], 0)
    found, new = ksvd_update(X, codes, atoms, signed=signed)
    np.testing.assert_allclose(found, D, atol=1e-12)
    np.testing.assert_allclose(new.dense(9), Y, atol=1e-12)
    assert error(X, new, found) < error(X, codes, atoms)


def test_compiled_and_plain_updates_have_the_same_bits(small):
    X, atoms, codes = small
    for signed in (False, True):
        fast, slow = (
            ksvd_update(X, codes, atoms, signed=signed, compiled=which) for which in (True, False)
        )
        np.testing.assert_array_equal(fast[0], slow[0])
        np.testing.assert_array_equal(fast[1].values, slow[1].values)
    np.testing.assert_array_equal(
        mod_update(X, codes, atoms), mod_update(X, codes, atoms, compiled=False)
    )


@pytest.mark.parametrize("update", ["ksvd", "mod"])
def test_a_whole_refinement_has_the_same_bits_compiled_and_plain(small, update):
    X, atoms, _ = small
    atoms = atoms.copy()
    atoms[4] = atoms[3]
    fast, slow = (
        refine(X, atoms, 3, iterations=4, update=update, compiled=which) for which in (True, False)
    )
    np.testing.assert_array_equal(fast.atoms, slow.atoms)
    np.testing.assert_array_equal(fast.errors, slow.errors)
    assert fast.replaced[0] >= 1


def test_idle_atoms_are_those_unused_and_the_later_of_two_alike(small):
    _, atoms, codes = small
    assert np.flatnonzero(idle_atoms(atoms, codes, signed=False)).tolist() == [8]
    alike = atoms.copy()
    alike[6] = alike[2]
    assert np.flatnonzero(idle_atoms(alike, codes, signed=False)).tolist() == [6, 8]
    alike[6] = -alike[2]
    assert np.flatnonzero(idle_atoms(alike, codes, signed=False)).tolist() == [8]
    assert np.flatnonzero(idle_atoms(alike, codes, signed=True)).tolist() == [6, 8]


def test_new_atoms_are_the_largest_residuals_none_of_them_twice():
    residual = np.array([[0.0, 1, 0], [3, 0, 0], [2, 0, 0], [0, 0, 0], [0, 0, -1]])
    idle = np.array([True, False, True, True, False])
    found = with_new_atoms(np.zeros((5, 3)), idle, residual, signed=False)
    assert found.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, -1], [0, 0, 0]]
    few = with_new_atoms(np.ones((5, 3)), idle, residual[3:], signed=False)
    assert few[0].tolist() == [0, 0, -1]
    assert few[2].tolist() == [1, 1, 1]


@pytest.mark.parametrize("update", ["ksvd", "mod"])
def test_a_dictionary_near_the_true_one_is_found_again_in_its_order(update):
    problem = toy_spec(40, 44, 2, 2000, seed=0).draw()
    rng = np.random.default_rng(0)
    D = problem.dictionary.T
    atoms = D + 0.15 * rng.standard_normal(D.shape)
    atoms[5] = atoms[2]  # doubled, so that one of the true atoms is missing
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    assert stability(atoms.T, D.T) < 0.9
    found = refine(problem.data.T, atoms, 2, iterations=60, update=update)
    assert stability(found.atoms.T, D.T) > 1 - 1e-9
    others = np.arange(44) != 5
    np.testing.assert_allclose((found.atoms * D).sum(1)[others], 1, atol=1e-9)
    assert found.errors[-1] < 1e-9 * found.errors[0]
    assert found.moved[-1] < 1e-5 <= found.moved[:-1].min()
    assert len(found.errors) == len(found.moved) == len(found.replaced) < 60


def test_momentum_comes_further_in_as_many_iterations():
    ratios = []
    for seed in range(3):
        problem = toy_spec(40, 50, 3, 3000, seed=seed).draw()
        rng = np.random.default_rng(seed)
        atoms = problem.dictionary.T + 0.3 * rng.standard_normal((50, 40))
        atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
        fast, slow = (
            refine(problem.data.T, atoms, 3, iterations=30, update="mod", momentum=momentum)
            for momentum in (0.9, 0.0)
        )
        ratios.append(fast.errors[-1] / slow.errors[-1])
    assert np.median(ratios) < 0.1


def test_signed_dictionaries_are_found_again_too():
    rng = np.random.default_rng(3)
    problem = toy_spec(40, 44, 2, 2000, seed=0).draw()
    D = problem.dictionary.T
    codes = problem.codes.T * rng.choice([-1, 1], problem.codes.T.shape)
    atoms = D + 0.15 * rng.standard_normal(D.shape)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    found = refine(codes @ D, atoms, 2, iterations=60, update="mod", signed=True)
    np.testing.assert_allclose((found.atoms * D).sum(1), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 0}, "iterations = 0: expected"),
        ({"update": "svd"}, r"update 'svd' is unknown .did you mean 'ksvd'"),
        ({"momentum": 1.0}, "momentum = 1.0: expected"),
        ({"tolerance": -1.0}, "tolerance = -1.0: expected"),
        ({"atoms": 2 * np.eye(3)}, r"atoms\[0\] has norm 2"),
    ],
)
def test_what_cannot_be_refined_is_one_sentence(change, message):
    with pytest.raises(InputError, match=message):
        refine(**({"X": np.eye(3), "atoms": np.eye(3), "m": 1} | change))


def test_codes_of_other_samples_or_other_atoms_are_refused(small):
    X, atoms, codes = small
    with pytest.raises(InputError, match="codes of 200 samples: expected 10"):
        mod_update(X[:10], codes, atoms)
    with pytest.raises(InputError, match=r"codes use atom \d: expected indices from -1 to 2"):
        ksvd_update(X, codes, atoms[:3])
