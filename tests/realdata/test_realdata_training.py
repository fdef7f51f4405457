import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fake_language import CORPORA, D, TableModel, small_preset
from osae_theory.errors import InputError
from osae_theory.sae import DataOrder, Run, RunSeeds, Trainer
from realdata.__main__ import main
from realdata.activations.standardisation import Standardisation
from realdata.checkpoints import load
from realdata.checkpoints.ours import Origin
from realdata.experiment.stores import collect_all
from realdata.training import trainer as training
from realdata.training.distributed import Processes
from realdata.training.logs import JsonLines, Log, ProgressBar, make_log
from realdata.training.methods import METHODS
from realdata.training.rows import RowsInMemory, rows_of
from realdata.training.trainer import Budget, Hardware, Job, RunSpec, train
from step_logs import EachStep

pytestmark = pytest.mark.trains

N, WIDTH = 700, 12
BUDGET = Budget(K=24, m=3, n_steps=60, batch_size=32, snapshots=(0.0, 0.3, 1.0))


def activations(n=N, d=WIDTH):
    return np.random.default_rng(3).normal(size=(n, d)).astype(np.float32)


def fitted(d=WIDTH):
    random = np.random.default_rng(4)
    mean, scale = random.normal(size=d), random.uniform(0.5, 2, size=d)
    return Standardisation(mean.astype(np.float32), scale.astype(np.float32))


def job(folder, method="osae", seeds=(0, 1), rate=0.003, **changes):
    given = {
        "method": method,
        "runs": tuple(RunSpec(f"seed-{seed}", seed, rate) for seed in seeds),
        "budget": BUDGET,
        "folder": folder,
        "origin": Origin(method=method, model="table", dataset="letters", dataset_hash="0"),
        "save_every": 7,
    }
    return Job(**(given | changes))


def trained(folder, **changes):
    made = job(folder, **changes)
    train(made, RowsInMemory(activations()), fitted())
    return made


def weights(folder):
    return {
        path.relative_to(folder).as_posix(): load_file(path)
        for path in sorted(folder.rglob("tokens-*/sae.safetensors"))
    }


def assert_same_bits(first, second):
    assert set(first) == set(second)
    for name, tensors in first.items():
        assert set(tensors) == set(second[name])
        for key, tensor in tensors.items():
            assert torch.equal(tensor, second[name][key]), (name, key)


@pytest.mark.parametrize("method", ["osae", "batch-topk", "msae-random", "osae-exact"])
def test_a_run_is_the_trainers_own_steps_on_the_order_of_its_seed(tmp_path, method):
    trained(tmp_path, method=method, seeds=(3,))
    law = METHODS[method].schedule(BUDGET.K)
    config = BUDGET.config(METHODS[method])
    trainer = Trainer(WIDTH, BUDGET.K, [Run(RunSeeds.same(3), 0.003, law)], config)
    order = DataOrder(N, 32, [RunSeeds.same(3)])
    x = torch.from_numpy(activations())
    for _ in range(BUDGET.n_steps):
        trainer.step(x[order.next()])
    found = load_file(tmp_path / "seed-3" / f"tokens-{60 * 32}" / "sae.safetensors")
    assert torch.equal(found["decoder"], trainer.model.atoms[0])
    assert torch.equal(found["encoder"], trainer.model.encoder[0])
    assert torch.equal(found["decoder_bias"], trainer.model.decoder_bias[0])
    if method == "batch-topk":
        assert torch.equal(found["threshold"], trainer.thresholds.expand(BUDGET.K))
        assert float(trainer.thresholds[0]) > 0


