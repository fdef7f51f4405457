import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.ceiling import ceiling, ceilings, pursuit_codes
from benchmarks.config import Cell

CELL = Cell(d=12, K=14, m=2, N=3000)


def test_the_ceiling_of_order_is_that_of_the_true_codes():
    codes = CELL.spec(1).draw().codes
    found = ceiling((CELL, 1))
    for key, score in (
        ("ord_by_energy", (codes**2).sum(axis=1)),
        ("ord_by_frequency", (codes != 0).sum(axis=1)),
    ):
        assert found[key] == pytest.approx(spearmanr(range(14), -score).statistic, abs=0.01)


def test_the_pursuit_is_orthogonal_and_takes_m_atoms_of_the_truth():
    problem = CELL.spec(1).draw("heldout", 50)
    codes = pursuit_codes(problem, 2)
    assert (np.count_nonzero(codes, axis=0) <= 2).all()
    for x, z in zip(problem.data.T, codes.T, strict=True):
        used = np.flatnonzero(z)
        first = np.argmax(np.abs(problem.dictionary.T @ x))
        assert first in used
        residual = x - problem.dictionary @ z
        np.testing.assert_allclose(problem.dictionary[:, used].T @ residual, 0, atol=1e-9)


def test_one_atom_a_sample_is_found_without_error():
    found = ceiling((Cell(6, 8, 1, 400), 0))
    assert found["mse"] == pytest.approx(0, abs=1e-20)


def test_ceilings_stand_in_the_order_asked_for_whichever_is_done_first(monkeypatch):
    draws = [(Cell(6, 8, 2, 400), seed) for seed in (3, 1, 2)]
    done = []
    monkeypatch.setattr(
        "benchmarks.ceiling.in_workers", lambda function, tasks, n: map(function, tasks[::-1])
    )
    found = ceilings(draws, 2, done.append)
    assert list(found) == draws
    assert done == [1, 1, 1]
    assert found == {draw: ceiling(draw) for draw in draws}


def test_a_cell_whose_samples_need_fewer_atoms_than_allowed_has_a_ceiling():
    found = ceiling((Cell(1, 2, 2, 50), 0))
    assert found["mse"] == pytest.approx(0, abs=1e-20)
