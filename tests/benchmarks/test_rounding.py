import pytest

from benchmarks.report.rounding import decimals, interval_text, p_value_text, written


@pytest.mark.parametrize(
    ("value", "half", "places"),
    [
        (0.9327, 0.0134, 3),
        (0.9327, 0.0996, 2),
        (0.9327, 0.00994, 4),
        (0.9327, 0.25, 2),
        (12.3, 4.56, 1),
        (123.0, 45.6, 0),
        (0.000738, 0.000108, 5),
        (5.0, 0.0, 3),
        (5.0, 1e-17, 3),
        (0.5, None, 3),
        (0.000738, None, 6),
        (0.0, None, 3),
    ],
)
def test_decimals_show_the_uncertainty_with_two_digits(value, half, places):
    assert decimals(value, half) == places


def test_a_negative_zero_has_no_sign_and_many_decimals_are_a_power_of_ten():
    assert written(-0.0001, 3) == "0.000"
    assert written(-0.0006, 3) == "-0.001"
    assert written(1.234e-9, 10) == "1.2e-09"
    assert written(0.9999999, 10) == "1.000000"


def test_a_mean_is_written_with_its_interval_and_scaled_with_it():
    assert interval_text(None, None) == "–"
    assert interval_text(0.5, None) == "0.500"
    assert interval_text(-0.0651, (-0.0751, -0.0551)) == "-0.065 ± 0.010"
    assert interval_text(0.000738, (0.00063, 0.000846), 1000) == "0.74 ± 0.11"


@pytest.mark.parametrize(
    ("p", "text"), [(None, "–"), (0.0312, "0.031"), (1.0, "1"), (0.00005, "< 0.0001")]
)
def test_a_p_value_is_written_with_two_digits(p, text):
    assert p_value_text(p) == text
