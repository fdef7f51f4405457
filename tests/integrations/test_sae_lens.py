import copy
import importlib
import inspect
import json
import math
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from runtime_types import end_checks

pytestmark = pytest.mark.peers

pytest.importorskip("sae_lens")
import osae_theory.integrations.sae_lens as ordered  # noqa: E402

D, K, M = 16, 40, 4


def config(**options):
    made = {"d_in": D, "d_sae": K, "k": M} | options
    return ordered.OrderedTopKTrainingSAEConfig(**made)


def groups(widths, **options):
    return ordered.MatryoshkaExactTrainingSAEConfig(
        d_in=D, d_sae=K, k=M, matryoshka_widths=widths, **options
    )


def step_input(x, dead=None, coefficients=None):
    return ordered.TrainStepInput(
        sae_in=x,
        coefficients=coefficients or {},
        dead_neuron_mask=dead,
        n_training_steps=0,
        is_logging_step=False,
    )


def world(seed=0):
    from sae_lens.synthetic import (
        HierarchyConfig,
        LowRankCorrelationConfig,
        SyntheticModel,
        SyntheticModelConfig,
    )

    made = SyntheticModelConfig(
        num_features=48,
        hidden_dim=D,
        hierarchy=HierarchyConfig(total_root_nodes=4, branching_factor=2, max_depth=2),
        correlation=LowRankCorrelationConfig(rank=4),
        std_firing_magnitudes=0.5,
        seed=seed,
    )
    return SyntheticModel(made)


def runner_config(sae, folder=None, **options):
    from sae_lens.config import LoggingConfig

    made = {
        "synthetic_model": world().cfg,
        "sae": sae,
        "training_samples": 200 * 64,
        "batch_size": 64,
        "lr": 3e-3,
        "checkpoint_path": None,
        "output_path": None if folder is None else str(folder),
        "eval_samples": 500,
        "logger": LoggingConfig(log_to_wandb=False),
    }
    return ordered.SyntheticSAERunnerConfig(**made | options)


@pytest.mark.parametrize("rescale", [True, False])
def test_the_loss_is_the_mean_over_prefixes(rescale):
    torch.manual_seed(1)
    sae = ordered.OrderedTopKTrainingSAE(config(rescale_acts_by_decoder_norm=rescale))
    sae.b_dec.data.normal_(std=0.1)
    x = torch.randn(30, D)
    output = sae.training_forward_pass(step_input(x))
    codes, hidden_pre = sae.encode_with_hidden_pre(x)
    torch.testing.assert_close(output.feature_acts, codes)
    torch.testing.assert_close(output.hidden_pre, hidden_pre)
    torch.testing.assert_close(output.sae_out, sae.decode(codes))
    parts = codes / sae.W_dec.norm(dim=-1) if rescale else codes
    survival = torch.arange(K, 0, -1) / K
    expected = nested_dropout_loss_loop(x - sae.b_dec, parts, sae.W_dec, survival) / len(x)
    assert float(output.loss) == pytest.approx(float(expected), rel=1e-5)
    weights = list(sae.parameters())
    for found, known in zip(
        torch.autograd.grad(output.loss, weights),
        torch.autograd.grad(expected, weights),
        strict=True,
    ):
        torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-5)
    error = (sae.decode(codes) - x).square().sum(dim=-1).mean()
    torch.testing.assert_close(output.metrics["mse"](), error)


def test_groups_have_the_loss_of_their_matryoshka_over_its_number_of_prefixes():
    from sae_lens import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig

    widths = [5, 20, K]
    theirs = MatryoshkaBatchTopKTrainingSAE(
        MatryoshkaBatchTopKTrainingSAEConfig(d_in=D, d_sae=K, k=M, matryoshka_widths=widths)
    )
    ours = ordered.MatryoshkaExactTrainingSAE(
        ordered.MatryoshkaExactTrainingSAEConfig(d_in=D, d_sae=K, k=M, matryoshka_widths=[5, 20])
    )
    ours.load_state_dict(theirs.state_dict(), strict=False)
    # Of one sample, the M largest of the batch are the M largest of the sample.
    x = torch.randn(1, D)
    expected = theirs.training_forward_pass(step_input(x)).loss / len(widths)
    torch.testing.assert_close(ours.training_forward_pass(step_input(x)).loss, expected)


