import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import catalogue, tuning
from benchmarks.contracts import Metric
from benchmarks.tuning_cells import TUNING_CELLS
from osae_theory.errors import InputError
from osae_theory.problems import toy_spec
from small_runs import SMALL, tuned_file_in


def test_metrics_stand_in_the_order_of_their_places():
    places = [metric.place for metric in catalogue.metrics().values()]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_the_questions_are_those_fixed_beforehand():
    asked = [name for name, metric in catalogue.metrics().items() if metric.question]
    assert asked == ["stab_truth", "ord_truth", "ord_by_energy", "ord_by_frequency", "mse"]


def test_a_case_has_its_parameters_its_sizes_and_its_title():
    case = catalogue.case_of("toy", SMALL, 7)
    assert catalogue.case_params(case) == {**SMALL, "alpha": 1.2}
    shape = catalogue.shape_of(case)
    assert (shape.d, shape.K, shape.m, shape.N) == (6, 8, 2, 400)
    assert catalogue.case_title(case) == "d = 6, K = 8, m = 2, N = 400, alpha = 1.2"
    assert catalogue.slug(case) == "d6_K8_m2_N400_alpha1.2"
    assert case.cell == "toy[K=8,N=400,d=6,m=2]"


@pytest.mark.parametrize(
    ("family", "given", "message"),
    [
        ("toys", SMALL, "problem family 'toys' is unknown .did you mean 'toy'"),
        ("toy", {**SMALL, "m": 9}, "m = 9: expected at most K = 8"),
        ("toy", {**SMALL, "k": 9}, "toy: parameter 'k' is unknown"),
        ("toy", {"d": 3}, "toy: K is missing"),
        ("toy", {**SMALL, "d": 0}, "toy: d = 0"),
        ("toy", {**SMALL, "alpha": "nan"}, "toy: alpha = nan: expected a finite number"),
    ],
)
def test_a_case_that_cannot_be_is_one_sentence(family, given, message):
    with pytest.raises(InputError, match=message):
        catalogue.case_of(family, given, 0)


def test_songs_sweep_and_the_noisy_toy_are_the_toy_at_one_shape_and_with_noise():
    song = catalogue.problem_spec(catalogue.case_of("song", {"alpha": 0.5}, 7))
    assert song == toy_spec(16, 32, 3, 50_000, 0.5, 7)
    small = {"d": 6, "K": 8, "m": 2, "N": 400}
    noisy = catalogue.problem_spec(catalogue.case_of("noisy", {**small, "snr_db": 3}, 7))
    assert noisy == replace(toy_spec(6, 8, 2, 400, 1.2, 7), snr_db=3.0)
    problem = noisy.draw()
    signal = problem.data - problem.noise
    ratio = np.sum(signal**2) / np.sum(problem.noise**2)
    assert 10 * np.log10(ratio) == pytest.approx(3, abs=1e-9)


def test_a_problem_that_no_memory_holds_is_refused_in_time():
    case = catalogue.case_of("toy", {**SMALL, "N": 10**13}, 0)
    with pytest.raises(InputError, match="GiB for its data alone: expected at most this machine's"):
        catalogue.check_memory(case)
    catalogue.check_memory(catalogue.case_of("toy", SMALL, 0))


def test_a_variant_says_in_its_title_what_is_not_as_usual():
    titles = [
        catalogue.variant(text).title
        for text in ("osae", "osae[lr=0.5]", "osae-zipf", "osae-zipf[alpha=1]")
    ]
    assert titles == ["OSAE", "OSAE (lr 0.5)", "OSAE (Zipf law)", "OSAE (Zipf law, alpha 1)"]


def test_a_common_setting_is_for_those_that_have_it_and_a_selectors_own_goes_before():
    topk, zipf, truth = catalogue.variants("topk[lr=1],osae-zipf,truth", {"lr": 0.5})
    assert dict(topk.identity) == {"lr": 1}
    assert dict(zipf.identity) == {"lr": 0.5}
    assert truth.identity == ()


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("topk,topk", {}, "expected each method once"),
        ("topk,oase", {}, "did you mean 'osae'"),
        ("truth", {"lr": 0.1}, "lr is a parameter of none of the methods"),
        ("osae[p=1]", {}, "osae: parameter 'p' is unknown"),
        ("osae[lr=0]", {}, "osae: lr = 0"),
    ],
)
def test_methods_that_cannot_be_are_one_sentence(text, given, message):
    with pytest.raises(InputError, match=message):
        catalogue.variants(text, given)


