import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

import benchmarks
import osae_theory
import realdata
from benchmarks import catalogue, tune, tuning
from benchmarks.contracts import Method
from benchmarks.methods._sae import LEARNING_RATE
from benchmarks.parameters import Parameter
from benchmarks.spec import tuning_seed
from benchmarks.tuning_cells import TUNING_CELLS, TuningCell
from osae_theory.errors import InputError
from small_runs import SMALL, tuned_file_in

LR = "lr"
RATES = (0.001, 0.0018, 0.003, 0.0055, 0.01, 0.018, 0.032, 0.055)


def method(name, *parameters):
    return Method(name, name, lambda data, how, seeds: [], (*parameters, LEARNING_RATE))


def own(name, *candidates):
    return Parameter(name, "real", "a number", candidates=candidates)


def came_of(configurations, errors, recoveries=None):
    """Return what a study would find; an error of None is a run that did not end well."""
    found = []
    for number, (one, error) in enumerate(zip(configurations, errors, strict=True)):
        runs = tuning.runs_at(catalogue.methods()["osae"], ((LR, 0.01 + number),), 5)
        measured = {}
        for run in runs if error is not None else runs[1:]:
            measured[run.id, "mse"] = 1.0 if error is None else error
            measured[run.id, "stab_truth"] = (recoveries or errors)[number] or 0.0
        found.append(tuning.tried(one, runs, measured))
    return found


def test_the_protocol_trains_on_draws_that_no_table_reports():
    osae = catalogue.methods()["osae"]
    first = tuning.first_configurations(osae)
    assert first == [((LR, rate),) for rate in RATES]
    runs = tuning.runs_at(osae, first[0], None)
    cases = [spec.setting.case for spec in runs]
    assert [one.problem_seed for one in cases] == [tuning_seed(n) for n in range(tuning.N_DRAWS)]
    assert {one.cell for one in cases} == {"toy[K=100,N=100000,d=80,m=5]"}
    assert {spec.setting.budget.amount for spec in runs} == {1960}
    assert tuning.N_DRAWS >= 5


@pytest.mark.parametrize(
    "parameters",
    [(), (own("a", 1, 2, 4, 8, 16),), (own("a", 1, 2, 4), own("b", 0.1, 0.2, 0.3))],
)
def test_every_method_is_tried_at_the_same_number_of_configurations(parameters):
    one = method("mine", *parameters)
    first = tuning.first_configurations(one)
    second = tuning.second_configurations(one, first[3])
    together = [*first, *second]
    assert len(set(together)) == tuning.N_CONFIGURATIONS
    for configuration in together:
        assert [name for name, _ in configuration] == [*(p.name for p in parameters), LR]
    if parameters:
        assert {dict(c)[LR] for c in second} == {RATES[3]}
        assert {dict(c)["a"] for c in first} == {
            parameters[0].candidates[len(parameters[0].candidates) // 2]
        }
        for parameter in parameters:
            assert {dict(c)[parameter.name] for c in together} == set(parameter.candidates)
    else:
        below, above = (
            [dict(c)[LR] for c in second if sign * (dict(c)[LR] - RATES[3]) > 0] for sign in (-1, 1)
        )
        assert len(below) == len(above) == 2
        assert RATES[2] < min(below)
        assert max(above) < RATES[4]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((own("a", 1, 2, 3),), r"\(3,\) candidates: expected one parameter with 5"),
        ((own("a", 1, 2, 3), own("b", 1, 2, 3), own("c", 1, 2, 3)), r"\(3, 3, 3\) candidates"),
    ],
)
def test_a_method_with_more_to_try_than_others_is_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        tuning.check_candidates(method("mine", *parameters))


def test_the_lowest_mean_error_is_chosen_and_a_configuration_that_failed_once_is_out():
    configurations = tuning.first_configurations(catalogue.methods()["osae"])
    found = came_of(configurations, [9, 8, 3, 2, 2.5, 4, None, 9], [1, 1, 3, 5, 7, 4, 9, 1])
    assert tuning.best_by_error("osae", found) == ((LR, 0.0055),)
    assert tuning.best_by_recovery(found) == ((LR, 0.01),)
    assert found[3].means["mse"] == 2
    assert found[3].deviations["mse"] == 0
    assert math.isinf(found[6].means["mse"])


def test_a_method_that_never_ends_well_cannot_be_tuned():
    configurations = tuning.first_configurations(catalogue.methods()["osae"])
    with pytest.raises(InputError, match="'osae': expected a configuration at which every run"):
        tuning.best_by_error("osae", came_of(configurations, [None] * 8))


def test_a_choice_at_the_edge_is_named():
    one = method("mine", own("a", 1, 2, 4, 8, 16))
    assert tuning.edge(one, (("a", 4), (LR, 0.01))) == ""
    assert tuning.edge(one, (("a", 16), (LR, 0.01))) == "mine[a=16]"
    assert tuning.edge(one, (("a", 4), (LR, 0.001))) == "mine[lr=0.001]"
    assert tuning.edge(one, (("a", 4), (LR, 0.06))) == "mine[lr=0.06]"
    least = Parameter("a", "real", "a number", candidates=(0, 1, 2, 3, 4), at_least=0)
    assert tuning.edge(method("mine", least), (("a", 0), (LR, 0.01))) == ""
    assert tuning.edge(method("mine", least), (("a", 4), (LR, 0.01))) == "mine[a=4]"


