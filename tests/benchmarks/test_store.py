import hashlib
import json
import os
import resource
import sys
from contextlib import contextmanager
from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.outcome import STATUSES, Measurement, Results
from benchmarks.store import Store, merging, parts
from benchmarks.store import folder as folder_module
from benchmarks.store.schema import LATER, TABLES
from made_up_runs import (
    made_up_outcomes,
    made_up_results,
    made_up_specs,
    other_machine,
)
from osae_theory.errors import InputError, JobError
from osae_theory.provenance import dictionary_sha256

FRAMES = ("runs", "measurements", "provenance", "vectors")
FILES = [*(f"{name}.parquet" for name in TABLES), "part.json"]


@pytest.fixture(scope="module")
def results():
    """A small study: two problems, three draws, four methods, two seeds; some runs failed."""
    return made_up_results(made_up_specs(), failing=0.1)


@pytest.fixture
def store(tmp_path):
    return Store.at(tmp_path / "store", create=True)


def only_part(store):
    [part] = (store.folder / "parts").iterdir()
    return part


def parts_of(store):
    return sorted(path.name for path in (store.folder / "parts").iterdir())


def assert_same(one, two, names=FRAMES):
    for name in names:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), check_exact=True)


def split(results, n, seed):
    """The same results as n tasks in another order, with pairs as a task of their own."""
    order = np.random.default_rng(seed).permutation(len(results.outcomes))
    tasks = [
        Results([results.outcomes[i] for i in some])
        for some in np.array_split(order, n)
        if len(some)
    ]
    return [Results(measurements=results.measurements), *tasks]


def test_results_come_back_bit_for_bit(store):
    specs = made_up_specs(1, 1, 2, ["osae"])
    more = {
        "encoder.m": np.array([2]),
        "encoder.weights": np.ones((3, 8), np.float32),
        "encoder.portable": np.array([True]),
    }
    saved = [
        replace(one, arrays={**one.arrays, **more}, values={**one.values, "odd": 0.1 + 0.2})
        for one in made_up_outcomes(specs, arrays=True)
    ]
    pair = Measurement(*sorted(spec.id for spec in specs), "stab_pairs", 1 / 3)
    store.add(Results(saved, [pair]))
    frames = store.frames()
    for outcome in saved:
        spec = outcome.spec
        own = frames.only([spec.id])
        [row] = own.runs.to_dict("records")
        assert (row["text"], row["status"], row["reason"]) == (spec.text, "done", "")
        assert (row["cell"], row["variant"]) == (spec.setting.case.cell, spec.setting.variant)
        assert (row["encoder"], row["dictionary_sha256"]) == (
            outcome.encoder,
            outcome.dictionary_sha256,
        )
        found = dict(zip(own.measurements["metric"], own.measurements["value"], strict=True))
        assert found == dict(outcome.values)
        [origin] = own.provenance.to_dict("records")
        assert (origin["seconds"], origin["code"]) == (outcome.seconds, outcome.code)
        assert [origin[name] for name in vars(outcome.provenance)] == list(
            astuple(outcome.provenance)
        )
        vectors = own.vectors.set_index("name")["values"]
        assert {name: values.tolist() for name, values in vectors.items()} == {
            name: values.tolist() for name, values in outcome.vectors.items()
        }
        encoder, arrays = store.arrays(spec.id)
        assert (encoder, set(arrays)) == (outcome.encoder, set(outcome.arrays))
        for name, array in outcome.arrays.items():
            np.testing.assert_array_equal(arrays[name], array)
            assert arrays[name].dtype == array.dtype
    [row] = frames.measurements[frames.measurements["other"] != ""].to_dict("records")
    assert Measurement(*(row[name] for name in ("run", "other", "metric", "value"))) == pair
    assert store.statuses() == {spec.id: "done" for spec in specs}
    expected = {(spec.id, "", metric) for spec in specs for metric in saved[0].values}
    assert store.measured() == expected | {(pair.run, pair.other, "stab_pairs")}


