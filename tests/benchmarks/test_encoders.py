import numpy as np
import pytest
import torch

from benchmarks.contracts import Fitted
from benchmarks.encoders.pursuit import Pursuit
from benchmarks.encoders.top_m import TopM
from benchmarks.encoders.truth import Truth
from benchmarks.kept import fitted_from, stored_arrays
from osae_theory.errors import InputError
from osae_theory.sae import TopMSAE
from osae_theory.seeds import Axis, generator


@pytest.mark.parametrize("arithmetic", ["portable", "fast"])
@pytest.mark.parametrize("biased", [False, True])
def test_a_top_m_encoder_comes_back_from_its_arrays_with_the_same_bits(arithmetic, biased):
    bias = torch.linspace(-1, 1, 5) if biased else None
    model = TopMSAE.initialised(
        5, 9, [generator(0, Axis.INITIALISATION)], decoder_bias=bias, arithmetic=arithmetic
    )
    with torch.no_grad():
        model.encoder_bias += torch.linspace(0, 0.3, 9)
    fit = Fitted(model.atoms[0].detach().double().numpy().T, TopM(model, 3))
    again = fitted_from("top-m", stored_arrays(fit))
    rows = np.random.default_rng(0).standard_normal((50, 5), dtype=np.float32)
    np.testing.assert_array_equal(again.encoder(rows), fit.encoder(rows))
    np.testing.assert_array_equal(again.dictionary, fit.dictionary)
    assert again.encoder.model.arithmetic == arithmetic
    assert (np.count_nonzero(fit.encoder(rows), axis=1) <= 3).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_pursuit_comes_back_from_its_arrays_with_the_same_bits(signed):
    rng = np.random.default_rng(0)
    D = rng.standard_normal((5, 9))
    D /= np.linalg.norm(D, axis=0)
    fit = Fitted(D, Pursuit(D, 3, signed))
    again = fitted_from("pursuit", stored_arrays(fit))
    rows = rng.standard_normal((50, 5), dtype=np.float32)
    codes = fit.encoder(rows)
    np.testing.assert_array_equal(again.encoder(rows), codes)
    assert codes.dtype == np.float32
    assert np.count_nonzero(codes, axis=1).max() == 3
    assert (codes < 0).any() == signed
    better = ((rows - codes @ D.T) ** 2).sum() < (
        (rows - TopM.correlating(D, 3)(rows) @ D.T) ** 2
    ).sum()
    assert better


def test_the_truth_has_no_codes_for_data_alone():
    with pytest.raises(InputError, match="the true codes are the problem's"):
        Truth()(np.zeros((1, 2), np.float32))


def test_an_encoder_of_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match=r"encoder 'top-n' is unknown .did you mean 'top-m'"):
        fitted_from("top-n", {"dictionary": np.eye(2)})


def test_an_encoder_of_atoms_alone_takes_the_largest_inner_products():
    rng = np.random.default_rng(0)
    D = rng.standard_normal((5, 9))
    D /= np.linalg.norm(D, axis=0)
    rows = rng.standard_normal((20, 5)).astype(np.float32)
    codes = TopM.correlating(D, 2)(rows)
    products = rows @ D.astype(np.float32)
    for code, product in zip(codes, products, strict=True):
        kept = np.argsort(-product)[:2]
        np.testing.assert_allclose(code[kept], np.maximum(product[kept], 0), rtol=1e-5)
        assert np.count_nonzero(code) <= 2
