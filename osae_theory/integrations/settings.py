"""Numbers of a configuration: checked, and such that JSON can hold them."""

from osae_theory.errors import LARGEST_INTEGER, check_integer, check_real


def whole(name: str, value: object, minimum: int, maximum: int = LARGEST_INTEGER) -> int:
    """Return a whole number as Python's own: numpy's cannot be written as JSON.

    Raises
    ------
    InputError
        If `value` is not a whole number in minimum..maximum.
    """
    check_integer(name, value, minimum, maximum)
    return int(value)  # pyright: ignore[reportArgumentType]


def real(name: str, value: object, **bounds: float) -> float:
    """Return a number as Python's own, inside the bounds that `check_real` knows.

    Raises
    ------
    InputError
        If `value` is not a finite number inside the bounds.
    """
    check_real(name, value, **bounds)
    return float(value)  # pyright: ignore[reportArgumentType]
