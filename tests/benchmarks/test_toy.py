import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import grid, toy
from benchmarks.config import Cell
from benchmarks.engine import run_task
from benchmarks.store import RunStore
from osae_theory import __version__
from small_runs import small_configs

pytestmark = pytest.mark.trains

FAST = "--cell 6 8 2 400 --steps 20 --batch-size 100 --draws 3 --workers 1".split()
MEASURED = (
    "stab_pairs stab_truth stab_truth_corrected ord_truth ord_recovered recovered_share"
    " ord_by_frequency ord_by_energy mse dead_share"
).split()


def document(capsys, tmp_path, *options):
    assert toy.main([*FAST, "--out", str(tmp_path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def without_seconds(value):
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    if isinstance(value, list):
        return [without_seconds(v) for v in value]
    return value


def test_json_is_one_document_with_every_promised_field(capsys, tmp_path):
    found = document(capsys, tmp_path, "--methods", "topk,osae")
    assert found["cell"] == {"d": 6, "K": 8, "m": 2, "N": 400, "alpha": 1.2}
    assert [row["method"] for row in found["rows"]] == ["topk", "osae"]
    for row in found["rows"]:
        assert (row["draws"], row["runs"]) == (3, 6)
        assert row["stab_chance"] > 0
        assert row["seconds"] > 0
        for key in MEASURED:
            mean, std, interval = (row[f"{key}_{part}"] for part in ("mean", "std", "ci95"))
            if row[f"{key}_n"] > 2:
                assert std >= 0
                assert interval[0] <= mean <= interval[1]
            else:
                assert interval is None
    [only] = [one for one in found["comparisons"] if one["measurement"] == "mse"]
    assert (only["method"], only["minus"], only["draws"]) == ("osae", "topk", 3)
    assert (found["draws"], found["seeds"]) == (3, 2)
    assert found["ceiling"]["ord_by_energy_n"] == 3
    assert {"command", "versions", "threads", "seed"} <= set(found["provenance"])


def test_the_same_command_gives_the_same_document_but_for_its_seconds(capsys, tmp_path):
    first, second = (document(capsys, tmp_path) for _ in range(2))
    assert without_seconds(first) == without_seconds(second)


def test_one_draw_has_no_interval_and_another_base_other_problems(capsys, tmp_path):
    single = ("--methods", "osae", "--draws", "1", "--seeds", "1")
    one = document(capsys, tmp_path, *single)["rows"][0]
    assert one["stab_truth_std"] is one["stab_truth_ci95"] is one["stab_pairs_mean"] is None
    other = document(capsys, tmp_path, *single, "--seed", "7")
    assert other["rows"][0]["stab_truth_mean"] != one["stab_truth_mean"]


def test_more_draws_and_seeds_only_add_runs():
    few, many = (
        toy.job_of(toy.parser().parse_args([*FAST, *more.split()])).configs(Cell(6, 8, 2, 400))
        for more in ("--draws 2 --seeds 2", "--draws 4 --seeds 3")
    )
    assert set(few) < set(many)
    assert len(many) == len(set(many)) == 4 * 4 * 3
    for problem_seed in {run.problem_seed for run in many}:
        runs = [run for run in many if run.problem_seed == problem_seed]
        assert len({run.seeds for run in runs}) == 3
        assert len({(run.method, run.seeds) for run in runs}) == 4 * 3


def test_files_are_whole_and_nothing_unfinished_stays(capsys, tmp_path):
    out = tmp_path / "new" / "folder"
    assert toy.main([*FAST, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    assert names == {
        "table.md",
        "table.tex",
        "table.csv",
        "comparisons.md",
        "comparisons.csv",
        "runs.parquet",
        "pairs.parquet",
        "matched_pairs.png",
        "result.json",
    }
    assert max(map(len, printed.splitlines()[:-1])) <= 80
    assert "3 problem draws x 2 seeds" in " ".join(printed.split())
    assert "Made by `python -m benchmarks.toy" in (out / "table.md").read_text()
    assert len(pd.read_parquet(out / "runs.parquet")) == 4 * 3 * 2
    assert len(pd.read_csv(out / "comparisons.csv")) == 6 * 5
    assert len(pd.read_csv(out / "table.csv")) == 4
    assert json.loads((out / "result.json").read_text())["rows"]


def test_a_grid_has_a_document_a_cell_and_one_table_of_all(capsys, tmp_path, monkeypatch):
    cells = (Cell(6, 8, 2, 200), Cell(6, 8, 1, 200))
    monkeypatch.setattr(toy, "PRESETS", {"tiny": cells})
    options = "--grid tiny --steps 5 --draws 2 --methods osae,topk --workers 1 --json".split()
    assert toy.main([*options, "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["grid"] == "tiny"
    assert [cell["cell"]["m"] for cell in found["cells"]] == [2, 1]
    assert len(pd.read_csv(tmp_path / "grid.csv")) == 2 * 2
    assert len(pd.read_csv(tmp_path / "grid_comparisons.csv")) == 2 * 5
    assert (tmp_path / cells[1].slug / "table.md").is_file()


def test_the_default_grid_is_a_product_of_small_cells():
    cells = grid.PRESETS["default"]
    assert len(set(cells)) == len(cells) == 8
    assert {cell.m for cell in cells} == {2, 3}


BAD = {
    "m above K": ("--cell 6 8 9 400", "m = 9: expected at most K = 8"),
    "m below 1": ("--cell 6 8 0 400", "m = 0"),
    "no sample": ("--cell 6 8 2 0", "N = 0"),
    "no atom": ("--cell 6 0 0 400", "K = 0"),
    "no dimension": ("--cell 0 8 2 400", "d = 0"),
    "a cell of words": ("--cell 6 8 two 400", "invalid int value: 'two'"),
    "a short cell": ("--cell 6 8 2", "expected 4 arguments"),
    "alpha not finite": ("--alpha nan", "'nan': expected a finite number"),
    "alpha no number": ("--alpha steep", "'steep'"),
    "a misspelt method": ("--methods topk,oase", "(did you mean 'osae'?): expected one of topk,"),
    "no method": ("--methods ,", "method '' is unknown"),
    "a method twice": ("--methods osae,osae", "expected each method once"),
    "no draws": ("--draws 0", "--draws = 0"),
    "no seeds": ("--seeds 0", "--seeds = 0"),
    "an arithmetic unknown": ("--arithmetic fats", "(did you mean 'fast'?)"),
    "seeds without number": ("--seeds 100000000000000000000000", "expected a whole number of at"),
    "too many seeds": ("--seeds 1000000000", "expected at most 10000"),
    "too many runs": ("--seeds 10000 --draws 10000", "--draws times --seeds = 100000000: expected"),
    "too many workers": ("--workers 1000000000", "expected at most 4096"),
    "steps beyond counting": (f"--steps {'9' * 5000}", "expected a whole number of at most"),
    "a negative seed": ("--seed -1", "seed = -1"),
    "no steps": ("--steps 0", "steps = 0"),
    "no batch": ("--batch-size 0", "batch size = 0"),
    "no workers": ("--workers 0", "--workers = 0"),
    "a rate of zero": ("--lr 0", "learning rate = 0.0"),
    "a rate not finite": ("--lr inf", "'inf': expected a finite number"),
    "a device not there": ("--device cuda:99", "device 'cuda:99' is not available"),
    "a device unknown": ("--device abacus", "device 'abacus' is unknown"),
    "a grid unknown": ("--grid defautl", "(did you mean 'default'?)"),
    "a grid and a cell": ("--grid default --cell 6 8 2 400", "expected no --cell"),
    "an option unknown": ("--sedes 3", "unrecognized arguments: --sedes 3"),
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_code_2_and_nothing_written(name, as_json, capsys, tmp_path):
    options, message = BAD[name]
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stopped:
        toy.main([*options.split(), "--out", str(out), *(["--json"] if as_json else [])])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "place",
    [
        *("file", "file/below", "dangling", "loop", "loop/x", "l" * 300, "nul\0x", "/proc/x"),
        *("table", "result", "unfinished", "unfinished link"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_before_any_training(
    place, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(toy, "complete", None)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "table" / "table.md").mkdir(parents=True)
    (tmp_path / "result" / "result.json").mkdir(parents=True)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / ".unfinished").touch()
    (tmp_path / "unfinished link").mkdir()
    (tmp_path / "unfinished link" / ".unfinished").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        toy.main([*FAST, "--out", str(tmp_path / place)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out" in error
    assert "cannot be written to" in error
    assert sorted(tmp_path.rglob("*")) == before


def test_without_out_every_cell_and_grid_has_a_folder_of_its_own(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = (Cell(6, 8, 2, 200), Cell(6, 8, 1, 200))
    monkeypatch.setattr(toy, "PRESETS", {"tiny": cells})
    few = "--steps 3 --seeds 1 --methods topk --batch-size 50 --workers 1".split()
    for which in ("--cell 6 8 2 200", "--cell 6 8 1 200", "--grid tiny"):
        assert toy.main([*which.split(), *few]) == 0
    printed = capsys.readouterr().out
    folders = [Path("out/toy", name) for name in (cells[0].slug, cells[1].slug, "grid-tiny")]
    assert sorted(Path("out/toy").iterdir()) == sorted(folders)
    for folder in folders:
        assert f"Written to {folder}" in printed
        assert (folder / "result.json").is_file()


def test_a_job_leaves_the_finished_runs_of_one_that_was_interrupted(tmp_path, capsys):
    store = RunStore(tmp_path / ".unfinished")
    interrupted = small_configs(n=2, n_steps=7)
    for record in run_task(interrupted):
        store.save(record)
    assert toy.main([*FAST, "--methods", "topk", "--out", str(tmp_path)]) == 0
    kept = [path.name for path in store.folder.iterdir()]
    assert sorted(kept) == sorted(store.path(config).name for config in interrupted)


def test_all_is_on_disk_before_anything_is_printed(tmp_path, monkeypatch):
    cells = (Cell(6, 8, 2, 200), Cell(6, 8, 1, 200))
    monkeypatch.setattr(toy, "PRESETS", {"tiny": cells})
    options = "--grid tiny --steps 3 --seeds 1 --methods topk --workers 1 --out".split()
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        assert toy.main([*options, str(tmp_path)]) == 141
    assert len(json.loads((tmp_path / "result.json").read_text())["cells"]) == 2
    for cell in cells:
        assert (tmp_path / cell.slug / "table.md").is_file()
    assert not (tmp_path / ".unfinished").exists()


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        toy.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def command(*options):
    return [sys.executable, "-m", "benchmarks.toy", *map(str, options)]


def test_as_a_process_bad_input_has_no_traceback():
    found = subprocess.run(
        command("--methods", "sae", "--json"), capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_job_goes_on_where_it_was_and_ends_the_same(how, tmp_path):
    options = (
        "--cell 8 10 2 3000 --steps 600 --draws 4 --seeds 1 --methods topk,osae --workers 1".split()
    )
    options += ["--lr", "0.01", "--json", "--out"]
    interrupted = tmp_path / "interrupted"
    process = subprocess.Popen(
        command(*options, interrupted),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in its background with interrupts ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    kept = interrupted / ".unfinished"
    # Runs are finished a few at a time; stop while others are under way.
    while not list(kept.glob("[!.]*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    out, err = process.communicate()
    assert out == ""
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert err.strip().splitlines()[-1].endswith("goes on with the runs it has finished")
    assert not (interrupted / "result.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in kept.glob("[!.]*")}
    assert 0 < len(finished) < 8

    def result(folder: Path):
        found = subprocess.run(
            command(*options, folder), capture_output=True, text=True, check=True
        )
        document = json.loads(found.stdout)
        del document["provenance"]["command"]
        return without_seconds(document)

    assert result(interrupted) == result(tmp_path / "undisturbed")
    assert not kept.exists()