def test_snapshots_are_kept_at_their_shares_and_the_first_is_the_initialisation(tmp_path):
    trained(tmp_path)
    folders = {path.name for path in (tmp_path / "seed-0").glob("tokens-*")}
    assert folders == {"tokens-0", f"tokens-{18 * 32}", f"tokens-{60 * 32}"}
    start = load_file(tmp_path / "seed-0" / "tokens-0" / "sae.safetensors")
    end = load_file(tmp_path / "seed-0" / f"tokens-{60 * 32}" / "sae.safetensors")
    assert torch.equal(start["encoder"], start["decoder"].T)
    assert not torch.equal(end["decoder"], start["decoder"])
    record = training.run_record(tmp_path / "seed-0")
    assert [entry["tokens"] for entry in record["snapshots"]] == [0, 18 * 32, 60 * 32]
    assert record["snapshots"][0]["active"] == BUDGET.K
    assert record["snapshots"][-1]["active"] == record["m"] == 3
    assert record["snapshots"][0]["loss"] is None
    assert record["snapshots"][-1]["loss"] > 0


def test_a_checkpoint_says_where_it_comes_from_and_carries_the_standardisation(tmp_path):
    trained(tmp_path, method="topk")
    sae = load(str(tmp_path / "seed-1" / f"tokens-{60 * 32}"))
    assert sae.metadata["method"] == "topk"
    assert (sae.metadata["seed"], sae.metadata["n_tokens"]) == (1, 60 * 32)
    assert (sae.metadata["model"], sae.metadata["dataset"]) == ("table", "letters")
    assert sae.metadata["details"]["budget"]["K"] == 24
    raw = torch.from_numpy(fitted().invert(activations()))
    latents = sae.encode(raw)
    assert int((latents > 0).sum(dim=1).max()) == 3
    error = (sae.decode(latents, raw) - raw) / torch.from_numpy(fitted().scale)
    assert float((error**2).mean()) < 0.95


def test_before_it_has_a_threshold_batch_topk_is_kept_with_the_m_largest_latents(tmp_path):
    budget = replace(BUDGET, sparsity_warmup=0.5)
    trained(tmp_path, method="batch-topk", budget=budget)
    early, late = (
        json.loads((tmp_path / "seed-0" / f"tokens-{n * 32}" / "config.json").read_text())
        for n in (18, 60)
    )
    assert (early["activation"], late["activation"]) == ("relu", "jumprelu")


def test_in_portable_arithmetic_runs_do_not_depend_on_their_company(tmp_path):
    budget = replace(BUDGET, arithmetic="portable")
    trained(tmp_path / "together", seeds=(0, 1, 2), budget=budget)
    for seed in (0, 1, 2):
        trained(tmp_path / "alone", seeds=(seed,), budget=budget)
    assert_same_bits(weights(tmp_path / "together"), weights(tmp_path / "alone"))


def test_rows_on_disk_train_to_the_same_bits_as_rows_in_memory(tmp_path):
    preset = small_preset(corpora=("one",))
    store = collect_all(TableModel(), preset, tmp_path, CORPORA)["one"].training
    for name, limit in (("memory", 2**31), ("disk", 0)):
        rows = rows_of(store, limit)
        assert isinstance(rows, RowsInMemory) == (name == "memory")
        train(job(tmp_path / name), rows, store.standardisation)
    assert_same_bits(weights(tmp_path / "memory"), weights(tmp_path / "disk"))


class StopError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 7, 18, 20, 59])
def test_a_training_that_stops_at_any_step_goes_on_to_the_same_bits(tmp_path, at):
    def stop(done):
        if done == at:
            raise StopError

    trained(tmp_path / "whole")
    rows = RowsInMemory(activations())
    with pytest.raises(StopError):
        train(job(tmp_path / "broken"), rows, fitted(), progress=EachStep(stop))
    assert not (tmp_path / "broken" / "seed-0" / "run.json").exists()
    steps = []
    train(job(tmp_path / "broken"), rows, fitted(), progress=EachStep(steps.append))
    assert steps[0] == at // 7 * 7 + 1
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    whole, broken = (list(lines(tmp_path / name)) for name in ("whole", "broken"))
    assert whole == broken
    assert not list((tmp_path / "broken").glob(".*"))


