import subprocess
import sys
from dataclasses import replace

import pytest

from realdata.experiment import jobs
from realdata.experiment.jobs import (
    Experiment,
    TrainingTask,
    planned,
    planned_other_m,
    planned_wide,
)
from realdata.experiment.plan import RATES, Plan, described
from realdata.experiment.presets import PRESETS
from realdata.experiment.stores import Stores
from realdata.models.sources import MODELS

PAPER = PRESETS["smollm2-135m-paper"]
H100 = RATES["one H100"]


def plan(preset, streamed=False):
    return Plan(preset=preset, streamed=streamed)


def test_the_papers_activations_take_what_its_presets_say_and_streamed_a_sample_of_it():
    for name, gigabytes in (("pythia-70m", 51), ("gemma-2-2b", 230)):
        stored = plan(PRESETS[name])
        assert stored.stored_bytes(2) / 2 == pytest.approx(gigabytes * 1e9, rel=0.03)
        assert plan(PRESETS[name], streamed=True).stored_bytes(2) < stored.stored_bytes(2) / 50


@pytest.mark.parametrize("name", PRESETS)
def test_the_runs_are_those_that_are_planned(name, tmp_path, monkeypatch):
    preset = PRESETS[name]
    task, corpus = object.__new__(TrainingTask), object.__new__(Stores)
    monkeypatch.setattr(jobs, "_tasks", lambda *given: [task] * len(given[3]))
    rates = dict.fromkeys((*preset.methods, "wide"), 0.01)
    own = Experiment(preset=preset, learning_rates=rates, out=tmp_path, cache=tmp_path)
    stores = dict.fromkeys(preset.corpora, corpus)
    expected = [len(each(own, stores)) for each in (planned, planned_other_m, planned_wide)]
    assert list(plan(preset).n_runs.values()) == expected


def test_the_preset_of_the_papers_dictionary_is_ten_minutes_of_an_h100_by_the_plan():
    assert 5 < plan(PAPER).training_seconds(H100) / 60 < 10
    assert plan(PAPER).model_seconds(H100) < 60
    assert sum(plan(PAPER).n_runs.values()) == 50


def test_minutes_follow_steps_and_tokens():
    one = plan(PAPER).training_seconds(H100)
    assert plan(replace(PAPER, n_steps=3000)).training_seconds(H100) == pytest.approx(2 * one)
    assert plan(replace(PAPER, n_seeds=1)).training_seconds(H100) == pytest.approx(one / 5)
    assert plan(replace(PAPER, sparsity_warmup=0.0)).training_seconds(H100) < one
    # Streamed, the model reads a sample, what is held out, and what the runs see: once for all.
    preset = replace(PAPER, block=512)
    seconds = plan(preset, streamed=True).model_seconds(H100)
    seen = 2 * (200_000 + 200_000 + 1500 * 4096)
    stored = 2 * 2_200_000
    assert seconds / plan(preset).model_seconds(H100) == pytest.approx(seen / stored, rel=1e-3)


def test_memory_holds_the_weights_of_all_that_train_together():
    weights = 4 * 2 * 4096 * MODELS["smollm2-135m"].d
    assert plan(PAPER).training_bytes > 3 * 4 * weights
    streamed = plan(replace(PAPER, block=512), streamed=True)
    assert (plan(PAPER).together, streamed.together) == (3, 25)
    assert streamed.training_bytes > 25 * 4 * weights
    wide = replace(PAPER, wide=16_384)
    assert plan(wide).training_bytes > plan(PAPER).training_bytes
    assert plan(replace(PAPER, training_tokens=500_000)).training_bytes > 4 * 576 * 500_000


def test_a_plan_says_what_its_minutes_rest_on():
    for name, preset in PRESETS.items():
        said = described(plan(preset), n_workers=8)
        assert said.startswith("preset")
        assert name in said
        assert f"{preset.n_steps:,} steps of {preset.batch_size:,} activations" in said
        assert "by the data sheet of the H100 SXM" in said
        assert "assumed, never measured" in said
        assert "minutes, 8 CPU cores" in said
        assert said.endswith(
            "Nothing was run: minutes are computed, without evaluation and comparison."
        )


WITHOUT = """
import sys
for name in ("transformers", "transformer_lens", "gguf", "datasets", "huggingface_hub"):
    sys.modules[name] = None
from realdata.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_dry_run_needs_no_model_library_and_writes_nothing(tmp_path):
    given = ["run", "--preset", "gemma-2-2b", "--stream", "--dry-run", "--methods", "osae-exact"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *given],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "streamed; on disk a sample" in done.stdout
    assert "shuffled inside blocks of 512 contexts" in done.stdout
    assert not list(tmp_path.iterdir())
