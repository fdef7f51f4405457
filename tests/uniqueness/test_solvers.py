import sys

import numpy as np
import pytest

from osae_theory.uniqueness import nsp_upper_bound
from osae_theory.uniqueness.solvers import load_cvxpy, solve


def test_a_missing_cvxpy_is_an_import_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ImportError, match=r"osae-theory\[theory\]"):
        nsp_upper_bound(np.eye(2), 1)


def test_the_solvers_that_the_bounds_use_are_there():
    assert "CLARABEL" in load_cvxpy().installed_solvers()


def test_a_program_without_a_point_is_an_error():
    cp = load_cvxpy()
    x = cp.Variable()
    with pytest.raises(RuntimeError, match="no point"):
        solve(cp.Problem(cp.Minimize(x), [x >= 1, x <= 0]))
