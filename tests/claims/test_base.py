import pytest

from osae_theory.claims.base import fewer
from osae_theory.errors import InputError


def test_a_slow_check_tries_all_of_a_few_examples_and_a_share_of_many():
    assert [fewer(n, 4) for n in (1, 50, 300, 301, 1200, 2000, 200_000)] == [
        1,
        50,
        300,
        300,
        300,
        500,
        50_000,
    ]


def test_a_check_of_no_examples_is_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        fewer(0, 4)
