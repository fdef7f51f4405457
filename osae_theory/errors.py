"""The one error for values that come from outside, and the checks made at the door."""

import math
import reprlib
from collections.abc import Collection
from difflib import get_close_matches

import numpy as np

# What a signed 64-bit integer holds: no count and no seed of ours is larger.
LARGEST_INTEGER = 2**63 - 1
_LONGEST = 160
# Digits up to which an integer is shown in full.
_MOST_DIGITS = 30


class InputError(ValueError):
    """A value from outside that cannot be used.

    Its message is one sentence that names the value and what was expected, so a command
    line can print it as it is.
    """


class JobError(RuntimeError):
    """A job that could not be finished, through no fault of its input.

    Its message is one sentence that says what happened and what to do.
    """


class _Brief(reprlib.Repr):
    """`repr` on one short line, whatever the value: text, numbers, arrays, nested containers."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 70

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to print some thousands of digits.
        digits = int(abs(x).bit_length() * math.log10(2)) + 1
        return repr(x) if digits <= _MOST_DIGITS else f"a whole number of about {digits} digits"

    def repr_ndarray(self, x: np.ndarray, level: int) -> str:
        return f"an array of shape {x.shape} and dtype {x.dtype}"

    def repr_Tensor(self, x: object, level: int) -> str:
        return self._of_shape("a tensor", x)

    def repr_DataFrame(self, x: object, level: int) -> str:
        return self._of_shape("a DataFrame", x)

    def repr_Series(self, x: object, level: int) -> str:
        return self._of_shape("a Series", x)

    def _of_shape(self, what: str, x: object) -> str:
        return f"{what} of shape {tuple(getattr(x, 'shape', ()))}"


_BRIEF = _Brief()


def shown(value: object) -> str:
    """Return `value` as a message shows it: its `repr`, on one line and shortened if long."""
    text = " ".join(_BRIEF.repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def in_one_line(error: object, longest: int = 300) -> str:
    """Return an exception's message on one line of limited length; its type is not said."""
    return " ".join(str(error).split())[:longest]


def described(error: BaseException) -> str:
    """Return an exception's type and message on one line of limited length."""
    return in_one_line(f"{type(error).__name__}: {error}")


def check_integer(name: str, value: object, minimum: int, maximum: int = LARGEST_INTEGER) -> None:
    """Raise InputError unless `value` is a whole number in minimum..maximum."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < minimum:  # pyright: ignore[reportOperatorIssue]
        raise InputError(f"{name} = {shown(value)}: expected a whole number of at least {minimum}")
    if value > maximum:  # pyright: ignore[reportOperatorIssue]
        raise InputError(f"{name} = {shown(value)}: expected at most {maximum}")


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
        or not _is_finite(value)
        or not (above < value < below and at_least <= value <= at_most)  # pyright: ignore[reportOperatorIssue]
    ):
        raise InputError(f"{name} = {shown(value)}: expected {expected}")


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise InputError if `array` holds NaN or Inf; the message gives the first place."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(f"{name}{list(place)} = {array[place]}: expected finite numbers")


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Raise InputError unless `value` is one of `known`; the message gives the nearest."""
    options = list(known)
    if isinstance(value, str) and value in options:
        return
    nearest = get_close_matches(str(value)[:100], options, n=1, cutoff=0.4)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise InputError(
        f"{name} {shown(value)} is unknown{hint}: expected one of {', '.join(options)}"
    )


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # pyright: ignore[reportArgumentType]
    except OverflowError:  # an integer beyond float64's range
        return False
