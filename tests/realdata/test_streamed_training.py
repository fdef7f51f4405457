import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fake_language import CORPORA, TableModel, small_preset
from osae_theory.errors import InputError
from osae_theory.sae import Run, RunSeeds, Trainer
from osae_theory.seeds import Axis, generator
from realdata import __main__ as command
from realdata.activations import stream as streams
from realdata.activations.blocks import Pass, StoreBlocks
from realdata.activations.store import ActivationStore
from realdata.activations.stream import stream_like
from realdata.checkpoints.ours import Origin
from realdata.commands._preset import preset_of
from realdata.experiment.jobs import Experiment
from realdata.experiment.stores import collect_all
from realdata.models import loading
from realdata.run import perform
from realdata.text import corpora
from realdata.training.distributed import Processes
from realdata.training.methods import METHODS
from realdata.training.order import ShuffledBlocks
from realdata.training.rows import rows_of
from realdata.training.trainer import Budget, Job, RunSpec, is_finished, train, train_together
from step_logs import EachStep

pytestmark = pytest.mark.trains

BLOCK = 64
BUDGET = Budget(K=16, m=3, n_steps=40, batch_size=96, snapshots=(0.0, 0.5, 1.0), block=BLOCK)
PRESET = small_preset(training_tokens=1700)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of three blocks, the last of them short."""
    folder = tmp_path_factory.mktemp("stores")
    one = replace(PRESET, corpora=("one",))
    return collect_all(TableModel(), one, folder, CORPORA)["one"].training


def streamed(store, model=None):
    return stream_like(store, BLOCK, corpus=CORPORA["one"], model=model or TableModel())


def job(folder, method="osae", seeds=(0, 1), **changes):
    given = {
        "method": method,
        "runs": tuple(RunSpec(f"{method}-seed-{seed}", seed, 0.003) for seed in seeds),
        "budget": BUDGET,
        "folder": folder,
        "origin": Origin(method=method, model="table", dataset="one", dataset_hash="0"),
        "save_every": 7,
    }
    return Job(**(given | changes))


def weights(folder):
    return {
        (path.parts[-3], path.parts[-2]): path.read_bytes()
        for path in sorted(folder.rglob("tokens-*/sae.safetensors"))
    }


def tensors(folder):
    return {
        (path.parts[-3], path.parts[-2]): load_file(path)
        for path in sorted(folder.rglob("tokens-*/sae.safetensors"))
    }


def test_the_store_of_these_tests_has_three_blocks_and_is_seen_more_than_once(store):
    assert StoreBlocks(store, BLOCK).n == 3
    assert BUDGET.n_steps * BUDGET.batch_size > 2 * store.n


@pytest.mark.parametrize("method", ["osae", "batch-topk", "msae-random"])
def test_a_training_from_a_stream_has_the_bits_of_one_from_a_store_in_the_same_order(
    tmp_path, store, method
):
    train(job(tmp_path / "store", method), StoreBlocks(store, BLOCK), store.standardisation)
    train(job(tmp_path / "stream", method), streamed(store), store.standardisation)
    found = weights(tmp_path / "store")
    assert len(found) == 2 * 3
    assert found == weights(tmp_path / "stream")


def test_the_order_is_by_block_and_inside_each_drawn_by_the_seed_and_the_visit(tmp_path, store):
    train(job(tmp_path, seeds=(3,)), StoreBlocks(store, BLOCK), store.standardisation)
    visits = []
    for visit in range(9):
        rows = StoreBlocks(store, BLOCK).read(visit % 3)
        visits.append(rows[generator(3, Axis.DATA_ORDER, visit + 1).permutation(len(rows))])
    seen = torch.from_numpy(np.concatenate(visits))
    law = METHODS["osae"].schedule(BUDGET.K)
    trainer = Trainer(
        store.d, 16, [Run(RunSeeds.same(3), 0.003, law)], BUDGET.config(METHODS["topk"])
    )
    for step in range(BUDGET.n_steps):
        trainer.step(seen[None, step * 96 : (step + 1) * 96])
    end = load_file(tmp_path / "osae-seed-3" / f"tokens-{40 * 96}" / "sae.safetensors")
    assert torch.equal(end["decoder"], trainer.model.atoms[0])


def test_runs_see_the_same_blocks_each_in_an_order_of_its_own(store):
    blocks = StoreBlocks(store, BLOCK)
    n = len(blocks.read(0))
    source = ShuffledBlocks(Pass(blocks), n, [RunSeeds.same(0), RunSeeds.same(1)], Processes())
    first, second = source.next()
    assert not np.array_equal(first, second)
    for each in (first, second):
        np.testing.assert_array_equal(np.sort(each, axis=0), np.sort(blocks.read(0), axis=0))


def test_processes_take_disjoint_parts_of_each_batch(store):
    blocks, seeds = StoreBlocks(store, BLOCK), [RunSeeds.same(0)]
    whole, *parts = (
        ShuffledBlocks(Pass(blocks), 96, seeds, processes)
        for processes in (Processes(), Processes(2, 0), Processes(2, 1))
    )
    for _ in range(20):
        joined = np.concatenate([part.next() for part in parts], axis=1)
        np.testing.assert_array_equal(joined, whole.next())


class StopError(Exception):
    pass


def stop_at(step):
    def stop(done):
        if done == step:
            raise StopError

    return EachStep(stop)


@pytest.mark.parametrize("at", [1, 8, 20, 39])
def test_a_streamed_training_that_stops_goes_on_at_its_block_to_the_same_bits(tmp_path, store, at):
    train(job(tmp_path / "whole"), streamed(store), store.standardisation)
    with pytest.raises(StopError):
        train(
            job(tmp_path / "broken"), streamed(store), store.standardisation, progress=stop_at(at)
        )
    blocks = streamed(store)
    read, numbers = blocks.read, []
    object.__setattr__(blocks, "read", lambda number: numbers.append(number) or read(number))
    train(job(tmp_path / "broken"), blocks, store.standardisation)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    n_rows = [len(read(number)) for number in range(3)]
    ends = np.cumsum(3 * n_rows)
    assert numbers[0] == np.searchsorted(ends, at // 7 * 7 * 96, side="right") % 3


def test_jobs_that_are_trained_together_have_the_bits_of_each_alone_from_one_pass(tmp_path, store):
    methods = ("osae", "topk", "batch-topk")
    model = TableModel()
    jobs = [job(tmp_path / "together", method) for method in methods]
    train_together(jobs, streamed(store, model), store.standardisation)
    n_together = model.n_calls
    for method in methods:
        train(job(tmp_path / "alone", method), streamed(store, model), store.standardisation)
    found = weights(tmp_path / "together")
    assert len(found) == 3 * 2 * 3
    assert found == weights(tmp_path / "alone")
    # But for how far each is ahead when it ends, every pass has as many calls.
    assert model.n_calls - n_together > 2 * n_together


def test_jobs_that_a_kill_left_at_different_steps_go_on_together_to_the_same_bits(tmp_path, store):
    methods = ("osae", "topk")
    whole = [job(tmp_path / "whole", method) for method in methods]
    train_together(whole, streamed(store), store.standardisation)
    broken = [job(tmp_path / "broken", method) for method in methods]
    with pytest.raises(StopError):
        train(broken[0], streamed(store), store.standardisation, progress=stop_at(30))
    with pytest.raises(StopError):
        train_together(broken, streamed(store), store.standardisation, progress=stop_at(9))
    assert not is_finished(tmp_path / "broken" / "osae-seed-0")
    train_together(broken, streamed(store), store.standardisation)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_an_order_and_a_text_are_part_of_what_a_saved_state_belongs_to(tmp_path):
    own = job(tmp_path)
    assert own.key != job(tmp_path, budget=replace(BUDGET, block=0)).key
    assert own.key != job(tmp_path, data="another text").key


def test_activations_that_are_not_in_the_blocks_of_the_budget_are_refused(tmp_path, store):
    with pytest.raises(InputError, match="block = 64: expected 0, as the activations are given"):
        train(job(tmp_path), rows_of(store), store.standardisation)
    others = [job(tmp_path), job(tmp_path, "topk", budget=replace(BUDGET, batch_size=32))]
    with pytest.raises(InputError, match="expected one batch size"):
        train_together(others, StoreBlocks(store, BLOCK), store.standardisation)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def fake_registries(monkeypatch):
    """Let the commands find the fake model and its corpora."""
    for module in (streams, loading):
        monkeypatch.setattr(module, "load", lambda *_, **__: TableModel())
    for module in (streams, corpora):
        monkeypatch.setattr(module, "find_corpus", CORPORA.__getitem__)


OPTIONS = "--K 16 --m 3 --steps 30 --batch-size 64 --lr 0.003".split()


@pytest.mark.usefixtures("fake_registries")
def test_train_gives_the_same_bits_from_a_store_and_from_a_stream(tmp_path, capsys, store):
    options = [*OPTIONS, "--method", "osae,topk", "--seeds", "2", "--block", "64"]
    for name, more in (("store", []), ("stream", ["--stream"])):
        out = ["--out", str(tmp_path / name)]
        assert command.main(["train", str(store.folder), *options, *more, *out]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[4:] == [
        str(tmp_path / "stream" / f"{method}-seed-{seed}")
        for method in ("osae", "topk")
        for seed in (0, 1)
    ]
    assert weights(tmp_path / "store") == weights(tmp_path / "stream")
    more = ["--stream", "--tokens", "2500", "--out", str(tmp_path / "more")]
    assert command.main(["train", str(store.folder), *options, *more]) == 0
    assert weights(tmp_path / "more") != weights(tmp_path / "store")


@pytest.mark.usefixtures("fake_registries")
@pytest.mark.parametrize("part", ["whole", "training"])
def test_a_collected_text_is_streamed_to_the_tensors_that_its_store_gives(tmp_path, part):
    folder = tmp_path / "collected"
    text = ["--text", "one", "--model", "smollm2-135m", "--context", "11", "--part", part]
    assert command.main(["collect", *text, "--out", str(folder)]) == 0
    assert StoreBlocks(ActivationStore.open(folder), BLOCK).n > 2
    options = [*OPTIONS, "--method", "osae,batch-topk", "--seeds", "2"]
    ways = {
        "store": ["--block", "64"],
        "stream": ["--block", "64", "--stream"],
        "shuffled as a whole": [],
    }
    for name, way in ways.items():
        out = ["--out", str(tmp_path / name)]
        assert command.main(["train", str(folder), *options, *way, *out]) == 0
    stored, streamed, shuffled = (tensors(tmp_path / name) for name in ways)
    assert len(stored) == 2 * 2 * 2
    assert stored.keys() == streamed.keys() == shuffled.keys()
    for name, known in stored.items():
        assert known.keys() == streamed[name].keys()
        assert known["decoder"].shape == (16, TableModel().d)
        for key, tensor in known.items():
            assert torch.equal(streamed[name][key], tensor), (name, key)
    # Without --block a store is shuffled over all its activations: another order, other bits.
    same = {
        name: torch.equal(shuffled[name]["decoder"], stored[name]["decoder"]) for name in stored
    }
    assert {name for name, equal in same.items() if equal} == {
        name for name in stored if name[1] == "tokens-0"
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--tokens", "9"], "--tokens 9: expected --stream with it"),
        (["--stream", "--block", "0"], "--block = 0: expected a whole number of at least 1"),
        (["--stream", "--block", "65"], "block = 65: expected a multiple of 64"),
        (["--block", "-1"], "--block = -1"),
        (["--seeds", "0"], "--seeds = 0"),
        (["--method", "osae,osae"], "expected each method once"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_sentence(
    tmp_path, capsys, store, given, message
):
    with pytest.raises(SystemExit) as stopped:
        command.main(["train", str(store.folder), *OPTIONS, "--out", str(tmp_path / "o"), *given])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


RATES = {"topk": 0.005, "osae": 0.005, "wide": 0.004}


def test_a_streamed_experiment_stores_a_sample_and_trains_on_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("realdata.experiment.stores.SAMPLE", 700)
    preset = replace(PRESET, methods=("topk", "osae"), block=BLOCK, other_m=())
    own = Experiment(
        preset=preset,
        learning_rates=RATES,
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        streamed=True,
    )
    found = perform(own, TableModel(), CORPORA)
    assert len(found.runs) == 2 * 2 * 2
    said = capsys.readouterr().err
    assert re.search(r"5 runs on one: +100%.* 40/40 ", said)
    assert re.search(r"4 runs on two: +100%.* 40/40 ", said)
    corpora = json.loads((tmp_path / "out" / "result.json").read_text())["provenance"]["corpora"]
    assert corpora["one"]["training"]["contexts"] == [70, 11]
    assert corpora["one"]["streamed"]["contexts"] == [170, 11]
    runs = tmp_path / "cache" / "runs"
    kept = {path: path.stat().st_mtime_ns for path in runs.rglob("sae.safetensors")}
    assert len(kept) == 2 * 2 * 2 * 3 + 2
    perform(own, TableModel(), CORPORA)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_streamed_experiment_goes_by_blocks(tmp_path):
    with pytest.raises(InputError, match="block = 0: expected at least 1 where"):
        Experiment(preset=PRESET, learning_rates=RATES, out=tmp_path, cache=tmp_path, streamed=True)
    for given, block in ((["--stream"], 512), (["--stream", "--block", "64"], 64), ([], 0)):
        options = command.parser().parse_args(["run", *given])
        assert preset_of(options).block == block


def test_a_store_that_does_not_fit_the_disk_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "realdata.models.disk.shutil.disk_usage", lambda _: SimpleNamespace(free=1000)
    )
    with pytest.raises(InputError, match="with --stream, run and train store only a sample"):
        collect_all(TableModel(), PRESET, tmp_path, CORPORA)
