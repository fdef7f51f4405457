import numpy as np
import pytest
from hypothesis import assume, given

from osae_theory.errors import InputError
from osae_theory.problems import (
    ClusteredDictionary,
    CoherentDictionary,
    DiracHadamard,
    EquiangularFrame,
    OrthonormalUnion,
)
from osae_theory.strategies import dictionary_specs, seeds
from osae_theory.uniqueness import spark_by_construction, spark_exhaustive

RNG = np.random.default_rng(0)


@pytest.mark.theory
@given(dictionary_specs(max_d=4, max_K=7), seeds())
def test_what_a_construction_promises_enumeration_confirms(spec, seed):
    assume(not isinstance(spec, CoherentDictionary) or spec.K <= spec.d)
    promised = spark_by_construction(spec)
    found = spark_exhaustive(spec.draw(np.random.default_rng(seed)))
    assert found.value <= promised.value
    if found.kind == "value":
        assert found.value == promised.value


@pytest.mark.theory
@pytest.mark.parametrize(("d", "expected"), [(1, 2), (2, 3), (4, 4), (8, 6)])
def test_the_spark_of_spikes_and_walsh_functions_is_the_uncertainty_bound(d, expected):
    signs = np.array([[(-1) ** (i & j).bit_count() for j in range(d)] for i in range(d)])
    rows = np.hstack([np.eye(d, dtype=int), signs])
    assert spark_exhaustive(rows).value == expected
    assert spark_by_construction(DiracHadamard(d)).value == expected


@pytest.mark.theory
@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (OrthonormalUnion(4, 2), "with probability one"),
        (OrthonormalUnion(4, 1), "exact"),
        (ClusteredDictionary(4, 7, 3, 0.2), "with probability one"),
        (ClusteredDictionary(5, 4, 3, 0.2), "exact"),
        (CoherentDictionary(5, 4, 0.7), "exact"),
    ],
)
def test_random_dictionaries_of_every_kind_have_the_spark_that_is_promised(spec, kind):
    promised = spark_by_construction(spec)
    assert promised.value == spark_exhaustive(spec.draw(RNG)).value == 5
    assert promised.kind == kind


@pytest.mark.theory
def test_a_paley_frame_of_18_atoms_has_full_spark():
    spec = EquiangularFrame(9, 18)
    D = spec.draw(RNG)
    assert spark_exhaustive(D).value == spark_by_construction(spec).value == 10


def test_a_dictionary_whose_making_says_nothing_is_refused():
    with pytest.raises(InputError, match=r"CoherentDictionary.*use spark_exhaustive"):
        spark_by_construction(CoherentDictionary(3, 5, 0.8))