def lines(folder):
    (path,) = folder.glob("*.jsonl")
    for line in JsonLines.read(path):
        yield {key: value for key, value in line.items() if key != "seconds"}


CHILD = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from osae_theory.threads import limited_threads
from step_logs import EachStep
from test_realdata_training import RowsInMemory, activations, fitted, job, train, BUDGET
from dataclasses import replace

def say(done):
    print(done, flush=True)
    if {held}:
        sys.stdin.readline()

with limited_threads(1):
    for method in ("msae-random", "batch-topk"):
        made = job(Path(sys.argv[1]) / method, method, budget=replace(BUDGET, n_steps=150))
        train(made, RowsInMemory(activations()), fitted(), progress=EachStep(say))
"""


def child(folder, held):
    """Start a training; one that is held takes a step for each line that it is sent."""
    here = Path(__file__).parent
    script = CHILD.format(path=[str(here), str(here.parent)], held=held)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_process_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    whole = child(tmp_path / "whole", held=False)
    whole.communicate()
    assert whole.returncode == 0
    random = np.random.default_rng(0)
    for _ in range(2):
        process = child(tmp_path / "killed", held=True)
        n_steps = int(random.integers(1, 60))
        # It is killed somewhere in the second half, and cannot finish on a slow machine either.
        process.stdin.write(2 * n_steps * "\n")
        process.stdin.flush()
        for _ in range(n_steps):
            process.stdout.readline()
        time.sleep(random.uniform(0, 0.01))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = child(tmp_path / "killed", held=False)
    said, _ = last.communicate()
    assert last.returncode == 0
    assert len(said.split()) < 300
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_a_training_killed_between_two_records_goes_on_from_its_state(tmp_path):
    whole, broken = trained(tmp_path / "whole"), job(tmp_path / "broken")
    rows, kept = RowsInMemory(activations()), tmp_path / "state"

    def keep(done):
        if broken.state_file.is_file():
            shutil.copy(broken.state_file, kept)

    train(broken, rows, fitted(), progress=EachStep(keep))
    # As a kill leaves it after the first run's record: the state is still there.
    shutil.copy(kept, broken.state_file)
    (broken.folder / "seed-1" / training.RECORD).unlink()
    steps = []
    train(broken, rows, fitted(), progress=EachStep(steps.append))
    assert steps == list(range(57, 61))
    assert_same_bits(weights(whole.folder), weights(broken.folder))
    assert training.is_finished(broken.folder / "seed-1")
    assert not list(broken.folder.glob(".*"))


def test_a_finished_run_is_not_trained_again(tmp_path):
    trained(tmp_path)
    steps = []
    train(job(tmp_path), RowsInMemory(activations()), fitted(), progress=EachStep(steps.append))
    assert steps == []


@pytest.mark.parametrize("changes", [{"rate": 0.004}, {"data": "of another store"}])
def test_a_finished_run_of_other_settings_or_data_is_refused(tmp_path, changes):
    trained(tmp_path)
    with pytest.raises(InputError, match="seed-0 holds a run of other settings or activations"):
        trained(tmp_path, **changes)


def test_more_runs_leave_the_finished_ones_alone(tmp_path):
    trained(tmp_path, seeds=(0, 1))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "seed-0").rglob("*")}
    trained(tmp_path, seeds=(0, 1, 2))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "seed-0").rglob("*")} == before
    assert training.run_record(tmp_path / "seed-2")["seed"] == 2


def interrupted(folder):
    """Return the state's file of a training that stopped after twenty steps."""

    def stop(done):
        if done == 20:
            raise StopError

    with pytest.raises(StopError):
        train(job(folder), RowsInMemory(activations()), fitted(), progress=EachStep(stop))
    (state,) = folder.glob(".*.safetensors")
    return state


