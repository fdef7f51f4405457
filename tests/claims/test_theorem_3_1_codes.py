from fractions import Fraction

import numpy as np
import pytest

from osae_theory.claims.exact import THEOREM_3_1, Instance, columns, meets
from osae_theory.claims.lemma_3_1 import two_atoms
from osae_theory.claims.theorem_3_1_codes import (
    THEOREM_3_1_CODES,
    check_instance,
    least_with_nonnegative_codes,
    orthonormal,
    other_latents,
    top_m,
)
from osae_theory.errors import InputError

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_the_numbers_worked_by_hand():
    found = THEOREM_3_1_CODES.check(1)
    assert found.confirmed
    assert found.certificate["min L_ND"] == Fraction(1, 2)
    assert found.certificate["L_ND at other latents E(X)"] == Fraction(1, 2)
    assert found.certificate["entries in which E(X) differs from Y*"] == 2
    assert found.certificate["signs that attain it"] == 4
    assert found.certificate["signs that attain it with codes >= 0"] == 1


def test_the_instance_meets_every_hypothesis():
    assert meets(THEOREM_3_1, orthonormal())


def test_top_m_keeps_the_largest_sizes_with_their_signs():
    kept = top_m(columns((1, -3, 2), (0, 1, 4)), 2)
    assert (kept == columns((0, -3, 2), (0, 1, 4))).all()
    assert (top_m(columns((1, 1)), 2) == columns((1, 1))).all()


def test_a_tie_at_top_m_is_refused():
    with pytest.raises(InputError, match="tie"):
        top_m(columns((1, -1)), 1)


def test_y_star_itself_is_no_other_encoder():
    assert not check_instance(orthonormal(), orthonormal().Y).confirmed


def test_latents_that_top_m_tells_from_y_star_change_the_loss():
    found = check_instance(orthonormal(), columns((2, 3), (0, 1)))
    assert found.certificate["L_ND at other latents E(X)"] != found.certificate["L_ND at Y*"]
    assert not found.confirmed


def test_where_d_star_is_no_minimiser_nothing_is_shown():
    assert not check_instance(two_atoms(), other_latents()).confirmed


def test_codes_of_both_signs_break_a_hypothesis():
    one = orthonormal()
    negative = Instance(one.D, -one.Y, one.law, 1)
    assert THEOREM_3_1_CODES.unmet(negative) == ["Y* is nonnegative with m-sparse columns"]
    assert not check_instance(negative, -other_latents()).confirmed


def test_the_least_loss_with_nonnegative_codes_is_below_that_of_random_ones():
    instance = orthonormal()
    D = instance.D * np.array([Fraction(-1), Fraction(1)])
    least = least_with_nonnegative_codes(instance, D)
    assert least == 4 + Fraction(1, 2)
    rng = np.random.default_rng(1)
    for _ in range(20):
        Y = top_m(columns(*(rng.permutation(9)[:2].tolist() for _ in range(2))) / 4, 1)
        assert instance.loss(Y, D) >= least
