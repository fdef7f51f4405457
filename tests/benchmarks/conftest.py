"""A small finished table that the tests of this folder share."""

import pytest

from benchmarks.ceiling import ceiling
from benchmarks.engine import run_task
from small_runs import SMALL, small_configs

DRAWS = (0, 1, 2, 3)


@pytest.fixture(scope="session")
def small_records():
    """Three runs of each of two methods, on one draw."""
    return run_task(small_configs("topk")) + run_task(small_configs("osae"))


@pytest.fixture(scope="session")
def drawn_records():
    """Two runs of each of two methods, on each of four draws."""
    return [
        record
        for draw in DRAWS
        for method in ("topk", "osae")
        for record in run_task(small_configs(method, n=2, problem_seed=draw))
    ]


@pytest.fixture(scope="session")
def small_ceilings():
    """The ceiling of each of the four draws."""
    return [ceiling((SMALL, draw)) for draw in DRAWS]