def test_an_interrupted_training_goes_on_on_another_kind_of_device_only_if_asked(tmp_path):
    trained(tmp_path / "whole")
    state = interrupted(tmp_path / "broken")
    with safe_open(state, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["device"] == "cpu"
    save_file(load_file(state), state, metadata=metadata | {"device": "cuda"})
    rows = RowsInMemory(activations())
    with pytest.raises(InputError, match="began on cuda: expected the same kind of device"):
        train(job(tmp_path / "broken"), rows, fitted())
    asked = replace(job(tmp_path / "broken"), hardware=Hardware(mixed_devices=True))
    assert asked.state_file == state
    train(asked, rows, fitted())
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "broken"))


def test_a_damaged_state_is_refused_in_one_sentence(tmp_path):
    rows, state = RowsInMemory(activations()), interrupted(tmp_path)
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged: delete it"):
        train(job(tmp_path), rows, fitted())
    tensors = load_file_from(whole, tmp_path)
    del tensors["order.queue"]
    save_file(tensors, state, metadata={"seconds": "1.0"})
    with pytest.raises(InputError, match="is damaged: delete it"):
        train(job(tmp_path), rows, fitted())


def load_file_from(content, folder):
    path = folder / "whole.safetensors"
    path.write_bytes(content)
    return load_file(path)


def test_a_state_of_another_configuration_is_not_taken_up(tmp_path):
    assert job(tmp_path).key != job(tmp_path, rate=0.004).key
    assert job(tmp_path).key != job(tmp_path, budget=replace(BUDGET, m=4)).key
    other = Origin(method="osae", model="table", dataset="letters", dataset_hash="1")
    assert job(tmp_path).key != job(tmp_path, origin=other).key
    assert job(tmp_path).key == job(tmp_path / "elsewhere", save_every=9).key


def test_a_diverged_run_says_so_and_keeps_its_initialisation(tmp_path):
    runs = (RunSpec("calm", 0, 0.003), RunSpec("wild", 1, 1e30))
    trained(tmp_path, runs=runs)
    assert not training.run_record(tmp_path / "calm")["diverged"]
    assert training.run_record(tmp_path / "wild")["diverged"]
    start, end = (
        load_file(tmp_path / "wild" / f"tokens-{n}" / "sae.safetensors") for n in (0, 60 * 32)
    )
    assert torch.equal(start["decoder"], end["decoder"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: job(Path(), method="nothing"), "method 'nothing' is unknown"),
        (lambda: job(Path(), runs=()), "expected each name once"),
        (lambda: job(Path(), save_every=0), "save_every = 0"),
        (lambda: Hardware(precision="low"), "precision 'low' is unknown"),
        (lambda: Processes(3).part(64), "batch size 64: expected a multiple of 3"),
        (lambda: make_log(Path("x"), ["paper"], bool), "log 'paper' is unknown"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "module"), [("wandb", "wandb"), ("tensorboard", "torch.utils.tensorboard")]
)
def test_a_log_whose_library_is_missing_is_refused_in_one_sentence(
    tmp_path, monkeypatch, name, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"log '{name}' needs the package {name}"):
        train(job(tmp_path, logs=(name,)), RowsInMemory(activations()), fitted())


def test_other_logs_are_given_each_runs_loss(tmp_path, monkeypatch):
    said = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            said.append((name, value, step))

        def close(self):
            said.append("closed")

    class Module:
        SummaryWriter = Writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Module)
    trained(tmp_path, logs=("tensorboard",))
    record = training.run_record(tmp_path / "seed-1")
    assert ("loss/seed-1", record["snapshots"][-1]["loss"], 60) in said
    assert said[-1] == "closed"


def test_a_log_line_that_a_kill_cut_short_is_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    with JsonLines(path, lambda line: line["step"] < 2) as log:
        log.write({"step": 5})
    assert [line["step"] for line in JsonLines.read(path)] == [1, 5]


