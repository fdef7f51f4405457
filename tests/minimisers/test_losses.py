"""L_ND for columns against the torch forms for rows, and its gradients against differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.minimisers.losses import gradients, nested_loss, prefix_losses, stationarity
from osae_theory.objectives import nested_dropout_loss, nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw
from osae_theory.strategies import prefix_laws, problems, seeds


def point(law, seed, d=4, N=6, m=2):
    rng = np.random.default_rng(seed)
    D = rng.standard_normal((d, law.K))
    D /= np.linalg.norm(D, axis=0)
    Y = rng.standard_normal((law.K, N))
    Y[np.argsort(rng.random(Y.shape), axis=0) >= min(m, law.K)] = 0.0
    return rng.standard_normal((d, N)), Y, D


def rows(X, Y, D, law):
    return (*(torch.from_numpy(a.T.copy()) for a in (X, Y, D)), torch.tensor(law.survival))


@pytest.mark.theory
@given(law=prefix_laws(), seed=seeds())
def test_the_loss_of_columns_is_the_loss_of_rows(law, seed):
    X, Y, D = point(law, seed)
    found = nested_loss(X, Y, D, law)
    for form in (nested_dropout_loss_loop, nested_dropout_loss):
        assert found == pytest.approx(form(*rows(X, Y, D, law)).item(), rel=1e-12)


@given(problem=problems(), data=st.data())
def test_the_last_prefix_loss_is_the_plain_reconstruction_loss(problem, data):
    law = data.draw(prefix_laws(problem.K, problem.K))
    Y = np.ascontiguousarray(problem.codes)
    losses = prefix_losses(problem.data, Y, problem.dictionary)
    plain = np.linalg.norm(problem.data - problem.dictionary @ Y) ** 2
    assert losses[-1] == pytest.approx(plain, abs=1e-12 * (1 + np.vdot(Y, Y)))
    assert nested_loss(problem.data, Y, problem.dictionary, law) == pytest.approx(
        law.probabilities @ losses
    )


@pytest.mark.theory
@given(law=prefix_laws(), seed=seeds())
def test_gradients_are_those_of_automatic_differentiation(law, seed):
    X, Y, D = point(law, seed)
    x, codes, atoms, w = rows(X, Y, D, law)
    loss = nested_dropout_loss_loop(x, codes.requires_grad_(), atoms.requires_grad_(), w)
    d_codes, d_atoms = torch.autograd.grad(loss, (codes, atoms))
    grad_D, grad_Y = gradients(X, Y, D, law)
    np.testing.assert_allclose(grad_D, d_atoms.numpy().T, atol=1e-11)
    np.testing.assert_allclose(grad_Y, d_codes.numpy().T, atol=1e-11)


def test_an_exact_factorisation_of_orthonormal_atoms_is_stationary_and_others_are_not():
    law = PrefixLaw.uniform(3)
    Y = np.diag([3.0, 2.0, 1.0])
    assert max(stationarity(Y, Y, np.eye(3), law)) < 1e-14
    turned = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    assert min(stationarity(Y, Y, turned, law)) > 0.1


@pytest.mark.parametrize(
    ("X", "Y", "D", "K", "message"),
    [
        (np.full((2, 2), np.nan), np.eye(2), np.eye(2), 2, r"X\[0, 0\] = nan"),
        (np.zeros((2, 0)), np.zeros((2, 0)), np.eye(2), 2, "data of shape"),
        (np.eye(2), np.full((2, 2), np.inf), np.eye(2), 2, r"Y\[0, 0\] = inf"),
        (np.eye(2), np.eye(2), 2 * np.eye(2), 2, "column 0 has norm 2"),
        (np.eye(2), np.eye(2), np.eye(2), 3, "prefix law on 3 atoms: expected one on K = 2"),
    ],
)
def test_a_point_that_cannot_be_judged_is_refused_in_one_sentence(X, Y, D, K, message):
    with pytest.raises(InputError, match=message):
        nested_loss(X, Y, D, PrefixLaw.uniform(K))
