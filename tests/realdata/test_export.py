"""Our checkpoints as SAELens folders: same latents, same reconstructions.

fixtures/export holds a checkpoint of ours, its export, 1,000 activations and what SAELens
reconstructs of them from the export (fixtures/make_export.py, then make_saelens.py).
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from osae_theory.errors import InputError
from realdata.checkpoints import load
from realdata.checkpoints.export import export_checkpoint, folded, write_saelens
from realdata.checkpoints.ours import Origin, TopMCheckpoint, form_of, write_ours

FIXTURES = Path(__file__).parent / "fixtures"
EXPORT = FIXTURES / "export"
D, K = 7, 11


def draw(*shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def checkpoint(**changes):
    parts = {
        "encoder": draw(D, K, seed=1),
        "encoder_bias": draw(K, seed=2),
        "decoder": torch.nn.functional.normalize(draw(K, D, seed=3), dim=1),
        "decoder_bias": draw(D, seed=4),
        "input_mean": draw(D, seed=5) * 4,
        "input_scale": 10 ** draw(D, seed=6),
        "m": 3,
        "activation": "relu",
        "origin": Origin("osae", model="tiny", hook="blocks.2.hook_resid_post"),
    }
    return TopMCheckpoint(**{**parts, **changes})


def relative(a, b):
    """Largest difference in units of each dimension's largest number."""
    return float(((a - b).abs() / b.abs().amax(dim=0)).max())


def test_saelens_itself_reconstructs_from_the_export_what_we_do_on_1000_activations():
    with np.load(EXPORT / "given.npz") as given, np.load(EXPORT / "expected.npz") as theirs:
        x = torch.from_numpy(given["x"])
        expected = torch.from_numpy(theirs["reconstruction"])
    assert x.shape == (1000, 12)
    for name in ("ours", "saelens"):
        sae = load(str(EXPORT / name))
        assert relative(sae.decode(sae.encode(x), x), expected) < 2e-6


def test_the_export_that_saelens_was_given_is_the_one_written_now(tmp_path):
    export_checkpoint(str(EXPORT / "ours"), None, tmp_path / "out")
    now, then = (
        load_file(folder / "sae_weights.safetensors")
        for folder in (tmp_path / "out", EXPORT / "saelens")
    )
    assert set(now) == set(then)
    assert all(torch.equal(now[name], then[name]) for name in now)
    assert (tmp_path / "out" / "cfg.json").read_text() == (EXPORT / "saelens/cfg.json").read_text()


@pytest.mark.parametrize("m", [1, 3, K])
def test_latents_and_reconstructions_survive_the_folding(tmp_path, m):
    made = checkpoint(m=m)
    write_saelens(tmp_path / "out", made)
    ours, theirs = form_of(made), load(str(tmp_path / "out"))
    assert (theirs.architecture, theirs.metadata["k"]) == ("topk", m)
    x = draw(300, D, seed=7) * made.input_scale + made.input_mean
    torch.testing.assert_close(theirs.encode(x), ours.encode(x), rtol=1e-4, atol=1e-5)
    difference = relative(theirs.decode(theirs.encode(x), x), ours.decode(ours.encode(x), x))
    assert difference < 2e-6


def test_the_folding_is_exact_in_float64():
    single = checkpoint()
    made = checkpoint(**{name: value.double() for name, value in single.tensors().items()})
    tensors = {name: value.double() for name, value in folded(made).items()}
    x = draw(100, D, seed=7).double() * made.input_scale + made.input_mean
    z = (x - made.input_mean) / made.input_scale
    inside = (z - made.decoder_bias) @ made.encoder + made.encoder_bias
    outside = (x - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]
    torch.testing.assert_close(outside, inside, rtol=1e-5, atol=1e-5)


