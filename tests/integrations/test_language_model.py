"""SAELens's runners for language models, on a tiny random transformer and without a network."""

import json
import signal
import socket
import subprocess
import sys

import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.sae.schedules import warmed_active

pytestmark = pytest.mark.peers

pytest.importorskip("sae_lens")
import osae_theory.integrations.sae_lens as ordered  # noqa: E402

D, K, M, BATCH, STEPS, WARMUP = 16, 40, 4, 64, 100, 60
HOOKS = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
ORDERED = ordered.OrderedTopKTrainingSAEConfig(d_in=D, d_sae=K, k=M, k_warm_up_steps=WARMUP)
GROUPS = ordered.MatryoshkaExactTrainingSAEConfig(
    d_in=D, d_sae=K, k=M, matryoshka_widths=[8, 20], normalize_activations="covariance_whitening"
)


@pytest.fixture(autouse=True, scope="module")
def _alone():
    """Refuse every connection, and give back the signals that SAELens's runners take."""

    def refused(*arguments, **named):
        raise AssertionError("a connection was asked for")

    kept = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("WANDB_MODE", "disabled")
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket, "getaddrinfo", refused)
        yield
    for number, handler in kept:
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def language():
    """Return a transformer with random weights and a text of random words."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformers import PreTrainedTokenizerFast

    words = [f"w{i}" for i in range(50)]
    vocabulary = {word: i for i, word in enumerate(["<s>", "<unk>", *words])}
    split = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    split.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=split, bos_token="<s>", eos_token="<s>", pad_token="<s>",
        unk_token="<unk>", name_or_path="made-up", add_bos_token=True,
    )  # fmt: skip
    made = HookedTransformerConfig(
        n_layers=2, d_model=D, n_ctx=16, d_head=8, n_heads=2, d_mlp=32, act_fn="relu",
        d_vocab=len(vocabulary), seed=0, device="cpu",
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    texts = [
        " ".join(words[i] for i in torch.randint(50, (40,), generator=draw)) for _ in range(300)
    ]
    return {
        "override_model": HookedTransformer(made, tokenizer=tokenizer),
        "override_dataset": Dataset.from_dict({"text": texts}),
    }


def options(folder, **others):
    from sae_lens import LoggingConfig

    made = {
        "model_name": "made-up", "dataset_path": "made-up", "streaming": False,
        "context_size": 16, "training_tokens": STEPS * BATCH, "train_batch_size_tokens": BATCH,
        "store_batch_size_prompts": 8, "n_batches_in_buffer": 4, "lr": 3e-3, "n_eval_batches": 1,
        "n_checkpoints": 1, "checkpoint_path": str(folder / "checkpoints"),
        "output_path": str(folder / "out"), "n_batches_for_norm_estimate": 4,
    }  # fmt: skip
    # Logging is in; nothing is written, since WANDB_MODE is "disabled".
    logging = LoggingConfig(wandb_log_frequency=10, eval_every_n_wandb_logs=5)
    return made | {"logger": logging} | others


def runner(language, folder, sae=ORDERED, **others):
    from sae_lens import LanguageModelSAERunnerConfig, LanguageModelSAETrainingRunner

    made = LanguageModelSAERunnerConfig(
        sae=sae, hook_name=HOOKS[0], is_dataset_tokenized=False, verbose=False,
        **options(folder, **others),
    )  # fmt: skip
    return LanguageModelSAETrainingRunner(made, **language)


def several(language, folder, **others):
    from sae_lens import TopKTrainingSAEConfig
    from sae_lens.multi_sae_training_runner import (
        MultiSAETrainingRunner,
        MultiSAETrainingRunnerConfig,
    )

    saes = {
        "ordered": ORDERED,
        "groups": GROUPS,
        "theirs": TopKTrainingSAEConfig(d_in=D, d_sae=K, k=M),
    }
    hooks = dict(zip(saes, [HOOKS[0], HOOKS[1], HOOKS[0]], strict=True))
    made = MultiSAETrainingRunnerConfig(saes=saes, hook_names=hooks, **options(folder, **others))
    return MultiSAETrainingRunner(made, **language)


def watched(sae):
    """Have an SAE's steps written down: warm-up, active latents, loss, and what it is to be."""
    seen, step = [], sae.training_forward_pass

    def training_forward_pass(step_input):
        output = step(step_input=step_input)
        share = step_input.coefficients["k_warm_up"]
        expected = None
        if share == 1 and len(seen) % 10 == 0:
            x = step_input.sae_in
            parts = sae.encode(x) / sae.W_dec.norm(dim=-1)
            survival = torch.tensor(sae.cfg.prefix_law().survival, dtype=torch.float32)
            total = nested_dropout_loss_loop(x - sae.b_dec, parts, sae.W_dec, survival)
            expected = float(total.detach()) / len(x)
        active = int((output.feature_acts > 0).sum(-1).max())
        seen.append((share, active, float(output.losses["nested_dropout_loss"]), expected))
        return output

    sae.training_forward_pass = training_forward_pass
    return seen


