import math
import tracemalloc
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import EquiangularFrame, HarmonicFrame, coherence
from osae_theory.strategies import dictionaries
from osae_theory.uniqueness import babel, coherence_certificate, welch_certificate
from osae_theory.uniqueness import coherence as coherence_module

RNG = np.random.default_rng(0)


def brute_force_babel(D, s):
    K = D.shape[1]
    best = 0.0
    for j in range(K):
        others = [i for i in range(K) if i != j]
        for subset in combinations(others, s):
            best = max(best, sum(abs(D[:, i] @ D[:, j]) for i in subset))
    return best


@pytest.mark.theory
@given(dictionaries(max_d=5, max_K=6))
def test_the_babel_function_is_the_largest_sum_over_subsets(D):
    for s in range(D.shape[1]):
        certificate = babel(D, s)
        assert abs(certificate.value - brute_force_babel(D, s)) <= certificate.error + 1e-14


@pytest.mark.theory
@given(dictionaries(max_d=5, max_K=6))
def test_the_babel_function_grows_at_most_linearly_with_the_coherence(D):
    mu = coherence_certificate(D)
    assert abs(mu.value - coherence(D)) <= mu.error if D.shape[1] > 1 else mu.value == 0
    for s in range(1, D.shape[1]):
        assert babel(D, s - 1).value <= babel(D, s).value <= s * mu.value + 1e-12


@pytest.mark.theory
def test_the_coherence_of_p3_is_16_over_25_exactly(p3):
    certificate = coherence_certificate(p3)
    assert certificate.value == Fraction(16, 25)
    assert certificate.kind == "exact"
    assert certificate.error == 0
    assert babel(p3, 2).value == Fraction(32, 25)
    assert babel(p3, 3).value == Fraction(32, 25) + abs(Fraction(16, 25) - Fraction(9, 25))


@pytest.mark.theory
@pytest.mark.parametrize(("d", "K"), [(2, 3), (3, 6), (7, 14), (7, 28)])
def test_equiangular_frames_meet_the_welch_bound_up_to_the_stated_error(d, K):
    certificate = welch_certificate(EquiangularFrame(d, K).draw(RNG))
    assert abs(certificate.value) <= certificate.error < 1e-13


@pytest.mark.theory
def test_other_frames_are_above_the_welch_bound_which_is_above_1_over_K():
    certificate = welch_certificate(HarmonicFrame(4, 8).draw(RNG))
    assert certificate.value > certificate.error
    assert float(certificate.details["Welch bound"]) > 1 / 8
    assert certificate.details["1/K"] == "1/8"


def test_the_closest_pair_is_named():
    D = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    certificate = coherence_certificate(D)
    assert certificate.details["pair"] == "1, 2"
    assert certificate.kind == "value"
    assert math.isclose(certificate.value, 0.8)


def test_a_single_atom_has_coherence_0():
    assert coherence_certificate([[1]]).value == 0
    assert babel(np.array([[1.0]]), 0).value == 0


def test_exact_atoms_of_other_length_are_refused():
    with pytest.raises(InputError, match="column 1 has squared norm 2: expected 1"):
        coherence_certificate([[1, 1], [0, 1]])


@pytest.mark.theory
@given(dictionaries(max_d=5, max_K=6), st.integers(1, 40))
def test_cosines_in_blocks_are_those_of_the_whole_matrix(D, entries):
    whole = coherence_certificate(D), [babel(D, s) for s in range(D.shape[1])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coherence_module, "_BLOCK_ENTRIES", entries)
        assert math.isclose(coherence_certificate(D).value, whole[0].value, abs_tol=1e-15)
        for s, certificate in enumerate(whole[1]):
            assert abs(babel(D, s).value - certificate.value) <= certificate.error


def test_many_atoms_never_need_all_their_cosines_at_once():
    K = 8_000
    angles = math.pi * np.arange(K) / K
    D = np.vstack([np.cos(angles), np.sin(angles)])
    tracemalloc.start()
    certificate = coherence_certificate(D)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert certificate.value == pytest.approx(math.cos(math.pi / K))
    assert most < 8 * K**2 / 4


@pytest.mark.parametrize("method", [coherence_certificate, welch_certificate])
def test_more_products_than_the_bound_are_refused_before_one_is_made(method):
    with pytest.raises(InputError, match=r"8 products for all K.2 cosines: expected at most 7;"):
        method(np.eye(2), max_products=7)
    with pytest.raises(InputError, match=r"800000 products .* give D in floats, or raise max_prod"):
        method(np.eye(2, dtype=int), max_products=799_999)


@pytest.mark.parametrize(("s", "message"), [(-1, "at least 0"), (2, "at most K - 1 = 1")])
def test_babel_refuses_more_others_than_there_are(s, message):
    with pytest.raises(InputError, match=message):
        babel(np.eye(2), s)
