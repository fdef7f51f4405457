"""The run-time type checker of the tests: whole numbers pass where floats are expected.

A check costs more than most functions that it guards. So each test has a number of calls that are
checked; what it calls after those runs unchecked. Counted, not timed: what is checked does not hang
on the machine.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

CALLS_A_TEST = 2000
_checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
_left = [CALLS_A_TEST]


def begin_test() -> None:
    """Check the next calls."""
    _left[0] = CALLS_A_TEST
    jaxtyping.config.update("jaxtyping_disable", False)


def end_checks() -> None:
    """Check no further call of this test: it is about what no annotation allows."""
    jaxtyping.config.update("jaxtyping_disable", True)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its arguments and its result checked, as long as a test may."""
    if "<locals>" in function.__qualname__:  # made anew at each call of what holds it
        return function
    checked = _checker(function)

    @wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        _left[0] -= 1
        if _left[0] <= 0:
            jaxtyping.config.update("jaxtyping_disable", True)
        return checked(*arguments, **named)

    return counted
