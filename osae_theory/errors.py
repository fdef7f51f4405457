"""The one error for values that come from outside, and the checks made at the door."""

import math
from collections.abc import Collection
from difflib import get_close_matches

import numpy as np


class InputError(ValueError):
    """A value from outside that cannot be used.

    Its message is one sentence that names the value and what was expected, so a command
    line can print it as it is.
    """


class JobError(RuntimeError):
    """A job that could not be finished, through no fault of its input.

    Its message is one sentence that says what happened and what to do.
    """


def check_integer(name: str, value: object, minimum: int) -> None:
    """Raise InputError unless `value` is a whole number of at least `minimum`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < minimum:  # pyright: ignore[reportOperatorIssue]
        raise InputError(f"{name} = {value!r}: expected a whole number of at least {minimum}")


def check_real(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Raise InputError unless `value` is a finite number inside the bounds that are given."""
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (
            ("above", above),
            ("at least", at_least),
            ("at most", at_most),
            ("below", below),
        )
        if math.isfinite(bound)
    ]
    expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
    number = isinstance(value, (int, float, np.integer, np.floating))
    if (
        not number
        or isinstance(value, bool)
        or not math.isfinite(value)  # pyright: ignore[reportArgumentType]
        or not (above < value < below and at_least <= value <= at_most)  # pyright: ignore[reportOperatorIssue]
    ):
        raise InputError(f"{name} = {value!r}: expected {expected}")


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise InputError if `array` holds NaN or Inf; the message gives the first place."""
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{name}{list(place)} = {array[place]}: expected finite numbers")


def check_choice(name: str, value: str, known: Collection[str]) -> None:
    """Raise InputError unless `value` is one of `known`; the message gives the nearest."""
    options = list(known)
    if value in options:
        return
    nearest = get_close_matches(str(value), options, n=1, cutoff=0.4)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise InputError(f"{name} {value!r} is unknown{hint}: expected one of {', '.join(options)}")
