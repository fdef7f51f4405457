import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parameters import (
    Parameter,
    bind,
    canonical,
    label,
    selector,
    selectors,
    written,
)
from osae_theory.errors import InputError

ALPHA = Parameter("alpha", "real", "an exponent", default=1.2, above=0)
K = Parameter("K", "integer", "number of atoms", at_least=1, at_most=50)
LAW = Parameter("law", "choice", "a law", default="zipf", choices=("zipf", "uniform"))
LR = Parameter("lr", "real", "learning rate", candidates=(0.01, 0.1), above=0)


def test_numbers_that_are_equal_have_one_form():
    assert canonical(1.0) == 1
    assert isinstance(canonical(1.0), int)
    assert isinstance(canonical(-0.0), int)
    assert canonical(0.5) == 0.5
    assert canonical(2**60 + 1) == 2**60 + 1
    assert canonical("1.0") == "1.0"


@given(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
)
def test_a_value_reads_back_from_its_text(value):
    parameter = Parameter("x", "real", "any number")
    assert parameter.read("it", written(value)) == canonical(value)


@pytest.mark.parametrize(
    ("parameter", "value", "read"),
    [
        (K, "7", 7),
        (K, 7.0, 7),
        (K, "7.0", 7),
        (ALPHA, "1", 1),
        (ALPHA, 0.5, 0.5),
        (LAW, "uniform", "uniform"),
    ],
)
def test_values_and_texts_are_read_into_their_canonical_form(parameter, value, read):
    found = parameter.read("it", value)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (K, "seven", "it: K = 'seven': expected a whole number of at least 1"),
        (K, 1.5, "it: K = 1.5: expected a whole number"),
        (K, 0, "it: K = 0: expected a whole number of at least 1"),
        (K, 51, "it: K = 51: expected at most 50"),
        (K, True, "it: K = True"),
        (ALPHA, "steep", "it: alpha = 'steep': expected a finite number"),
        (ALPHA, math.nan, "it: alpha = nan"),
        (ALPHA, 0.0, "it: alpha = 0"),
        (LAW, "zpif", "it: law 'zpif' is unknown .did you mean 'zipf'"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_expected(parameter, value, message):
    with pytest.raises(InputError, match=message):
        parameter.read("it", value)


def test_what_stands_at_its_default_is_no_part_of_the_identity():
    bound = bind("it", [K, ALPHA, LAW], {"K": "9", "alpha": 1.2})
    assert bound.values == {"K": 9, "alpha": 1.2, "law": "zipf"}
    assert bound.identity == (("K", 9),)


def test_a_default_that_was_changed_leaves_the_old_runs_their_names():
    changed = Parameter("alpha", "real", "an exponent", default=2, introduced=1.2)
    assert bind("it", [changed], {}).identity == (("alpha", 2),)
    assert bind("it", [changed], {"alpha": 1.2}).identity == ()


def test_a_tuned_value_stands_in_the_identity_and_what_is_said_goes_before_it():
    assert bind("it", [LR], {}, {"lr": 0.1}).identity == (("lr", 0.1),)
    assert bind("it", [LR], {"lr": 1}, {"lr": 0.1}).identity == (("lr", 1),)


@pytest.mark.parametrize(
    ("parameters", "given_", "message"),
    [
        ([K], {}, "it: K is missing: expected number of atoms"),
        ([LR], {}, r"it has no tuned lr: expected it\[lr=...\], or a run of"),
        ([K], {"k": 3}, "it: parameter 'k' is unknown: expected one of K"),
        ([], {"k": 3}, "it has no parameters: expected no 'k'"),
    ],
)
def test_what_is_missing_or_unknown_is_said(parameters, given_, message):
    with pytest.raises(InputError, match=message):
        bind("it", parameters, given_)


def test_a_selector_is_a_name_with_settings():
    assert selector(" osae ") == ("osae", {})
    assert selector("osae-zipf[alpha=1, lr=0.01]") == ("osae-zipf", {"alpha": "1", "lr": "0.01"})
    assert selectors("topk,a[x=1,y=2], b") == ["topk", "a[x=1,y=2]", "b"]
    assert label("a", [("x", 1), ("law", "zipf")]) == "a[x=1,law=zipf]"
    assert label("a", []) == "a"


@pytest.mark.parametrize("text", ["", "a[", "a]x", "a[x]", "a[x=]", "a[=1]", "a[x=1,x=2]", "a b"])
def test_a_selector_of_another_form_is_refused(text):
    with pytest.raises(InputError, match="expected"):
        selector(text)


def test_a_parameter_that_is_tuned_has_no_default():
    with pytest.raises(InputError, match="expected no default"):
        Parameter("lr", "real", "rate", default=0.1, candidates=(0.1,))
    with pytest.raises(InputError, match="expected a name"):
        Parameter("learning rate", "real", "rate")