def test_an_empty_store_has_tables_with_all_columns(store):
    frames = store.frames()
    for name in FRAMES:
        assert len(getattr(frames, name)) == 0
        assert list(getattr(frames, name).columns) == TABLES[name].names
    assert (store.statuses(), store.measured(), store.check()) == ({}, set(), [])
    store.add(Results())
    store.merge()
    assert os.listdir(store.folder) == ["store.json"]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_tables_do_not_depend_on_who_wrote_first_nor_on_merging(tmp_path, results, seed, merged):
    whole, pieces = (Store.at(tmp_path / name, create=True) for name in ("one", "two"))
    whole.add(results)
    for number, task in enumerate(split(results, 7, seed)):
        pieces.add(task)
        if merged and number % 3 == 2:
            pieces.merge()
    assert (len(parts_of(pieces)) < 4) == merged
    assert_same(whole.frames(), pieces.frames())
    assert whole.statuses() == pieces.statuses()
    assert whole.measured() == pieces.measured()


def test_rows_stand_in_the_order_of_texts_then_of_names(store, results):
    store.add(results)
    frames = store.frames()
    text = dict(zip(frames.runs["run"], frames.runs["text"], strict=True)) | {"": ""}
    assert list(frames.runs["text"]) == sorted(text[run] for run in frames.runs["run"])
    found = frames.measurements
    keys = [
        (text[run], metric, text[other])
        for run, metric, other in zip(found["run"], found["metric"], found["other"], strict=True)
    ]
    assert keys == sorted(keys)
    found = frames.vectors
    keys = [(text[run], name) for run, name in zip(found["run"], found["name"], strict=True)]
    assert keys == sorted(keys)


def test_statuses_are_categories_in_one_order_whoever_was_first(store):
    outcomes = made_up_outcomes(made_up_specs(1, 1, 4, ["topk"]))
    statuses = ("error", "done", "timeout", "diverged")
    for outcome, status in zip(outcomes, statuses, strict=True):
        store.add(Results([replace(outcome, status=status)]))
    for frames in (store.frames(), store.frames().only([one.spec.id for one in outcomes])):
        assert list(frames.runs["status"].cat.categories) == list(STATUSES)
        assert set(frames.runs["status"]) == set(STATUSES)


def test_what_is_asked_for_alone_is_what_a_store_of_it_alone_holds(tmp_path, results):
    every, some = (Store.at(tmp_path / name, create=True) for name in ("one", "two"))
    every.add(results)
    wanted = results.outcomes[:9]
    ids = {outcome.spec.id for outcome in wanted}
    pairs = [m for m in results.measurements if {m.run, m.other} <= ids]
    some.add(Results(wanted, pairs))
    assert pairs
    assert_same(every.frames().only([*ids, "f" * 32]), some.frames())


def test_tables_without_vectors_are_otherwise_the_same(store, results):
    store.add(results)
    whole, without = store.frames(), store.frames(vectors=False)
    assert_same(whole, without, FRAMES[:3])
    assert list(without.vectors.columns) == list(whole.vectors.columns)
    assert len(without.vectors) == 0


def test_a_measurement_that_is_not_finite_is_not_defined(store):
    [outcome] = made_up_outcomes(made_up_specs(1, 1, 1, ["truth"]))
    store.add(Results([replace(outcome, values={"mse": float("nan"), "l0": np.inf, "fvu": None})]))
    table = pq.read_table(only_part(store) / "measurements.parquet")
    assert table.column("value").null_count == 3
    assert store.frames().measurements["value"].isna().all()


