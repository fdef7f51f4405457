import json
import math

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw
from runtime_types import end_checks

pytestmark = pytest.mark.peers

pytest.importorskip("dictionary_learning")
from osae_theory.integrations.dictionary_learning import OrderedTopKTrainer  # noqa: E402

D, K, M = 16, 40, 4


def trainer(**options):
    made = {
        "steps": 200,
        "activation_dim": D,
        "dict_size": K,
        "k": M,
        "layer": 0,
        "lm_name": "none",
    }
    made |= {"device": "cpu", "seed": 0, "warmup_steps": 10, "lr": 3e-3}
    return OrderedTopKTrainer(**made | options)


def batches(n=200, seed=0):
    draw = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(24, D, generator=draw), dim=-1)
    for _ in range(n):
        codes = torch.rand(64, 24, generator=draw)
        yield (codes * (torch.rand(64, 24, generator=draw) < 0.1)) @ atoms


def test_the_loss_is_the_mean_over_prefixes():
    ours = trainer(auxk_alpha=0.0)
    x = next(batches())
    codes = ours.ae.encode(x)
    atoms = ours.ae.decoder.weight.T
    survival = torch.arange(K, 0, -1) / K
    expected = nested_dropout_loss_loop(x - ours.ae.b_dec, codes, atoms, survival) / len(x)
    found = ours.loss(x, step=0, logging=True)
    assert found.losses["loss"] == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(found.f, codes)
    torch.testing.assert_close(found.x_hat, ours.ae(x))
    assert found.losses["l2_loss"] == pytest.approx(float((x - ours.ae(x)).square().sum(-1).mean()))
    weights = list(ours.ae.parameters())
    slopes = torch.autograd.grad(ours.loss(x), weights)
    for one, known in zip(slopes, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(one, known, rtol=1e-4, atol=1e-5)


def test_the_law_full_is_their_topk_with_its_loss_of_dead_latents():
    from dictionary_learning.trainers.top_k import TopKTrainer

    ours = trainer(law="full", auxk_alpha=0.5)
    theirs = TopKTrainer(
        steps=200, activation_dim=D, dict_size=K, k=M, layer=0, lm_name="none", device="cpu",
        seed=0, warmup_steps=10, lr=3e-3, auxk_alpha=0.5,
    )  # fmt: skip
    for one in (ours, theirs):
        one.num_tokens_since_fired[:7] = one.dead_feature_threshold
    for t, x in enumerate(batches(5)):
        assert ours.update(t, x) == pytest.approx(theirs.update(t, x), rel=1e-5)
    assert torch.equal(ours.num_tokens_since_fired, theirs.num_tokens_since_fired)
    torch.testing.assert_close(
        ours.ae.decoder.weight, theirs.ae.decoder.weight, rtol=1e-4, atol=1e-5
    )


def test_it_trains_by_their_function_and_loads_without_us(tmp_path):
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from dictionary_learning.training import trainSAE

    made = trainer().config
    options = {
        name: made[name]
        for name in (
            "steps", "activation_dim", "dict_size", "k", "layer", "lm_name", "device", "lr", "seed",
            "warmup_steps",
        )
    }  # fmt: skip
    options |= {"trainer": OrderedTopKTrainer, "law": "zipf:1.2", "k_anneal_steps": 50}
    trainSAE(
        data=batches(), trainer_configs=[options], steps=200, save_dir=str(tmp_path),
        log_steps=100, autocast_dtype=torch.float32, device="cpu",
    )  # fmt: skip
    written = json.loads((tmp_path / "trainer_0/config.json").read_text())["trainer"]
    assert (written["dict_class"], written["k"], written["law"]) == (
        "AutoEncoderTopK",
        M,
        "zipf:1.2",
    )
    alone = AutoEncoderTopK.from_pretrained(tmp_path / "trainer_0/ae.pt")
    x = next(batches(seed=0))
    error = (alone(x) - x).square().sum() / x.square().sum()
    untrained = trainer().ae
    assert error < (untrained(x) - x).square().sum() / x.square().sum() / 2


def test_the_warm_up_falls_to_k():
    ours = trainer(k_anneal_steps=10)
    x = next(batches())
    shown = []
    for step in (0, 5, 10):
        ours.loss(x, step=step)
        shown.append(ours.get_logging_parameters()["effective_l0"])
    assert shown == [K, 22, M]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "zipf"}, "law 'zipf': expected a number"),
        ({"law": PrefixLaw.full(3)}, r"law = PrefixLaw.*: expected a name, as 'uniform'"),
        ({"k": K + 1}, "k = 41: expected at most 40"),
        ({"k": 0}, "k = 0: expected a whole number of at least 1"),
        ({"k": 2.0}, "k = 2.0: expected a whole number of at least 1"),
        ({"dict_size": 0}, "dict_size = 0: expected a whole number of at least 1"),
        ({"activation_dim": 16.0}, "activation_dim = 16.0: expected a whole number"),
        ({"k_anneal_steps": -1}, "k_anneal_steps = -1: expected a whole number of at least 0"),
        ({"k_anneal_steps": 200}, "k_anneal_steps = 200: expected fewer than the training's 200"),
        ({"auxk_alpha": math.nan}, "auxk_alpha = nan: expected a finite number at least 0"),
        ({"auxk_alpha": -1.0}, "auxk_alpha = -1.0: expected a finite number at least 0"),
        ({"threshold_beta": math.nan}, "threshold_beta = nan: expected a finite number"),
    ],
)
def test_arguments_that_cannot_be_are_one_sentence(options, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        trainer(**options)


def test_numpys_numbers_can_be_written():
    end_checks()
    made = trainer(k=np.int64(M), dict_size=np.int32(K), k_anneal_steps=np.int64(3))
    assert json.loads(json.dumps(made.config)) == trainer(k_anneal_steps=3).config


def test_a_sample_without_an_active_latent_leaves_the_threshold_finite():
    ours = trainer(threshold_start_step=0)
    x = next(batches())
    ours.loss(x, step=1)
    before = float(ours.ae.threshold)
    ours.ae.encoder.bias.data.fill_(-100.0)
    ours.loss(x, step=2)
    assert float(ours.ae.threshold) == before
    ours.ae.encoder.bias.data.zero_()
    x[:3] = ours.ae.b_dec.detach()  # nothing is active in these
    ours.loss(x, step=3)
    codes = ours.ae.encode(x)
    least = codes.where(codes > 0, torch.inf).amin(dim=1)
    least = least[least.isfinite()].mean()
    assert float(ours.ae.threshold) == pytest.approx(0.999 * before + 0.001 * float(least))


def test_trained_beside_another_it_is_what_it_is_alone(tmp_path):
    from dictionary_learning.trainers.top_k import AutoEncoderTopK, TopKTrainer
    from dictionary_learning.training import trainSAE

    options = {"activation_dim": D, "dict_size": K, "k": M, "layer": 0, "lm_name": "none"}
    options |= {"steps": 40, "device": "cpu", "seed": 0, "warmup_steps": 5, "lr": 3e-3}
    options |= {"threshold_start_step": 20, "decay_start": 30}
    ours = options | {"trainer": OrderedTopKTrainer, "law": "massed:0.5", "k_anneal_steps": 10}
    for folder, trainers in (("both", [options | {"trainer": TopKTrainer}, ours]), ("one", [ours])):
        trainSAE(
            data=batches(40), trainer_configs=[dict(one) for one in trainers], steps=40,
            save_dir=str(tmp_path / folder), save_steps=[20], log_steps=10, verbose=True,
            device="cpu",
        )  # fmt: skip
    kept = [tmp_path / "both/trainer_1/ae.pt", tmp_path / "one/trainer_0/ae.pt"]
    # Tensors alone, by name: nothing of this project is needed to read them.
    both, one = (torch.load(path, weights_only=True) for path in kept)
    assert both.keys() == one.keys()
    assert all(torch.equal(both[name], one[name]) for name in one)
    ae = AutoEncoderTopK.from_pretrained(kept[0])
    assert (int(ae.k), float(ae.threshold)) == (M, float(one["threshold"]))
    active = (ae.encode(next(batches()), use_threshold=True) > 0).sum(dim=1).float().mean()
    assert 1 <= active <= 3 * M
    assert (tmp_path / "both/trainer_1/checkpoints/ae_20.pt").exists()


def test_it_trains_in_single_precision_under_autocast():
    ours, plain = trainer(), trainer()
    for step, x in enumerate(batches(5)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = ours.update(step, x.bfloat16())
        assert loss == pytest.approx(plain.update(step, x), rel=0.05)
    assert ours.ae.decoder.weight.dtype == torch.float32