def test_the_law_full_is_their_topk_with_its_loss_of_dead_latents():
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig

    theirs = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=D, d_sae=K, k=M))
    ours = ordered.OrderedTopKTrainingSAE(config(law="full"))
    ours.load_state_dict(theirs.state_dict())
    x, dead = torch.randn(30, D), torch.arange(K) < 7
    a, b = (sae.training_forward_pass(step_input(x, dead)) for sae in (ours, theirs))
    assert float(a.losses["auxiliary_reconstruction_loss"]) > 0
    torch.testing.assert_close(a.loss, b.loss)
    slopes = (
        torch.autograd.grad(o.loss, list(s.parameters())) for o, s in ((a, ours), (b, theirs))
    )
    for found, known in zip(*slopes, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-5)


def test_it_trains_in_their_runner_and_loads_without_us(tmp_path):
    made = runner_config(config(k_warm_up_steps=100), tmp_path)
    before = ordered.SeededSyntheticSAERunner(made, seed=0)
    x = before.synthetic_model.sample(500)
    first = before.sae.training_forward_pass(step_input(x)).loss.item()
    result = before.run()
    assert result.sae.training_forward_pass(step_input(x)).loss.item() < first / 2
    written = json.loads((tmp_path / "cfg.json").read_text())
    assert written["architecture"] == "topk"
    details = written["metadata"]["training_architecture_details"]
    assert (details["law"], details["k_warm_up_steps"]) == ("uniform", 100)
    torch.save(x, tmp_path / "x.pt")
    script = (
        "import sys, torch\nfrom sae_lens import SAE\n"
        f"sae = SAE.load_from_disk({str(tmp_path)!r})\n"
        f"x = torch.load({str(tmp_path / 'x.pt')!r}, weights_only=True)\n"
        f"torch.save(sae(x).detach(), {str(tmp_path / 'out.pt')!r})\n"
        "assert not [name for name in sys.modules if name.startswith('osae_theory')]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    alone = torch.load(tmp_path / "out.pt", weights_only=True)
    torch.testing.assert_close(alone, result.sae(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    def trained(seed):
        torch.manual_seed(seed + 17)  # what the caller's stream is at does not count
        return ordered.SeededSyntheticSAERunner(runner_config(config()), seed).run().sae

    one, again, other = trained(3), trained(3), trained(4)
    assert torch.equal(one.W_dec, again.W_dec)
    assert torch.equal(one.W_enc, again.W_enc)
    assert not torch.equal(one.W_dec, other.W_dec)


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, "0", 2**63])
def test_a_seed_that_cannot_be_is_one_sentence(seed):
    made = runner_config(config())
    end_checks()
    with pytest.raises(InputError, match=r"^seed = .*: expected"):
        ordered.SeededSyntheticSAERunner(made, seed)


@pytest.mark.parametrize("kind", ["ordered_topk", "batchtopk"])
@pytest.mark.parametrize("normalised", ["expected_average_only_in", "covariance_whitening"])
def test_a_second_run_by_the_same_configuration_is_the_same_run(kind, normalised):
    from sae_lens.registry import get_sae_training_class

    sae = get_sae_training_class(kind)[1](d_in=D, d_sae=K, k=M, normalize_activations=normalised)
    made = runner_config(sae, training_samples=20 * 64, n_batches_for_norm_estimate=3)
    before = made.to_dict()
    one, again = (ordered.SeededSyntheticSAERunner(made, seed=0).run().sae for _ in range(2))
    assert torch.equal(one.W_dec, again.W_dec)
    assert made.to_dict() == before


def test_a_hook_on_latents_or_reconstruction_does_not_change_the_loss():
    sae, given = ordered.OrderedTopKTrainingSAE(config()), step_input(torch.randn(30, D))
    plain = sae.training_forward_pass(given)

    def with_hooks(**hooks):
        with sae.hooks(fwd_hooks=[(f"hook_{name}", hook) for name, hook in hooks.items()]):
            return sae.training_forward_pass(given)

    found = with_hooks(
        sae_acts_post=lambda codes, hook: 0 * codes, sae_recons=lambda x, hook: x + 1
    )
    assert found.loss == plain.loss
    assert not found.feature_acts.any()
    torch.testing.assert_close(found.sae_out, plain.sae_out + 1)
    found = with_hooks(sae_acts_pre=lambda scores, hook: -scores.abs())
    torch.testing.assert_close(found.loss, given.sae_in.square().sum() / 30)


def test_training_interrupted_goes_on_with_its_warm_up(tmp_path):
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    def trainer():
        torch.manual_seed(0)
        sae = ordered.OrderedTopKTrainingSAE(config(k_warm_up_steps=6))
        made = SAETrainerConfig(
            total_training_samples=640, train_batch_size_samples=64, lr_end=3e-4
        )
        return SAETrainer(made, sae, data_provider=iter(()))

    batches = torch.randn(10, 64, D)
    whole, first = trainer(), trainer()
    for t in range(10):
        whole.step(batches[t])
        whole.n_training_steps += 1
    for t in range(4):
        l0 = first.step(batches[t]).feature_acts.bool().sum(-1).max()
        first.n_training_steps += 1
        assert l0 <= K - round((K - M) * t / 6)
    first.save_checkpoint("at4", tmp_path)
    second = trainer()
    second.sae.load_weights_from_checkpoint(tmp_path / "at4")
    second.load_trainer_state(tmp_path / "at4")
    for t in range(4, 10):
        second.step(batches[t])
        second.n_training_steps += 1
    assert torch.equal(second.sae.W_dec, whole.sae.W_dec)
    assert second.get_coefficients() == {"k_warm_up": 1.0}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_what_is_saved_for_training_is_trained_on_by_the_same_law(dtype, tmp_path):
    from sae_lens import TrainingSAE

    made = config(law="geometric:0.99", rescale_acts_by_decoder_norm=False)
    ordered.OrderedTopKTrainingSAE(made).save_model(tmp_path)
    sae = TrainingSAE.load_from_disk(tmp_path, dtype=dtype)
    assert sae.cfg.law == made.law
    x = torch.randn(30, D, dtype=torch.float64)
    output = sae.training_forward_pass(step_input(x))
    # Half precision rounds weights and codes, but not the law.
    expected = nested_dropout_loss_loop(
        x - sae.b_dec,
        output.feature_acts.double(),
        sae.W_dec.double(),
        torch.tensor(made.prefix_law().survival),
    )
    assert float(output.loss.detach()) == pytest.approx(float(expected.detach()) / 30, rel=1e-6)


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (config(), config(law="full"), "law = 'full': expected 'uniform', as in the training"),
        (config(), config(k=3), "k = 3: expected 4"),
        (config(), config(k_warm_up_steps=9), "k_warm_up_steps = 9: expected 0"),
        (groups([8]), groups([8, 20]), r"matryoshka_widths = \[8, 20\]: expected \[8\]"),
        (groups([8]), config(), "architecture = 'ordered_topk': expected 'matryoshka_exact'"),
        (config(), config(aux_loss_coefficient=0.5), None),
    ],
)
def test_training_goes_on_only_as_it_began(before, now, message, tmp_path):
    kinds = {
        "ordered_topk": ordered.OrderedTopKTrainingSAE,
        "matryoshka_exact": ordered.MatryoshkaExactTrainingSAE,
    }
    first, second = (kinds[made.architecture()](made) for made in (before, now))
    first.save_model(tmp_path)
    if message is None:
        second.load_weights_from_checkpoint(tmp_path)
        assert torch.equal(second.W_dec, first.W_dec)
    else:
        with pytest.raises(InputError, match=message):
            second.load_weights_from_checkpoint(tmp_path)