def test_methods_without_tuned_parameters_or_with_those_of_another_are_not_tuned():
    assert "truth" not in tuning.tunable()
    assert "topk" in tuning.tunable()
    assert "topk-resorted" not in tuning.tunable()
    assert catalogue.tuned_file("topk-resorted") == catalogue.tuned_file("topk")


def test_every_method_that_is_tuned_has_as_many_configurations_as_the_others():
    for cell, name in product(TUNING_CELLS.values(), tuning.tunable()):
        tuning.check_candidates(catalogue.methods()[name], cell)
    named = {name for cell in TUNING_CELLS.values() for name, _ in cell.moved} - {""}
    assert named <= set(tuning.tunable())


def test_a_cell_can_move_the_candidates_of_all_methods_or_of_one():
    moved = {("", LR): tuple(10 * rate for rate in RATES), ("mine", "a"): (3, 5, 7, 9, 11)}
    cell = TuningCell("there", "another cell", SMALL, moved)
    mine, others = (method(name, own("a", 1, 2, 4, 8, 16)) for name in ("mine", "others"))
    first = tuning.first_configurations(mine, cell)
    assert [dict(one) for one in first] == [{"a": 7, LR: 10 * rate} for rate in RATES]
    assert dict(tuning.first_configurations(others, cell)[0]) == {"a": 4, LR: 10 * RATES[0]}
    second = tuning.second_configurations(mine, first[2], cell)
    assert [dict(one)["a"] for one in second] == [3, 5, 9, 11]
    assert {dict(one)[LR] for one in second} == {10 * RATES[2]}
    assert tuning.edge(mine, (("a", 11), (LR, 0.1)), cell) == "mine[a=11]"
    assert tuning.edge(mine, (("a", 9), (LR, 0.01)), cell) == "mine[lr=0.01]"
    assert tuning.edge(others, (("a", 8), (LR, 0.1)), cell) == ""
    with pytest.raises(InputError, match=r"mine: its own parameters have \(2,\) candidates"):
        tuning.check_candidates(mine, replace(cell, moved={("mine", "a"): (1, 2)}))


def small_study(monkeypatch, tmp_path, name="osae", at="paper"):
    monkeypatch.setattr(catalogue, "tuned_file", tuned_file_in(tmp_path / "tuned"))
    cells = {"paper": TuningCell("paper", "a small cell", SMALL)}
    cells["other"] = TuningCell("other", "another one", {**SMALL, "alpha": 1.0})
    monkeypatch.setattr(tune, "TUNING_CELLS", cells)
    monkeypatch.setattr(tuning, "N_DRAWS", 1)
    options = ["--methods", name, "--steps", "40", "--workers", "1", "--out", str(tmp_path / "x")]
    options += [] if at == "paper" else ["--at", at]
    return tune.main(options)


@pytest.mark.trains
def test_tuning_one_method_writes_its_file_and_no_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "edge", lambda *arguments: "")
    assert small_study(monkeypatch, tmp_path) == 0
    assert [file.name for file in (tmp_path / "tuned").iterdir()] == ["osae.json"]
    written = json.loads((tmp_path / "tuned" / "osae.json").read_text())
    assert f"osae[lr={written['chosen'][LR]}]" in capsys.readouterr().out
    assert len(written["tried"]) == tuning.N_CONFIGURATIONS
    best = min(written["tried"], key=lambda one: one["mean"]["mse"])
    assert written["chosen"] == best["values"]
    most = max(written["tried"], key=lambda one: one["mean"]["stab_truth"])
    assert written["by_recovery"] == most["values"]
    assert "1 tuning draws of a small cell, whose seeds" in written["protocol"]
    assert small_study(monkeypatch, tmp_path, at="other") == 0
    names = [str(file.relative_to(tmp_path / "tuned")) for file in tmp_path.glob("tuned/**/*.json")]
    assert sorted(names) == ["osae.json", "other/osae.json"]
    other = json.loads((tmp_path / "tuned" / "other" / "osae.json").read_text())
    assert "of another one, whose seeds" in other["protocol"]
    assert other["provenance"]["command"].endswith("--methods osae --at other --steps 40")
    assert other["tried"][0]["mean"]["mse"] != written["tried"][0]["mean"]["mse"]
    assert json.loads((tmp_path / "tuned" / "osae.json").read_text()) == written


@pytest.mark.trains
def test_a_choice_at_the_edge_writes_nothing_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "edge", lambda *arguments: "osae[lr=0.055]")
    with pytest.raises(SystemExit) as stopped:
        small_study(monkeypatch, tmp_path)
    assert stopped.value.code == 1
    assert not (tmp_path / "tuned").exists()
    assert "at the edge of its candidates: osae[lr=0.055]" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file/osae.json", "link/osae.json", "a folder"])
def test_values_that_cannot_be_written_are_known_before_the_work(
    place, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "a folder").mkdir()
    monkeypatch.setattr(catalogue, "tuned_file", lambda name, at: tmp_path / place)
    monkeypatch.setattr(tune, "complete", None)
    with pytest.raises(SystemExit) as stopped:
        tune.main(["--methods", "osae", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "the folder of the tuned values" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_text_of_a_result_is_a_docstring_which_python_may_have_removed():
    packages = (benchmarks, osae_theory, realdata)
    files = [file for package in packages for file in Path(package.__path__[0]).rglob("*.py")]
    assert len(files) > 100
    assert [file for file in files if "__doc__" in file.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    "options",
    ["--methods sae", "--methods truth", "--methods osae,osae", "--workers 0", "--steps 0"],
)
def test_bad_input_is_one_line(options, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        tune.main([*options.split(), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
