"""A small finished table that the tests of this folder share."""

import pytest

from benchmarks.engine import run_task
from small_runs import small_configs


@pytest.fixture(scope="session")
def small_records():
    """Three runs of each of two methods."""
    return run_task(small_configs("topk")) + run_task(small_configs("osae"))
