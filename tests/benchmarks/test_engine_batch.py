"""Runs of several methods and draws in one program: equal to runs alone, and halved where full."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import catalogue, toy
from benchmarks.contracts import Part
from benchmarks.engine import batch as module
from benchmarks.engine import task as task_module
from benchmarks.engine.batch import BatchTask, batched, key_of, run_batch
from benchmarks.engine.plan import plan
from benchmarks.engine.run import complete
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.outcome import Results
from benchmarks.report import writing
from benchmarks.store import Store
from benchmarks.training.together import train_together
from osae_theory.errors import InputError, JobError
from osae_theory.sae.kernels import backend
from small_runs import outcomes, small_runs, small_setting

pytestmark = pytest.mark.trains
METHODS = ("topk", "msae-random", "osae")
# Of the dense trainer, each a program of its own, and only in fast arithmetic.
DENSE = ("gated", "jumprelu", "decoder-decay", "archetypal", "archetypal-random", "aligned")


@pytest.fixture(autouse=True)
def _code_as_it_is():
    task_module._imported_code.cache_clear()


def wanted(methods=METHODS, n_draws=3, n_seeds=2, **changes):
    return [
        run
        for draw in range(n_draws)
        for method in methods
        for run in small_runs(method, n_seeds, problem_seed=draw, **changes)
    ]


def parts_of(runs):
    found = {}
    for run in runs:
        found.setdefault(run.setting, []).append(run)
    return tuple(FitTask(tuple(some), code_of("toy", s.method)) for s, some in found.items())


def by_run(found):
    return {one.spec: one for one in found}


def memory_for(most, monkeypatch):
    """Let training run out of memory with more runs than that; return how many each call had."""
    asked, whole = [], module.train_together

    def limited(parts):
        asked.append(sum(len(part.seeds) for part in parts))
        if asked[-1] > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return whole(parts)

    monkeypatch.setattr(module, "train_together", limited)
    return asked


def test_a_batch_of_methods_and_draws_gives_the_bits_of_runs_alone_in_portable_arithmetic():
    runs = wanted()
    together = by_run(run_batch(BatchTask(parts_of(runs))))
    assert list(together) == runs
    for run in runs:
        [alone] = outcomes([run])
        assert together[run].dictionary_sha256 == alone.dictionary_sha256
        assert together[run].values == alone.values
        for name, array in alone.arrays.items():
            assert np.array_equal(together[run].arrays[name], array)


def test_a_batch_in_fast_arithmetic_equals_runs_alone_to_rounding():
    runs = wanted(n_draws=2, n_steps=8, arithmetic="fast")
    together = by_run(run_batch(BatchTask(parts_of(runs))))
    for run in runs:
        [alone] = outcomes([run])
        for name, array in alone.arrays.items():
            np.testing.assert_allclose(together[run].arrays[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", DENSE)
def test_a_batch_of_a_dense_method_equals_runs_alone_to_rounding(method):
    runs = wanted((method,), n_draws=2, n_steps=8, arithmetic="fast")
    together = by_run(run_batch(BatchTask(parts_of(runs))))
    assert list(together) == runs
    for run in runs:
        [alone] = outcomes([run])
        assert (together[run].status, together[run].encoder) == ("done", alone.encoder)
        for name, array in alone.arrays.items():
            np.testing.assert_allclose(together[run].arrays[name], array, rtol=1e-4, atol=1e-5)


def test_methods_that_start_elsewhere_train_together_with_their_own_starts():
    runs = wanted(("topk-kmeans", "osae-kmeans"), n_draws=2, n_seeds=1)
    together = by_run(run_batch(BatchTask(parts_of(runs))))
    for run in runs:
        [alone] = outcomes([run])
        assert together[run].dictionary_sha256 == alone.dictionary_sha256


def test_what_trains_together_has_one_problem_size_and_one_configuration():
    key = key_of(small_setting("topk"), "cpu")
    for same in (small_setting("osae"), small_setting("topk[lr=0.1]", problem_seed=5)):
        assert key_of(same, "cpu") == key
    for other in (
        small_setting("topk", n_steps=31),
        small_setting("topk", arithmetic="fast"),
        small_setting("topk", problem={"d": 6, "K": 8, "m": 2, "N": 401}),
        small_setting("topk-aux"),
        small_setting("topk-kmeans"),
    ):
        assert key_of(other, "cpu") not in (key, None)
    for alone in ("truth", "truth-encoder", "consensus"):
        assert key_of(small_setting(alone), "cpu") is None


@pytest.mark.parametrize("method", DENSE)
def test_a_dense_method_shares_a_program_with_its_own_draws_and_rates_in_fast_arithmetic(method):
    def key(selector, **changes):
        return key_of(small_setting(selector, **{"arithmetic": "fast", **changes}), "cpu")

    own = next(p for p in catalogue.methods()[method].parameters if p.name != "lr")
    now = small_setting(method).params
    larger = f"{method}[{own.name}={2 * dict(now).get(own.name, own.default)}]"
    for same in (key(method, problem_seed=5), key(f"{method}[lr=0.1]")):
        assert same == key(method) is not None
    others = [key(larger), key(method, n_steps=34), key("topk")]
    others += [key(other) for other in DENSE if other != method]
    assert not {key(method), None} & set(others)
    assert key(method, arithmetic="portable") is None


def test_a_plan_fills_programs_with_a_dense_method_in_fast_arithmetic_alone():
    for arithmetic, kind in (("fast", BatchTask), ("portable", FitTask)):
        runs = wanted(("gated", "jumprelu"), arithmetic=arithmetic)
        found = plan(runs, None, together=12).fits
        assert {type(task) for task in found} == {kind}
        assert [len(task.runs) for task in found] == ([6] * 2 if kind is BatchTask else [2] * 6)


def test_a_plan_fills_programs_with_runs_of_all_methods_and_draws():
    runs = [*wanted(), *small_runs("truth", problem_seed=1)]
    found = plan(runs, None, together=12).fits
    assert [len(task.runs) for task in found if isinstance(task, BatchTask)] == [12, 6]
    [alone] = [task for task in found if isinstance(task, FitTask)]
    assert alone.setting.method == "truth"
    assert {run.id for task in found for run in task.runs} == {run.id for run in runs}
    for task in found:
        draws = [part.setting.case.problem_seed for part in task.parts]
        assert draws == sorted(draws)


def test_one_setting_with_more_runs_than_fit_is_divided():
    found = plan(small_runs("topk", 7), None, together=3).fits
    assert sorted(len(task.runs) for task in found) == [2, 2, 3]
    assert [len(task.parts) for task in batched([], 3)] == []


def test_runs_that_failed_before_take_no_others_with_them(tmp_path):
    runs = wanted(n_draws=1)
    store = Store.at(tmp_path, create=True)
    failed = task_module.failed(parts_of(runs)[0], "for a test")
    store.add(Results(failed))
    found = plan(runs, store, together=100).fits
    alone = [task for task in found if isinstance(task, FitTask)]
    assert [len(task.runs) for task in alone] == [1, 1]
    assert {run.id for task in alone for run in task.runs} == {one.spec.id for one in failed}


def test_out_of_memory_the_batch_is_halved_which_is_said_and_goes_on(monkeypatch):
    runs = wanted(n_draws=2)  # 12
    whole = by_run(run_batch(BatchTask(parts_of(runs))))
    asked = memory_for(3, monkeypatch)
    with pytest.warns(RuntimeWarning) as said:
        halved = by_run(run_batch(BatchTask(parts_of(runs))))
    assert asked == [12, 6, 3, 3, 3, 3]
    assert [str(one.message) for one in said] == [
        "out of memory with 12 runs in one program: they go on, 6 at a time",
        "out of memory with 6 runs in one program: they go on, 3 at a time",
    ]
    for run in runs:
        assert halved[run].dictionary_sha256 == whole[run].dictionary_sha256


def test_a_run_that_does_not_fit_alone_is_an_error_and_the_others_go_on(monkeypatch):
    whole = module.train_together

    def limited(parts):
        if any(part.how.params["lr"] == 0.02 for part in parts):
            raise torch.cuda.OutOfMemoryError("no room")
        return whole(parts)

    monkeypatch.setattr(module, "train_together", limited)
    large = catalogue.variant("osae", {"lr": 0.02})
    setting = replace(small_setting("osae"), params=large.identity)
    runs = [*wanted(("topk",), n_draws=1), *catalogue.run_specs(setting, 1)]
    with pytest.warns(RuntimeWarning, match="out of memory with 3 runs"):
        found = by_run(run_batch(BatchTask(parts_of(runs))))
    assert [found[run].status for run in runs] == ["done", "done", "error"]
    assert found[runs[2]].reason == "OutOfMemoryError: no room"


def test_data_too_large_for_the_machines_memory_halve_the_batch_too(monkeypatch):
    whole = module._data

    def limited(units):
        if len({part.setting.case for part, _ in units}) > 1:
            raise MemoryError("Unable to allocate 3 GiB")
        return whole(units)

    monkeypatch.setattr(module, "_data", limited)
    runs = wanted(("topk",), n_draws=2, n_seeds=1)
    with pytest.warns(RuntimeWarning, match="out of memory with 2 runs"):
        found = run_batch(BatchTask(parts_of(runs)))
    assert [one.status for one in found] == ["done", "done"]


def test_a_failure_that_is_none_of_memory_is_the_outcome_of_its_batch(monkeypatch):
    def broken(parts):
        raise RuntimeError("illegal address")

    monkeypatch.setattr(module, "train_together", broken)
    found = run_batch(BatchTask(parts_of(wanted(n_draws=1, n_seeds=1))))
    assert {(one.status, one.reason) for one in found} == {
        ("error", "RuntimeError: illegal address")
    }


def test_a_run_that_diverges_leaves_the_others_of_its_batch_alone():
    runs = [*wanted(n_draws=1, n_seeds=1), *small_runs("topk[lr=1e30]", 1)]
    found = by_run(run_batch(BatchTask(parts_of(runs))))
    assert [found[run].status for run in runs] == ["done"] * 3 + ["diverged"]
    [alone] = outcomes(runs[:1])
    assert found[runs[0]].dictionary_sha256 == alone.dictionary_sha256


def test_a_run_of_a_dense_method_that_diverges_leaves_the_others_of_its_batch_alone():
    runs = [
        *wanted(("gated",), n_steps=8, arithmetic="fast"),
        *small_runs("gated[lr=1e30]", 1, n_steps=8, arithmetic="fast"),
    ]
    found = by_run(run_batch(BatchTask(parts_of(runs))))
    assert [found[run].status for run in runs] == ["done"] * 6 + ["diverged"]
    [alone], [lost] = outcomes(runs[:1]), outcomes(runs[-1:])
    assert lost.status == "diverged"
    np.testing.assert_allclose(
        found[runs[0]].arrays["dictionary"], alone.arrays["dictionary"], rtol=1e-4, atol=1e-5
    )


def test_out_of_memory_a_batch_of_a_dense_method_is_halved_too(monkeypatch):
    runs = wanted(("gated",), n_draws=2, n_steps=8, arithmetic="fast")
    whole = by_run(run_batch(BatchTask(parts_of(runs))))
    trained = module.train_together

    def limited(parts):
        model = catalogue.methods()["gated"].recipe.model
        assert all(part.recipe.model is model for part in parts)
        if sum(len(part.seeds) for part in parts) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        return trained(parts)

    monkeypatch.setattr(module, "train_together", limited)
    with pytest.warns(RuntimeWarning, match="out of memory with 4 runs .* they go on, 2 at a time"):
        halved = by_run(run_batch(BatchTask(parts_of(runs))))
    for run in runs:
        np.testing.assert_allclose(
            halved[run].arrays["dictionary"], whole[run].arrays["dictionary"], rtol=1e-4, atol=1e-5
        )


def test_runs_that_cannot_share_a_program_are_refused():
    setting = small_setting("topk")
    found = catalogue.variant_of(setting)
    spec = catalogue.problem_spec(setting.case)
    data = task_module.data_for(found.method, spec.draw(), (8, 2))
    seeds = [run.seeds for run in small_runs("topk", 1)]
    how = task_module.Fit(found.values, setting.budget)
    one = Part(found.method.recipe, data, how, seeds)
    longer = replace(one, how=replace(how, budget=replace(how.budget, amount=31)))
    narrower = replace(one, data=replace(data, rows=data.rows[:, :5].copy()))
    elsewhere = replace(one, how=replace(how, device="meta"))
    started = replace(one, recipe=catalogue.methods()["topk-kmeans"].recipe)
    for other in (longer, narrower, elsewhere, started):
        with pytest.raises(InputError, match="expected the same"):
            train_together([one, other])
    gated = catalogue.variant_of(small_setting("gated"))
    alone = replace(one, recipe=gated.method.recipe, how=replace(how, params=gated.values))
    with pytest.raises(InputError, match="expected the same"):
        train_together([alone, alone])


def assert_same_frames(first, second):
    one, other = first.frames(), second.frames()
    pd.testing.assert_frame_equal(one.runs, other.runs, check_exact=True)
    pd.testing.assert_frame_equal(one.measurements, other.measurements, check_exact=True)


def test_a_job_in_batches_stores_the_bits_of_a_job_without(tmp_path):
    runs = [*wanted(n_draws=2), *small_runs("truth")]
    stores = [Store.at(tmp_path / name, create=True) for name in ("alone", "together")]
    for store, together in zip(stores, (None, 100), strict=True):
        progress = []
        summary = complete(runs, store, n_workers=1, together=together, on_progress=progress.append)
        assert (summary.statuses, sum(progress)) == ({"done": 13}, 13)
    assert_same_frames(*stores)


def test_a_job_trains_dense_methods_in_programs_with_the_outcomes_of_runs_alone(
    tmp_path, monkeypatch
):
    asked = memory_for(100, monkeypatch)
    runs = wanted(("gated", "jumprelu"), n_draws=2, arithmetic="fast")
    frames = []
    for name, together in (("alone", None), ("together", 100)):
        store = Store.at(tmp_path / name, create=True)
        assert complete(runs, store, n_workers=1, together=together).statuses == {"done": 8}
        frames.append(store.frames().measurements)
    assert asked == [4, 4]
    pd.testing.assert_frame_equal(*frames, rtol=1e-3, atol=1e-4)


def test_a_batch_that_takes_too_long_is_a_timeout_of_each_of_its_runs(tmp_path):
    store = Store.at(tmp_path, create=True)
    summary = complete(wanted(n_draws=1, n_seeds=1), store, n_workers=1, together=3, timeout=1e-4)
    assert summary.statuses == {"timeout": 3}


# The command, as if on a GPU: the device is a CPU that is called by another name.


@pytest.fixture
def as_if_on_a_gpu(monkeypatch):
    monkeypatch.setattr(writing, "save_figure", lambda figure, path: path.touch())
    monkeypatch.setattr(toy, "check_device", torch.device)
    monkeypatch.setattr(toy, "torch_in_place", lambda device: None)


COMMAND = "--cell 6 8 2 400 --steps 10 --batch-size 100 --draws 2 --workers 1".split()


def test_portable_arithmetic_on_a_gpu_is_refused_with_the_reason(as_if_on_a_gpu, tmp_path, capsys):
    out = tmp_path / "new"
    with pytest.raises(SystemExit) as stop:
        toy.main([*COMMAND, "--device", "cuda", "--out", str(out)])
    assert stop.value.code == 2
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith(
            "error: arithmetic = 'portable' on device cuda: its bits are sums in a stated order, and"
            " only the kernels of a CPU keep it: expected 'fast' there"
        )
    )
    assert not out.exists()


@pytest.mark.parametrize(("device", "expected"), [("cpu", None), ("cuda", 256)])
def test_on_a_gpu_hundreds_of_runs_train_together_by_default(
    device, expected, as_if_on_a_gpu, monkeypatch, tmp_path
):
    asked = []

    def told(*arguments, **options):
        asked.append((options["together"], options["device"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(toy, "complete", told)
    given = ["--arithmetic", "fast", "--device", device, "--out", str(tmp_path)]
    toy.main([*COMMAND, *given])
    toy.main([*COMMAND, *given, "--together", "7"])
    assert asked == [(expected, device), (7, device)]


def test_on_a_gpu_without_triton_the_command_says_what_computes(
    as_if_on_a_gpu, monkeypatch, tmp_path
):
    said = "backend = 'triton': triton is not installed; torch computes in its place"
    monkeypatch.setattr(toy, "torch_in_place", lambda device: said)
    monkeypatch.setattr(toy, "complete", lambda *given, **options: (_ for _ in ()).throw(JobError))
    given = ["--arithmetic", "fast", "--device", "cuda", "--out", str(tmp_path)]
    with pytest.warns(RuntimeWarning, match=f"^{said}$"), pytest.raises(SystemExit):
        toy.main([*COMMAND, *given])


def test_without_cuda_the_command_refuses_a_gpu_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    out = tmp_path / "new"
    with pytest.raises(SystemExit) as stop:
        toy.main([*COMMAND, "--arithmetic", "fast", "--device", "cuda", "--out", str(out)])
    [line] = capsys.readouterr().err.splitlines()
    assert (stop.value.code, out.exists()) == (2, False)
    assert "is built without CUDA): expected cpu, or a torch that is built with it" in line


def test_the_command_trains_in_batches_and_says_where_memory_did_not_suffice(
    as_if_on_a_gpu, monkeypatch, tmp_path
):
    asked = memory_for(6, monkeypatch)
    given = [*COMMAND, "--arithmetic", "fast", "--methods", "topk,osae", "--seeds", "2"]
    with pytest.warns(
        RuntimeWarning, match="^out of memory with 8 runs in one program: they go on"
    ):
        assert toy.main([*given, "--together", "100", "--out", str(tmp_path)]) == 0
    assert asked == [8, 4, 4]
    assert set(Store.at(tmp_path).frames().runs["status"]) == {"done"}


def test_runs_are_not_gone_on_with_on_another_kind_of_device_unless_that_is_asked_for(
    monkeypatch, tmp_path
):
    runs = wanted(("topk",), n_draws=2, n_seeds=1, arithmetic="fast")
    store = Store.at(tmp_path, create=True)
    [outcome] = outcomes(runs[:1])
    on_gpu = replace(outcome.provenance, device="cuda NVIDIA H100", backend="triton")
    store.add(Results([replace(outcome, provenance=on_gpu)]))
    message = (
        r"device 'cpu': of the runs asked for, 1 on cuda were trained before: expected the same"
    )
    with pytest.raises(InputError, match=message):
        complete(runs, store, n_workers=1)
    # Nothing is to be trained, or all of it anew, or it is asked for.
    assert complete(runs[:1], store, n_workers=1).found == 1
    assert complete(runs, store, n_workers=1, mixed_devices=True).statuses == {"done": 1}
    assert complete(runs, store, n_workers=1, force=True).statuses == {"done": 2}


def test_what_a_store_does_not_know_of_its_devices_refuses_nothing(tmp_path):
    runs = wanted(("topk",), n_draws=3, n_seeds=1, arithmetic="fast")
    store = Store.at(tmp_path, create=True)
    for run, changes in zip(
        runs[:2], ({"device": None, "backend": "torch"}, {"device": None}), strict=True
    ):
        [outcome] = outcomes([run])
        origin = replace(outcome.provenance, **changes)
        store.add(Results([replace(outcome, provenance=origin)]))
    assert complete(runs, store, n_workers=1).statuses == {"done": 1}


def test_without_triton_torch_computes_which_is_said(monkeypatch):
    monkeypatch.setattr(backend, "_has_triton", lambda: False)
    assert backend.torch_in_place(torch.device("cpu")) == (
        "backend = 'triton': triton is not installed; torch computes in its place"
    )
    assert backend.backend_on("meta", "fast") == "torch"
    with pytest.raises(InputError, match="backend = 'triton': triton is not installed"):
        backend.backend_for("fast", "triton", torch.float32, torch.device("meta"))
    assert backend.backend_for("fast", "auto", torch.float32, torch.device("meta")) == "auto"


def test_one_run_is_the_same_as_a_task_of_its_own():
    [run] = small_runs(n=1)
    [part] = parts_of([run])
    [together], [alone] = run_batch(BatchTask((part,))), run_task(part)
    assert together.dictionary_sha256 == alone.dictionary_sha256
