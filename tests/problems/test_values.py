import math

import numpy as np
import pytest
from scipy.stats import kstest

from osae_theory.errors import InputError
from osae_theory.portable import standard_normal
from osae_theory.problems import (
    VALUES,
    ConstantValues,
    HalfNormalValues,
    LinkedValues,
    NormalValues,
    UniformSupports,
    UniformValues,
    Values,
)

EXAMPLES = {
    "half_normal": HalfNormalValues(),
    "normal": NormalValues(),
    "uniform": UniformValues(0.5, 2.0),
    "constant": ConstantValues(-3.0),
    "linked": LinkedValues((5.0, 4.0, 3.0, 4.0, 5.0, 4.0), (0.5,) * 6, (-1, 0, 0, -1, 3, 4)),
}
SUPPORTS = UniformSupports(3).draw(6, 4000, np.random.default_rng(9))
SCALE = (1.0, 10.0, 0.1, 2.0, 5.0, 3.0)


def test_the_registry_holds_every_law_under_its_name():
    assert set(VALUES) == set(EXAMPLES)
    for name, example in EXAMPLES.items():
        assert VALUES[name] is type(example)
        assert isinstance(example, Values)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_law_gives_finite_values_other_than_0_in_the_supports_shape(name):
    drawn = EXAMPLES[name].draw(SUPPORTS, np.random.default_rng(0))
    assert drawn.shape == SUPPORTS.shape
    assert drawn.dtype == np.float64
    assert np.isfinite(drawn).all()
    assert np.all(drawn != 0)


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        (HalfNormalValues(), "halfnorm"),
        (NormalValues(), "norm"),
        (UniformValues(0.0, 1.0), "uniform"),
    ],
)
def test_values_follow_their_law(law, distribution):
    drawn = law.draw(SUPPORTS, np.random.default_rng(0))
    assert kstest(drawn.ravel(), distribution).pvalue > 1e-4


def test_half_normal_values_are_positive_and_normal_ones_of_both_signs():
    assert HalfNormalValues().draw(SUPPORTS, np.random.default_rng(0)).min() > 0
    signed = NormalValues().draw(SUPPORTS, np.random.default_rng(0))
    assert abs((signed > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(signed.size)


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (-2.0, -0.5), (0.0, 3.0)])
def test_uniform_values_fill_their_interval(low, high):
    drawn = UniformValues(low, high).draw(SUPPORTS, np.random.default_rng(0))
    assert low <= drawn.min() < low + 0.01
    assert high - 0.01 < drawn.max() <= high


class LeastRandom(np.random.Generator):
    """Every uniform number is the largest that a Generator can give, 1 - 2**-53."""

    def random(self, size=None, dtype=np.float64, out=None):
        return np.full(size if size is not None else (), 1 - 2.0**-53)


@pytest.mark.parametrize("high", [1e-300, 1.0, 1.7, 3.0, 1e300])
def test_uniform_values_from_0_are_never_0(high):
    rng = LeastRandom(np.random.PCG64(0))
    assert UniformValues(0.0, high).draw(SUPPORTS[:2], rng).min() > 0


def test_constant_values_are_the_value():
    drawn = ConstantValues(-3.0).draw(SUPPORTS, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, np.full(SUPPORTS.shape, -3.0))