def without_later_columns(part):
    """Make a part as an earlier version wrote it."""
    path = part / "provenance.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(sorted(LATER)), path)
    manifest = json.loads((part / "part.json").read_text())
    content = path.read_bytes()
    manifest["files"][path.name] |= {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (part / "part.json").write_text(json.dumps(manifest))


def test_parts_of_an_earlier_version_have_nothing_in_the_columns_they_lack(store, results):
    half = len(results.outcomes) // 2
    store.add(Results(results.outcomes[:half]))
    without_later_columns(only_part(store))
    store.add(Results(results.outcomes[half:], results.measurements))
    for _ in range(2):  # as two parts, then as one
        origins = store.frames().provenance.set_index("run")
        old, new = (
            origins.loc[[one.spec.id for one in some]]
            for some in (results.outcomes[:half], results.outcomes[half:])
        )
        for name in LATER:
            assert old[name].isna().all()
            assert set(new[name]) == {getattr(results.outcomes[-1].provenance, name)}
        assert set(old["numba"]) == set(new["numba"])
        store.merge()
    assert len(parts_of(store)) == 1


def test_a_run_without_provenance_is_kept(store):
    [outcome] = made_up_outcomes(made_up_specs(1, 1, 1, ["truth"]))
    store.add(Results([replace(outcome, provenance=None, seconds=float("nan"))]))
    store.merge()
    [row] = store.frames().provenance.to_dict("records")
    assert all(row[name] is None or row[name] != row[name] for name in ("commit", "dirty"))
    assert row["seconds"] != row["seconds"]


def test_a_run_twice_in_one_task_is_refused_and_nothing_is_written(store):
    [outcome] = made_up_outcomes(made_up_specs(1, 1, 1, ["truth"]))
    with pytest.raises(InputError, match="expected each run once"):
        store.add(Results([outcome, outcome]))
    with pytest.raises(InputError, match="in ascending order"):
        store.add(Results(measurements=[Measurement("b" * 32, "a" * 32, "stab_pairs", 1.0)]))
    assert os.listdir(store.folder) == ["store.json"]


# --- arrays


@pytest.fixture
def with_arrays(store):
    """A store, and two runs with arrays in it."""
    saved = made_up_outcomes(made_up_specs(1, 1, 2, ["topk"]), arrays=True)
    store.add(Results(saved))
    return saved


def arrays_path(store, outcome):
    run = outcome.spec.id
    return store.folder / "arrays" / run[:2] / f"{run}.safetensors"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
        lambda path: path.write_bytes(path.read_bytes().replace(b"top-m", b"truth")),
    ],
)
def test_arrays_that_are_lost_or_damaged_are_a_warning_and_the_numbers_stand(
    store, with_arrays, damage
):
    first, second = with_arrays
    before = store.frames()
    damage(arrays_path(store, first))
    with pytest.warns(RuntimeWarning, match="what is measured of the run stands"):
        assert store.arrays(first.spec.id) is None
    assert store.arrays(second.spec.id) is not None
    assert_same(before, store.frames())


def test_another_runs_arrays_are_not_taken_for_a_runs(store, with_arrays):
    first, second = (arrays_path(store, outcome) for outcome in with_arrays)
    first.write_bytes(second.read_bytes())
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert store.arrays(with_arrays[0].spec.id) is None


def test_a_store_that_keeps_no_arrays_says_nothing_of_it(store, recwarn):
    [outcome] = made_up_outcomes(made_up_specs(1, 1, 1, ["topk"]))
    store.add(Results([outcome]))
    assert store.arrays(outcome.spec.id) is None
    assert not recwarn
    assert not (store.folder / "arrays").exists()
    with pytest.raises(InputError, match="expected an id of 32"):
        store.arrays("../../store")


@pytest.mark.parametrize("turned", [False, True])
def test_arrays_are_those_of_the_training_that_counts(store, turned):
    specs = made_up_specs(1, 1, 1, ["topk"])
    [one], [two] = (made_up_outcomes(specs, seed=seed, arrays=True) for seed in (1, 2))
    for outcome in (two, one) if turned else (one, two):
        store.add(Results([outcome]))
    sha256 = store.frames().runs["dictionary_sha256"].item()
    assert dictionary_sha256(store.arrays(specs[0].id)[1]["dictionary"]) == sha256
    forced(store, Results([three := made_up_outcomes(specs, seed=3, arrays=True)[0]]))
    # A slow writer that knows of no force.
    store.add(Results([one]))
    found = store.arrays(specs[0].id)[1]["dictionary"]
    np.testing.assert_array_equal(found, three.arrays["dictionary"])


# --- which rows count


def test_a_run_that_was_trained_twice_counts_once(tmp_path, results):
    once, twice = (Store.at(tmp_path / name, create=True) for name in ("one", "two"))
    once.add(results)
    twice.add(results)
    twice.add(replace(results, outcomes=[other_machine(one) for one in results.outcomes]))
    for _ in range(2):
        assert_same(once.frames(), twice.frames(), ("runs", "measurements", "vectors"))
        assert len(twice.frames().provenance) == len(results.outcomes)
        assert twice.check() == []
        twice.merge()
    assert len(parts_of(twice)) == 1
    assert pq.read_table(only_part(twice) / "runs.parquet").num_rows == len(results.outcomes)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_the_better_status_counts_whoever_was_first(store, merged, turned):
    [done] = made_up_outcomes(made_up_specs(1, 1, 1, ["truth"]))
    failed = replace(done, status="error", reason="", values={}, vectors={}, dictionary_sha256="")
    for outcome in (done, failed) if turned else (failed, done):
        store.add(Results([outcome]))
    if merged:
        store.merge()
    frames = store.frames()
    assert frames.runs[["status", "reason"]].to_numpy().tolist() == [["done", ""]]
    assert len(frames.measurements) == len(done.values)
    assert store.check() == []


