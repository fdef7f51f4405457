"""Numbers as text, with as many decimals as their uncertainty bears."""

MISSING = "–"
_NOTHING = 1e-12  # what only rounding has left of a zero
_MOST_DECIMALS = 6
_SMALL = 0.01


def decimals(value: float, half: float | None) -> int:
    """Return the decimals that show a half interval with two significant digits.

    Without an interval: three decimals, or as many as give small values three digits.
    """
    if half is not None and half > _NOTHING:
        return max(0, 1 - _exponent(half, 1))
    if _NOTHING < abs(value) < 0.01:
        return 2 - _exponent(value, 2)
    return 3


def written(value: float, places: int) -> str:
    """Return a number with that many decimals; small ones in powers of ten where they are many."""
    if places > _MOST_DECIMALS and abs(value) < _SMALL:
        return f"{value:.1e}"
    text = f"{value:.{min(places, _MOST_DECIMALS)}f}"
    return text.removeprefix("-") if not float(text) else text


def interval_text(mean: float | None, ci95: tuple[float, float] | None, scale: float = 1.0) -> str:
    """Return "mean ± half of the interval", both multiplied by `scale`."""
    if mean is None:
        return MISSING
    half = None if ci95 is None else scale * (ci95[1] - ci95[0]) / 2
    places = decimals(scale * mean, half)
    text = written(scale * mean, places)
    return text if half is None else f"{text} ± {written(half, places)}"


def p_value_text(p: float | None) -> str:
    """Return a p-value with two digits; below 0.0001, that it is."""
    if p is None:
        return MISSING
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _exponent(value: float, digits: int) -> int:
    """Return the power of ten of a number once it is rounded to 1 + `digits` digits."""
    return int(f"{abs(value):.{digits}e}".split("e")[1])