def test_a_mean_far_larger_than_its_scale_does_not_move_the_latents(tmp_path):
    # Rounded to float32 the offset alone is off by 0.02 of a scale.
    made = checkpoint(input_mean=torch.full((D,), 123_456.7), input_scale=torch.full((D,), 0.2))
    tensors = folded(made)
    offset = made.decoder_bias.double() * made.input_scale.double() + made.input_mean.double()
    off = (tensors["b_dec"].double() - offset) / made.input_scale
    assert float(off.abs().max()) > 0.005
    x = draw(300, D, seed=7) * made.input_scale + made.input_mean
    write_saelens(tmp_path / "out", made)
    z = (x.double() - made.input_mean.double()) / made.input_scale.double()
    inside = (z - made.decoder_bias.double()) @ made.encoder.double() + made.encoder_bias
    latents = load(str(tmp_path / "out")).encode(x)
    kept = latents > 0
    torch.testing.assert_close(latents[kept].double(), inside[kept], rtol=1e-5, atol=1e-5)


def test_decoder_rows_keep_the_norms_that_folding_gives_them():
    made = checkpoint()
    norms = folded(made)["W_dec"].norm(dim=1)
    torch.testing.assert_close(norms, (made.decoder * made.input_scale).norm(dim=1))
    assert float((norms - 1).abs().max()) > 0.1


def test_the_decoder_of_the_export_is_the_decoder_of_the_original(tmp_path):
    made = checkpoint()
    write_saelens(tmp_path / "out", made)
    np.testing.assert_allclose(
        load(str(tmp_path / "out")).decoder, form_of(made).decoder, rtol=1e-6
    )


def test_batch_topk_is_exported_as_jumprelu(tmp_path):
    made = checkpoint(activation="jumprelu", threshold=draw(K, seed=8).abs())
    write_saelens(tmp_path / "out", made)
    theirs = load(str(tmp_path / "out"))
    assert theirs.architecture == "jumprelu"
    x = draw(300, D, seed=7) * made.input_scale + made.input_mean
    torch.testing.assert_close(theirs.encode(x), form_of(made).encode(x), rtol=1e-4, atol=1e-5)


def test_the_configuration_says_what_saelens_must_not_guess(tmp_path):
    write_saelens(tmp_path / "out", checkpoint())
    config = json.loads((tmp_path / "out" / "cfg.json").read_text())
    said = {
        "architecture": "topk",
        "d_in": D,
        "d_sae": K,
        "k": 3,
        "apply_b_dec_to_input": True,
        "rescale_acts_by_decoder_norm": False,
        "normalize_activations": "none",
        "dtype": "float32",
    }
    assert {name: config[name] for name in said} == said
    assert config["metadata"]["model_name"] == "tiny"
    assert config["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    # Without a version of 6 or later SAELens takes the configuration for an older one.
    assert int(config["metadata"]["sae_lens_version"].split(".")[0]) >= 6


def test_signed_latents_cannot_be_exported_and_nothing_is_written(tmp_path):
    write_ours(tmp_path / "ours", checkpoint(activation="signed"))
    with pytest.raises(InputError, match="signed"):
        export_checkpoint(str(tmp_path / "ours"), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_librarys_checkpoint_is_not_exported(tmp_path):
    with pytest.raises(InputError, match="saelens"):
        export_checkpoint(str(FIXTURES / "saelens" / "topk"), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_scale_that_overflows_the_weights_is_refused(tmp_path):
    small = torch.full((D,), 1e-38)
    with pytest.raises(InputError, match="W_enc overflows"):
        write_saelens(
            tmp_path / "out", checkpoint(encoder=torch.full((D, K), 10.0), input_scale=small)
        )
    assert not (tmp_path / "out").exists()


def test_an_export_to_a_link_is_written_where_it_points_and_the_link_stays(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    for _ in range(2):
        export_checkpoint(str(EXPORT / "ours"), None, link)
        assert link.is_symlink()
        assert {path.name for path in target.iterdir()} == {"cfg.json", "sae_weights.safetensors"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


def test_an_export_to_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="leads nowhere"):
        export_checkpoint(str(EXPORT / "ours"), None, tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_that_cannot_be_put_in_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    out = tmp_path / "out"
    export_checkpoint(str(EXPORT / "ours"), None, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    replace = Path.replace

    def fails(path, target):
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(InputError, match="No space left on device"):
        export_checkpoint(str(EXPORT / "ours"), None, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