def test_a_warm_up_that_the_training_cuts_short_is_said_when_it_is_saved(tmp_path):
    sae = ordered.OrderedTopKTrainingSAE(config(k_warm_up_steps=10))
    x = torch.randn(30, D)
    sae.training_forward_pass(step_input(x, coefficients={"k_warm_up": 0.5}))
    with pytest.warns(UserWarning, match="with 22 active latents; what is saved has k = 4"):
        sae.save_inference_model(tmp_path)
    sae.training_forward_pass(step_input(x, coefficients={"k_warm_up": 1.0}))
    with warnings.catch_warnings(action="error"):
        sae.save_inference_model(tmp_path)


def test_a_step_can_be_compiled_once_for_the_whole_warm_up(monkeypatch):
    from torch._subclasses.fake_tensor import FakeTensor

    end_checks()  # their count would be compiled too
    # nnsight, which dictionary_learning imports, puts an older torch's in its place.
    monkeypatch.setattr(FakeTensor, "__new__", inspect.unwrap(FakeTensor.__new__))
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    sae = ordered.OrderedTopKTrainingSAE(config(k_warm_up_steps=10))
    compiled = torch.compile(sae.training_forward_pass, backend="eager")
    x = torch.randn(30, D)
    for share in (0.25, 0.5):
        given = step_input(x, coefficients={"k_warm_up": share})
        losses = [take(given).loss for take in (compiled, sae.training_forward_pass)]
        assert losses[0] == losses[1]
        slopes = [torch.autograd.grad(loss, list(sae.parameters())) for loss in losses]
        torch.testing.assert_close(*slopes)


