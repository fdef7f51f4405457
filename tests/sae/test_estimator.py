import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from osae_theory.errors import InputError
from osae_theory.metrics import frequencies, match
from osae_theory.prefixes import AnnealedLaw, PrefixLaw
from osae_theory.problems import toy_spec
from osae_theory.sae import OrderedSAE

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
    "law", ["zipf", np.full(24, 1 / 24), AnnealedLaw(PrefixLaw.uniform(24)), PrefixLaw.full(24)]
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
        ({"sort_by": "colour"}, "sort_by 'colour' is unknown"),
        ({"learning_rate": -1.0}, r"learning rate = -1\.0"),
        ({"learning_rate": 1e30}, "diverged"),
        ({"device": "abacus"}, "device 'abacus' is unknown"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(problem, options, message):
    data, _, _ = problem.rows()
    with pytest.raises(InputError, match=message):
        OrderedSAE(**{"n_atoms": 24, "n_nonzero": 2, "n_steps": 5} | options).fit(data)
