"""The convex solvers of the null-space and restricted-isometry bounds: cvxpy, an extra."""

import warnings
from typing import Any


def load_cvxpy() -> Any:
    """Return the cvxpy module.

    Raises
    ------
    ImportError
        If it is not installed; one sentence that names the extra.
    """
    try:
        import cvxpy
    except ImportError as error:
        raise ImportError(
            "convex bounds need cvxpy: install the extra, osae-theory[theory]"
        ) from error
    return cvxpy


def solve(problem: Any) -> None:
    """Solve a convex program by CLARABEL, to whatever accuracy it reaches.

    cvxpy's warning of a low accuracy is not passed on: a bound is evaluated at the point that
    comes back and states its own gap.

    Raises
    ------
    RuntimeError
        If no point comes back.
    """
    cp = load_cvxpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        problem.solve(solver=cp.CLARABEL)
    if any(variable.value is None for variable in problem.variables()):
        raise RuntimeError(f"CLARABEL returned no point: status {problem.status}")
