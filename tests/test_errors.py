import numpy as np
import pytest

from osae_theory.errors import (
    InputError,
    check_choice,
    check_finite,
    check_integer,
    check_real,
)


@pytest.mark.parametrize("value", [0, -3, 1.5, "4", None, True])
def test_a_bad_whole_number_is_named_with_what_was_expected(value):
    with pytest.raises(InputError, match=r"m = .*: expected a whole number of at least 1"):
        check_integer("m", value, 1)


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_from_the_minimum_on_pass(value):
    assert check_integer("m", value, 1) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1.0, "x", True])
def test_a_number_outside_its_open_interval_is_refused(value):
    with pytest.raises(InputError, match="expected a finite number above 0 and below 1"):
        check_real("share", value, above=0, below=1)


def test_a_number_without_bounds_need_only_be_finite():
    assert check_real("alpha", -3.5) is None
    with pytest.raises(InputError, match=r"alpha = nan: expected a finite number$"):
        check_real("alpha", float("nan"))


def test_the_first_entry_that_is_not_finite_is_located():
    array = np.zeros((2, 3))
    array[1, 2] = np.inf
    with pytest.raises(InputError, match=r"X\[1, 2\] = inf"):
        check_finite("X", array)


def test_an_unknown_choice_gets_the_nearest_and_the_whole_list():
    with pytest.raises(
        InputError, match=r"'toppk' is unknown \(did you mean 'topk'\?\).*topk, osae"
    ):
        check_choice("method", "toppk", ["topk", "osae"])
    with pytest.raises(InputError, match=r"'zzzzzz' is unknown: expected one of topk, osae"):
        check_choice("method", "zzzzzz", ["topk", "osae"])
