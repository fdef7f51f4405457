import json
from pathlib import Path

import pytest

import benchmarks
import osae_theory
import realdata
from benchmarks import catalogue, tune
from benchmarks.parameters import label
from benchmarks.spec import tuning_seed
from osae_theory.errors import InputError
from small_runs import SMALL

LR = "lr"


def errors(tried, by_rate):
    """Return the error of each run by its id; a run without one is not in it."""
    queues = {rate: iter(values) for rate, values in by_rate.items()}
    found = {}
    for spec, candidate in tried.items():
        value = next(queues[dict(candidate)[LR]])
        if value is not None:
            found[spec.id] = value
    return found


def test_the_protocol_trains_every_candidate_on_draws_that_no_table_reports():
    tried = tune.runs_of("osae", None)
    rates = catalogue.methods()["osae"].parameters[-1].candidates
    assert len(tried) == tune.N_DRAWS * len(rates)
    assert {label("", candidate) for candidate in tried.values()} == {f"[lr={r}]" for r in rates}
    cases = {spec.setting.case for spec in tried}
    assert {case.problem_seed for case in cases} == {tuning_seed(n) for n in range(tune.N_DRAWS)}
    assert {case.cell for case in cases} == {"toy[K=100,N=100000,d=80,m=5]"}
    assert {spec.setting.budget.amount for spec in tried} == {1960}


def test_the_value_with_the_lowest_mean_error_is_chosen_and_divergence_is_out():
    tried = tune.runs_of("osae", None)
    by_rate = {0.003: [3, 3, 3], 0.0055: [9, 9, 9], 0.01: [2, 2.5, 3], 0.018: [9, 9, 9]}
    by_rate[0.032] = [1, 1, None]
    best, means = tune.choose("osae", tried, errors(tried, by_rate))
    assert dict(best) == {LR: 0.01}
    assert means == {"lr=0.003": 3, "lr=0.0055": 9, "lr=0.01": 2.5, "lr=0.018": 9, "lr=0.032": None}


def test_a_method_that_never_ends_well_cannot_be_tuned():
    with pytest.raises(InputError, match="'osae': expected a candidate at which every run is done"):
        tune.choose("osae", tune.runs_of("osae", None), {})


def test_methods_without_tuned_parameters_are_not_tuned():
    assert "truth" not in tune.tunable()
    assert "topk" in tune.tunable()


@pytest.mark.trains
def test_tuning_one_method_writes_its_file_and_no_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "tuned_file", lambda name: tmp_path / "tuned" / f"{name}.json")
    monkeypatch.setattr(tune, "PAPER_CELL", SMALL)
    options = ["--methods", "osae", "--steps", "5", "--workers", "1", "--out", str(tmp_path / "x")]
    assert tune.main(options) == 0
    assert [file.name for file in (tmp_path / "tuned").iterdir()] == ["osae.json"]
    written = json.loads((tmp_path / "tuned" / "osae.json").read_text())
    assert f"osae[lr={written['chosen'][LR]}]" in capsys.readouterr().out
    assert written["chosen"][LR] == float(
        min(written["heldout_mse"], key=written["heldout_mse"].get)[3:]
    )
    assert written["protocol"] == tune.PROTOCOL


@pytest.mark.parametrize("place", ["file/osae.json", "link/osae.json", "a folder"])
def test_values_that_cannot_be_written_are_known_before_the_work(
    place, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "a folder").mkdir()
    monkeypatch.setattr(catalogue, "tuned_file", lambda name: tmp_path / place)
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
