"""Speed on a device, and the check of a GPU: on a CPU, at shapes too small to measure anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed import __main__ as command
from benchmarks.speed import bare, gpu_check, gpu_parts, losses, on_device, report, steps
from benchmarks.speed.on_device import Kernels, Plan
from benchmarks.speed.shapes import OF_GPU, SHAPES, Shape
from osae_theory.errors import JobError
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae.kernels import reference

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/gpu_check.sh"
SMALL = Shape(d=6, K=8, m=2, batch=8)
PLAN = Plan("toy", SMALL, rounds=2, warmup=1, steps=1)
CPU = torch.device("cpu")
TORCH = Kernels("torch", "triton is not installed; torch computes in its place")
CONTENDERS = {
    "plain dense", "exact, kernel", "plain, kernel", "5 prefixes, kernel", "exact, as trained",
    "exact, residual Gram", "encoder product alone",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.fixture
def as_if_on_a_gpu(monkeypatch):
    """The command takes the CPU for a GPU, and has two small shapes."""
    monkeypatch.setattr(command, "check_device", lambda name: CPU)
    monkeypatch.setattr(on_device, "kernels_on", lambda device: Kernels("torch", None))
    monkeypatch.setattr(command, "SHAPES", {"toy": SMALL, "gemma": SMALL})
    monkeypatch.setattr(command, "_STEPS", {})


@pytest.fixture
def memory_up_to(monkeypatch):
    """Let a contender run out of memory on more samples than it is given here."""

    def limited(most):
        whole = on_device.contenders

        def contenders(*arguments):
            def build(name, builder):
                def checked(shape):
                    if shape.batch > most.get(name, shape.batch):
                        raise torch.cuda.OutOfMemoryError("no room")
                    return builder(shape)

                return checked

            return {name: build(name, builder) for name, builder in whole(*arguments).items()}

        monkeypatch.setattr(on_device, "contenders", contenders)

    return limited


def options(*given):
    return command.parser().parse_args(list(given))


def refused(main, arguments, capsys, code=2):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == code
    return capsys.readouterr().err.splitlines()[-1]


def test_the_shapes_of_a_gpu_are_timed_on_a_cpu_only_where_they_are_named(tmp_path):
    out = ["--out", str(tmp_path)]
    by_default = [plan.name for plan in command.plans(options(*out))]
    assert by_default == [name for name in SHAPES if name not in OF_GPU]
    [named] = command.plans(options("--shape", "gemma-wide", *out))
    assert named.shape == Shape(2304, 65_536, 80, 4096)
    on_gpu = command.device_plans(options("--device", "cuda", *out))
    assert [plan.name for plan in on_gpu] == list(SHAPES)
    assert on_gpu[3].shape == Shape(2304, 4096, 80, 4096)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--device", "tpu"], "--device 'tpu'"),
        (["--device", "cuda", "--peers"], "--peers with --device cuda: expected cpu"),
        (["--device", "cuda", "--threads", "2"], "--threads = 2 with --device cuda: expected none"),
        (["--device", "cuda", "--shape", "huge"], "shape 'huge'"),
        (["--device", "cuda", "--rounds", "0"], "--rounds = 0"),
    ],
)
def test_what_a_device_cannot_do_is_refused_in_one_line(tmp_path, capsys, given, message):
    out = tmp_path / "new"
    assert message in refused(command.main, [*given, "--out", str(out)], capsys)
    assert not out.exists()


def test_a_torch_without_cuda_is_said_in_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    out = tmp_path / "new"
    line = refused(command.main, ["--device", "cuda", "--out", str(out)], capsys)
    assert line.endswith("is built without CUDA): expected cpu, or a torch that is built with it")
    assert not out.exists()


def test_where_triton_does_not_compute_the_reason_is_kept():
    found = on_device.kernels_on(CPU)
    assert found.backend == "torch"
    assert found.reason.endswith("; torch computes in its place")


def test_the_kernels_gradients_are_those_of_a_training_step(monkeypatch):
    kept = []
    like = losses.ModelGradients.like
    monkeypatch.setattr(
        losses.ModelGradients, "like", lambda model: kept.append(like(model)) or kept[-1]
    )
    model, law = losses.initialised(SMALL), PrefixLaw.uniform(SMALL.K)
    batch = steps.random_batch(SMALL, SMALL.batch, seed=1)
    for way in (
        losses.by_kernels(model, SMALL, law, "torch"),
        losses.fused(model, SMALL, law, "torch"),
    ):
        way(batch)
    for name in ("encoder", "encoder_bias", "atoms"):
        torch.testing.assert_close(getattr(kept[0], name), getattr(kept[1], name))


def test_a_device_document_has_every_contender_and_its_rates():
    document = on_device.measure(PLAN, CPU, TORCH)
    assert document["shape"] == {"name": "toy", "d": 6, "K": 8, "m": 2, "batch": 8}
    for field in ("seconds", "tokens_a_second", "peak_bytes", "losses"):
        assert set(document[field]) == CONTENDERS
    for name, rate in document["tokens_a_second"].items():
        assert rate == pytest.approx(8 / document["seconds"][name])
    assert document["losses"]["plain dense"]["median"] == 1
    assert {one["rounds"] for one in document["spread"].values()} == {2}
    assert set(document["ratios"]) == set(on_device._NAMED)
    assert (document["out_of_memory"], document["failed"], document["left_out"]) == ([], {}, {})
    json.dumps(document, allow_nan=False)


def test_out_of_memory_is_noted_and_the_batch_halved_for_all(memory_up_to):
    memory_up_to({"exact, residual Gram": 4, "plain dense": 2})
    document = on_device.measure(PLAN, CPU, TORCH)
    met = [(one["contender"], one["batch"]) for one in document["out_of_memory"]]
    assert met == [("plain dense", 8), ("exact, residual Gram", 8), ("plain dense", 4)]
    assert (document["asked_batch"], document["shape"]["batch"]) == (8, 2)
    assert set(document["seconds"]) == CONTENDERS
    told = report.device_markdown([document], on_device.described_device(CPU), "command")
    assert "plain dense at batch 4; all were timed at batch 2, of 8 asked" in told


def test_what_never_fits_is_left_out_and_the_rest_is_timed(memory_up_to):
    memory_up_to({"plain dense": 0})
    document = on_device.measure(PLAN, CPU, TORCH)
    assert set(document["seconds"]) == CONTENDERS - {"plain dense"}
    assert document["losses"] == {}
    assert "exact_over_plain_same_kernel" in document["ratios"]
    table = report.device_table([document])
    assert table.loc["plain dense"].tolist() == ["out of memory"]


def test_where_nothing_fits_one_sentence_says_so(memory_up_to):
    memory_up_to(dict.fromkeys(CONTENDERS, 0))
    with pytest.raises(JobError, match=r"^toy at batch 1: no contender runs \(out of memory\)$"):
        on_device.measure(PLAN, CPU, TORCH)


def test_a_contender_that_fails_costs_no_other(monkeypatch):
    def broken(*_):
        raise RuntimeError("illegal address")

    monkeypatch.setattr(losses, "by_kernels", broken)
    document = on_device.measure(PLAN, CPU, TORCH)
    assert document["failed"] == dict.fromkeys(
        ("exact, kernel", "plain, kernel", "5 prefixes, kernel"), "RuntimeError: illegal address"
    )
    assert set(document["seconds"]) == CONTENDERS - set(document["failed"])
    assert report.device_table([document]).loc["plain, kernel"].tolist() == ["failed"]


def test_grams_too_large_are_not_tried(monkeypatch):
    monkeypatch.setattr(losses, "MOST_PAIRS", 8)
    document = on_device.measure(PLAN, CPU, TORCH)
    assert document["left_out"] == {"exact, residual Gram": "not tried: arrays of 8 x 8"}
    assert "exact, residual Gram" not in document["seconds"]


def test_the_command_on_a_device_writes_its_document_and_table(
    as_if_on_a_gpu, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(on_device, "kernels_on", lambda device: TORCH)
    given = ["--device", "cuda", "--rounds", "1", "--json", "--out", str(tmp_path)]
    with pytest.warns(RuntimeWarning, match=f"^{TORCH.reason}$"):
        assert command.main(given) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "result.json").read_text())
    assert [one["shape"]["name"] for one in document["shapes"]] == ["toy", "gemma"]
    assert document["kernels"] == {"backend": "torch", "reason": TORCH.reason}
    assert {"name", "driver", "cuda", "torch", "triton"} <= document["device"].keys()
    assert "exact, kernel" in (tmp_path / "table.md").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"result.json", "table.md"}


def test_a_shape_that_cannot_be_measured_costs_no_other(
    as_if_on_a_gpu, monkeypatch, tmp_path, capsys
):
    measure = on_device.measure

    def failing(plan, *rest):
        if plan.name == "gemma":
            raise JobError("gemma: out of memory")
        return measure(plan, *rest)

    monkeypatch.setattr(on_device, "measure", failing)
    given = ["--device", "cuda", "--rounds", "1", "--out", str(tmp_path)]
    line = refused(command.main, given, capsys, code=1)
    assert line.endswith("error: not measured: gemma: out of memory")
    document = json.loads((tmp_path / "result.json").read_text())
    assert [one["shape"]["name"] for one in document["shapes"]] == ["toy"]


def test_the_drivers_version_is_what_its_tool_says(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 580.65.06\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert on_device._driver() == "580.65.06"
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert on_device._driver() is None
    monkeypatch.setenv("PATH", "")
    assert on_device._driver() is None


def test_a_tiny_speed_part_has_the_three_shapes(tmp_path):
    said = gpu_parts.do("speed", tmp_path, tiny=True)
    document = json.loads((tmp_path / "speed.json").read_text())
    assert (document["part"], document["status"], document["tiny"]) == ("speed", "done", True)
    assert [one["shape"]["name"] for one in document["shapes"]] == ["toy", "lm", "gemma"]
    assert said == f"speed: {document['headline']}"
    assert {"device", "kernels", "stood_in"} <= document.keys()


def test_a_tiny_training_part_has_rates_and_losses_of_both_methods(tmp_path):
    gpu_parts.do("training", tmp_path, tiny=True, stood_in=["scipy"])
    document = json.loads((tmp_path / "training.json").read_text())
    assert document["stood_in"] == ["scipy"]
    assert set(document["methods"]) == {"topk", "osae"}
    for one in document["methods"].values():
        assert one["tokens_a_second"] > 0
        assert one["tokens_a_second_at_m"] > 0
        assert one["final_loss"] < one["loss_as_m_is_reached"]
        assert len(one["trace"]) == one["n_steps"]
        assert one["peak_bytes"] is None


def test_kernels_are_held_against_the_oracle_and_against_themselves(monkeypatch):
    monkeypatch.setattr(gpu_parts, "_triton_kernels", lambda: reference)
    found = gpu_parts.direct_check(SMALL, torch.float32, CPU)
    assert found["agrees"]
    assert found["same_bits_twice"]
    assert set(found["errors"]) == {"loss", "values", "atoms", "x", "encoder", "bias"}

    class Wrong:
        encoder_gradients = staticmethod(reference.encoder_gradients)

        @staticmethod
        def prefix_gradients(*arguments):
            reference.prefix_gradients(*arguments)
            arguments[7].add_(torch.rand_like(arguments[7]))

    monkeypatch.setattr(gpu_parts, "_triton_kernels", lambda: Wrong)
    found = gpu_parts.direct_check(SMALL, torch.float32, CPU)
    assert (found["agrees"], found["same_bits_twice"]) == (False, False)


@pytest.fixture
def kernels_without_triton(monkeypatch):
    monkeypatch.setattr(gpu_parts, "kernels_on", lambda device: Kernels("triton", None))
    monkeypatch.setattr(gpu_parts, "_triton_kernels", lambda: reference)
    monkeypatch.setattr(
        gpu_parts, "run_tests", lambda tiny: {"passed": 3, "skipped": 1, "failed": []}
    )


def test_the_tests_part_counts_what_pytest_ran(kernels_without_triton, monkeypatch, tmp_path):
    assert "3 tests passed, 1 skipped" in gpu_parts.do("tests", tmp_path, tiny=True)
    document = json.loads((tmp_path / "tests.json").read_text())
    assert [one["dtype"] for one in document["direct"]] == ["float64", "float32", "bfloat16"]
    monkeypatch.setattr(gpu_parts, "_NEEDED", ("pytest", "no_such_package"))
    assert "no pytest (not installed: no_such_package)" in gpu_parts.do("tests", tmp_path, True)


def test_failed_tests_fail_the_part_with_their_names(kernels_without_triton, monkeypatch, tmp_path):
    ran = {"passed": 3, "skipped": 1, "failed": ["test_a", "test_b"]}
    monkeypatch.setattr(gpu_parts, "run_tests", lambda tiny: ran)
    with pytest.raises(JobError, match=r"^tests: tests failed: test_a, test_b$"):
        gpu_parts.do("tests", tmp_path, tiny=True)
    document = json.loads((tmp_path / "tests.json").read_text())
    assert (document["status"], document["pytest"]["passed"]) == ("failed", 3)
    assert document["traceback"]


def test_the_kernels_tests_need_triton(tmp_path):
    with pytest.raises(JobError, match="expected Triton's kernels"):
        gpu_parts.do("tests", tmp_path, tiny=True)
    assert json.loads((tmp_path / "tests.json").read_text())["status"] == "failed"


def test_a_check_without_a_gpu_is_refused_before_its_parts(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    line = refused(gpu_check.main, ["ready", "--out", str(tmp_path)], capsys)
    assert "built without CUDA" in line
    assert gpu_check.main(["ready", "--out", str(tmp_path), "--tiny"]) == 0
    assert "kernels by torch" in capsys.readouterr().out


def test_the_summary_says_how_each_part_ended(tmp_path, capsys):
    for part, status in {"tests": "done", "speed": "unfinished", "training": "done"}.items():
        fields = {"status": status, "reason": None, "headline": "h", "device": {"name": "x"}}
        (tmp_path / f"{part}.json").write_text(json.dumps(fields))
    ended = ["--exit", "tests=0", "--exit", "speed=124", "--exit", "training=139"]
    line = refused(gpu_check.main, ["summary", "--out", str(tmp_path), *ended], capsys, code=1)
    assert "speed: out of time (its limit was reached)" in line
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["done"], summary["device"]) == (["tests"], {"name": "x"})
    assert summary["parts"]["training"]["reason"] == "it ended with exit code 139"
    (tmp_path / "training.json").unlink()
    ended = ["--exit", "tests=0", "--exit", "training=1"]
    refused(gpu_check.main, ["summary", "--out", str(tmp_path), *ended], capsys, code=1)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["parts"]["training"]["status"] == "no document"
    assert gpu_check.main(["summary", "--out", str(tmp_path), "--exit", "tests=0"]) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["all"], "part 'all'"),
        (["summary", "--exit", "tests"], "--exit 'tests': expected PART=CODE"),
        (["summary", "--exit", "x=1"], "part 'x'"),
    ],
)
def test_a_part_that_is_none_is_refused_in_one_line(tmp_path, capsys, given, message):
    assert message in refused(gpu_check.main, [*given, "--out", str(tmp_path)], capsys)


# A process of its own: packages that are imported already are missing to nobody.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder
whole = PathFinder.find_spec
GONE = {{*{bare.NAMES!r}, "numba", "pandas", "matplotlib", "joblib", "tqdm", "tabulate"}}
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in GONE else whole(name, path, target)
)
from benchmarks.speed import gpu_check
for part in ("speed", "training"):
    assert gpu_check.main([part, "--out", sys.argv[1], "--tiny"]) == 0
from sklearn.metrics import r2_score
r2_score([1], [1])
"""


