import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.sae import TopMSAE
from osae_theory.seeds import Axis, generator


def two_runs(**options):
    return TopMSAE.initialised(
        5, 7, [generator(s, Axis.INITIALISATION) for s in (0, 1)], **options
    ).requires_grad_(False)


def test_an_encoder_starts_as_the_transpose_of_its_own_unit_norm_decoder():
    model = two_runs()
    torch.testing.assert_close(model.encoder, model.atoms.mT, rtol=0, atol=0)
    torch.testing.assert_close(model.atoms.norm(dim=-1), torch.ones(2, 7))
    assert not torch.equal(model.atoms[0], model.atoms[1])
    assert model.encoder_bias.abs().max() == 0


def test_codes_and_reconstruction_are_what_the_formulas_say():
    offset = torch.arange(5.0)
    model = two_runs(decoder_bias=offset)
    x = torch.randn(2, 3, 5)
    latents = (x - offset) @ model.encoder + model.encoder_bias[:, None]
    codes = model.encode(x, 2)
    kept = latents.relu().topk(2, dim=-1)
    torch.testing.assert_close(
        codes, torch.zeros_like(latents).scatter(-1, kept.indices, kept.values)
    )
    torch.testing.assert_close(model.decode(codes), codes @ model.atoms + offset)


def test_chunked_encoding_equals_encoding_at_once():
    model = two_runs()
    x = torch.randn(10, 5)
    once = model.encode(x.expand(2, 10, 5), 3)
    torch.testing.assert_close(torch.cat(list(model.encode_chunks(x, 3, chunk=4)), dim=1), once)
    torch.testing.assert_close(model.encode_all(x, 3), once)


def test_one_run_taken_out_is_an_independent_copy():
    model = two_runs(decoder_bias=torch.ones(5))
    x = torch.randn(4, 5)
    expected = model.encode_all(x, 2)[1]
    alone = model.run(1)
    model.encoder.zero_()
    assert (alone.n_runs, alone.n_atoms) == (1, 7)
    torch.testing.assert_close(alone.encode_all(x, 2)[0], expected)


def test_no_run_at_all_is_refused():
    with pytest.raises(InputError, match="at least one generator"):
        TopMSAE.initialised(5, 7, [])
