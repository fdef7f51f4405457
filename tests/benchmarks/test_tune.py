import json
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks
import osae_theory
import realdata
from benchmarks import tune
from benchmarks.config import PAPER_CELL, run_seeds
from benchmarks.store import RunRecord
from osae_theory.errors import InputError
from small_runs import SMALL


def record(config, mse):
    status = "done" if mse is not None else "diverged"
    return RunRecord(config, status, {"mse": mse, "seconds": 1.0}, {})


def test_the_protocol_trains_every_candidate_on_draws_that_no_table_reports():
    runs = tune.configs(("topk", "osae"), 1960)
    assert len(runs) == 2 * tune.N_DRAWS * len(tune.CANDIDATES)
    assert {run.cell for run in runs} == {PAPER_CELL}
    draws = {run.problem_seed for run in runs}
    assert len(draws) == tune.N_DRAWS
    # A table's draw is a small number that somebody types.
    assert min(draws) > 10_000
    assert {run.n_steps for run in runs} == {1960}


def test_the_rate_with_the_lowest_mean_error_is_chosen_and_divergence_is_out():
    configs = [c for c in tune.configs(("osae",), 1960) if c.learning_rate in (0.003, 0.01, 0.032)]
    errors = {0.003: [3.0, 3.0, 3.0], 0.01: [2.0, 2.5, 3.0], 0.032: [1.0, 1.0, None]}
    queue = {rate: iter(values) for rate, values in errors.items()}
    chosen, table = tune.choose([record(c, next(queue[c.learning_rate])) for c in configs])
    assert chosen == {"osae": 0.01}
    assert table["osae"] == {"0.003": 3.0, "0.01": 2.5, "0.032": None}


def test_a_method_that_always_diverges_cannot_be_tuned():
    configs = tune.configs(("osae",), 1960)
    with pytest.raises(InputError, match="'osae': expected a candidate rate"):
        tune.choose([record(config, None) for config in configs])


def test_tuning_one_method_keeps_the_rates_of_the_others(tmp_path, monkeypatch, capsys):
    target = tmp_path / "rates.json"
    target.write_text(json.dumps({"chosen": {"topk": 0.5}, "heldout_mse": {"topk": {"0.5": 1.0}}}))
    monkeypatch.setattr(tune, "LEARNING_RATES", target)
    monkeypatch.setattr(tune, "PAPER_CELL", SMALL)
    monkeypatch.setattr(tune, "CANDIDATES", (0.01, 0.02))
    options = ["--methods", "osae", "--steps", "5", "--workers", "1", "--out", str(tmp_path)]
    assert tune.main(options) == 0
    written = json.loads(target.read_text())
    assert written["chosen"]["topk"] == 0.5
    assert written["chosen"]["osae"] in (0.01, 0.02)
    assert set(written["heldout_mse"]["osae"]) == {"0.01", "0.02"}
    assert json.loads(capsys.readouterr().out) == written["chosen"]


@pytest.mark.parametrize("place", ["file/rates.json", "link/rates.json", "a folder"])
def test_rates_that_cannot_be_written_are_known_before_the_work(
    place, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "a folder").mkdir()
    monkeypatch.setattr(tune, "LEARNING_RATES", tmp_path / place)
    monkeypatch.setattr(tune, "complete", None)
    with pytest.raises(SystemExit) as stopped:
        tune.main(["--methods", "osae", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "the folder of the tuned rates" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_text_of_a_result_is_a_docstring_which_python_may_have_removed():
    packages = (benchmarks, osae_theory, realdata)
    files = [file for package in packages for file in Path(package.__path__[0]).rglob("*.py")]
    assert len(files) > 100
    assert [file for file in files if "__doc__" in file.read_text(encoding="utf-8")] == []


def test_bad_input_is_one_line(capsys):
    for options in (["--methods", "sae"], ["--workers", "0"], ["--steps", "0"]):
        with pytest.raises(SystemExit) as stopped:
            tune.main(options)
        assert stopped.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_committed_rates_carry_their_protocol_and_command():
    committed = json.loads(tune.LEARNING_RATES.read_text(encoding="utf-8"))
    assert committed["protocol"] == tune.PROTOCOL
    assert committed["provenance"]["command"].startswith("python -m benchmarks.tune")
    for method, rate in committed["chosen"].items():
        by_rate = {
            float(r): e for r, e in committed["heldout_mse"][method].items() if e is not None
        }
        assert rate == min(by_rate, key=by_rate.get)


def test_runs_of_a_draw_share_their_seeds_across_methods():
    runs = tune.configs(("topk", "osae"), 10)
    half = len(runs) // 2
    for a, b in zip(runs[:half], runs[half:], strict=True):
        assert replace(a, method="osae") == b
        assert a.seeds == run_seeds(a.problem_seed, 0)


def test_an_error_that_is_not_defined_does_not_win():
    low, undefined, _ = (c for c in tune.configs(("osae",), 1960)[:3])
    chosen, table = tune.choose(
        [record(low, 0.5), RunRecord(undefined, "done", {"mse": None, "seconds": 1.0}, {})]
    )
    assert chosen == {"osae": low.learning_rate}
    assert table["osae"][f"{undefined.learning_rate:g}"] is None
