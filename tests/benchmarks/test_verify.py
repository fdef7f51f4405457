from dataclasses import replace

import pytest

from benchmarks import catalogue, verify
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.outcome import Results
from benchmarks.store import Store
from small_runs import small_runs

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def tried():
    """Sixteen runs: four methods, two draws, two seeds."""
    found = []
    for method in ("topk", "osae", "msae-fixed", "msae-random"):
        for draw in (0, 1):
            runs = tuple(small_runs(method, 2, n_steps=20, problem_seed=draw))
            found += run_task(FitTask(runs, code_of("toy", method)))
    return found


@pytest.fixture
def folder(tried, tmp_path):
    """Return what makes a store of the runs, each changed by a function."""

    def make(change=lambda outcome: outcome, n=16):
        kept = [new for outcome in tried[:n] if (new := change(outcome)) is not None]
        Store.at(tmp_path / "store", create=True).add(Results(kept))
        return tmp_path / "store"

    return make


def main(folder, *options):
    return verify.main([str(folder), "--workers", "1", *options])


def test_runs_that_come_out_the_same_agree_and_the_exit_code_is_0(folder, capsys):
    assert main(folder(), "--runs", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 of 16 runs of ")
    assert [line.split()[0] for line in lines[1:-1]] == ["agrees"] * 3
    assert lines[-1] == "3 of 3 agree bit for bit"


def test_a_run_that_differs_is_named_with_what_else_differs_and_the_exit_code_is_1(folder, capsys):
    def change(outcome):
        if outcome.spec.setting.method != "osae":
            return outcome
        then = replace(outcome.provenance, processor="Abacus", numpy="0.1")
        return replace(outcome, dictionary_sha256="0" * 64, provenance=then)

    assert main(folder(change), "--runs", "4") == 1
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    differing = [line for line in lines if line.startswith("differs")]
    assert len(differing) == 1
    assert "osae[lr=0.01], problem" in differing[0]
    assert "000000000000 then" in differing[0]
    assert "processor: Abacus then, " in printed
    assert "numpy: 0.1 then, " in printed
    assert "torch:" not in printed
    assert lines[-1] == "3 of 4 agree bit for bit"


def test_what_is_trained_again_is_what_was_trained(folder, capsys):
    [other] = small_runs("topk[lr=0.015]", 1, n_steps=20)
    place = folder(lambda outcome: replace(outcome, spec=other), n=1)
    assert main(place) == 1
    assert "same versions and machine" in capsys.readouterr().out


def test_a_run_that_diverges_now_does_not_agree(folder, capsys):
    [other] = small_runs("topk[lr=1e30]", 1, n_steps=20)
    place = folder(lambda outcome: replace(outcome, spec=other), n=1)
    assert main(place) == 1
    assert "diverged now" in capsys.readouterr().out


def test_the_choice_is_spread_over_methods_and_the_same_for_a_seed(folder):
    runs = verify.stored_runs(folder())
    for n in (1, 4, 6, 16, 99):
        found = verify.chosen(runs, n, 0)
        assert len(found) == len({stored.spec for stored in found}) == min(n, 16)
        methods = [stored.spec.setting.method for stored in found]
        counts = [methods.count(m) for m in {r.spec.setting.method for r in runs}]
        assert max(counts) - min(counts) <= 1
        assert found == verify.chosen(runs, n, 0)
    assert verify.chosen(runs, None, 0) == runs
    choices = {verify.chosen(runs, 2, seed)[0].spec for seed in range(20)}
    assert len(choices) > 5


def test_runs_that_are_not_done_are_not_asked_for(folder):
    odd = small_runs("topk", 1, n_steps=20)[0].id

    def change(outcome):
        if outcome.spec.id != odd:
            return outcome
        return replace(outcome, status="diverged", values={}, arrays={}, dictionary_sha256="")

    assert len(verify.stored_runs(folder(change))) == 15


def test_runs_whose_bits_are_promised_to_nobody_are_left_out(folder, capsys, monkeypatch):
    methods = dict(catalogue.methods())
    methods["osae"] = replace(methods["osae"], portable=False)
    monkeypatch.setattr(catalogue, "methods", lambda: methods)
    assert main(folder(), "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 runs are of an arithmetic or a method without such bits"
    assert lines[1].startswith("12 of 12 runs of ")
    assert not any("osae" in line for line in lines)


def test_runs_in_the_machines_arithmetic_are_promised_to_nobody():
    portable, fast = (small_runs("topk", 1, arithmetic=name)[0] for name in ("portable", "fast"))
    assert verify.is_promised(portable)
    assert not verify.is_promised(fast)


def test_a_lost_hash_is_one_line_and_code_2(folder, capsys):
    place = folder(lambda outcome: replace(outcome, dictionary_sha256=""))
    with pytest.raises(SystemExit) as stopped:
        main(place)
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert "is no sha256 of a dictionary" in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_method_that_is_gone_is_one_line_and_code_2(folder, capsys, monkeypatch):
    place = folder()
    known = {name: one for name, one in catalogue.methods().items() if name != "osae"}
    monkeypatch.setattr(catalogue, "methods", lambda: known)
    with pytest.raises(SystemExit) as stopped:
        main(place)
    assert stopped.value.code == 2
    assert "method 'osae' is unknown" in capsys.readouterr().err


def test_a_store_without_runs_is_one_line_and_code_2(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(folder(lambda outcome: None))
    assert stopped.value.code == 2
    assert "expected at least one run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: (path.mkdir(), (path / "store.json").write_bytes(b"x")),
        lambda path: (path / "store.json").mkdir(parents=True),
        lambda path: (path.mkdir(), (path / "runs.parquet").write_bytes(b"x")),
    ],
)
def test_a_folder_that_is_no_store_is_one_line_and_code_2(make, tmp_path, capsys):
    make(tmp_path / "folder")
    with pytest.raises(SystemExit) as stopped:
        main(tmp_path / "folder")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "expected" in error


@pytest.mark.parametrize(
    "options", ["--runs 0", "--workers 0", "--seed -1", "--rnus 3", "--device cuda:99"]
)
def test_options_that_cannot_be_are_one_line_and_code_2(options, folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(folder(), *options.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