def forced(store, results, **changes):
    """What `--force` does: a new writer, whose runs replace those that are there."""
    writer = Store.at(store.folder)
    writer.supersede([outcome.spec.id for outcome in results.outcomes])
    writer.add(Results([replace(outcome, **changes) for outcome in results.outcomes]))
    return writer


@pytest.mark.parametrize("merged", [False, True])
def test_what_replaces_a_run_counts_though_it_is_worse(store, results, merged):
    store.add(results)
    done = Results([one for one in results.outcomes if one.status == "done"][:3])
    forced(store, done, status="diverged", reason="no", values={}, vectors={}, dictionary_sha256="")
    if merged:
        store.merge()
    statuses = store.statuses()
    assert [statuses[one.spec.id] for one in done.outcomes] == ["diverged"] * 3
    replaced = {one.spec.id for one in done.outcomes}
    frames = store.frames()
    assert not replaced & {*frames.measurements["run"], *frames.measurements["other"]}
    assert not replaced & set(frames.vectors["run"])
    assert set(frames.runs.query("run in @replaced")["generation"]) == {1}
    if merged:
        stored = pq.read_table(only_part(store) / "measurements.parquet").to_pandas()
        assert not replaced & set(stored.query("other == ''")["run"])
    assert len(frames.provenance) == len(results.outcomes)
    assert store.check() == []


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("status", ["error", "timeout"])
def test_an_attempt_to_replace_a_run_that_fails_takes_nothing_away(store, results, status, merged):
    store.add(results)
    before = store.frames()
    done = Results([one for one in results.outcomes if one.status == "done"][:3])
    forced(store, done, status=status, reason="no", values={}, vectors={}, dictionary_sha256="")
    if merged:
        store.merge()
    after = store.frames()
    pd.testing.assert_frame_equal(after.runs, before.runs)
    pd.testing.assert_frame_equal(after.measurements, before.measurements)


@pytest.mark.parametrize("merged", [False, True])
def test_a_pair_is_measured_anew_when_one_of_it_has_been_replaced(store, merged):
    first, second = sorted(made_up_specs(1, 1, 2, ["topk"]), key=lambda spec: spec.id)
    pair = Measurement(first.id, second.id, "stab_pairs", 0.5)
    store.add(Results(made_up_outcomes([first, second]), [pair]))
    for spec, value in ((first, 0.6), (second, 0.7), (first, 0.8)):
        writer = forced(store, Results(made_up_outcomes([spec])))
        assert all(other == "" for _, other, _ in writer.measured())
        # Whoever opens the store later knows the generations as well.
        for again in (writer, Store.at(store.folder)):
            again.add(Results(measurements=[replace(pair, value=value)]))
        if merged:
            store.merge()
        found = store.frames().measurements.query("other != ''")
        assert found["value"].tolist() == [value]
    assert store.check() == []


def test_pairs_count_that_are_measured_in_a_job_in_which_a_run_could_not_be_replaced(store):
    first, second = sorted(made_up_specs(1, 1, 2, ["topk"]), key=lambda spec: spec.id)
    store.add(Results(made_up_outcomes([first, second])))
    [done] = made_up_outcomes([first])
    failed = replace(done, status="error", values={}, vectors={}, dictionary_sha256="")
    writer = Store.at(store.folder)
    writer.supersede([first.id, second.id])
    writer.add(Results([failed, *made_up_outcomes([second])]))
    writer.add(Results(measurements=[Measurement(first.id, second.id, "stab_pairs", 0.5)]))
    assert (first.id, second.id, "stab_pairs") in store.measured()


def test_what_is_superseded_counts_until_its_successor_is_there(store, results):
    store.add(results)
    before = store.frames()
    new = made_up_outcomes(made_up_specs(1, 1, 1, ["truth"], K=9), K=9)
    store.supersede([outcome.spec.id for outcome in (*results.outcomes, *new)])
    assert_same(before, store.frames())
    store.add(results)
    assert set(store.frames().runs["generation"]) == {1}
    store.add(Results(new))
    assert store.frames().only([new[0].spec.id]).runs["generation"].tolist() == [0]


