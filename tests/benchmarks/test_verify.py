import json
import shutil

import pandas as pd
import pytest

from benchmarks import toy, verify

TOY = "--cell 6 8 2 400 --steps 20 --batch-size 100 --lr 0.01 --draws 2 --workers 1".split()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Sixteen runs: four methods, two draws, two seeds."""
    out = tmp_path_factory.mktemp("results")
    assert toy.main([*TOY, "--out", str(out)]) == 0
    return out


@pytest.fixture
def folder(results, tmp_path):
    """The results, for a test to change."""
    return shutil.copytree(results, tmp_path / "results")


def changed(folder, change):
    frame = pd.read_parquet(folder / "runs.parquet")
    change(frame).to_parquet(folder / "runs.parquet", index=False)
    return folder


def main(folder, *options):
    return verify.main([str(folder), "--workers", "1", *options])


def test_runs_that_come_out_the_same_agree_and_the_exit_code_is_0(results, capsys):
    assert main(results, "--runs", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 of 16 runs of ")
    assert [line.split()[0] for line in lines[1:-1]] == ["agrees"] * 3
    assert lines[-1] == "3 of 3 agree bit for bit"


def test_a_run_that_differs_is_named_with_what_else_differs_and_the_exit_code_is_1(folder, capsys):
    def change(frame):
        odd = frame["method"] == "osae"
        frame.loc[odd, "dictionary_sha256"] = "0" * 64
        then = json.loads(frame["provenance"][0]) | {"processor": "Abacus", "numpy": "0.1"}
        frame.loc[odd, "provenance"] = json.dumps(then)
        return frame

    assert main(changed(folder, change), "--runs", "4") == 1
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    differing = [line for line in lines if line.startswith("differs")]
    assert len(differing) == 1
    assert "osae, problem" in differing[0]
    assert "000000000000 then" in differing[0]
    assert "processor: Abacus then, " in printed
    assert "numpy: 0.1 then, " in printed
    assert "torch:" not in printed
    assert lines[-1] == "3 of 4 agree bit for bit"


def test_what_is_trained_again_is_what_was_trained(folder, capsys):
    def change(frame):
        frame["learning_rate"] *= 1.5
        return frame

    assert main(changed(folder, change), "--runs", "1") == 1
    assert "same versions and machine" in capsys.readouterr().out


def test_a_run_that_diverges_now_does_not_agree(folder, capsys):
    def change(frame):
        frame["learning_rate"] = 1e30
        return frame

    assert main(changed(folder, change), "--runs", "1") == 1
    assert "diverged now" in capsys.readouterr().out


def test_the_choice_is_spread_over_methods_and_the_same_for_a_seed(results):
    runs = verify.stored_runs(results)
    for n in (1, 4, 6, 16, 99):
        found = verify.chosen(runs, n, 0)
        assert len(found) == len({stored.config for stored in found}) == min(n, 16)
        counts = [sum(s.config.method == m for s in found) for m in {r.config.method for r in runs}]
        assert max(counts) - min(counts) <= 1
        assert found == verify.chosen(runs, n, 0)
    assert verify.chosen(runs, None, 0) == runs
    choices = {verify.chosen(runs, 2, seed)[0].config for seed in range(20)}
    assert len(choices) > 5


def test_a_grid_is_verified_over_its_cells(folder, tmp_path):
    grid = tmp_path / "grid"
    for cell in ("one", "two"):
        shutil.copytree(folder, grid / cell)
    assert len(verify.stored_runs(grid)) == 32


def test_runs_that_diverged_are_not_asked_for(folder):
    def change(frame):
        frame.loc[0, "status"] = "diverged"
        frame.loc[0, ["dictionary_sha256", "mse"]] = None
        return frame

    assert len(verify.stored_runs(changed(folder, change))) == 15


BAD = {
    "results without hashes": (
        lambda frame: frame.drop(columns="dictionary_sha256"),
        "has no hashes of its dictionaries",
    ),
    "a lost hash": (lambda frame: frame.assign(dictionary_sha256=None), "is no sha256"),
    "a column missing": (lambda frame: frame.drop(columns="n_steps"), "has no column 'n_steps'"),
    "a method unknown": (lambda frame: frame.assign(method="oase"), "did you mean 'osae'?"),
    "half a step": (lambda frame: frame.assign(n_steps=1.5), "1.5 is no whole number"),
    "a number lost": (lambda frame: frame.assign(n_steps=None), "cannot be read"),
    "a rate of nothing": (lambda frame: frame.assign(learning_rate=0.0), "learning rate = 0"),
    "a provenance that is none": (lambda frame: frame.assign(provenance="{"), "cannot be read"),
    "a device not there": (lambda frame: frame.assign(device="cuda:99"), "is not available"),
    "no run": (lambda frame: frame[:0], "expected at least one run"),
}


@pytest.mark.parametrize("name", BAD)
def test_results_that_cannot_be_verified_are_one_line_and_code_2(name, folder, capsys):
    change, message = BAD[name]
    with pytest.raises(SystemExit) as stopped:
        main(changed(folder, change))
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "expected a folder that benchmarks.toy wrote"),
        (lambda path: path.mkdir(), "holds no runs.parquet"),
        (lambda path: (path.mkdir(), (path / "runs.parquet").write_bytes(b"x")), "cannot be read"),
        (lambda path: (path / "runs.parquet").mkdir(parents=True), "holds no runs.parquet"),
    ],
)
def test_a_folder_without_results_is_one_line_and_code_2(make, message, tmp_path, capsys):
    make(tmp_path / "folder")
    with pytest.raises(SystemExit) as stopped:
        main(tmp_path / "folder")
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--runs 0", "--workers 0", "--seed -1", "--rnus 3"])
def test_options_that_cannot_be_are_one_line_and_code_2(options, results, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(results, *options.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