def torchrun(arguments, n_processes):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    start = launcher if n_processes > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *start, "-m", "realdata", "train", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_train_as_one_with_the_union_of_their_batches(tmp_path):
    preset = small_preset(corpora=("one",))
    store = collect_all(TableModel(), preset, tmp_path / "cache", CORPORA)["one"].training
    options = "--K 16 --active 3 --steps 30 --batch-size 64 --lr 0.003 --save-every 10".split()
    for n_processes in (1, 2):
        out = ["--out", str(tmp_path / str(n_processes))]
        torchrun([str(store.folder), *options, *out], n_processes)
    one, two = (weights(tmp_path / name) for name in ("1", "2"))
    assert set(one) == set(two)
    for name, tensors in one.items():
        assert tensors["decoder"].shape == (16, D)
        for key, tensor in tensors.items():
            torch.testing.assert_close(two[name][key], tensor, rtol=1e-4, atol=1e-5)
    start, end = (one[f"osae-seed-0/tokens-{n * 64}/sae.safetensors"] for n in (0, 30))
    assert float((end["decoder"] - start["decoder"]).abs().max()) > 0.05


class Kept(Log):
    def __init__(self):
        self.entries = []

    def write(self, entry):
        self.entries.append(entry)


def test_progress_has_every_step_with_the_losses_of_the_log(tmp_path):
    made, kept = job(tmp_path), Kept()
    train(made, RowsInMemory(activations()), fitted(), progress=kept)
    assert [entry["step"] for entry in kept.entries] == list(range(1, 61))
    logged = {line["step"]: line["loss"] for line in JsonLines.read(made.log_file)}
    shown = {entry["step"]: entry["loss"] for entry in kept.entries}
    assert {step: shown[step] for step in logged if step} == {
        step: loss for step, loss in logged.items() if step
    }


def test_the_bar_shows_steps_loss_and_active_latents_on_standard_error(capsys):
    with ProgressBar(20) as bar:
        for step in (11, 12, 20):
            bar.write({"step": step, "loss": {"seed-0": 0.123456 / step}, "active": 24 - step})
    out, said = capsys.readouterr()
    assert out == ""
    last = said.rsplit("\r", 1)[-1]
    assert "20/20" in last
    assert "loss=0.006173" in last
    assert "active=4" in last
    # It goes on from step 10: nothing before counts into the rate.
    assert "10/20" in said.split("\r")[1]


def test_a_bar_of_many_runs_shows_its_title_and_no_losses(capsys):
    with ProgressBar(20, "30 runs on text", losses=False) as bar:
        for step in (1, 1, 2):
            bar.write({"step": step, "loss": {"seed-0": 0.1}, "active": 24})
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert last.startswith("30 runs on text")
    assert "2/20" in last
    assert "active=24" in last
    assert "loss" not in last


def test_a_bar_without_an_entry_says_nothing(capsys):
    with ProgressBar(20):
        pass
    assert capsys.readouterr() == ("", "")


def test_train_prints_its_folder_alone_and_the_loss_beside(tmp_path, capsys):
    store = collect_all(TableModel(), small_preset(corpora=("one",)), tmp_path / "c", CORPORA)
    options = "--K 16 --m 3 --steps 12 --batch-size 64 --lr 0.003".split()
    arguments = ["train", str(store["one"].training.folder), *options, "--out", str(tmp_path / "o")]
    for shown in ("12/12", ""):  # the second time it is finished
        capsys.readouterr()
        assert main(arguments) == 0
        out, said = capsys.readouterr()
        assert out == f"{tmp_path / 'o' / 'osae-seed-0'}\n"
        assert shown in said
        assert ("loss=" in said) == bool(shown)


def test_nothing_is_trained_on_an_evaluation_part(tmp_path, capsys):
    store = collect_all(TableModel(), small_preset(corpora=("one",)), tmp_path / "c", CORPORA)
    options = "--K 16 --m 3 --steps 12 --lr 0.003".split()
    heldout = str(store["one"].evaluation.folder)
    with pytest.raises(SystemExit, match="2"):
        main(["train", heldout, *options, "--out", str(tmp_path / "o")])
    said = capsys.readouterr().err
    assert f"{heldout} is of the evaluation part: expected one to train on" in said
    assert not (tmp_path / "o").exists()
