import numpy as np
import pandas as pd
import pytest
import torch

from osae_theory.errors import (
    InputError,
    check_choice,
    check_finite,
    check_integer,
    check_real,
    shown,
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


@pytest.mark.parametrize("value", [2**63, 10**40, 10**400])
def test_a_whole_number_beyond_64_bits_is_refused(value):
    with pytest.raises(InputError, match=r"^seed = .{1,60}: expected at most 9223372036854775807"):
        check_integer("seed", value, 0)
    with pytest.raises(InputError, match="--seeds = 1001: expected at most 1000"):
        check_integer("--seeds", 1001, 1, 1000)


def test_a_number_beyond_float64_is_refused():
    with pytest.raises(InputError, match="alpha = a whole number of about 401 digits"):
        check_real("alpha", 10**400)
    with pytest.raises(InputError, match="expected a finite number at most 1"):
        check_real("alpha", -(10**400), at_most=1)


LONG = {
    "text": "x" * 10**6,
    "list": [10**6] * 10**6,
    "mapping": dict.fromkeys(range(1000), "y" * 1000),
    "array": np.zeros((1000, 1000)),
    "tensor": torch.zeros(1000, 1000),
    "table": pd.DataFrame(np.zeros((1000, 10))),
    "more digits than Python prints": 10**5000,
    "nested": [[["deep"] * 50] * 50] * 50,
    "two lines": "line\nline",
}


@pytest.mark.parametrize("form", LONG)
def test_a_value_is_shown_on_one_short_line(form):
    text = shown(LONG[form])
    assert len(text) < 500
    assert "\n" not in text
    with pytest.raises(InputError) as caught:
        check_integer("m", LONG[form], 1)
    assert len(str(caught.value)) < 600


def test_short_values_are_shown_as_they_are():
    for value in (3, -2.5, "topk", None, True, [1, 2], (1.5,), 10**20):
        assert shown(value) == repr(value)
