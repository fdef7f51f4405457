import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from osae_theory.errors import InputError
from osae_theory.prefixes import ExactPenalty, PrefixLaw, RandomPrefixes
from realdata.experiment.jobs import budget_of
from realdata.experiment.presets import DEFAULT_PRESET, PRESETS
from realdata.experiment.tuning import check_own_rates
from realdata.models.hooks import block_of_hook
from realdata.models.sources import MODELS, HubModel
from realdata.text.corpora import find_corpus
from realdata.training import methods
from realdata.training.methods import (
    DEFAULT_METHODS,
    METHODS,
    group_ends,
    method_names,
    tuned_learning_rate,
)
from realdata.training.trainer import Budget


def test_the_groups_of_the_papers_width_are_128_256_512_1024_and_2176():
    assert group_ends(4096) == (128, 384, 896, 1920, 4096)
    assert np.diff(group_ends(4096), prepend=0).tolist() == [128, 256, 512, 1024, 2176]


@pytest.mark.parametrize("K", [*range(1, 70), 100, 256, 512, 65_536])
def test_group_ends_rise_to_every_width(K):
    ends = group_ends(K)
    assert ends[-1] == K
    assert all(a < b for a, b in pairwise(ends))
    assert 1 <= ends[0]
    for method in METHODS.values():
        assert method.schedule(K).K == K


def test_each_method_has_the_prefix_law_of_the_paper():
    K = 256
    ends = (8, 24, 56, 120, 256)
    laws = {name: method.schedule(K) for name, method in METHODS.items()}
    for name in ("topk", "batch-topk", "topk-resampled", "topk-resampled-resorted"):
        assert np.array_equal(laws[name].survival, np.ones(K))
    fixed, ours = laws["msae-fixed"], laws["osae"]
    assert np.flatnonzero(fixed.probabilities).tolist() == [end - 1 for end in ends]
    assert np.allclose(fixed.probabilities[[end - 1 for end in ends]], 1 / 5)
    starts = (0, *ends[:-1])
    for start, end in zip(starts, ends, strict=True):
        assert np.allclose(ours.probabilities[start:end], 1 / 5 / (end - start))
    assert laws["msae-random"] == RandomPrefixes(K, 4)
    assert isinstance(ours, PrefixLaw)
    assert ours.has_full_support
    exact = laws["osae-exact"]
    assert isinstance(exact, ExactPenalty)
    assert np.array_equal(exact.law.probabilities, ours.probabilities)
    assert {name for name, m in METHODS.items() if m.activation == "batch"} == {"batch-topk"}


def test_a_method_with_one_thing_changed_has_the_rate_of_the_other(tmp_path, monkeypatch):
    file = tmp_path / "learning_rates.json"
    file.write_text('{"here": {"chosen": {"topk": 0.5}}}')
    monkeypatch.setattr(methods, "LEARNING_RATES", file)
    assert tuned_learning_rate("topk-resampled-resorted", "here") == 0.5
    assert all(m.tuned_as in {"", *METHODS} for m in METHODS.values())


def test_only_a_method_with_a_rate_of_its_own_is_tuned():
    check_own_rates(("topk", "osae"))
    with pytest.raises(InputError, match="'topk-resampled' has the learning rate of 'topk'"):
        check_own_rates(("topk", "topk-resampled"))


def test_resampled_methods_are_the_plain_one_with_latents_that_start_anew():
    budget = Budget(K=8, m=2, n_steps=100, batch_size=4)
    plain, resampled, both = (
        budget.config(METHODS[name])
        for name in ("topk", "topk-resampled", "topk-resampled-resorted")
    )
    assert plain.resampling is None
    assert plain.resorting is None
    assert replace(resampled, resampling=None) == plain
    assert resampled.resampling is not None
    assert replace(both, resorting=None) == resampled
    assert both.resorting is not None


def test_the_default_methods_are_the_papers_and_batch_topk():
    assert set(DEFAULT_METHODS) == {"topk", "batch-topk", "msae-fixed", "msae-random", "osae"}
    assert method_names(" osae , topk") == ("osae", "topk")


@pytest.mark.parametrize("text", ["osae,osae", "osea", ""])
def test_methods_that_are_unknown_or_named_twice_are_refused(text):
    with pytest.raises(InputError, match="method"):
        method_names(text)


def test_every_preset_names_a_model_a_hook_of_it_and_known_corpora():
    for preset in PRESETS.values():
        source = MODELS[preset.model]
        block_of_hook(preset.hook, source.n_layers)
        assert preset.hook == source.hook
        assert all(find_corpus(name).name == name for name in preset.corpora)
        assert preset.rates_of in PRESETS