@pytest.mark.parametrize("name", ["half_normal", "normal", "uniform", "constant"])
def test_a_scale_multiplies_the_values_of_its_atom(name):
    law = EXAMPLES[name]
    fields = {"uniform": {"low": 0.5, "high": 2.0}, "constant": {"value": -3.0}}.get(name, {})
    scaled = VALUES[name](**fields, scale=SCALE).draw(SUPPORTS, np.random.default_rng(0))
    plain = law.draw(SUPPORTS, np.random.default_rng(0))
    for i in (0, 17, 3999):
        for t in range(3):
            assert scaled[i, t] == plain[i, t] * SCALE[SUPPORTS[i, t]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_generator_state_draws_the_same_values(name):
    first = EXAMPLES[name].draw(SUPPORTS, np.random.default_rng(0))
    np.testing.assert_array_equal(first, EXAMPLES[name].draw(SUPPORTS, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (UniformValues, (-1.0, 1.0), r"\(-1\.0, 1\.0\): expected an interval without 0"),
        (UniformValues, (-1.0, 0.0), r"\(-1\.0, 0\.0\): expected an interval without 0"),
        (UniformValues, (2.0, 1.0), r"high = 1\.0: expected a number above low = 2\.0"),
        (UniformValues, (1.0, 1.0), r"high = 1\.0"),
        (UniformValues, (math.nan, 1.0), "low = nan"),
        (UniformValues, (0.0, math.inf), "high = inf"),
        (ConstantValues, (0.0,), r"value = 0\.0: expected a number other than 0"),
        (ConstantValues, (math.inf,), "value = inf"),
        (HalfNormalValues, ((1.0, 0.0),), r"scale\[1\] = 0\.0"),
        (NormalValues, ((1.0, -2.0),), r"scale\[1\] = -2\.0"),
        (UniformValues, (1.0, 2.0, (math.nan,)), r"scale\[0\] = nan"),
        (ConstantValues, (1.0, (math.inf,)), r"scale\[0\] = inf"),
        (HalfNormalValues, ([1.0, 2.0],), "expected None or a tuple"),
        (LinkedValues, ((1.0, 0.0), (0.0, 0.0), (-1, -1)), r"means\[1\] = 0\.0"),
        (LinkedValues, ((1.0,), (-0.1,), (-1,)), r"deviations\[0\] = -0\.1"),
        (LinkedValues, ((1.0,), (0.1, 0.1), (-1,)), r"deviations = .* entry for each atom"),
        (LinkedValues, ((1.0,), (0.1,), (0,)), r"parents\[0\] = 0: expected an atom before 0"),
    ],
)
def test_bad_fields_are_refused(kind, fields, message):
    with pytest.raises(InputError, match=message):
        kind(*fields)


def linked_in_a_loop(law, supports, normal):
    """The values by the definition: one sample after another, one atom after another."""
    found = np.ones(supports.shape)
    for i, support in enumerate(supports.tolist()):
        values = {}
        for t, j in enumerate(support):
            if j < 0:
                continue
            values[j] = abs(law.means[j] + law.deviations[j] * normal[i, t])
            parent = law.parents[j]
            if parent in values:
                values[j] *= values[parent] / law.means[parent]
            found[i, t] = values[j]
    return found


def test_linked_values_equal_those_of_a_loop():
    law = LinkedValues((5.0, 4.0, 3.0, 4.0), (0.5, 2.0, 0.0, 1.0), (-1, 0, 1, 1))
    supports = np.array([[0, 1, 2, 3], [1, 2, -1, -1], [0, 2, 3, -1], [-1, -1, -1, -1]] * 20)
    drawn = law.draw(supports, np.random.default_rng(3))
    normal = standard_normal(np.random.default_rng(3), supports.shape)
    held = supports >= 0
    np.testing.assert_array_equal(drawn[held], linked_in_a_loop(law, supports, normal)[held])
    assert np.all(drawn > 0)


def test_the_energy_of_a_linked_value_is_the_product_along_its_ancestors():
    law = LinkedValues((5.0, 4.0, 3.0), (0.5, 1.0, 1.5), (-1, 0, 1))
    chain = np.tile([0, 1, 2], (200_000, 1))
    squares = law.draw(chain, np.random.default_rng(0)) ** 2
    shares = np.array([1 + 0.1**2, 1 + 0.25**2, 1 + 0.5**2])
    expected = np.cumprod(shares) * np.array([25.0, 16.0, 9.0])
    # The reflected values, 2.3% of the last atom's, have the squares of those not reflected.
    error = squares.std(axis=0) / math.sqrt(len(squares))
    assert np.all(np.abs(squares.mean(axis=0) - expected) < 5 * error)


def test_linked_values_refuse_atoms_they_do_not_describe():
    law = LinkedValues((1.0, 2.0), (0.0, 0.0), (-1, 0))
    law.check(2)
    with pytest.raises(InputError, match="means of 2 atoms: expected one an atom, K = 3"):
        law.check(3)
    with pytest.raises(InputError, match=r"means of 2 atoms: .* hold atom 5"):
        law.draw(SUPPORTS, np.random.default_rng(0))


def test_a_scale_of_the_wrong_length_is_refused():
    law = HalfNormalValues((1.0, 2.0))
    law.check(2)
    with pytest.raises(InputError, match="scale of 2 numbers: expected one an atom, K = 3"):
        law.check(3)
    with pytest.raises(InputError, match=r"scale of 2 numbers: .* hold atom 5"):
        law.draw(SUPPORTS, np.random.default_rng(0))