def test_the_parts_run_where_packages_are_missing_whose_names_are_enough(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: sklearn.metrics.r2_score was called: expected sklearn.metrics"
        " installed"
    )
    for part in ("speed", "training"):
        document = json.loads((tmp_path / f"{part}.json").read_text())
        assert (document["status"], document["stood_in"]) == ("done", list(bare.NAMES))


def test_nothing_is_stood_in_for_where_all_is_installed():
    assert bare.stand_in() == ()


def test_the_script_is_one_that_bash_can_read_and_anybody_run():
    assert os.access(SCRIPT, os.X_OK)
    read = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no folder for the results: expected OUT [--tiny]"),
        (["out", "--fast"], "option '--fast': expected OUT [--tiny]"),
        (["a", "b"], "argument 'b': expected one folder, which is 'a'"),
        ([str(ROOT)], "is not an empty folder: expected a new or empty one"),
    ],
)
def test_the_script_refuses_in_one_line(tmp_path, given, message):
    found = subprocess.run(
        [str(SCRIPT), *given], cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    [line] = found.stderr.splitlines()
    assert line.startswith("gpu_check.sh: error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


def test_the_script_goes_on_after_a_part_that_fails(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$3" "$5" $6 $7 $8 >> "$LOG"\n[ "$3" != speed ] || exit 1\n'
        '[ "$3" != training ] || kill -9 $$\n'
    )
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python), "LOG": str(tmp_path / "log")}
    done = subprocess.run(
        [str(SCRIPT), "results", "--tiny"],
        cwd=tmp_path, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0  # that of the summary
    calls = (tmp_path / "log").read_text().splitlines()
    assert [call.split()[0] for call in calls] == [
        "ready", "tests", "speed", "training", "summary",
    ]  # fmt: skip
    assert calls[0] == f"ready {tmp_path / 'results'} --tiny"
    assert "speed=1" in calls[-1] or "tests=0" in calls[-1]


def test_a_devices_results_have_a_folder_of_their_own_and_no_figures(
    as_if_on_a_gpu, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert command.main(["--device", "cuda", "--rounds", "1"]) == 0
    assert (tmp_path / "out/speed-cuda/result.json").is_file()
    assert not (tmp_path / "out/speed").exists()
    with pytest.raises(SystemExit):
        command.main(["--redraw", "--out", "out/speed-cuda"])
    assert "'out/speed-cuda' is of a GPU: there are no figures of these" in capsys.readouterr().err