def test_the_default_preset_is_the_one_that_is_asked_for():
    preset = PRESETS[DEFAULT_PRESET]
    assert (preset.model, preset.hook) == ("smollm2-135m", "blocks.10.hook_resid_post")
    assert (preset.K, preset.m, preset.n_seeds) == (256, 16, 2)
    assert preset.training_tokens == 100_000
    assert preset.methods == DEFAULT_METHODS


@pytest.mark.parametrize(("name", "hook", "seeds"), [("pythia-70m", 3, 5), ("gemma-2-2b", 12, 9)])
def test_the_papers_presets_carry_its_settings_and_say_that_they_were_not_run(name, hook, seeds):
    preset = PRESETS[name]
    assert isinstance(MODELS[preset.model], HubModel)
    assert preset.hook == f"blocks.{hook}.hook_resid_post"
    assert (preset.K, preset.m, preset.n_seeds) == (4096, 80, seeds)
    assert preset.training_tokens == 50_000_000
    assert preset.n_steps * preset.batch_size == pytest.approx(50e6, rel=1e-3)
    assert preset.corpora == ("pile-uncopyrighted", "dolma")
    assert preset.wide == 65_536
    assert "not run here" in preset.note


def test_the_papers_dictionary_and_seeds_are_there_on_a_model_and_text_that_install():
    preset = PRESETS["smollm2-135m-paper"]
    assert preset.model == "smollm2-135m"
    assert (preset.K, preset.m, preset.n_seeds, len(preset.methods)) == (4096, 80, 5, 5)
    assert preset.corpora == ("debian-prose", "debian-manuals")
    assert preset.snapshots == PRESETS["gemma-2-2b"].snapshots
    assert "not run here" in preset.note
    assert "borrowed" in preset.note


def test_presets_of_dequantised_weights_say_so():
    assert all(
        ("4-bit weights, dequantised" in preset.note) != isinstance(MODELS[preset.model], HubModel)
        for preset in PRESETS.values()
    )


def test_a_budget_is_the_presets_own():
    preset = PRESETS[DEFAULT_PRESET]
    budget = budget_of(preset)
    assert (budget.K, budget.m, budget.n_steps) == (preset.K, preset.m, preset.n_steps)
    assert budget.snapshots == preset.snapshots
    assert budget.snapshot_steps[0] == 0
    assert budget.snapshot_steps[-1] == preset.n_steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": -1}, "block = -1"),
        ({"block": 65}, "block = 65: expected a multiple of 64"),
        ({"m": 300}, "m = 300: expected at most K = 256"),
        ({"other_m": (300,)}, "m = 300: expected at most K = 256"),
        ({"K": 0}, "K = 0"),
        ({"n_seeds": 0}, "n_seeds = 0"),
        ({"wide": 100}, "wide = 100: expected 0, or at least K = 256"),
        ({"corpora": ("a", "a")}, "expected one, or two different ones"),
        ({"corpora": ()}, "expected one, or two different ones"),
        ({"snapshots": (0.5,)}, "expected 0 and 1 among them"),
        ({"snapshots": (0.0, 1.5, 1.0)}, "snapshot = 1.5"),
        ({"model": "gpt"}, "model 'gpt' is unknown"),
        ({"methods": ("osea",)}, "method 'osea' is unknown"),
        ({"standardise": "no"}, "standardise 'no' is unknown"),
    ],
)
def test_a_preset_that_cannot_be_run_is_refused_in_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        replace(PRESETS[DEFAULT_PRESET], **changes)


def test_the_default_methods_have_learning_rates_tuned_by_a_known_command():
    for name in {preset.rates_of for preset in PRESETS.values()}:
        assert all(
            1e-5 < tuned_learning_rate(method, name) < 0.1 for method in (*DEFAULT_METHODS, "wide")
        )
        entry = json.loads(methods.LEARNING_RATES.read_text("utf-8"))[name]
        assert entry["made_by"].keys() == entry["chosen"].keys() == entry["heldout_fvu"].keys()
        for made in entry["made_by"].values():
            assert made["command"].startswith("python -m realdata tune")
            assert made["versions"]["torch"]


def test_a_method_without_a_tuned_rate_is_refused_with_the_command_that_tunes_it(
    tmp_path, monkeypatch
):
    file = tmp_path / "learning_rates.json"
    file.write_text('{"here": {"chosen": {"topk": 0.5}}}')
    monkeypatch.setattr(methods, "LEARNING_RATES", file)
    assert tuned_learning_rate("topk", "here") == 0.5
    with pytest.raises(InputError, match="realdata tune --preset here --methods osae"):
        tuned_learning_rate("osae", "here")
    monkeypatch.setattr(methods, "LEARNING_RATES", SimpleNamespace(is_file=lambda: False))
    with pytest.raises(InputError, match="no learning rate"):
        tuned_learning_rate("topk", "here")
