import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import osae_theory
import realdata
from fake_language import CORPORA, TableModel, small_preset
from osae_theory.errors import InputError
from osae_theory.metrics import (
    fraction_of_variance_unexplained,
    match,
    mean_l0,
)
from realdata import run as experiment_module
from realdata.__main__ import main
from realdata.activations.store import ActivationStore
from realdata.checkpoints import load
from realdata.experiment import jobs, provenance, tuning
from realdata.experiment.evaluation import read_evaluation
from realdata.experiment.jobs import Experiment
from realdata.experiment.stores import collect_all
from realdata.latents.sparse import as_sparse, sparse
from realdata.run import perform
from realdata.training.trainer import run_record, snapshot_folder

pytestmark = pytest.mark.trains

PRESET = small_preset()
RATES = {"topk": 0.005, "batch-topk": 0.005, "osae": 0.005}
ALL_RATES = RATES | {"wide": 0.004}


def experiment(folder, preset=PRESET, **changes):
    given = {
        "preset": preset,
        "learning_rates": ALL_RATES,
        "out": folder / "out",
        "cache": folder / "cache",
        "command": "python -m realdata run",
    }
    return Experiment(**(given | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    return folder, perform(experiment(folder), TableModel(), CORPORA)


def last(run):
    return run_record(run)["snapshots"][-1]["tokens"]


def final(run):
    return load(str(snapshot_folder(run, last(run))))


def result(folder):
    return json.loads((folder / "out" / "result.json").read_text(), parse_constant=pytest.fail)


def test_the_results_are_tables_figures_and_one_document_and_nothing_else(done):
    folder, _ = done
    names = {path.name for path in (folder / "out").iterdir()}
    assert {path.suffix for path in (folder / "out").iterdir()} == {
        *(".json", ".md", ".csv", ".parquet", ".png")
    }
    assert {"ord_cross_seed.png", "stab_cross_seed.png", "ord_cross_dataset_same_seed.png"} <= names
    assert {"over_training_first_16.png", "initialisation.png", "pareto_one.png"} <= names
    document = result(folder)
    assert document["provenance"]["command"] == "python -m realdata run"
    assert document["provenance"]["model"]["weights"] == "a table"
    assert "dequantised" in document["note"]
    for corpus in ("one", "two"):
        assert len(document["provenance"]["corpora"][corpus]["training"]["text_hash"]) == 64
    text = (folder / "out" / "table.md").read_text()
    for title in ("Fit on held-out text", "Consistency of decoders", "Stitching", "initialisation"):
        assert title in text


def test_every_run_is_there_once(done):
    folder, found = done
    runs = result(folder)["runs"]
    expected = {
        (dataset, method, seed) for dataset in CORPORA for method in RATES for seed in (0, 1)
    }
    assert {(run["dataset"], run["method"], run["seed"]) for run in runs} == expected
    assert len(runs) == len(expected) == len(found.runs)
    assert {(run["method"], run["m"]) for run in result(folder)["other_m"]} == {
        (method, 2) for method in RATES
    }
    frame = pd.read_parquet(folder / "out" / "runs.parquet")
    assert len(frame) == len(expected) + len(RATES)


def test_stab_and_ord_are_those_of_the_decoders(done):
    folder, found = done
    for method in RATES:
        pair = [final(found.runs[f"one/{method}/seed-{s}"]).decoder_rows.numpy() for s in (0, 1)]
        pairs = pd.read_parquet(folder / "out" / "pairs.parquet").query(
            f"of == 'decoder' and method == '{method}' and order == 'trained'"
            " and kind == 'cross-seed' and dataset == 'one'"
        )
        alive = tuple(
            ~read_evaluation(found.runs[f"one/{method}/seed-{s}"]).statistics.dead for s in (0, 1)
        )
        for prefix in (4, 16):
            first, second = (decoder.T.astype(np.float64) for decoder in pair)
            expected = match(first, second, prefix=prefix, live=alive)
            row = pairs[pairs["prefix"] == prefix].iloc[0]
            assert row["stab"] == pytest.approx(expected.stability, abs=1e-6)
            assert row["ord"] == pytest.approx(expected.orderedness, abs=1e-9, nan_ok=True)
            assert row["left_out"] == pytest.approx(expected.left_out)


def test_the_fit_is_that_of_the_checkpoint_on_the_evaluation_part(done):
    folder, found = done
    for run in result(folder)["runs"]:
        name = f"{run['dataset']}/{run['method']}/seed-{run['seed']}"
        store = stores(folder)[run["dataset"]].evaluation
        sae = final(found.runs[name])
        raw = torch.from_numpy(store.read_all(raw=True))
        latents = sae.encode(raw)
        rebuilt = store.standardisation.apply(sae.decode(latents, raw).numpy())
        fvu = fraction_of_variance_unexplained(store.read_all().T, rebuilt.T)
        assert run["fvu"] == pytest.approx(fvu, rel=1e-4)
        assert run["l0"] == pytest.approx(mean_l0(latents.numpy().T))
        assert 0 < run["fvu"] < 1
        assert run["ce_recovered"] == pytest.approx(
            (run["ce_ablated"] - run["ce_spliced"]) / (run["ce_ablated"] - run["ce_clean"])
        )


def stores(folder):
    return collect_all(TableModel(), PRESET, folder / "cache" / "activations", CORPORA)


def test_both_corpora_stand_on_one_scale(done):
    found = stores(done[0])
    for own in found.values():
        for store in (own.training, own.evaluation):
            assert np.array_equal(
                store.standardisation.scale, found["one"].training.standardisation.scale
            )


def test_the_latents_on_the_stream_are_those_of_both_evaluation_parts(done):
    folder, found = done
    run = found.runs["two/osae/seed-1"]
    raw = np.concatenate([own.evaluation.read_all(raw=True) for own in stores(folder).values()])
    expected = final(run).encode(torch.from_numpy(raw)).numpy()
    assert np.array_equal(as_sparse(read_evaluation(run).latents).toarray(), expected)


def test_a_run_of_one_seed_starts_alike_on_both_corpora_and_under_every_method(done):
    _, found = done
    starts = [
        load(str(snapshot_folder(found.runs[f"{dataset}/{method}/seed-0"], 0))).decoder_rows
        for dataset in CORPORA
        for method in RATES
    ]
    assert all(torch.equal(start, starts[0]) for start in starts)


def test_the_wide_sae_starts_with_no_narrow_ones_atoms(done):
    folder, found = done
    (wide,) = (folder / "cache" / "runs").glob("*-topk-K24-m*/seed-2")
    assert run_record(wide)["learning_rate"] == ALL_RATES["wide"]
    start = load(str(snapshot_folder(wide, 0))).decoder_rows.numpy()
    for run in found.runs.values():
        narrow = load(str(snapshot_folder(run, 0))).decoder_rows.numpy()
        assert np.abs(start @ narrow.T).max() < 0.95
    fit = result(folder)["wide"]
    assert 0 < fit["fvu"] < 1
    assert (
        f"FVU {fit['fvu']:.3f} and {fit['dead_share']:.1%} dead"
        in (folder / "out" / "table.md").read_text()
    )
    shares = pd.read_csv(folder / "out" / "stitching.csv")
    assert len(shares) == 2 * len(RATES)
    total = shares[["novel", "reconstruction", "no MSE change"]].sum(axis=1)
    assert np.allclose(total, 1)


def test_the_same_command_again_trains_nothing_and_writes_the_same(done, monkeypatch):
    folder, _ = done
    before = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    monkeypatch.setattr(jobs, "train", pytest.fail)
    monkeypatch.setattr(experiment_module, "splice_all", pytest.fail)
    model = TableModel()
    found = perform(experiment(folder), model, CORPORA)
    after = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert model.n_calls == 0
    assert before == after
    assert "latent" in found.page.read_text()


def test_figures_and_tables_made_again_from_the_results_are_the_same(done, tmp_path, capsys):
    out = done[0] / "out"
    for name in ("result.json", "curves.csv", "differences.csv", "stitching.csv"):
        shutil.copy(out / name, tmp_path)
    assert main(["redraw", str(tmp_path)]) == 0
    assert str(tmp_path / "table.md") in capsys.readouterr().out.splitlines()
    assert (tmp_path / "table.md").read_bytes() == (out / "table.md").read_bytes()
    drawn = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert drawn == {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}


def test_an_experiment_that_is_interrupted_goes_on_to_the_same_results(done, tmp_path, monkeypatch):
    folder, _ = done
    n_tasks = 0
    whole_task = jobs.train_task

    def third_is_the_last(task):
        nonlocal n_tasks
        n_tasks += 1
        if n_tasks == 3:
            raise KeyboardInterrupt
        return whole_task(task)

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "train_task", third_is_the_last)
        with pytest.raises(KeyboardInterrupt):
            perform(experiment(tmp_path), TableModel(), CORPORA)
    assert not (tmp_path / "out" / "result.json").exists()
    perform(experiment(tmp_path), TableModel(), CORPORA)
    assert without_seconds(result(tmp_path)) == without_seconds(result(folder))


def without_seconds(document):
    for run in (*document["runs"], *document["other_m"], document["wide"]):
        del run["seconds"]
    del document["equal"]["equal seconds"]
    return document


def test_workers_change_nothing(tmp_path):
    environment = dict(os.environ)
    preset = replace(PRESET, methods=("osae",), splice_contexts=0)
    for n_workers in (1, 2):
        own = experiment(tmp_path / str(n_workers), preset, n_workers=n_workers)
        perform(own, TableModel(), CORPORA)
    assert dict(os.environ) == environment
    alone, together = (without_seconds(result(tmp_path / name)) for name in ("1", "2"))
    assert alone == together


def test_one_seed_and_one_corpus_are_enough_for_what_needs_no_pairs(tmp_path):
    preset = replace(
        PRESET, corpora=("one",), n_seeds=1, wide=0, other_m=(), splice_contexts=0,
        methods=("topk",), n_steps=10,
    )  # fmt: skip
    found = perform(experiment(tmp_path, preset), TableModel(), CORPORA)
    document = result(tmp_path)
    assert found.page is None
    assert document["consistency"] == {"decoder": [], "activations": []}
    assert document["stitching"] == []
    assert document["runs"][0]["ce_recovered"] is None
    assert "Consistency" not in (tmp_path / "out" / "table.md").read_text()


def test_a_run_that_diverged_is_named_and_left_out(tmp_path):
    rates = RATES | {"osae": 1e30}
    preset = replace(PRESET, other_m=(), wide=0, splice_contexts=0)
    perform(experiment(tmp_path, preset, learning_rates=rates), TableModel(), CORPORA)
    document = result(tmp_path)
    assert len(document["diverged"]) == 4
    assert {point["method"] for point in document["consistency"]["decoder"]} == {
        *("topk", "batch-topk")
    }
    assert "Diverged: one/osae/seed-0" in (tmp_path / "out" / "table.md").read_text()


def test_if_every_run_diverged_that_is_said(tmp_path):
    rates = dict.fromkeys(RATES, 1e30)
    preset = replace(PRESET, wide=0, other_m=(), n_seeds=1, splice_contexts=0)
    with pytest.raises(InputError, match="every run diverged"):
        perform(experiment(tmp_path, preset, learning_rates=rates), TableModel(), CORPORA)


def test_sparse_latents_are_the_dense_ones():
    random = np.random.default_rng(0)
    dense = (random.normal(size=(50, 9)) * (random.random((50, 9)) < 0.2)).astype(np.float32)
    assert np.array_equal(as_sparse(sparse(dense)).toarray(), dense)
    nothing = np.zeros((3, 4), dtype=np.float32)
    assert np.array_equal(as_sparse(sparse(nothing)).toarray(), nothing)


# Tuning.


def training_store(folder) -> ActivationStore:
    return collect_all(TableModel(), PRESET, folder, CORPORA)["one"].training


def test_tuning_holds_out_whole_documents(tmp_path):
    store = training_store(tmp_path)
    out = tuning.held_out(store)
    document = store.places(np.arange(store.n)).document
    assert 0 < out.mean() < 0.5
    assert set(document[out]).isdisjoint(document[~out])


def test_tuning_takes_the_rate_of_the_lowest_heldout_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "CANDIDATES", (1e-6, 0.01, 1e30))
    monkeypatch.setattr(tuning, "__doc__", None)  # as under python -OO
    target = tmp_path / "rates.json"
    target.write_text(
        '{"small": {"chosen": {"osae": 7.0}, "heldout_fvu": {}, "made_by": {"osae": 1}}}'
    )
    monkeypatch.setattr(tuning, "LEARNING_RATES", target)
    store = training_store(tmp_path / "cache")
    errors = tuning.tune(PRESET, ("topk", "batch-topk"), store, tmp_path / "runs", 1)
    [config, *_] = (tmp_path / "runs").rglob("config.json")
    origin = json.loads(config.read_text())
    assert (origin["model"], origin["hook"]) == ("table", "blocks.0.hook_resid_post")
    for row in errors.values():
        assert row[1e30] is None
        assert row[0.01] < row[1e-6]
    chosen = tuning.write_rates("small", errors, "python -m realdata tune")
    assert chosen == {"topk": 0.01, "batch-topk": 0.01, "wide": 0.01}
    written = json.loads(target.read_text())
    assert written["small"]["chosen"] == {"osae": 7.0} | chosen
    made_by = written["small"]["made_by"]
    assert made_by.keys() == {"osae", "topk", "batch-topk", "wide"}
    assert made_by["osae"] == 1
    assert made_by["topk"]["command"] == "python -m realdata tune"
    assert written["small"]["heldout_fvu"]["topk"]["1e+30"] is None
    assert written["protocol"] == tuning.PROTOCOL


