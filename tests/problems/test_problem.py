import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.problems import (
    BernoulliSupports,
    CoherentDictionary,
    ConstantValues,
    GaussianDictionary,
    HalfNormalValues,
    HarmonicFrame,
    NormalValues,
    OrthonormalDictionary,
    ProblemSpec,
    SparseCodingProblem,
    UniformSupports,
    ZipfSupports,
    problem_from_arrays,
    toy_spec,
)
from osae_theory.seeds import Axis, generator
from osae_theory.strategies import problem_specs, problems

SPEC = toy_spec(6, 9, 3, 40, seed=5)
NOISY = dataclasses.replace(SPEC, snr_db=12.5)


def arrays(problem):
    return [problem.dictionary, problem.codes, problem.data]


@given(problems())
def test_codes_have_exactly_m_entries_and_data_are_dictionary_times_codes_plus_noise(problem):
    spec = problem.spec
    assert (problem.d, problem.K, problem.n_samples) == (spec.d, spec.K, spec.n_samples)
    assert np.all((problem.codes != 0).sum(axis=0) == spec.m)
    assert problem.m == spec.m
    np.testing.assert_allclose(np.linalg.norm(problem.dictionary, axis=0), 1.0, atol=1e-12)
    signal = problem.dictionary @ problem.codes
    expected = signal if problem.noise is None else signal + problem.noise
    largest = np.abs(problem.dictionary) @ np.abs(problem.codes)
    assert (np.abs(problem.data - expected) <= 1e-14 * largest.max()).all()


@pytest.mark.parametrize("n", [1, 700])
def test_data_are_summed_over_the_atoms_of_a_sample_in_their_order(n):
    problem = dataclasses.replace(SPEC, n_samples=n).draw()
    expected = np.zeros((SPEC.d, n))
    for i, support in enumerate(problem.supports):
        for j in support:
            expected[:, i] += problem.codes[j, i] * problem.dictionary[:, j]
    assert np.array_equal(problem.data, expected)


@given(problem_specs(), st.sampled_from(["train", "heldout"]))
def test_the_same_spec_twice_gives_the_same_bits(spec, split):
    first, second = spec.draw(split), dataclasses.replace(spec).draw(split)
    for a, b in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_toy_model_is_the_papers():
    assert SPEC.dictionary == GaussianDictionary(6, 9)
    assert SPEC.supports == ZipfSupports(3, 1.2)
    assert SPEC.values == HalfNormalValues()
    assert (SPEC.n_samples, SPEC.snr_db, SPEC.seed) == (40, None, 5)
    problem = SPEC.draw()
    assert problem.noise is None
    assert problem.spec is SPEC
    assert problem.codes.min() == 0.0


def test_everything_is_float64():
    problem = NOISY.draw()
    for array in (*arrays(problem), problem.noise):
        assert array.dtype == np.float64


def test_the_arrays_are_those_the_parts_draw_from_their_own_streams():
    problem = SPEC.draw("heldout")
    D = SPEC.dictionary.draw(generator(5, Axis.DICTIONARY))
    supports = SPEC.supports.draw(9, 40, generator(5, Axis.SUPPORTS, 1))
    values = SPEC.values.draw(supports, generator(5, Axis.VALUES, 1))
    np.testing.assert_array_equal(problem.dictionary, D)
    np.testing.assert_array_equal(problem.supports, supports)
    for i in range(40):
        np.testing.assert_array_equal(problem.codes[supports[i], i], values[i])


def test_heldout_shares_the_dictionary_and_not_the_samples():
    train, heldout = NOISY.draw(), NOISY.draw("heldout")
    np.testing.assert_array_equal(train.dictionary, heldout.dictionary)
    assert not np.array_equal(train.supports, heldout.supports)
    assert not np.intersect1d(train.codes[train.codes > 0], heldout.codes[heldout.codes > 0]).size
    assert not np.intersect1d(train.noise, heldout.noise).size


