from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.claims import greedy_uniqueness
from osae_theory.claims.exact import columns
from osae_theory.claims.greedy_uniqueness import (
    GREEDY_UNIQUENESS,
    draw_incoherent,
    four_atoms,
    is_refutation,
    meets_coherence,
    refute,
    simplex,
    squared_coherence,
)
from osae_theory.errors import InputError
from osae_theory.problems import coherence
from osae_theory.uniqueness.spark import spark_exhaustive

pytestmark = pytest.mark.theory


def test_the_check_confirms_with_the_numbers_of_theory_p3():
    found = GREEDY_UNIQUENESS.check(100)
    assert found.confirmed
    assert found.certificate["mu(D) (m-1)"] == Fraction(16, 25)
    assert found.certificate["spark(D)"] == 4
    assert found.certificate["||d_1 + d_2 - d_3 - d_4||^2"] == 0
    assert found.certificate["simplex: mu(D)^2 (2m-1)^2"] == 1


def test_the_two_nonnegative_codes_give_one_point():
    D = four_atoms()
    assert (D @ columns((1, 1, 0, 0)) == columns((0, 0, Fraction(8, 5)))).all()
    assert (D @ columns((0, 0, 1, 1)) == columns((0, 0, Fraction(8, 5)))).all()


def test_one_atom_out_of_place_refutes_nothing():
    D = four_atoms()
    D[:, 3] = [Fraction(0), Fraction(-4, 5), Fraction(3, 5)]
    assert not is_refutation(refute(D, 2), 2)


def test_for_m_of_one_the_four_atoms_refute_nothing():
    assert not is_refutation(refute(four_atoms(), 1), 1)


def test_the_simplex_is_sharp_for_the_corrected_condition():
    assert squared_coherence(simplex()) == Fraction(1, 9)
    assert not meets_coherence(simplex(), 3)
    assert spark_exhaustive(simplex().tolist()).value == 4


@given(st.integers(0, 2**32 - 1))
def test_incoherent_atoms_have_a_spark_above_2m(seed):
    D, m = draw_incoherent(np.random.default_rng(seed))
    assert coherence(D) * (2 * m - 1) < 1
    assert spark_exhaustive(D, max_size=2 * m).value > 2 * m


def test_the_draws_are_not_all_orthonormal():
    draws = [draw_incoherent(np.random.default_rng(i))[0] for i in range(50)]
    assert sum(D.shape[1] > D.shape[0] or coherence(D) > 0.1 for D in draws) > 25


def test_the_printed_condition_in_place_of_the_corrected_one_is_noticed(monkeypatch):
    monkeypatch.setattr(greedy_uniqueness, "margin", lambda D, m: -0.1)
    assert not GREEDY_UNIQUENESS.check(1).confirmed


def test_the_hypothesis_is_a_test_of_a_dictionary_with_m():
    assert GREEDY_UNIQUENESS.unmet((four_atoms(), 2)) == []
    assert GREEDY_UNIQUENESS.unmet((four_atoms(), 3)) == ["mu(D) (m-1) < 1"]
    close = np.array([[1.0, 0.9], [0.0, np.sqrt(0.19)]])
    assert GREEDY_UNIQUENESS.unmet((close, 2)) == []
    assert GREEDY_UNIQUENESS.unmet((close, 3)) == ["mu(D) (m-1) < 1"]


def test_an_irrational_coherence_is_not_rounded():
    with pytest.raises(ArithmeticError, match="irrational"):
        refute(columns((1, 0, 0), (1, 1, 0), (0, 0, 1), (0, 1, 0)), 2)


def test_a_check_of_no_examples_is_refused():
    with pytest.raises(InputError, match="n_examples = 0"):
        GREEDY_UNIQUENESS.check(0)