def test_a_method_that_has_not_been_tuned_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "tuned_file", tuned_file_in(tmp_path))
    with pytest.raises(InputError, match=r"benchmarks\.tune --methods jumprelu' first"):
        catalogue.variant("jumprelu")
    with pytest.raises(InputError, match=r"topk-aux has .* --methods topk' first"):
        catalogue.variant("topk-aux")


def test_every_method_that_can_be_tuned_has_been_by_the_protocol():
    files = [(TUNING_CELLS["paper"], name, "") for name in tuning.tunable()]
    there = sorted(catalogue.tuned_file("x", "16x32").parent.glob("*.json"))
    assert {"topk", "osae", "gated"} <= {file.stem for file in there}
    files += [(TUNING_CELLS["16x32"], file.stem, " --at 16x32") for file in there]
    for cell, name, at in files:
        content = json.loads(catalogue.tuned_file(name, cell.name).read_text())
        assert content["protocol"] == tuning.protocol(cell)
        command = f"python -m benchmarks.tune --methods {name}{at}"
        assert content["provenance"]["command"] == command
        errors = [(one["mean"]["mse"] or math.inf, one["values"]) for one in content["tried"]]
        assert len(errors) == tuning.N_CONFIGURATIONS
        chosen = content["chosen"]
        assert min(errors, key=lambda one: one[0])[1] == chosen
        assert tuning.edge(catalogue.methods()[name], tuple(chosen.items()), cell) == ""


def test_a_file_of_tuned_values_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "sae.json").write_text("{")
    with pytest.raises(InputError, match=r"sae\.json cannot be read"):
        catalogue._tuned(tmp_path / "sae.json")


def test_values_tuned_by_recovery_are_the_other_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "tuned_file", tuned_file_in(tmp_path))
    (tmp_path / "topk.json").write_text('{"chosen": {"lr": 0.5}, "by_recovery": {"lr": 0.25}}')
    assert dict(catalogue.variant("topk").values) == {"lr": 0.5}
    assert dict(catalogue.variant("topk", tuned_by="recovery").values) == {"lr": 0.25}
    assert catalogue.variant("topk", tuned_by="recovery").title == "top-m SAE (lr 0.25)"
    with pytest.raises(InputError, match="tuned by 'luck' is unknown: expected"):
        catalogue.variant("topk", tuned_by="luck")


def test_values_tuned_at_another_cell_are_a_variant_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "tuned_file", tuned_file_in(tmp_path))
    (tmp_path / "16x32").mkdir()
    for at, rate in (("", 0.5), ("16x32", 0.125)):
        text = json.dumps({"chosen": {"lr": rate}, "by_recovery": {"lr": rate / 2}})
        (tmp_path / at / "topk.json").write_text(text)
    here, there = (catalogue.variant("topk", tuned_at=at) for at in TUNING_CELLS)
    assert (dict(here.identity), dict(there.identity)) == ({"lr": 0.5}, {"lr": 0.125})
    assert (here.tuned_at, there.tuned_at) == tuple(TUNING_CELLS)
    assert here.title == "top-m SAE"
    assert there.title == "top-m SAE (tuned at 16x32)"
    with pytest.raises(InputError, match=r"benchmarks\.tune --methods osae --at 16x32' first"):
        catalogue.variant("osae", tuned_at="16x32")
    other = catalogue.variant("topk", tuned_by="recovery", tuned_at="16x32")
    assert dict(other.values) == {"lr": 0.0625}
    assert other.title == "top-m SAE (lr 0.0625)"
    assert catalogue.variant("truth", tuned_at="16x32").title == catalogue.variant("truth").title
    with pytest.raises(InputError, match="tuned at 'moon' is unknown: expected"):
        catalogue.variant("topk", tuned_at="moon")


def test_every_preset_names_problems_and_methods_that_there_are():
    for preset in catalogue.presets().values():
        for family, params in preset.problems:
            catalogue.case_of(family, params, 0)
        assert catalogue.variants(",".join(preset.methods))
        assert preset.draws >= 3


def test_the_published_tables_have_twenty_draws_of_the_papers_cell():
    for name in ("table1", "paper", "default", "every"):
        preset = catalogue.presets()[name]
        assert (preset.draws, preset.seeds) == (20, 2)
        assert preset.problems[0] == ("toy", {"d": 80, "K": 100, "m": 5, "N": 100_000})
    assert len(catalogue.presets()["table1"].problems) == 1


def test_the_preset_of_every_method_has_all_but_the_ceiling():
    assert {*catalogue.presets()["every"].methods, "truth"} == set(catalogue.methods())


def test_a_metric_is_computed_in_one_way():
    for ways in ({}, {"of_run": len, "of_pair": len}):
        with pytest.raises(InputError, match="expected exactly one of"):
            Metric("x", "x", "x", 1, **ways)