def test_changing_the_values_keeps_dictionary_and_supports():
    other = dataclasses.replace(SPEC, values=NormalValues())
    np.testing.assert_array_equal(SPEC.draw().dictionary, other.draw().dictionary)
    np.testing.assert_array_equal(SPEC.draw().supports, other.draw().supports)
    assert not np.array_equal(SPEC.draw().codes, other.draw().codes)


def test_changing_the_supports_keeps_dictionary_and_values():
    problem = SPEC.draw()
    other = dataclasses.replace(SPEC, supports=UniformSupports(3)).draw()
    np.testing.assert_array_equal(problem.dictionary, other.dictionary)
    assert not np.array_equal(problem.supports, other.supports)
    values = [np.sort(p.codes[p.codes > 0]) for p in (problem, other)]
    np.testing.assert_array_equal(*values)


def test_changing_the_dictionary_keeps_the_codes():
    other = dataclasses.replace(SPEC, dictionary=CoherentDictionary(6, 9, 0.9))
    np.testing.assert_array_equal(SPEC.draw().codes, other.draw().codes)
    assert not np.array_equal(SPEC.draw().dictionary, other.draw().dictionary)


def test_adding_noise_keeps_dictionary_and_codes():
    np.testing.assert_array_equal(SPEC.draw().codes, NOISY.draw().codes)
    np.testing.assert_array_equal(SPEC.draw().dictionary, NOISY.draw().dictionary)


def test_another_seed_changes_every_array():
    other = dataclasses.replace(NOISY, seed=6).draw()
    problem = NOISY.draw()
    for a, b in zip(
        [*arrays(problem), problem.noise, problem.supports],
        [*arrays(other), other.noise, other.supports],
        strict=True,
    ):
        assert not np.array_equal(a, b)


def test_fewer_samples_are_the_first_of_more():
    few, many = SPEC.draw(n_samples=7), SPEC.draw(n_samples=30)
    assert (few.n_samples, many.n_samples) == (7, 30)
    np.testing.assert_array_equal(few.codes, many.codes[:, :7])


@pytest.mark.parametrize("snr_db", [-300.0, -20.0, 0.0, 12.5, 60.0, 300.0])
def test_the_realised_signal_to_noise_ratio_is_exact(snr_db):
    problem = dataclasses.replace(SPEC, snr_db=snr_db).draw()
    signal = problem.dictionary @ problem.codes
    realised = 10 * math.log10((signal**2).sum() / (problem.noise**2).sum())
    assert realised == pytest.approx(snr_db, abs=1e-11)


def test_supports_are_filled_up_with_minus_1_where_a_sample_uses_fewer_atoms():
    codes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, -1.0], [0.0, 0.0, 4.0]])
    problem = problem_from_arrays(np.eye(4), codes)
    assert problem.m == 3
    np.testing.assert_array_equal(problem.supports, [[0, 2, -1], [-1, -1, -1], [1, 2, 3]])


VARYING = dataclasses.replace(
    SPEC, supports=BernoulliSupports((0.5, 0.5, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05))
)


@pytest.mark.parametrize("spec", [VARYING, dataclasses.replace(VARYING, snr_db=20.0)])
def test_supports_of_varying_size_make_codes_and_data_by_the_definition(spec):
    problem = spec.draw(n_samples=300)
    supports = spec.supports.draw(9, 300, generator(5, Axis.SUPPORTS))
    values = spec.values.draw(supports, generator(5, Axis.VALUES))
    codes, data = np.zeros((9, 300)), np.zeros((6, 300))
    for i, support in enumerate(supports.tolist()):
        for t, j in enumerate(support):
            if j >= 0:
                codes[j, i] = values[i, t]
                data[:, i] += values[i, t] * problem.dictionary[:, j]
    np.testing.assert_array_equal(problem.codes, codes)
    noise = 0 if problem.noise is None else problem.noise
    np.testing.assert_array_equal(problem.data, data + noise)
    sizes = (codes != 0).sum(axis=0)
    assert sizes.min() == 0
    assert problem.m == sizes.max() < spec.m == 9
    np.testing.assert_array_equal(problem.supports, supports[:, : problem.m])
    few = spec.draw(n_samples=7)
    np.testing.assert_array_equal(few.codes, problem.codes[:, :7])