def test_the_file_can_be_imported_again():
    from sae_lens.registry import SAE_TRAINING_CLASS_REGISTRY, get_sae_training_class

    end_checks()
    before, names = dict(SAE_TRAINING_CLASS_REGISTRY), dict(vars(ordered))
    try:
        again = importlib.reload(ordered)
        assert get_sae_training_class("ordered_topk")[0] is again.OrderedTopKTrainingSAE
        assert get_sae_training_class("ordered_topk") != before["ordered_topk"]
        SAE_TRAINING_CLASS_REGISTRY["ordered_topk"] = before["topk"]  # another's, of that name
        with pytest.raises(ValueError, match="already registered"):
            importlib.reload(again)
    finally:
        SAE_TRAINING_CLASS_REGISTRY.update(before)
        vars(ordered).update(names)


def test_it_trains_in_single_precision_under_autocast():
    made = runner_config(config(), autocast_sae=True)
    result = ordered.SeededSyntheticSAERunner(made, seed=0).run()
    assert result.sae.W_dec.isfinite().all()
    assert result.sae.W_dec.dtype == torch.float32


@pytest.mark.parametrize(
    "made",
    [
        *(
            config(law=law, k_warm_up_steps=5)
            for law in ("uniform", "full", "piecewise", "zipf:1.2", "geometric:0.9", "massed:0.5")
        ),
        groups([8, K]),
    ],
    ids=lambda made: getattr(made, "law", "groups"),
)
def test_their_configuration_comes_back_from_its_dictionary_and_from_copies(made):
    from sae_lens import TrainingSAEConfig

    again = TrainingSAEConfig.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "unifrom"}, "law 'unifrom' is unknown .did you mean 'uniform'"),
        ({"k_warm_up_steps": -1}, "k_warm_up_steps = -1: expected a whole number of at least 0"),
        ({"use_sparse_activations": True}, "use_sparse_activations = True: expected False"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations = 'layer_norm'"),
        ({"reshape_activations": "hook_y"}, "reshape_activations 'hook_y' is unknown"),
        ({"d_in": 0}, "d_in = 0: expected a whole number of at least 1"),
        ({"d_sae": 4.0}, "d_sae = 4.0: expected a whole number of at least 1"),
        ({"k": 0}, "k = 0: expected a whole number of at least 1"),
        ({"k": K + 1}, "k = 41: expected at most 40"),
        ({"aux_loss_coefficient": -1.0}, "aux_loss_coefficient = -1.0: expected a finite number"),
        ({"aux_loss_coefficient": math.nan}, "aux_loss_coefficient = nan: expected a finite"),
        ({"decoder_init_norm": 0.0}, "decoder_init_norm = 0.0: expected a finite number above 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_sentence(options, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        config(**options)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([], r"matryoshka_widths = \[\]: expected at least one"),
        (None, "matryoshka_widths = None: expected at least one"),
        (8, "matryoshka_widths = 8: expected at least one"),
        ([8, 4], r"matryoshka_widths = \[8, 4\]: .* increasing"),
        ([8, 8], r"matryoshka_widths = \[8, 8\]: .* increasing"),
        ([0, 8], r"matryoshka_widths\[0\] = 0: expected a whole number of at least 1"),
        ([8, K + 1], r"matryoshka_widths\[1\] = 41: expected at most 40"),
        ([8.5], r"matryoshka_widths\[0\] = 8.5: expected a whole number"),
        ([True], r"matryoshka_widths\[0\] = True: expected a whole number"),
        ("8", r"matryoshka_widths\[0\] = '8': expected a whole number"),
    ],
)
def test_groups_that_cannot_be_are_one_sentence(widths, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        groups(widths)


@pytest.mark.parametrize(
    "widths", [(8, 20), range(8, 21, 12), np.array([8, 20]), torch.tensor([8, 20])]
)
def test_groups_of_any_kind_and_numpys_numbers_can_be_written(widths):
    end_checks()
    made = groups(widths, k_warm_up_steps=np.int64(3), aux_loss_coefficient=np.float32(0.5))
    assert made == groups([8, 20], k_warm_up_steps=3, aux_loss_coefficient=0.5)
    numbers = config(d_in=np.int64(D), d_sae=np.int32(K), k=np.int64(M))
    assert [json.loads(json.dumps(one.to_dict()))["k"] for one in (made, numbers)] == [M, M]