def test_the_rates_that_are_committed_state_the_protocol_of_the_code():
    assert json.loads(tuning.LEARNING_RATES.read_text())["protocol"] == tuning.PROTOCOL


def test_no_text_that_is_written_is_taken_from_a_docstring():
    for package in (osae_theory, realdata):
        for path in Path(package.__path__[0]).rglob("*.py"):
            assert "__doc__" not in path.read_text(encoding="utf-8"), path


def test_tuning_asks_for_the_place_of_its_rates_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "LEARNING_RATES", tmp_path / "file" / "rates.json")
    (tmp_path / "file").touch()
    monkeypatch.setattr("realdata.models.loading.load", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["tune"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "the folder of the tuned rates" in said
    assert said.count("\n") == 1


def test_the_tuned_error_is_that_of_the_documents_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "CANDIDATES", (0.01,))
    store = training_store(tmp_path / "cache")
    errors = tuning.tune(PRESET, ("topk",), store, tmp_path / "runs", 1)
    (run,) = (tmp_path / "runs").glob("*-topk-*/rate-0.01")
    (wide,) = (tmp_path / "runs").glob("*-wide-*/rate-0.01")
    assert (final(run).K, final(wide).K) == (PRESET.K, PRESET.wide)
    out = tuning.held_out(store)
    raw = torch.from_numpy(store.read_all(raw=True)[out])
    sae = final(run)
    rebuilt = store.standardisation.apply(sae.decode(sae.encode(raw), raw).numpy())
    expected = fraction_of_variance_unexplained(store.read_all()[out].T, rebuilt.T)
    assert errors["topk"][0.01] == pytest.approx(expected, rel=1e-4)


def test_a_method_that_diverges_at_every_rate_is_refused():
    with pytest.raises(InputError, match="method 'osae': expected a candidate rate"):
        tuning.choose({"osae": {0.1: None}})
    assert tuning.choose({"osae": {0.1: 2.0, 0.2: 2.0, 0.3: None}}) == {"osae": 0.1}


@pytest.mark.realdata
def test_the_experiment_runs_on_the_converted_model(tmp_path):
    from realdata.__main__ import main

    small = "--tokens 1500 --evaluation-tokens 500 --K 32 --m 4 --steps 30 --batch-size 128"
    options = f"{small} --lr 0.003 --wide 48 --splice 1 --methods topk,osae --workers 1"
    out, cache = ["--out", str(tmp_path / "out")], ["--cache", str(tmp_path / "cache")]
    assert main(["run", *options.split(), *out, *cache]) == 0
    document = result(tmp_path)
    assert document["provenance"]["model"]["name"] == "smollm2-135m"
    assert document["provenance"]["model"]["note"].startswith("4-bit weights, dequantised")
    assert len(document["runs"]) == 8
    for run in document["runs"]:
        assert 0.3 < run["fvu"] < 1.1
        assert run["ce_clean"] < 4
        assert run["ce_clean"] < run["ce_spliced"]
        assert run["ce_spliced"] < run["ce_ablated"]
    assert Path(tmp_path / "cache" / "pages" / "smollm2-135m-osae.html").is_file()


def test_what_decides_a_runs_weights_is_found_where_it_is_looked_for():
    for package, patterns in (
        (osae_theory, provenance._TRAINING),
        (realdata, provenance._TRAINING_HERE),
    ):
        root = Path(package.__path__[0])
        assert [pattern for pattern in patterns if not list(root.glob(pattern))] == []