@pytest.mark.parametrize("merged", [0, 1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_of_two_trainings_with_other_bits_one_counts_whole_and_both_are_kept(store, turned, merged):
    specs = made_up_specs(1, 1, 2, ["topk", "osae"])
    one = made_up_outcomes(specs, seed=1)
    two = [other_machine(outcome) for outcome in made_up_outcomes(specs, seed=2)]
    # A metric that only one of the machines knows.
    two = [replace(outcome, values={**outcome.values, "new": 1.0}) for outcome in two]
    pairs = made_up_results(specs).measurements
    for these in (two, one) if turned else (one, two):
        store.add(Results(these, pairs))
    for _ in range(merged):
        store.merge()
    frames = store.frames()
    for first, second in zip(one, two, strict=True):
        counts = min(first, second, key=lambda outcome: outcome.dictionary_sha256)
        alone = frames.only([counts.spec.id])
        assert alone.runs["dictionary_sha256"].tolist() == [counts.dictionary_sha256]
        values = dict(zip(alone.measurements["metric"], alone.measurements["value"], strict=True))
        assert values == dict(counts.values)
        assert alone.provenance["processor"].tolist() == [counts.provenance.processor]
        vectors = alone.vectors.set_index("name")["values"]
        assert vectors["similarities"].tolist() == list(counts.vectors["similarities"])
    found = store.check()
    assert len(found) == len(specs)
    assert all("trained twice and its dictionary differ" in text for text in found)
    assert all("a processor" in text and "another processor" in text for text in found)
    stored = [pq.read_table(path) for path in store.folder.glob("parts/*/runs.parquet")]
    assert sum(table.num_rows for table in stored) == 2 * len(specs)
    if merged:
        stored = [pd.read_parquet(path) for path in store.folder.glob("parts/*/meas*.parquet")]
        assert sum(table["other"].ne("").sum() for table in stored) == len(pairs) > 0
    # Trained anew by force, there is one result again.
    writer = forced(store, Results(one))
    writer.merge()
    assert writer.check() == []
    assert len(parts_of(writer)) == 1


def test_the_same_dictionary_with_other_measurements_is_told(store):
    [outcome] = made_up_outcomes(made_up_specs(1, 1, 1, ["topk"]))
    store.add(Results([outcome]))
    store.add(Results([other_machine(outcome, values={**outcome.values, "mse": 0.125})]))
    for _ in range(2):
        [text] = store.check()
        assert "its measurements differ" in text
        assert store.frames().measurements.groupby("metric", observed=True).size().max() == 1
        store.merge()


def test_two_values_of_one_measurement_are_told_and_one_counts(store):
    results = made_up_results(made_up_specs(1, 1, 2, ["topk"]))
    pair = next(one for one in results.measurements if one.metric == "stab_pairs")
    store.add(Results(results.outcomes, [pair]))
    for value in (None, 0.25):
        store.add(Results(measurements=[replace(pair, value=value)]))
    for _ in range(2):
        [text] = store.check()
        assert f"{pair.run} with {pair.other}: stab_pairs was measured more than once" in text
        found = store.frames().measurements.query("other != ''")
        assert found["value"].tolist() == [min(0.25, pair.value)]
        store.merge()


# --- folders that are no store, and damage


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"project": "another", "schema": 1}', "names the project 'another': expected a store"),
        ('{"project": "osae-theory benchmarks", "schema": 0}', "schema 0: expected 1, before"),
        ('{"project": "osae-theory benchmarks"}', "schema None: expected 1"),
        ('{"project": "osae-theory benchmarks", "schema": true}', "schema True: expected 1"),
        ('{"project": "osae-theory benchmarks", "schema": 2}', "expected the newer version"),
        ("[1]", "names the project None: expected a store"),
        ('{"project": "osae', "is not JSON: expected"),
        ("", "is not JSON: expected"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_store_of_others_or_of_another_schema_is_refused(tmp_path, content, message, create):
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Store.at(tmp_path, create=create)
    assert (tmp_path / "store.json").read_text() == content


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_with_something_else_is_told_what_it_is(tmp_path, create):
    earlier, other, file = tmp_path / "earlier", tmp_path / "other", tmp_path / "file"
    earlier.mkdir()
    (earlier / "runs.parquet").touch()
    other.mkdir()
    (other / "thesis.tex").touch()
    file.touch()
    messages = {
        earlier: r"holds tables of an earlier version \(runs.parquet\)",
        other: "holds 'thesis.tex' and no store.json: expected a store",
        file: "is a file: expected a store",
    }
    for folder, message in messages.items():
        with pytest.raises(InputError, match=message):
            Store.at(folder, create=create)
    assert len(list(tmp_path.rglob("*"))) == 5


def test_a_store_is_made_only_where_it_is_asked_for(tmp_path):
    for folder, message in ((tmp_path / "new", "is not there"), (tmp_path, "is empty")):
        with pytest.raises(InputError, match=f"{message}: expected a store"):
            Store.at(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".keep").touch()
    assert Store.at(tmp_path, create=True) == Store.at(tmp_path)


def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"the store .* cannot be written to"):
        Store.at(tmp_path / "file" / "store", create=True)


def foreign(path):
    pq.write_table(pa.table({"run": ["a"]}), path)
    told(path)


def no_parquet(path):
    path.write_bytes(b"PAR1 or so")
    told(path)


def told(path):
    """Make the manifest say that a file is right."""
    if path.name == "part.json":
        return
    manifest = json.loads((path.parent / "part.json").read_text())
    manifest["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "part.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("count", ["rows", "bytes"])
def test_a_part_holds_as_many_rows_and_bytes_as_it_says(store, results, count):
    store.add(Results(results.outcomes[:2]))
    path = only_part(store) / "part.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["runs.parquet"][count] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"runs\.parquet is damaged \(its rows or bytes are not"):
        store.frames()


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "no Parquet": no_parquet,
    "foreign": foreign,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_and_never_used(store, results, file, damage):
    store.add(Results(results.outcomes[:2]))
    part = only_part(store)
    store.add(Results(results.outcomes[2:4]))
    DAMAGE[damage](part / file)
    message = rf"{part.name}/{file} is damaged \(.*removed, .* trains them anew"
    for reading in (store.frames, store.merge, Store.at(store.folder).frames):
        with pytest.raises(InputError, match=message):
            reading()
    [text] = [text for text in store.check() if "damaged" in text]
    assert f"{part.name}/{file}" in text
    for path in part.iterdir():
        path.unlink()
    part.rmdir()
    assert set(store.statuses()) == {outcome.spec.id for outcome in results.outcomes[2:4]}


def test_no_flipped_bit_of_a_part_goes_unseen(store, results):
    store.add(Results(results.outcomes[:2], results.measurements[:1]))
    whole = store.frames()
    for file in FILES:
        path = only_part(store) / file
        content = path.read_bytes()
        for bit in range(0, 8 * len(content), 997 if file != "part.json" else 31):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            try:
                # In part.json some flips are of no consequence: a space, a count of rows.
                assert_same(whole, store.frames())
                assert file == "part.json"
            except InputError:
                pass
        path.write_bytes(content)


def test_a_pointer_in_place_of_a_file_is_told(store, results):
    store.add(results)
    path = only_part(store) / "runs.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(InputError, match="is a Git-LFS pointer"):
        store.frames()


def test_a_part_of_a_newer_version_is_refused(store, results):
    store.add(results)
    path = only_part(store) / "part.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(InputError, match="expected the newer version"):
        store.statuses()


def test_a_folder_among_the_parts_that_is_none_is_refused(store, results):
    store.add(results)
    (store.folder / "parts" / "mine").mkdir()
    with pytest.raises(InputError, match=r"mine/part.json is damaged \(it is not there\)"):
        store.frames()


# --- several writers, and ends of all kinds


def test_a_part_that_goes_while_it_is_read_is_read_in_its_new_place(store, results, monkeypatch):
    first, *rest = split(results, 5, 0)
    for task in (first, *rest):
        store.add(task)
    whole, listing, calls = store.frames(), parts.part_names, []

    def list_then_merge(folder):
        names = listing(folder)
        if len(calls) < 2:
            calls.append(names)
            Store.at(store.folder).add(rest[0])
            monkeypatch.setattr(parts, "part_names", listing)
            Store.at(store.folder).merge()
            monkeypatch.setattr(parts, "part_names", list_then_merge)
        return names

    monkeypatch.setattr(parts, "part_names", list_then_merge)
    assert_same(whole, store.frames())
    assert len(calls) == 2


def test_a_part_that_never_stands_still_ends_in_one_sentence(store, monkeypatch):
    names = iter(range(10**6))
    monkeypatch.setattr(parts, "part_names", lambda folder: [str(next(names))])
    with pytest.raises(JobError, match="changes faster than it can be read"):
        store.frames()


def test_merging_what_another_has_merged_loses_nothing(store, results):
    for task in split(results, 6, 0):
        store.add(task)
    whole, names = store.frames(), parts_of(store)
    merging.merge_parts(store.folder, names[:4])
    merging.merge_parts(store.folder, names[2:])
    assert_same(whole, store.frames())
    assert not set(names) & set(parts_of(store))


def test_two_that_merge_the_same_parts_at_once_lose_nothing(store, results, monkeypatch):
    for task in split(results, 6, 0):
        store.add(task)
    whole, names, put = store.frames(), parts_of(store), merging.put_parts

    def put_after_another(*arguments, **how):
        monkeypatch.setattr(merging, "put_parts", put)
        merging.merge_parts(store.folder, names[1:])
        return put(*arguments, **how)

    monkeypatch.setattr(merging, "put_parts", put_after_another)
    merging.merge_parts(store.folder, names)
    assert_same(whole, store.frames())
    assert not set(names) & set(parts_of(store))


def test_no_part_goes_before_what_replaces_it_is_there(store, results, monkeypatch):
    for task in split(results, 6, 0):
        store.add(task)
    whole, names = store.frames(), parts_of(store)

    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(merging, "remove_parts", stopped)
        with pytest.raises(KeyboardInterrupt):
            store.merge()
    assert set(names) < set(parts_of(store))
    assert_same(whole, store.frames())
    with monkeypatch.context() as patch:
        patch.setattr(merging, "place", stopped)
        with pytest.raises(KeyboardInterrupt):
            store.merge()
    assert_same(whole, store.frames())
    assert sorted(os.listdir(store.folder)) == ["parts", "store.json"]


def test_a_writer_makes_few_parts_of_its_many(store, monkeypatch):
    monkeypatch.setattr(folder_module, "PARTS_TO_MERGE", 3)
    every = made_up_outcomes(made_up_specs(2, 3, 2))
    other = Store.at(store.folder)
    other.add(Results(every[:1]))
    most = 0
    for outcome in every:
        store.add(Results([outcome]))
        most = max(most, len(parts_of(store)))
    assert most <= 1 + 2 * 4 + 1  # the other's, and two of each of four levels, and one more
    assert len(store.frames().runs) == len(every)
    assert set(other.statuses().values()) == {"done"}


def test_a_part_holds_no_more_runs_than_it_may(store, monkeypatch, results):
    monkeypatch.setattr(merging, "MOST_RUNS", 10)
    for task in split(results, 12, 0):
        store.add(task)
    whole = store.frames()
    names = merging.merge_parts(store.folder, parts_of(store))
    sizes = [merging.sizes(store.folder)[name].runs for name in names]
    assert sizes[:-1] == [10] * (len(sizes) - 1)
    for name in names:
        table = pq.read_table(store.folder / "parts" / name / "measurements.parquet")
        assert len(table.column("run").unify_dictionaries().combine_chunks().dictionary) <= 10
    assert_same(whole, store.frames())
    before = parts_of(store)
    store.merge()
    assert parts_of(store) == before


def test_parts_copied_from_another_store_are_its_runs(tmp_path, results):
    one, two, whole = (Store.at(tmp_path / name, create=True) for name in ("one", "two", "all"))
    for store, task in zip((one, two, two), split(results, 2, 0), strict=True):
        store.add(task)
    for part in (two.folder / "parts").iterdir():
        part.rename(one.folder / "parts" / part.name)
    whole.add(results)
    assert_same(one.frames(), whole.frames())


@contextmanager
def no_file_above(n_bytes):
    """Let the system refuse to write larger files, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files there")
@pytest.mark.parametrize("n_bytes", [20, 3000])
def test_a_disk_that_is_full_is_one_sentence_and_nothing_half_written(store, results, n_bytes):
    first, *rest = split(results, 5, 0)
    for task in rest:
        store.add(task)
    whole, names = store.frames(), parts_of(store)
    arrays = made_up_outcomes(made_up_specs(1, 1, 2, ["osae"], K=500), K=500, arrays=True)
    for writing in (store.merge, lambda: store.add(Results(arrays))):
        with (
            no_file_above(n_bytes),
            pytest.raises(
                JobError, match=r"cannot be written to \(File too large\): .* goes on with it"
            ),
        ):
            writing()
        assert parts_of(store) == names
        assert sorted(os.listdir(store.folder)) == ["parts", "store.json"]
        assert_same(whole, store.frames())
    store.add(first)
    assert store.check() == []
