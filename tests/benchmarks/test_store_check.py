import json
import os
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.outcome import Results
from benchmarks.store import Store
from benchmarks.store.check import findings
from benchmarks.store.parts import write_part
from benchmarks.store.schema import RUNS, TABLES
from made_up_runs import made_up_outcomes, made_up_results, made_up_specs
from osae_theory.errors import InputError


@pytest.fixture
def store(tmp_path):
    """A store with four runs and their arrays, of two methods."""
    store = Store.at(tmp_path / "store", create=True)
    store.add(Results(made_up_outcomes(made_up_specs(1, 1, 2, ["topk", "osae"]), arrays=True)))
    return store


def rewritten(store, changes):
    """Put a part in place of the only one in which columns of the first run are changed."""
    [part] = (store.folder / "parts").iterdir()
    tables = {name: pq.read_table(part / f"{name}.parquet") for name in TABLES}
    rows = tables[RUNS].to_pylist()
    rows[0] |= changes
    tables[RUNS] = pa.Table.from_pylist(rows, TABLES[RUNS])
    part.rename(store.folder / "old")
    write_part(part, tables, durable=False)
    return rows[0]["run"]


def test_nothing_is_found_in_a_good_store(store):
    assert store.check() == []
    store.merge()
    assert store.check() == []


def test_a_run_whose_text_is_not_canonical_is_found(store):
    [text] = store.frames().runs["text"].tolist()[:1]
    run = rewritten(store, {"text": text.replace(",", ", ")})
    assert any(
        text.startswith(f"run {run}: ") and "canonical form" in text for text in store.check()
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema":1}',
        '{"schema":2}',
        '{"family":"toy","method":"osae","problem":{"d":[1]},"problem_seed":0,"schema":1,"seeds":[0,0,0]}',
        '{"family":"toy","method":"osae","problem":{"d":null},"problem_seed":0,"schema":1,"seeds":[0,0,0]}',
    ],
)
def test_a_run_whose_text_is_none_is_found(store, text):
    run = rewritten(store, {"text": text})
    assert any(found.startswith(f"run {run}: ") for found in store.check())
    assert len(store.frames().runs) == 4


def test_a_run_whose_id_is_not_the_hash_of_its_text_is_found(store):
    run = rewritten(store, {"run": "0" * 32})
    assert any(
        text.startswith(f"run {run}: expected ") and text.endswith("the hash of its text")
        for text in store.check()
    )


@pytest.mark.parametrize(
    ("column", "value"), [("variant", "osae[lr=1]"), ("amount", 31), ("prefix_seed", 0)]
)
def test_a_run_whose_columns_are_not_those_of_its_text_is_found(store, column, value):
    run = rewritten(store, {column: value})
    [text] = store.check()
    assert text.startswith(f"run {run}: {column} is {value!r}, its text says ")


def test_arrays_are_found_that_are_damaged_or_of_no_run_or_of_another_training(store):
    runs = store.frames().runs["run"].tolist()
    paths = [store.folder / "arrays" / run[:2] / f"{run}.safetensors" for run in runs]
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"x")
    other = Store.at(store.folder.with_name("other"), create=True)
    specs = made_up_specs(1, 1, 2, ["topk", "osae"])
    other.add(Results(made_up_outcomes(specs, seed=1, arrays=True)))
    paths[1].write_bytes((other.folder / paths[1].relative_to(store.folder)).read_bytes())
    orphan = store.folder / "arrays" / "ff" / f"{'f' * 32}.safetensors"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(paths[2].read_bytes())
    strange = store.folder / "arrays" / "notes.txt"
    strange.touch()
    found = {text.split()[0]: text for text in store.check()}
    assert set(found) == {str(path) for path in (paths[0], paths[1], orphan, strange)}
    assert "is damaged: the run's measurements stand" in found[str(paths[0])]
    assert "holds another dictionary than that of the run's row" in found[str(paths[1])]
    assert "is of no run that is here" in found[str(orphan)]
    assert [one.text for one in findings(store.folder) if not one.wrong] == [found[str(orphan)]]
    assert "is not of a store" in found[str(strange)]


def test_arrays_of_a_damaged_part_are_not_said_to_be_of_no_run(store):
    [part] = (store.folder / "parts").iterdir()
    (part / "runs.parquet").write_bytes(b"")
    [text] = store.check()
    assert f"{part.name}/runs.parquet is damaged" in text


def test_files_that_are_not_of_a_store_are_found(store):
    [part] = (store.folder / "parts").iterdir()
    (part / "notes.txt").touch()
    (store.folder / "parts" / "copy.zip").touch()
    (store.folder / "parts" / ".DS_Store").touch()
    (store.folder / "report").mkdir()
    assert sorted(text.split()[0] for text in store.check()) == sorted(
        [str(part / "notes.txt"), str(store.folder / "parts" / "copy.zip")]
    )


def test_measurements_of_runs_that_are_lost_are_told_and_are_nothing_wrong(tmp_path):
    store = Store.at(tmp_path, create=True)
    results = made_up_results(made_up_specs(1, 1, 2, ["osae"]))
    store.add(Results(results.outcomes[:1], results.measurements[:1]))
    [finding] = findings(tmp_path)
    assert (finding.text.split()[0], finding.wrong) == ("1", False)
    assert len(store.frames().measurements) == len(results.outcomes[0].values)


def test_several_states_of_code_of_one_method_are_told_and_are_nothing_wrong(tmp_path):
    store = Store.at(tmp_path, create=True)
    first, second, third = made_up_outcomes(made_up_specs(1, 1, 3, ["osae"]))
    other = made_up_outcomes(made_up_specs(1, 1, 1, ["topk"]), code="2" * 16)
    store.add(Results([first, second, *other]))
    assert findings(tmp_path) == []
    store.add(Results([replace(third, code="1" * 16)]))
    [finding] = findings(tmp_path)
    assert not finding.wrong
    assert finding.text == (
        "runs of osae on toy come from 2 states of the code: 0123456789abcdef (2),"
        " 1111111111111111 (1)"
    )


def test_of_many_findings_of_a_kind_the_rest_is_counted(tmp_path):
    store = Store.at(tmp_path, create=True)
    specs = made_up_specs(1, 5, 5, ["osae"])
    for seed in (0, 1):
        store.add(Results(made_up_outcomes(specs, seed=seed)))
    found = store.check()
    assert len(found) == 21
    assert found[-1] == "and 5 more runs with two results"


def test_a_manifest_of_a_newer_version_is_named(store):
    [part] = (store.folder / "parts").iterdir()
    manifest = json.loads((part / "part.json").read_text())
    (part / "part.json").write_text(json.dumps(manifest | {"schema": 2}))
    [text] = store.check()
    assert "expected the newer version" in text


@pytest.mark.parametrize("place", ["part.json", "runs.parquet"])
@pytest.mark.parametrize("what", ["pipe", "folder", "nesting"])
def test_what_is_no_file_in_a_files_place_is_named_and_not_waited_for(store, place, what):
    path = next((store.folder / "parts").iterdir()) / place
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.write_text("[" * 200_000)
    with pytest.raises(InputError, match=f"{place} is damaged"):
        store.frames()
    assert any(place in sentence for sentence in store.check())


def test_parts_that_lead_nowhere_are_no_empty_store(store):
    (store.folder / "parts").rename(store.folder / "elsewhere")
    (store.folder / "parts").symlink_to("nowhere")
    with pytest.raises(InputError, match="is a link that leads nowhere"):
        store.statuses()