def test_a_draw_of_samples_without_an_atom_is_a_draw_of_zeros():
    spec = dataclasses.replace(SPEC, supports=BernoulliSupports((1e-9,) * 9))
    problem = spec.draw(n_samples=5)
    assert not problem.codes.any()
    assert not problem.data.any()
    assert problem.supports.shape == (5, 0)


def test_a_bias_is_one_vector_of_its_length_on_every_sample_of_both_splits():
    biased = dataclasses.replace(NOISY, bias=0.5)
    for split in ("train", "heldout"):
        plain, moved = NOISY.draw(split), biased.draw(split)
        assert plain.bias is None
        assert np.linalg.norm(moved.bias) == pytest.approx(0.5, rel=1e-14)
        np.testing.assert_array_equal(moved.bias, biased.draw("train").bias)
        np.testing.assert_array_equal(moved.data, plain.data + moved.bias[:, None])
        np.testing.assert_array_equal(moved.codes, plain.codes)
    assert not np.allclose(moved.bias, dataclasses.replace(biased, seed=6).draw().bias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_contiguous_transposed_copies(dtype):
    problem = SPEC.draw()
    before = [array.copy() for array in arrays(problem)]
    data, codes, atoms = problem.rows(dtype)
    assert (data.shape, codes.shape, atoms.shape) == ((40, 6), (40, 9), (9, 6))
    for row_array, column_array in ((data, problem.data), (codes, problem.codes)):
        assert row_array.flags.c_contiguous
        assert row_array.dtype == dtype
        np.testing.assert_array_equal(row_array, column_array.T.astype(dtype))
    np.testing.assert_array_equal(atoms, problem.dictionary.T.astype(dtype))
    for array in (data, codes, atoms):
        array[:] = 7.0
    for a, b in zip(arrays(problem), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_are_float32_unless_told():
    assert {array.dtype for array in SPEC.draw().rows()} == {np.dtype(np.float32)}


def test_problems_compare_by_identity_and_specs_by_value():
    assert SPEC.draw() != SPEC.draw()
    assert toy_spec(6, 9, 3, 40, seed=5) == SPEC
    assert len({SPEC, toy_spec(6, 9, 3, 40, seed=5), NOISY}) == 2


def test_a_hand_made_problem_copies_what_it_is_given():
    D, Y, R = np.eye(2), np.array([[1, 0, 2], [0, 3, 1]]), np.full((2, 3), 0.5)
    problem = problem_from_arrays(D, Y, R)
    D[0, 0] = R[0, 0] = 9.0
    Y[0, 0] = 9
    assert problem.spec is None
    assert problem.codes.dtype == np.float64
    np.testing.assert_array_equal(problem.data, [[1.5, 0.5, 2.5], [0.5, 3.5, 1.5]])
    np.testing.assert_array_equal(problem.noise, np.full((2, 3), 0.5))
    np.testing.assert_array_equal(problem.dictionary, np.eye(2))
    assert problem_from_arrays(np.eye(2), Y).noise is None


@pytest.mark.parametrize(
    ("dictionary", "codes", "noise", "message"),
    [
        (2 * np.eye(2), np.ones((2, 3)), None, "dictionary column 0 has norm 2"),
        (np.ones(2), np.ones((2, 3)), None, "dictionary of shape"),
        (np.full((2, 2), np.nan), np.ones((2, 3)), None, r"dictionary\[0, 0\]"),
        (np.eye(2) + 0.5j, np.ones((2, 3)), None, "imaginary part: expected real"),
        (np.eye(2), np.ones((3, 3)), None, r"codes of shape \(3, 3\): expected .* K = 2"),
        (np.eye(2), np.ones(2), None, r"codes of shape \(2,\)"),
        (np.eye(2), np.ones((2, 0)), None, r"codes of shape \(2, 0\)"),
        (np.eye(2), np.array([[1.0], [np.inf]]), None, r"codes\[1, 0\] = inf"),
        (np.eye(2), np.array([["a"], ["b"]]), None, "codes holds text, such as 'a'"),
        (np.eye(2), np.ones((2, 3)), np.ones((2, 2)), r"noise of shape \(2, 2\)"),
        (np.eye(2), np.ones((2, 1)), np.array([[0.0], [np.nan]]), r"noise\[1, 0\]"),
    ],
)
def test_a_hand_made_problem_refuses_bad_arrays(dictionary, codes, noise, message):
    with pytest.raises(InputError, match=message):
        problem_from_arrays(dictionary, codes, noise)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_samples": 0}, "n_samples = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"snr_db": math.inf}, "snr_db = inf"),
        ({"snr_db": 301.0}, "snr_db = 301"),
        ({"bias": -1.0}, r"bias = -1\.0"),
        ({"supports": BernoulliSupports((0.5,))}, "rates of 1 atoms: .* K = 9"),
        ({"supports": UniformSupports(10)}, "m = 10: expected at most K = 9"),
        ({"values": ConstantValues(1.0, (1.0, 2.0))}, "scale of 2 numbers.*K = 9"),
    ],
)
def test_a_spec_refuses_bad_fields(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SPEC, **changes)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("dictionary", "gaussian", "Dictionary"),
        ("supports", ZipfSupports, "Supports"),
        ("values", NormalValues, "Values"),
        ("values", None, "Values"),
    ],
)
def test_a_spec_refuses_what_is_no_instance_of_its_parts(field, value, expected):
    # The run-time type check would speak first, and users do not have it: go round it.
    spec = object.__new__(ProblemSpec)
    for name in ("dictionary", "supports", "values", "n_samples", "snr_db", "seed"):
        object.__setattr__(spec, name, value if name == field else getattr(SPEC, name))
    with pytest.raises(InputError, match=f"{field} = .*: expected an instance of {expected}"):
        spec.__post_init__()