def check_steps(seen, warmup, done=0):
    shares = [min(step / warmup, 1.0) if warmup else 1.0 for step in range(done, STEPS)]
    assert [share for share, *_ in seen] == pytest.approx(shares)
    for share, active, loss, expected in seen:
        assert active <= warmed_active(share, K, M)
        assert active > M or share > 0.4
        assert expected is None or loss == pytest.approx(expected, rel=1e-4)
    assert sum(expected is not None for *_, expected in seen) >= 4


@pytest.fixture(scope="module")
def trained(language, tmp_path_factory):
    """Return for each runner its folder, its SAEs and what their steps wrote down."""
    made = {}
    for name, sae in (("ordered", ORDERED), ("groups", GROUPS)):
        folder = tmp_path_factory.mktemp(name)
        run = runner(language, folder, sae)
        seen = {name: watched(run.sae)}
        made[name] = (folder, {name: run.run()}, seen)
    folder = tmp_path_factory.mktemp("several")
    run = several(language, folder)
    seen = {name: watched(run.saes[name]) for name in ("ordered", "groups")}
    made["several"] = (folder, run.run(), seen)
    return made


def checkpoint(folder):
    return next((folder / "checkpoints").glob("*/*"))


@pytest.mark.parametrize("which", ["ordered", "groups", "several"])
def test_the_loss_that_is_trained_is_the_mean_over_prefixes_and_falls(which, trained):
    _, _, seen = trained[which]
    assert GROUPS.normalize_activations == "covariance_whitening"  # not what training left
    for name, steps in seen.items():
        check_steps(steps, WARMUP if name == "ordered" else 0)
        late = [loss for share, _, loss, _ in steps if share == 1]
        assert late[-1] < late[0]


def test_what_they_save_loads_without_us(trained, tmp_path):
    x = torch.randn(50, D)
    torch.save(x, tmp_path / "x.pt")
    folders = {}
    for which, (folder, saes, _) in trained.items():
        for name in saes:
            folders[f"{which}/{name}"] = str(folder / "out" / (name if which == "several" else ""))
    script = (
        "import sys, torch\nfrom sae_lens import SAE\n"
        f"x = torch.load({str(tmp_path / 'x.pt')!r}, weights_only=True)\n"
        f"saes = {{name: SAE.load_from_disk(f) for name, f in {folders!r}.items()}}\n"
        "assert {sae.cfg.architecture() for sae in saes.values()} == {'topk'}\n"
        "out = {name: sae(x).detach() for name, sae in saes.items()}\n"
        f"torch.save(out, {str(tmp_path / 'out.pt')!r})\n"
        "assert not [name for name in sys.modules if name.startswith('osae_theory')]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    alone = torch.load(tmp_path / "out.pt", weights_only=True)
    for which, (_, saes, _) in trained.items():
        for name, sae in saes.items():
            found = alone[f"{which}/{name}"]
            torch.testing.assert_close(found, sae(x).detach(), rtol=1e-4, atol=1e-4)
    written = json.loads((trained["ordered"][0] / "out/cfg.json").read_text())
    assert written["metadata"]["training_architecture_details"]["k_warm_up_steps"] == WARMUP
    assert (written["k"], written["metadata"]["hook_name"]) == (M, HOOKS[0])


@pytest.mark.parametrize("which", ["ordered", "several"])
def test_a_checkpoint_is_gone_on_from_with_its_warm_up(which, trained, language, tmp_path):
    folder, _, _ = trained[which]
    made = runner if which == "ordered" else several
    before = checkpoint(folder)
    run = made(language, tmp_path, resume_from_checkpoint=str(before))
    seen = watched(run.sae if which == "ordered" else run.saes["ordered"])
    run.run()
    done = int(before.name) // BATCH
    assert 0 < done < WARMUP
    check_steps(seen, WARMUP, done)


def test_a_checkpoint_of_another_law_is_refused(trained, language, tmp_path):
    folder, _, _ = trained["ordered"]
    other = ordered.OrderedTopKTrainingSAEConfig(d_in=D, d_sae=K, k=M, law="zipf:1.2")
    run = runner(language, tmp_path, other, resume_from_checkpoint=str(checkpoint(folder)))
    with pytest.raises(InputError, match=r"k_warm_up_steps = 0: expected 60, as in the training"):
        run.run()


def test_a_checkpoint_is_trained_on_anew(trained, language, tmp_path):
    folder, _, _ = trained["groups"]
    before = str(checkpoint(folder))
    run = runner(language, tmp_path, GROUPS, from_pretrained_path=before, training_tokens=2 * BATCH)
    assert run.sae.cfg.matryoshka_widths == GROUPS.matryoshka_widths
    assert run.run().W_dec.isfinite().all()
