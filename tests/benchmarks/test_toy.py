import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import catalogue, toy
from benchmarks.contracts import Preset
from benchmarks.report import writing
from benchmarks.store import Store
from osae_theory import __version__

pytestmark = pytest.mark.trains

FAST = "--cell 6 8 2 400 --steps 20 --batch-size 100 --draws 3 --workers 1".split()
MEASURED = (
    "stab_pairs stab_truth stab_truth_corrected ord_truth ord_recovered recovered_share"
    " ord_by_frequency ord_by_energy mse dead_share"
).split()
TINY = Preset(
    "tiny",
    "for tests",
    [("toy", {"d": 6, "K": 8, "m": m, "N": 200}) for m in (2, 1)],
    ("osae", "topk"),
    2,
    2,
    {"steps": 5},
)
CELLS = ("d6_K8_m2_N200_alpha1.2", "d6_K8_m1_N200_alpha1.2")


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Drawing takes most of a small job's time; what is drawn, the report's own tests look at."""
    monkeypatch.setattr(writing, "save_figure", lambda figure, path: path.touch())


@pytest.fixture
def tiny(monkeypatch):
    """A preset of two cells."""
    monkeypatch.setattr(catalogue, "presets", lambda: {"tiny": TINY})


def document(capsys, out, *options):
    assert toy.main([*FAST, "--out", str(out), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def without_seconds(value):
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    if isinstance(value, list):
        return [without_seconds(v) for v in value]
    return value


def runs_in(out):
    return Store.at(out).frames().runs


def test_json_is_one_document_with_every_promised_field(capsys, tmp_path):
    found = document(capsys, tmp_path, "--methods", "topk,osae")
    assert found["cell"]["problem"] == {"d": 6, "K": 8, "m": 2, "N": 400, "alpha": 1.2}
    assert [row["method"] for row in found["rows"]] == ["topk", "osae"]
    for row in found["rows"]:
        assert (row["draws"], row["runs"]) == (3, 6)
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
    assert found["ceiling"]["truth"]["ord_by_energy_n"] == 3
    assert {"command", "versions", "threads", "seed"} <= set(found["provenance"])


def test_the_same_command_elsewhere_gives_the_same_document_but_for_its_seconds(capsys, tmp_path):
    few = ("--methods", "topk,msae-random", "--draws", "2")
    found = [document(capsys, tmp_path / name, *few) for name in ("a", "b")]
    for one in found:
        del one["provenance"]["command"]
    assert without_seconds(found[0]) == without_seconds(found[1])


def test_the_same_command_again_trains_nothing_and_more_only_what_is_missing(capsys, tmp_path):
    first = document(capsys, tmp_path, "--draws", "2", "--methods", "topk")
    assert len(runs_in(tmp_path)) == 2 * 2 + 2
    before = Store.at(tmp_path).frames().provenance.set_index("run")
    assert document(capsys, tmp_path, "--draws", "2", "--methods", "topk") == first
    document(capsys, tmp_path, "--draws", "3", "--seeds", "3", "--methods", "topk,osae")
    after = Store.at(tmp_path).frames().provenance.set_index("run")
    assert len(after) == 2 * 3 * 3 + 3
    assert dict(after["seconds"]) | dict(before["seconds"]) == dict(after["seconds"])


def test_force_trains_anew_and_gives_the_same_bits(capsys, tmp_path):
    options = ("--draws", "1", "--seeds", "1", "--methods", "topk")
    document(capsys, tmp_path, *options)
    before = Store.at(tmp_path).frames()
    document(capsys, tmp_path, *options, "--force")
    after = Store.at(tmp_path).frames()
    assert list(after.runs["dictionary_sha256"]) == list(before.runs["dictionary_sha256"])
    assert set(after.runs["generation"]) == {1}
    assert len(after.measurements) == len(before.measurements)


def test_one_draw_has_no_interval_and_another_base_other_problems(capsys, tmp_path):
    single = ("--methods", "osae", "--draws", "1", "--seeds", "1")
    one = document(capsys, tmp_path, *single)["rows"][0]
    assert one["stab_truth_std"] is one["stab_truth_ci95"] is one["stab_pairs_mean"] is None
    other = document(capsys, tmp_path, *single, "--seed", "7")
    assert other["rows"][0]["stab_truth_mean"] != one["stab_truth_mean"]


def test_a_table_is_of_what_was_asked_and_the_report_of_all_that_is_kept(capsys, tmp_path):
    document(capsys, tmp_path, "--methods", "topk,osae")
    assert toy.main([*FAST, "--out", str(tmp_path), "--methods", "osae"]) == 0
    printed = capsys.readouterr().out
    assert "OSAE" in printed
    assert "top-m SAE" not in printed
    assert "top-m SAE" in (tmp_path / "report" / "table.md").read_text()
    assert max(map(len, printed.splitlines()[:-1])) <= 80
    assert "3 problem draws x 2 seeds" in " ".join(printed.split())


def test_a_folder_holds_the_store_and_its_report_and_nothing_else(capsys, tmp_path):
    out = tmp_path / "new" / "folder"
    assert toy.main([*FAST, "--methods", "topk,osae", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"store.json", "parts", "arrays", "report"}
    names = {path.name for path in (out / "report").iterdir()}
    assert {"index.html", "table.md", "table.tex", "table.csv", "comparisons.csv"} <= names
    assert "python -m benchmarks.toy" in (out / "report" / "table.md").read_text()
    assert len(pd.read_csv(out / "report" / "table.csv")) == 2


def test_a_grid_has_a_document_a_cell_and_one_table_of_all(capsys, tmp_path, tiny):
    options = "--grid tiny --workers 1 --batch-size 50 --json --out".split()
    assert toy.main([*options, str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["grid"] == "tiny"
    assert sorted(cell["cell"]["problem"]["m"] for cell in found["cells"]) == [1, 2]
    assert len(pd.read_csv(tmp_path / "report" / "grid.csv")) == 2 * 2
    assert {path.name for path in (tmp_path / "report" / "cells").iterdir()} == set(CELLS)


def test_a_plan_trains_and_writes_nothing(capsys, tmp_path, tiny):
    out = tmp_path / "store"
    assert toy.main(["--grid", "tiny", "--plan", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "missing" in printed
    assert not out.exists()


def test_shares_of_a_grid_make_together_what_one_job_makes(capsys, tmp_path, tiny):
    options = "--grid tiny --workers 1 --batch-size 50 --out".split()
    assert toy.main([*options, str(tmp_path / "whole")]) == 0
    for share in ("3/3", "1/3", "2/3", "1/3"):
        assert toy.main([*options, str(tmp_path / "shares"), "--shard", share]) == 0
    whole, shares = (Store.at(tmp_path / name).frames() for name in ("whole", "shares"))
    pd.testing.assert_frame_equal(whole.runs, shares.runs)
    pd.testing.assert_frame_equal(whole.measurements, shares.measurements)
    assert not (tmp_path / "shares" / "report").exists()


BAD = {
    "m above K": ("--cell 6 8 9 400", "m = 9: expected at most K = 8"),
    "m below 1": ("--cell 6 8 0 400", "toy: m = 0"),
    "no sample": ("--cell 6 8 2 0", "N = 0"),
    "no atom": ("--cell 6 0 0 400", "K = 0"),
    "no dimension": ("--cell 0 8 2 400", "d = 0"),
    "a cell of words": ("--cell 6 8 two 400", "invalid int value: 'two'"),
    "a short cell": ("--cell 6 8 2", "expected 4 arguments"),
    "alpha not finite": ("--alpha nan", "'nan': expected a finite number"),
    "alpha no number": ("--alpha steep", "'steep'"),
    "a misspelt method": (
        "--methods topk,oase",
        "(did you mean 'osae'?): expected one of aligned,",
    ),
    "no method": ("--methods ,", "expected a name"),
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
    "a rate of zero": ("--lr 0", "topk: lr = 0.0: expected a finite number above 0"),
    "a rate not finite": ("--lr inf", "'inf': expected a finite number"),
    "a device not there": ("--device cuda:99", "device 'cuda:99' is not available"),
    "a device unknown": ("--device abacus", "device 'abacus' is unknown"),
    "a grid unknown": ("--grid defautl", "(did you mean 'default'?)"),
    "a grid and a cell": ("--grid default --cell 6 8 2 400", "expected no --cell"),
    "a problem and a cell": ("--problem toy[d=3] --cell 6 8 2 400", "expected no --cell"),
    "a problem unfinished": ("--problem toy[d=3]", "toy: K is missing: expected number of atoms"),
    "a family unknown": ("--problem toys[d=3]", "(did you mean 'toy'?)"),
    "a parameter unknown": ("--methods osae-zipf[alhpa=1]", "(did you mean 'alpha'?)"),
    "a parameter of nobody": ("--methods truth --lr 0.1", "lr is a parameter of none"),
    "an engine unknown": ("--engine rya", "--engine 'rya' is unknown"),
    "no time": ("--timeout 0", "--timeout = 0.0: expected a finite number above 0"),
    "endless time": ("--timeout 1e300", "at most 1e+06"),
    "an address of no cluster": ("--address 127.0.0.1:1", "expected --engine ray with it"),
    "a plan as JSON": ("--plan --json", "expected no --json with it"),
    "a share beyond all": ("--shard 5/4", "5/4"),
    "a share of nothing": ("--shard 0/4", "0/4"),
    "a share of words": ("--shard a/b", "a/b"),
    "too large for memory": ("--cell 6 8 2 10000000000000", "GiB for its data alone"),
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
    ["file", "file/below", "dangling", "loop", "loop/x", "l" * 300, "nul\0x", "/proc/x"],
)
def test_a_folder_that_cannot_be_is_refused_before_any_training(
    place, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(toy, "complete", None)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        toy.main([*FAST, "--out", str(tmp_path / place)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out" in error
    assert "cannot be written to" in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_something_else_is_refused_before_any_training(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "complete", None)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SystemExit) as stopped:
        toy.main([*FAST, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_without_out_every_cell_and_grid_has_a_folder_of_its_own(
    capsys, tmp_path, monkeypatch, tiny
):
    monkeypatch.chdir(tmp_path)
    few = "--steps 3 --draws 1 --seeds 1 --methods topk --batch-size 50 --workers 1".split()
    for which in ("--cell 6 8 2 200", "--cell 6 8 1 200", "--grid tiny"):
        assert toy.main([*which.split(), *few]) == 0
    printed = capsys.readouterr().out
    folders = [Path("out/toy", name) for name in (*CELLS, "grid-tiny")]
    assert sorted(Path("out/toy").iterdir()) == sorted(folders)
    for folder in folders:
        assert f"Kept in {folder}" in printed
        assert (folder / "report" / "index.html").is_file()


def test_all_is_on_disk_before_anything_is_printed(tmp_path, monkeypatch, tiny):
    options = "--grid tiny --steps 3 --seeds 1 --methods topk --workers 1 --out".split()
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        assert toy.main([*options, str(tmp_path)]) == 141
    for cell in CELLS:
        assert (tmp_path / "report" / "cells" / cell / "table.md").is_file()


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
def test_an_interrupted_job_goes_on_where_it_was_and_ends_the_same(how, capsys, tmp_path):
    options = (
        "--cell 8 10 2 3000 --steps 250 --draws 4 --seeds 1 --methods topk,osae --workers 1".split()
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
    parts = interrupted / "parts"
    # Runs are finished a few at a time; stop while others are under way.
    while not list(parts.glob("[!.]*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    out, err = process.communicate()
    assert out == ""
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert err.strip().splitlines()[-1].endswith("goes on with the runs it has finished")
    assert not (interrupted / "report").exists()
    kept = Store.at(interrupted).frames().provenance.set_index("run")["seconds"]
    assert 0 < len(kept) < 12

    def result(folder: Path):
        assert toy.main([*options, str(folder)]) == 0
        found = json.loads(capsys.readouterr().out)
        del found["provenance"]["command"]
        return without_seconds(found)

    assert result(interrupted) == result(tmp_path / "undisturbed")
    after = Store.at(interrupted).frames().provenance.set_index("run")["seconds"]
    assert dict(after) | dict(kept) == dict(after)