def test_drawing_refuses_bad_arguments():
    with pytest.raises(InputError, match=r"'heldaut' is unknown \(did you mean 'heldout'"):
        SPEC.draw("heldaut")
    with pytest.raises(InputError, match="n_samples = 0"):
        SPEC.draw(n_samples=0)


@dataclasses.dataclass(frozen=True)
class DoubledIdentity:
    d: int = 4
    K: int = 4

    def draw(self, rng):
        return 2 * np.eye(4)


def test_a_users_own_dictionary_is_taken_and_its_columns_checked():
    spec = ProblemSpec(DoubledIdentity(), UniformSupports(2), NormalValues(), 5)
    with pytest.raises(InputError, match="column 0 has norm 2"):
        spec.draw()


@pytest.mark.theory
def test_an_orthonormal_dictionary_keeps_the_energy_of_the_codes():
    spec = ProblemSpec(OrthonormalDictionary(8, 5), UniformSupports(2), NormalValues(), 30)
    problem = spec.draw()
    assert isinstance(problem, SparseCodingProblem)
    assert (problem.data**2).sum() == pytest.approx((problem.codes**2).sum(), rel=1e-12)


def test_a_certified_problem_carries_the_proof_that_its_codes_are_unique():
    spec = ProblemSpec(HarmonicFrame(4, 6), UniformSupports(2), HalfNormalValues(), 10)
    problem = spec.draw(certified=True)
    assert problem.certificate is not None
    assert (problem.certificate.value, problem.certificate.kind) == (5, "exact")
    assert spec.draw().certificate is None


def test_a_problem_without_unique_codes_is_not_certified():
    spec = ProblemSpec(HarmonicFrame(4, 6), UniformSupports(3), HalfNormalValues(), 10)
    with pytest.raises(InputError, match="codes are not unique"):
        spec.draw(certified=True)
