from dataclasses import replace

import pytest

from benchmarks import catalogue, submit
from benchmarks.contracts import Preset
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.outcome import Results
from benchmarks.spec import Budget, Setting, draw_seed
from benchmarks.store import Store
from small_runs import SMALL

pytestmark = pytest.mark.trains

TINY = Preset("tiny", "for tests", [("toy", SMALL)], ("topk",), 2, 2, {"steps": 4})


def trained(method="topk", steps=4, batch_size=1024, draws=(0, 1), n_seeds=2, **changes):
    found = []
    for draw in draws:
        case = catalogue.case_of("toy", SMALL, draw_seed(0, draw))
        variant = catalogue.variant(method)
        setting = Setting(
            case,
            variant.method.name,
            variant.identity,
            Budget("steps", steps, batch_size),
            **changes,
        )
        runs = tuple(catalogue.run_specs(setting, n_seeds))
        found += run_task(FitTask(runs, code_of("toy", variant.method.name)))
    return found


@pytest.fixture(scope="module")
def complete():
    """All runs of the preset."""
    return trained()


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Return what makes a store of outcomes and gives what is found in it."""
    monkeypatch.setattr(catalogue, "presets", lambda: {"tiny": TINY})

    def make(outcomes, commit="0" * 40, dirty=False):
        kept = [
            replace(one, provenance=replace(one.provenance, commit=commit, dirty=dirty))
            for one in outcomes
        ]
        store = Store.at(tmp_path / "store", create=True)
        store.add(Results(kept))
        return submit.findings(store, TINY)

    return make


def test_a_whole_submission_has_nothing_wrong(complete, submitted, capsys, tmp_path):
    assert submitted(complete) == []
    assert submit.main(["check", str(tmp_path / "store"), "--preset", "tiny"]) == 0
    assert "4 runs can stand beside those of tiny" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda runs: runs[:-1], "topk[lr=0.0156]: 1 runs of tiny are missing"),
        (lambda runs: [*runs, *trained(draws=(2,))], "is no problem of tiny"),
        (lambda runs: [*runs, *trained(n_seeds=3, draws=(0,))[2:]], "none of the first 2 of its"),
        (lambda runs: [*runs, *trained(steps=5)], "5 steps of 1024 samples: expected 4 of 1024"),
        (lambda runs: [*runs, *trained(batch_size=9)], "4 steps of 9 samples: expected 4 of 1024"),
        (lambda runs: [*runs, *trained(arithmetic="fast")], "fast arithmetic: expected portable"),
        (
            lambda runs: [replace(runs[0], status="timeout", reason="late", values={}), *runs[1:]],
            "timeout (late): expected done",
        ),
        (
            lambda runs: [replace(one, values={**one.values, "mse": -1.0}) for one in runs],
            "mse = -1 in 4 rows: expected at least 0",
        ),
        (
            lambda runs: [
                replace(one, values={k: v for k, v in one.values.items() if k != "mse"})
                for one in runs
            ],
            "mse: 4 runs have no value",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence_each(change, found, complete, submitted):
    sentences = submitted(change(list(complete)))
    assert any(found in sentence for sentence in sentences), sentences


def test_code_that_is_no_commit_is_found(complete, submitted):
    [sentence] = submitted(complete, commit=None, dirty=None)
    assert sentence.startswith("4 runs were trained by code that is no commit")


def test_changes_beside_a_commit_are_found(complete, submitted):
    [sentence] = submitted(complete, dirty=True)
    assert "expected a checkout without changes" in sentence


def test_many_of_one_kind_are_counted(submitted, monkeypatch):
    monkeypatch.setattr(submit, "_MOST_LINES", 3)
    others = trained(draws=(5, 6))
    sentences = submitted(others)
    of_runs = [sentence for sentence in sentences if sentence.startswith("run ")]
    assert len(of_runs) == 3
    assert f"and {len(others) - 3} more runs that are not the preset's" in sentences


def test_a_method_without_a_file_is_named(complete, submitted, monkeypatch):
    odd = [
        replace(one, spec=replace(one.spec, setting=replace(one.spec.setting, method="mine")))
        for one in complete
    ]
    sentences = submitted(odd)
    assert any("method 'mine' is not known here" in sentence for sentence in sentences)


def test_findings_end_the_command_with_1_and_bad_input_with_2(
    complete, submitted, tmp_path, capsys
):
    submitted(complete[:1])
    for options, code in (
        (["check", str(tmp_path / "store"), "--preset", "tiny"], 1),
        (["check", str(tmp_path / "none"), "--preset", "tiny"], 2),
        (["check", str(tmp_path / "store"), "--preset", "tny"], 2),
        (["chekc", str(tmp_path / "store")], 2),
    ):
        with pytest.raises(SystemExit) as stopped:
            submit.main(options)
        assert stopped.value.code == code
        assert capsys.readouterr().err.count("\n") == 1
