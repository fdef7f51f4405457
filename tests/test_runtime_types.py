import jaxtyping
import pytest
from beartype.roar import BeartypeCallHintViolation

from runtime_types import CALLS_A_TEST, begin_test, check


def half(x: int) -> float:
    return x / 2


def test_a_wrong_argument_and_a_wrong_result_are_caught():
    with pytest.raises(BeartypeCallHintViolation):
        check(half)("four")


def test_a_function_of_the_project_is_checked_without_being_asked_for():
    from osae_theory.metrics import corrected

    with pytest.raises(jaxtyping.TypeCheckError):
        corrected(0.5, [0.1])


def test_a_test_has_a_number_of_calls_that_are_checked_and_the_next_has_as_many():
    checked = check(half)
    for _ in range(CALLS_A_TEST - 1):
        checked(1)
    assert not jaxtyping.config.jaxtyping_disable
    checked(1)
    assert jaxtyping.config.jaxtyping_disable
    begin_test()
    assert not jaxtyping.config.jaxtyping_disable
