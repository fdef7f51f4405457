import shutil
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.outcome import Results
from benchmarks.store import Store
from benchmarks.store.__main__ import COMMANDS, main
from benchmarks.store.export import export
from benchmarks.store.overview import overview
from benchmarks.store.selection import selected
from made_up_runs import made_up_outcomes, made_up_results, made_up_specs
from osae_theory.errors import InputError

FRAMES = ("runs", "measurements", "provenance", "vectors")


@pytest.fixture
def store(tmp_path):
    """A store in three parts, with arrays."""
    store = Store.at(tmp_path / "store", create=True)
    outcomes = made_up_outcomes(made_up_specs(1, 2, 2), arrays=True)
    for some in (outcomes[:3], outcomes[3:9], outcomes[9:]):
        store.add(Results(some))
    return store


def called(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def refused(capsys, *arguments):
    """Return the code and the one line of a call that ends in an error."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    [line] = capsys.readouterr().err.splitlines()
    return ended.value.code, line


def assert_same(one, two):
    for name in FRAMES:
        pd.testing.assert_frame_equal(
            getattr(one.frames(), name), getattr(two.frames(), name), check_exact=True
        )


def parts_of(folder):
    return sorted(path.name for path in (folder / "parts").iterdir())


def test_every_command_refuses_what_is_no_store_in_one_line(capsys, tmp_path):
    for name in COMMANDS:
        more = [tmp_path / "target"] if name == "export" else []
        code, line = refused(capsys, name, tmp_path / "none", *more)
        assert code == 2
        assert "is not there: expected a store" in line
    code, line = refused(capsys)
    assert (code, line.split("expected ")[1]) == (2, "one of list, check, merge, export")
    assert list(tmp_path.iterdir()) == []


def test_a_list_has_a_line_for_each_problem_and_method(capsys, store):
    code, out, _ = called(capsys, "list", store.folder)
    assert code == 0
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()]
    assert lines[0] == ["problem", "method", "budget", "done", "draws", "seeds"]
    assert [line[1:] for line in lines[2:]] == [
        ["msae-fixed[lr=0.01]", "30 steps of 100", "4", "2", "2"],
        ["osae[lr=0.01]", "30 steps of 100", "4", "2", "2"],
        ["topk[lr=0.01]", "30 steps of 100", "4", "2", "2"],
        ["truth", "none", "2", "2", "1"],
    ]


def test_a_list_counts_each_status_and_says_where_seeds_vary():
    specs = made_up_specs(1, 2, 2, ["osae"])
    outcomes = made_up_outcomes(specs[:3])
    outcomes[0] = replace(outcomes[0], status="timeout")
    setting = replace(specs[3].setting, arithmetic="fast")
    fast = made_up_outcomes([replace(specs[3], setting=setting)])

    def frame(of):
        return pd.DataFrame(
            {
                "cell": one.spec.setting.case.cell,
                "variant": one.spec.setting.variant,
                "unit": "steps",
                "amount": 30,
                "batch_size": 100,
                "arithmetic": one.spec.setting.arithmetic,
                "status": one.status,
                "problem_seed": one.spec.setting.case.problem_seed,
            }
            for one in of
        )

    found = overview(frame([*outcomes, *fast])).set_index("budget")
    assert list(found.columns) == ["problem", "method", "done", "timeout", "draws", "seeds"]
    assert found.loc["30 steps of 100", ["done", "timeout", "draws", "seeds"]].tolist() == [
        2,
        1,
        2,
        "1-2",
    ]
    assert found.loc["30 steps of 100, fast", "done"] == 1


def test_a_list_of_nothing_says_so(capsys, tmp_path):
    Store.at(tmp_path, create=True)
    code, out, _ = called(capsys, "list", tmp_path)
    assert (code, out) == (0, f"{tmp_path} holds no runs\n")


def test_a_check_ends_with_1_where_something_is_wrong(capsys, store):
    code, out, _ = called(capsys, "check", store.folder)
    assert (code, out) == (0, f"{store.folder}: 14 runs, parts: 3, nothing is wrong\n")
    part = store.folder / "parts" / parts_of(store.folder)[0]
    (part / "runs.parquet").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        main(["check", str(store.folder)])
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert "runs.parquet is damaged" in printed.out
    assert "1 thing is wrong" in printed.err


def test_a_check_shows_how_far_it_is_only_where_there_are_arrays(capsys, store, tmp_path):
    export(store, tmp_path / "copy")
    assert "arrays" in called(capsys, "check", store.folder)[2]
    assert called(capsys, "check", tmp_path / "copy")[2] == ""


def test_a_merge_says_what_it_did(capsys, store):
    before = store.frames()
    code, out, _ = called(capsys, "merge", store.folder)
    assert (code, out) == (0, f"{store.folder}: 14 runs, parts: 1; before, 3\n")
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(store.frames(), name))


@pytest.mark.parametrize("arrays", [False, True])
def test_an_export_holds_the_same_in_one_part(capsys, store, tmp_path, arrays):
    target = tmp_path / "results" / "toy"
    code, out, _ = called(capsys, "export", store.folder, target, *["--arrays"][: int(arrays)])
    assert (code, out) == (0, f"{target}: 14 runs, parts: 1\n")
    copy = Store.at(target)
    assert_same(store, copy)
    assert copy.check() == []
    assert len(list(target.rglob("*.safetensors"))) == 14 * arrays
    assert (target / "arrays").exists() == arrays
    assert not list(target.glob(".*"))


def test_an_export_that_is_made_again_changes_nothing(store, tmp_path):
    target = tmp_path / "copy"
    export(store, target)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in target.rglob("*.p*")}
    store.merge()
    export(store, target)
    after = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in target.rglob("*.p*")}
    assert before == after


def test_an_export_replaces_the_store_that_is_there_and_no_other_file(store, tmp_path):
    target = tmp_path / "copy"
    old = Store.at(target, create=True)
    old.add(made_up_results(made_up_specs(2, 1, 1, ["osae"]), seed=5))
    (target / "report").mkdir()
    (target / "report" / "table.md").write_text("a table")
    export(store, target)
    assert_same(store, Store.at(target))
    assert (target / "report" / "table.md").read_text() == "a table"


def test_an_export_of_one_problem_holds_what_a_store_of_it_alone_would(capsys, tmp_path):
    both, alone = (Store.at(tmp_path / name, create=True) for name in ("both", "alone"))
    outcomes = made_up_outcomes(made_up_specs(2, 2, 2), arrays=True)
    both.add(Results(outcomes))
    first = outcomes[0].spec.setting.case.params
    alone.add(Results([one for one in outcomes if one.spec.setting.case.params == first]))
    [problem] = alone.frames().runs["cell"].astype(str).unique()
    copy = tmp_path / "copy"
    options = ("--arrays", "--problem", problem)
    assert called(capsys, "export", both.folder, copy, *options)[0] == 0
    assert_same(Store.at(copy), alone)
    assert Store.at(copy).check() == []
    assert len(list(copy.rglob("*.safetensors"))) == len(alone.frames().runs)
    code, line = refused(capsys, "export", both.folder, tmp_path / "none", "--problem", "toy")
    assert (code, "problem 'toy'" in line, problem in line) == (2, True, True)
    assert not (tmp_path / "none").exists()


def test_an_export_of_complete_draws_leaves_out_those_that_a_method_lacks(capsys, tmp_path):
    outcomes = made_up_outcomes(made_up_specs(1, 3, 2))
    draws = list(dict.fromkeys(one.spec.setting.case.problem_seed for one in outcomes))
    osae = [[], [], []]
    for one in outcomes:
        if one.spec.setting.method == "osae":
            osae[draws.index(one.spec.setting.case.problem_seed)].append(one.spec.id)
    # On the second draw it has one run of its two, on the third none.
    left_out = {osae[1][0], *osae[2]}
    store = Store.at(tmp_path / "store", create=True)
    store.add(Results([one for one in outcomes if one.spec.id not in left_out]))
    code, out, _ = called(capsys, "export", store.folder, tmp_path / "copy", "--complete")
    assert (code, out) == (0, f"{tmp_path / 'copy'}: 7 runs, parts: 1; left out, 11\n")
    assert set(Store.at(tmp_path / "copy").frames().runs["problem_seed"]) == {draws[0]}


def test_where_no_draw_is_complete_nothing_is_replaced(capsys, store, tmp_path):
    outcomes = made_up_outcomes(made_up_specs(1, 2, 1, ["topk", "osae"]))
    draws = list(dict.fromkeys(one.spec.setting.case.problem_seed for one in outcomes))
    apart = Store.at(tmp_path / "apart", create=True)
    methods = dict(zip(draws, ("topk", "osae"), strict=True))
    apart.add(
        Results(
            [
                one
                for one in outcomes
                if methods[one.spec.setting.case.problem_seed] == one.spec.setting.method
            ]
        )
    )
    target = tmp_path / "copy"
    export(store, target)
    code, line = refused(capsys, "export", apart.folder, target, "--complete")
    assert (code, "no draw has all runs of every method" in line) == (2, True)
    assert len(Store.at(target).frames().runs) == 14
    empty = Store.at(tmp_path / "empty", create=True)
    code, line = refused(capsys, "export", empty.folder, target, "--problem", "x")
    assert (code, "the store holds no runs" in line) == (2, True)


def test_a_draw_with_more_seeds_makes_no_other_incomplete(tmp_path):
    few, more = (made_up_specs(1, 3, seeds, ["topk"]) for seeds in (1, 2))
    first = few[0].setting.case.problem_seed
    extra = [one for one in more if one.setting.case.problem_seed == first and one not in few]
    store = Store.at(tmp_path / "store", create=True)
    store.add(Results(made_up_outcomes([*few, *extra])))
    runs = store.frames().runs
    assert selected(runs, complete=True) == set(runs["run"].astype(str))


def test_an_export_deletes_no_arrays_without_replacing_them(capsys, store, tmp_path):
    target = tmp_path / "copy"
    old = Store.at(target, create=True)
    old.add(made_up_results(made_up_specs(2, 1, 1, ["osae"]), arrays=True, seed=5))
    code, line = refused(capsys, "export", store.folder, target)
    assert (code, "holds a store with arrays: expected --arrays" in line) == (2, True)
    assert len(list(target.rglob("*.safetensors"))) == 2
    assert called(capsys, "export", store.folder, target, "--arrays")[0] == 0
    assert_same(store, Store.at(target))
    assert len(list(target.rglob("*.safetensors"))) == 14


def test_an_export_over_what_is_no_store_or_over_itself_is_refused(capsys, store, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    for target, message in (
        (tmp_path / "thesis", "holds 'thesis.tex' and no store.json"),
        (tmp_path / "store", "is the store itself, or in it: expected another folder"),
        (tmp_path / "store" / "parts" / "x", "is the store itself, or in it"),
        (tmp_path / "store" / "arrays" / "x", "is the store itself, or in it"),
    ):
        code, line = refused(capsys, "export", store.folder, target)
        assert code == 2
        assert message in line
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]
    assert len(store.frames().runs) == 14


def test_a_damaged_store_is_not_exported(store, tmp_path):
    part = store.folder / "parts" / parts_of(store.folder)[0]
    (part / "vectors.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"vectors\.parquet is damaged"):
        export(store, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_export_keeps_both_results_of_a_run_that_was_trained_twice(store, tmp_path):
    store.add(Results(made_up_outcomes(made_up_specs(1, 1, 1, ["osae"]), seed=7)))
    [told] = [text for text in store.check() if "trained twice" in text]
    copy = export(store, tmp_path / "copy")
    assert copy.check() == [told]
    assert len(parts_of(copy.folder)) == 2
    shutil.rmtree(store.folder)
    assert len(copy.frames().runs) == 14
