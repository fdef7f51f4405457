import json
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from osae_theory.errors import InputError
from osae_theory.metrics import frequencies, match
from osae_theory.prefixes import (
    AnnealedLaw,
    ExactPenalty,
    PrefixLaw,
    RandomPrefixes,
    SampledPrefix,
)
from osae_theory.problems import toy_spec
from osae_theory.sae import OrderedSAE

pytestmark = pytest.mark.trains

# Nothing is expected to fail: a check that cannot apply is listed here with its reason.
EXPECTED_FAILURES: dict[str, str] = {}


@parametrize_with_checks(
    [OrderedSAE(n_steps=5), OrderedSAE(n_steps=5, sort_by="energy", use_decoder_bias=True)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learns_own_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def problem():
    return toy_spec(d=20, K=24, m=2, n_samples=4000, alpha=0.0, seed=3).draw()


def test_it_recovers_most_atoms_of_a_small_problem(problem):
    data, _, _ = problem.rows()
    sae = OrderedSAE(24, 2, law="full", n_steps=600, random_state=0).fit(data)
    assert match(sae.components_.T, problem.dictionary).recovered_share(0.9) > 0.7


def test_resampled_and_resorted_it_recovers_more_in_order():
    problem = toy_spec(d=20, K=24, m=2, n_samples=4000, alpha=1.0, seed=3).draw()
    data, _, _ = problem.rows()
    plain, both = (
        OrderedSAE(24, 2, law="full", n_steps=600, random_state=0, **changed).fit(data)
        for changed in ({}, {"resample": True, "resort": True})
    )
    first, second = (match(sae.components_.T, problem.dictionary) for sae in (plain, both))
    assert second.stability > first.stability + 0.05
    assert second.orderedness > 0.8


def test_codes_are_sparse_and_decode_to_the_reconstruction(problem):
    data, _, _ = problem.rows()
    sae = OrderedSAE(24, 2, n_steps=50, use_decoder_bias=True, random_state=0).fit(data)
    codes = sae.transform(data)
    assert codes.shape == (4000, 24)
    assert (np.count_nonzero(codes, axis=1) <= 2).all()
    latents = (data - sae.decoder_bias_) @ sae.encoder_ + sae.encoder_bias_
    np.testing.assert_allclose(codes[codes > 0], latents[codes > 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        sae.inverse_transform(codes), codes @ sae.components_ + sae.decoder_bias_
    )


def test_sorting_afterwards_only_permutes_the_latents(problem):
    data, _, _ = problem.rows()
    options = {"n_atoms": 24, "n_nonzero": 2, "law": "full", "n_steps": 50, "random_state": 0}
    plain = OrderedSAE(**options).fit(data)
    by_frequency = OrderedSAE(**options, sort_by="frequency").fit(data)
    counts = frequencies(by_frequency.transform(data).T)
    assert (np.diff(counts) <= 0).all()
    order = np.argsort(-frequencies(plain.transform(data).T), kind="stable")
    np.testing.assert_array_equal(plain.components_[order], by_frequency.components_)


@pytest.mark.parametrize(
    "law",
    [
        "zipf",
        "exact-penalty",
        np.full(24, 1 / 24),
        AnnealedLaw(PrefixLaw.uniform(24)),
        PrefixLaw.full(24),
    ],
)
def test_a_law_may_be_a_name_a_vector_or_a_schedule(problem, law):
    data, _, _ = problem.rows()
    sae = OrderedSAE(24, 2, law=law, n_steps=3, random_state=0).fit(data)
    assert sae.loss_curve_.shape == (3,)


def test_float64_data_train_in_float64(problem):
    data, _, _ = problem.rows(np.float64)
    sae = OrderedSAE(24, 2, n_steps=3, random_state=0).fit(data)
    assert sae.components_.dtype == sae.transform(data).dtype == np.float64


def test_a_device_that_is_not_there_is_refused(problem):
    data, _, _ = problem.rows()
    with pytest.raises(InputError, match="device 'cuda:99' is not available"):
        OrderedSAE(24, 2, device="cuda:99").fit(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_nonzero": 25}, "m = 25: expected at most K = 24"),
        ({"n_atoms": 0}, "n_atoms = 0"),
        ({"law": "zip"}, "did you mean 'zipf'"),
        ({"law": [0.5, 0.6]}, r"sums to 1\.1"),
        ({"law": [0.5, 0.5]}, "over 2 atoms: expected K = 24"),
        ({"law": [0.5, 0.5, np.nan]}, r"prefix law\[2\] = nan"),
        ({"law": None}, "law = None: expected a prefix law or its probabilities"),
        ({"law": {}}, "law = {}: expected a prefix law"),
        ({"law": PrefixLaw.uniform(7)}, "over 7 atoms: expected K = 24"),
        ({"n_atoms": 10**400}, "n_atoms = a whole number of about 401 digits"),
        ({"learning_rate": 10**400}, "learning rate = a whole number of about 401 digits"),
        ({"batch_size": 10**30}, "batch_size = a whole number of about 31 digits"),
        ({"use_decoder_bias": "yes"}, "use_decoder_bias = 'yes': expected True or False"),
        ({"resample": 1}, "resample = 1: expected True or False"),
        ({"device": None}, "device = None: expected a name"),
        ({"random_state": -1}, "random_state = -1: expected None, a whole number"),
        ({"random_state": 2**40}, "random_state = "),
        ({"random_state": np.random.default_rng(0)}, "expected None, a whole number"),
        ({"sort_by": "colour"}, "sort_by 'colour' is unknown"),
        ({"sort_by": ["energy"]}, r"sort_by \['energy'\] is unknown"),
        ({"learning_rate": -1.0}, r"learning rate = -1\.0"),
        ({"learning_rate": 1e30}, "diverged"),
        ({"device": "abacus"}, "device 'abacus' is unknown"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(problem, options, message):
    data, _, _ = problem.rows()
    with pytest.raises(InputError, match=message):
        OrderedSAE(**{"n_atoms": 24, "n_nonzero": 2, "n_steps": 5} | options).fit(data)


LAWS = {
    "list": [1 / 24] * 24,
    "tensor": torch.full((24,), 1 / 24, dtype=torch.float64),
    "Series": pd.Series(np.full(24, 1 / 24)),
    "schedule": RandomPrefixes(24, 3),
}


@pytest.mark.parametrize("form", LAWS)
def test_probabilities_come_in_any_form(problem, form):
    data, _, _ = problem.rows()
    sae = OrderedSAE(24, 2, law=LAWS[form], n_steps=3, random_state=0).fit(data)
    assert sae.law_.K == 24
    if form != "schedule":
        uniform = OrderedSAE(24, 2, n_steps=3, random_state=0).fit(data)
        np.testing.assert_allclose(sae.components_, uniform.components_, atol=1e-6)


def small(**options):
    return OrderedSAE(
        **({"n_atoms": 24, "n_nonzero": 2, "n_steps": 60, "random_state": 0} | options)
    )


@pytest.mark.parametrize("options", [{}, {"use_decoder_bias": True}, {"activation": "batch"}])
@pytest.mark.parametrize("exponent", [-90, -1, 3, 90])
def test_data_twice_as_large_any_number_of_times_give_the_same_fit_to_the_bit(
    problem, options, exponent
):
    data = problem.rows()[0][:600]
    one, other = small(**options).fit(data), small(**options).fit(np.ldexp(data, exponent))
    assert other.scale_ == np.ldexp(one.scale_, exponent)
    np.testing.assert_array_equal(one.components_, other.components_)
    np.testing.assert_array_equal(one.loss_curve_, other.loss_curve_)
    codes = one.transform(data)
    assert codes.any()
    np.testing.assert_array_equal(
        np.ldexp(codes, exponent), other.transform(np.ldexp(data, exponent))
    )
    np.testing.assert_array_equal(
        np.ldexp(one.inverse_transform(codes), exponent),
        other.inverse_transform(np.ldexp(codes, exponent)),
    )
    assert one.score(data) == other.score(np.ldexp(data, exponent))


@pytest.mark.parametrize("factor", [1e-30, 0.3, 1e12, 1e30])
def test_how_much_is_explained_does_not_depend_on_the_unit(problem, factor):
    data = problem.rows()[0][:2000]
    expected = small(n_steps=200).fit(data).score(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = data * np.float32(factor)
        sae = small(n_steps=200).fit(scaled)
    assert expected > 0.7
    assert sae.score(scaled) == pytest.approx(expected, abs=0.05)


def test_float64_data_beyond_float32_are_fitted_too(problem):
    data = problem.rows(np.float64)[0][:600]
    for factor in (1e-200, 1e200):
        assert small().fit(data * factor).score(data * factor) > 0.5


def test_a_fit_that_learned_nothing_says_so():
    with pytest.warns(ConvergenceWarning, match="no code is active"):
        small().fit(np.zeros((30, 20)))
    data = np.random.default_rng(0).standard_normal((200, 20))
    # Sixty atoms in twenty dimensions, all used at once, add up to some three times the data.
    every = {"n_atoms": 60, "n_nonzero": 60, "activation": "signed", "law": "full"}
    sae = small(**every, n_steps=3, learning_rate=1e-6)
    with pytest.warns(ConvergenceWarning, match="expected less than .*, that of no codes at all"):
        sae.fit(data)


def test_transform_stands_by_the_fit_whatever_the_parameters_become(problem):
    data = problem.rows()[0][:600]
    for options in ({}, {"activation": "signed"}, {"activation": "batch"}):
        sae = small(**options).fit(data)
        codes = sae.transform(data)
        sae.set_params(activation="signed" if not options else "relu", n_nonzero=7, law="full")
        sae.set_params(use_decoder_bias=True, sort_by="energy", n_atoms=3)
        np.testing.assert_array_equal(sae.transform(data), codes)


def test_batch_codes_are_the_latents_above_the_threshold_each_sample_on_its_own(problem):
    data = problem.rows()[0]
    sae = small(activation="batch", n_steps=200).fit(data)
    codes = sae.transform(data)
    assert sae.threshold_ > 0
    assert codes[codes > 0].min() > sae.threshold_
    assert 1 < np.count_nonzero(codes) / len(data) < 3
    latents = (data - sae.decoder_bias_) @ sae.encoder_ + sae.encoder_bias_
    np.testing.assert_allclose(codes, latents * (latents > sae.threshold_), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(sae.transform(data[:1]), codes[:1], rtol=1e-5)
    assert small().fit(data).threshold_ is None


def test_codes_may_be_sparse_or_in_any_form(problem):
    data = problem.rows()[0][:600]
    sae = small(use_decoder_bias=True).fit(data)
    codes = sae.transform(data)
    expected = sae.inverse_transform(codes)
    for make in (scipy.sparse.csr_matrix, scipy.sparse.coo_array, scipy.sparse.csc_array):
        given = make(codes)
        found = sae.inverse_transform(given)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(given.toarray(), codes)
    for given in (codes.tolist(), pd.DataFrame(codes), torch.from_numpy(codes)):
        np.testing.assert_allclose(sae.inverse_transform(given), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda codes: codes[:, :7], r"codes of shape \(5, 7\): expected \(n_samples, 24\)"),
        (lambda codes: scipy.sparse.csr_array(codes[:, :7]), r"codes of shape \(5, 7\)"),
        (lambda codes: codes[0], r"codes of shape \(24,\): expected"),
        (lambda codes: codes[None], r"codes of shape \(1, 5, 24\): expected"),
        (lambda codes: codes * np.nan, r"codes\[0, 0\] = nan: expected finite numbers"),
        (lambda codes: scipy.sparse.csr_array(codes * np.nan), "= nan: expected finite numbers"),
        (lambda codes: None, "codes = None"),
        (lambda codes: codes.astype(str), "codes holds text"),
        (lambda codes: codes + 1j, "imaginary part"),
        (lambda codes: np.ma.masked_array(codes, mask=codes > 0), "masked entries"),
        (lambda codes: np.full((5, 24), 3e38, np.float32), "reconstruction overflows float32"),
    ],
)
def test_codes_that_cannot_be_decoded_are_refused(problem, change, message):
    data = problem.rows()[0][:200]
    sae = small(n_steps=3).fit(data)
    with pytest.raises(InputError, match=message):
        sae.inverse_transform(change(sae.transform(data[:5])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: np.ma.masked_array(X, mask=X > 1), "X has .* masked entries: expected none"),
        (lambda X: X.astype(str), "X holds entries of dtype .*: expected numbers"),
        (lambda X: X.astype(int).astype("M8[s]"), "X holds entries of dtype datetime"),
        (lambda X: X + 1j, "Complex data not supported"),
        (lambda X: scipy.sparse.csr_array(X), "Sparse data was passed"),
        (lambda X: torch.from_numpy(X).to_sparse(), "X is sparse"),
        (lambda X: torch.zeros(3, 20, device="meta"), r"on the device 'meta'"),
        (lambda X: {}, "expected|must be|Expected"),
        (lambda X: X * np.float32(np.nan), "contains NaN"),
        (lambda X: X[0], "Expected 2D array"),
        (lambda X: X[:, :3], "X has 3 features"),
    ],
)
def test_data_that_cannot_be_used_are_refused_in_one_sentence(problem, change, message):
    data = problem.rows()[0][:200]
    sae = small(n_steps=3).fit(data)
    with pytest.raises(InputError, match=message) as caught:
        sae.transform(change(data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_tables_tensors_and_matrices_are_data(problem):
    data = problem.rows()[0][:200]
    expected = small(n_steps=3).fit(data).transform(data)
    leaf = torch.from_numpy(data).requires_grad_()
    whole = np.ma.masked_array(data, mask=False)
    for form in (pd.DataFrame(data), leaf, np.asmatrix(data), whole):
        sae = small(n_steps=3).fit(form)
        np.testing.assert_array_equal(sae.transform(form), expected)
    half = torch.from_numpy(data).bfloat16()
    assert small(n_steps=3).fit(half).transform(half).shape == (200, 24)


def test_the_score_is_the_share_of_the_variance_explained(problem):
    data = problem.rows(np.float64)[0][:600]
    sae = small().fit(data)
    rebuilt = sae.inverse_transform(sae.transform(data))
    expected = 1 - ((data - rebuilt) ** 2).sum() / ((data - data.mean(axis=0)) ** 2).sum()
    assert sae.score(data) == pytest.approx(expected, rel=1e-10)


def test_a_grid_search_finds_the_better_sparsity(problem):
    data = problem.rows()[0][:600]
    search = GridSearchCV(small(), {"n_nonzero": [1, 2]}, cv=2).fit(data)
    assert search.best_params_ == {"n_nonzero": 2}
    assert search.best_score_ > 0.3


SAVED = {
    "plain": {},
    "signed, sorted, with bias": {
        "activation": "signed",
        "sort_by": "energy",
        "use_decoder_bias": True,
    },
    "batch": {"activation": "batch"},
    "resampled and re-sorted": {"law": "full", "resample": True, "resort": True},
    "a fixed law": {"law": PrefixLaw.zipf(24, 0.5)},
    "probabilities": {"law": np.full(24, 1 / 24)},
    "an annealed law": {"law": AnnealedLaw(PrefixLaw.uniform(24), 0.1, 0.6)},
    "random prefixes": {"law": RandomPrefixes(24, 3, include_full=False)},
    "sampled prefix": {"law": SampledPrefix(PrefixLaw.zipf(24, 0.5))},
    "a generator as seed": {"random_state": np.random.RandomState(3)},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SAVED)
def test_a_saved_estimator_comes_back_with_the_same_bits(problem, tmp_path, case, dtype):
    data = pd.DataFrame(problem.rows(dtype)[0][:300]).add_prefix("x")
    sae = small(**SAVED[case], n_steps=20).fit(data * dtype(1e-9))
    sae.save(tmp_path / "sae")
    back = OrderedSAE.load(tmp_path / "sae")
    assert vars(back).keys() == vars(sae).keys()
    for name, value in vars(sae).items():
        if name.endswith("_") and name != "law_":
            np.testing.assert_array_equal(getattr(back, name), value)
    weights = [
        estimator.law_.survival_at(7, 20, np.random.default_rng(0)) for estimator in (sae, back)
    ]
    np.testing.assert_allclose(*weights, rtol=1e-12)
    np.testing.assert_array_equal(back.transform(data), sae.transform(data))
    assert back.fit(data).components_.shape == (24, 20)


def test_an_estimator_is_saved_over_an_older_one_and_over_nothing_else(problem, tmp_path):
    data = problem.rows()[0][:200]
    with pytest.raises(NotFittedError):
        small().save(tmp_path / "sae")
    for n_steps in (3, 5):
        small(n_steps=n_steps).fit(data).save(str(tmp_path / "sae"))
        assert OrderedSAE.load(str(tmp_path / "sae")).n_iter_ == n_steps
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sae"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        small(n_steps=3).fit(data).save(tmp_path / "mine")


def test_an_exact_penalty_comes_back_as_it_was(problem, tmp_path):
    law = ExactPenalty(PrefixLaw.zipf(24), 0.3, by_sample=True, every=4)
    small(law=law, n_steps=9).fit(problem.rows()[0][:300]).save(tmp_path / "sae")
    back = OrderedSAE.load(tmp_path / "sae").law_
    assert (back.strength, back.by_sample, back.every) == (0.3, True, 4)
    np.testing.assert_array_equal(back.survival_for(0.7), law.survival_for(0.7))


class OwnPenalty(ExactPenalty):
    """A kind of a user's own, of which a saved estimator would know nothing."""


def test_a_law_derived_from_the_projects_own_is_not_stored_as_that(problem, tmp_path):
    sae = small(law=OwnPenalty(PrefixLaw.uniform(24)), n_steps=3).fit(problem.rows()[0][:200])
    with pytest.raises(InputError, match="expected a law of the project's, to be stored"):
        sae.save(tmp_path / "sae")


class OwnSchedule:
    K = 24

    def survival_at(self, step, n_steps, rng):
        return np.ones(24)


def test_a_schedule_of_ones_own_trains_but_is_not_stored(problem, tmp_path):
    sae = small(law=OwnSchedule(), n_steps=3).fit(problem.rows()[0][:200])
    with pytest.raises(InputError, match="expected a law of the project's, to be stored"):
        sae.save(tmp_path / "sae")
    assert not (tmp_path / "sae").exists()


def damaged(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "sae.safetensors").write_bytes(b"x" * 100), "cannot be read"),
        (lambda f: (f / "sae.safetensors").unlink(), "cannot be read"),
        (lambda f: (f / "config.json").write_text("{"), "expected a JSON object"),
        (lambda f: (f / "config.json").write_text("[" * 10**5), "expected a JSON object"),
        (lambda f: damaged(f, schema=2), "another schema"),
        (lambda f: damaged(f, K=23), r"expected floating-point numbers of shape"),
        (lambda f: damaged(f, m=25), "expected at most K = 24"),
        (lambda f: damaged(f, activation="jumprelu"), "expected .*threshold"),
        (lambda f: damaged(f, activation="gelu"), "'gelu' is unknown"),
        (lambda f: damaged(f, details={}), "expected an OrderedSAE"),
        (lambda f: damaged(f, details=3), "details = 3"),
        (lambda f: damaged(f, details={"ordered_sae": {"law": 1}}), "expected an OrderedSAE"),
    ],
)
def test_what_is_no_saved_estimator_is_refused(problem, tmp_path, damage, message):
    small(n_steps=3).fit(problem.rows()[0][:200]).save(tmp_path / "sae")
    damage(tmp_path / "sae")
    with pytest.raises(InputError, match=message):
        OrderedSAE.load(tmp_path / "sae")
    with pytest.raises(InputError, match="cannot be read"):
        OrderedSAE.load(tmp_path / "nowhere")
