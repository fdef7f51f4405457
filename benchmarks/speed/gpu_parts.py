"""The parts of tools/gpu_check.sh: the kernels against their oracle, the speed table, a training.

Each writes one JSON document, whole at every moment, so that what a limit of time cuts off costs
only what was not done. Has not been run on a GPU; `--tiny` runs all of it on a CPU.
"""

import json
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.speed.bare import is_missing
from benchmarks.speed.on_device import (
    Kernels,
    Plan,
    described_device,
    kernels_on,
    measure,
)
from benchmarks.speed.shapes import SHAPES, Shape
from benchmarks.speed.timing import synchronise
from osae_theory.devices import check_device
from osae_theory.errors import JobError, described, in_one_line
from osae_theory.files import check_writable, write_atomically
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import Run, RunSeeds, Trainer, TrainingConfig
from osae_theory.sae.kernels import reference, select_sparse

Write = Callable[[Mapping[str, Any]], None]

_ROOT = Path(__file__).parents[2]
_TESTS = "tests/sae/kernels/test_triton.py"
# What the tests import beside what the kernels do.
_NEEDED = (
    "pytest", "hypothesis", "beartype", "jaxtyping", "safetensors", "scipy", "sklearn",
    "threadpoolctl",
)  # fmt: skip
# The interpreter takes minutes for all of them.
_FEW_TESTS = "equal_bits or nothing_is_active"
_TESTS_LIMIT = 130
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 1e-2}
LAWS = {"topk": PrefixLaw.full, "osae": PrefixLaw.uniform}


@dataclass(frozen=True)
class Sizes:
    """How large the parts are.

    Attributes
    ----------
    direct : Shape
        Of the kernels held against their oracle.
    speed : tuple of Plan
        Of the speed table.
    training : Shape
        Of the training.
    n_steps, n_batches : int
        Its steps, and the batches that they take in turn.
    learning_rate : float
        Its peak.
    """

    direct: Shape
    speed: tuple[Plan, ...]
    training: Shape
    n_steps: int
    n_batches: int
    learning_rate: float


_WHOLE = Sizes(
    Shape(2304, 4096, 80, 128),
    (
        Plan("toy", SHAPES["toy"], 9, 2, 10),
        Plan("lm", SHAPES["lm"], 7, 2, 1),
        Plan("gemma", SHAPES["gemma"], 5, 1, 1),
    ),
    SHAPES["gemma"],
    300,
    16,
    3e-4,
)
_TINY = Sizes(
    Shape(20, 7, 3, 6),
    tuple(Plan(name, Shape(8, 6, 2, 3), 1, 0, 1) for name in ("toy", "lm", "gemma")),
    Shape(8, 6, 2, 6),
    10,
    1,
    1e-2,
)


def sizes(tiny: bool) -> Sizes:
    """Return the sizes of a GPU's check, or of its rehearsal on a CPU."""
    return _TINY if tiny else _WHOLE


def ready(tiny: bool) -> str:
    """Return in a line what there is to check on; raise InputError where that is no GPU."""
    device = check_device(_name(tiny))
    found, kernels = described_device(device), kernels_on(device)
    driver = f", driver {found['driver']}" if found["driver"] else ""
    missing = f" ({kernels.reason})" if kernels.reason else ""
    return (
        f"{found['name']}{driver}; torch {found['torch']}, triton {found['triton']};"
        f" kernels by {kernels.backend}{missing}"
    )


def do(part: str, out: Path, tiny: bool, stood_in: Sequence[str] = ()) -> str:
    """Do one part; return what it says in a line.

    Parameters
    ----------
    part : {"tests", "speed", "training"}
        Which.
    out : Path
        Folder for its document.
    tiny : bool
        Whether to take tiny sizes, on a CPU.
    stood_in : sequence of str
        Packages that are missing (`benchmarks.speed.bare`), for the document.

    Raises
    ------
    JobError
        If it failed; the document says so too.
    """
    check_writable(out)
    whole: dict[str, Any] = {"part": part, "status": "unfinished", "reason": None, "tiny": tiny}
    whole["stood_in"] = list(stood_in)

    def write(fields: Mapping[str, Any]) -> None:
        whole.update(fields)
        text = json.dumps(whole, indent=2, allow_nan=False)
        write_atomically(out / f"{part}.json", lambda new: new.write_text(text, encoding="utf-8"))

    try:
        device = check_device(_name(tiny))
        kernels = kernels_on(device)
        write({"device": described_device(device), "kernels": asdict(kernels)})
        said = _PARTS[part](device, kernels, tiny, write)
    except Exception as error:  # whatever it was, the document says it, and the other parts go on
        reason = str(error) if isinstance(error, JobError) else described(error)
        trace = traceback.format_exc().splitlines()[-12:]
        write({"status": "failed", "reason": reason, "traceback": trace})
        raise JobError(f"{part}: {reason}") from error
    write({"status": "done"})
    return f"{part}: {said}"


def _name(tiny: bool) -> str:
    return "cpu" if tiny else "cuda"


def _tests(device: torch.device, kernels: Kernels, tiny: bool, write: Write) -> str:
    """Hold the kernels against their oracle at one size, then run the tests where that is so."""
    if kernels.backend != "triton":
        raise JobError(f"{kernels.reason}: expected Triton's kernels, which are what is checked")
    direct = [direct_check(sizes(tiny).direct, dtype, device) for dtype in TOLERANCE]
    write({"direct": direct})
    wrong = [one["dtype"] for one in direct if not (one["agrees"] and one["same_bits_twice"])]
    missing = [name for name in _NEEDED if is_missing(name)]
    if missing:
        pytest: dict[str, Any] = {"run": False, "reason": f"not installed: {', '.join(missing)}"}
    else:
        pytest = {"run": True, **run_tests(tiny)}
    ran = (
        f"{pytest['passed']} tests passed, {pytest['skipped']} skipped"
        if pytest["run"]
        else f"no pytest ({pytest['reason']})"
    )
    said = f"kernels equal the oracle in {len(direct) - len(wrong)} of {len(direct)} dtypes; {ran}"
    write({"pytest": pytest, "headline": said})
    if wrong:
        raise JobError(f"the kernels differ from their oracle in {', '.join(wrong)}")
    if pytest["run"] and pytest["failed"]:
        raise JobError(f"tests failed: {', '.join(pytest['failed'])}")
    return said


def direct_check(shape: Shape, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Compare Triton's kernels with the plain torch oracle in float64, and with themselves.

    Returns
    -------
    dict
        "dtype"; "errors", for each output the largest difference over the oracle's largest
        entry, or over 1 where that is less; "tolerance"; "agrees"; "same_bits_twice".
    """
    kernels = _triton_kernels()
    S, n, d, K, s = 1, shape.batch, shape.d, shape.K, shape.m
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(S, n, d, generator=generator)
    atoms = torch.nn.functional.normalize(torch.randn(S, K, d, generator=generator), dim=-1)
    scores = torch.randn(S, n, K, generator=generator)
    scores[:, :1] = -1  # a sample without an active latent
    codes = select_sparse(scores, s, backend="torch")
    survival = torch.tensor(PrefixLaw.uniform(K).survival)[None].to(device)
    x, values, atoms = (t.to(device, dtype) for t in (x, codes.values, atoms))
    indices = codes.indices.to(device)

    def outputs(module: Any, *arguments: Tensor) -> dict[str, Tensor]:
        x, values, atoms = arguments
        loss = x.new_empty(S, dtype=torch.float64)
        found = {"values": torch.empty_like(values), "atoms": torch.empty_like(atoms)}
        found["x"] = torch.empty_like(x)
        module.prefix_gradients(
            x, indices, values, atoms,
            survival.to(torch.promote_types(x.dtype, torch.float32)), loss,
            found["values"], found["atoms"], found["x"],
        )  # fmt: skip
        found |= {"loss": loss, "encoder": torch.empty_like(atoms)}
        found["bias"] = x.new_empty(S, K)
        module.encoder_gradients(x, indices, values, found["encoder"], found["bias"])
        return found

    with torch.no_grad():
        first, second = (outputs(kernels, x, values, atoms) for _ in range(2))
        expected = outputs(reference, x.double(), values.double(), atoms.double())
    errors = {
        name: float((first[name].double() - right).abs().max()) / max(float(right.abs().max()), 1)
        for name, right in expected.items()
    }
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "shape": asdict(shape),
        "errors": errors,
        "tolerance": TOLERANCE[dtype],
        "agrees": all(error <= TOLERANCE[dtype] for error in errors.values()),
        "same_bits_twice": all(torch.equal(first[name], second[name]) for name in first),
    }


def _triton_kernels() -> Any:
    from osae_theory.sae.kernels import triton_kernels

    return triton_kernels


def run_tests(tiny: bool) -> dict[str, Any]:
    """Run the kernels' tests in a process of their own; return counts and the failed ones."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:xdist",
            "-p", "no:cacheprovider", f"--junitxml={report}", _TESTS,
            *(["-k", _FEW_TESTS] if tiny else []),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                cwd=_ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TESTS_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise JobError(f"pytest took more than {_TESTS_LIMIT} s and was stopped") from None
        if not report.is_file():
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise JobError(f"pytest ended with {done.returncode}: {in_one_line(' '.join(last))}")
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = [c for c in cases if c.find("skipped") is not None]
    return {
        "passed": len(cases) - len(failed) - len(skipped),
        "skipped": len(skipped),
        "failed": [str(case.get("name")) for case in failed],
        "output": done.stdout.splitlines()[-60:] if failed else [],
    }


def _speed(device: torch.device, kernels: Kernels, tiny: bool, write: Write) -> str:
    """Measure one shape after another, each kept as soon as it is done."""
    documents: list[dict[str, Any]] = []
    reasons: list[str] = []
    said = ""
    for plan in sizes(tiny).speed:
        try:
            documents.append(measure(plan, device, kernels))
        except JobError as error:
            reasons.append(str(error))
        said = "; ".join(map(_headline, documents))
        write({"shapes": documents, "headline": said, "not_measured": reasons})
    if reasons:
        raise JobError("; ".join(reasons))
    failed = [f"{d['shape']['name']}, {name}" for d in documents for name in d["failed"]]
    if failed:
        raise JobError(f"contenders failed: {'; '.join(failed)}")
    return said


def _headline(document: Mapping[str, Any]) -> str:
    ratios = document["ratios"]
    parts = [f"{name} {ratios[name]:.2f}" for name in list(ratios)[:3]]
    return f"{document['shape']['name']}: {', '.join(parts)}"


def _training(device: torch.device, kernels: Kernels, tiny: bool, write: Write) -> str:
    """Train a plain top-m SAE and an ordered one on the same synthetic activations."""
    size = sizes(tiny)
    batches = synthetic(size.training, size.n_batches, device)
    found: dict[str, dict[str, Any]] = {}
    said = ""
    for name in LAWS:
        found[name] = train_one(name, size, batches, device, kernels)
        said = "; ".join(
            f"{method}: {one['tokens_a_second']:,.0f} tokens/s, loss at m"
            f" {one['loss_as_m_is_reached']:.3g} to {one['final_loss']:.3g}"
            for method, one in found.items()
        )
        write({"methods": found, "shape": asdict(size.training), "headline": said})
    still = [name for name, one in found.items() if one["diverged"] or not one["fell"]]
    if still:
        raise JobError(f"the loss did not fall: {', '.join(still)}")
    return said


def synthetic(shape: Shape, n_batches: int, device: torch.device) -> Float[Tensor, "b n d"]:
    """Return batches of m-sparse combinations of K random unit atoms, with a little noise."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator, device=device)

    atoms = torch.nn.functional.normalize(normal(shape.K, shape.d), dim=-1)
    # The earlier an atom, the more often it is active: m draws without putting back.
    weights = torch.arange(1, shape.K + 1, device=device) ** -0.5
    batches = torch.empty(n_batches, shape.batch, shape.d, device=device)
    for batch in batches:
        times = torch.empty(shape.batch, shape.K, device=device)
        scores = weights / times.exponential_(generator=generator)
        places = scores.topk(shape.m, dim=-1).indices
        values = normal(shape.batch, shape.m).abs() + 0.5
        codes = torch.zeros_like(scores).scatter_(-1, places, values)
        batch.copy_(codes @ atoms + 0.01 * normal(shape.batch, shape.d))
    return batches


def train_one(
    name: str,
    size: Sizes,
    batches: Float[Tensor, "b n d"],
    device: torch.device,
    kernels: Kernels,
) -> dict[str, Any]:
    """Train one SAE, and return how fast it went and where its loss ended.

    The first tenth of the steps, in which kernels compile, is not timed; "at_m" is the half
    after k warm-up, in which m latents are active.
    """
    on_gpu, shape, n_steps = device.type == "cuda", size.training, size.n_steps
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    backend = "auto" if on_gpu else kernels.backend
    config = TrainingConfig(
        shape.m, n_steps=n_steps, batch_size=shape.batch, backend=backend, arithmetic="fast"
    )
    runs = [Run(RunSeeds.same(0), size.learning_rate, LAWS[name](shape.K))]
    trainer = Trainer(shape.d, shape.K, runs, config, device=device)
    marks, taken = {n_steps // 10: 0.0, n_steps // 2: 0.0}, []
    for step in range(n_steps):
        if step in marks:
            synchronise(device)
            marks[step] = time.perf_counter()
        taken.append(trainer.step(batches[step % len(batches)][None]))
    synchronise(device)
    end = time.perf_counter()
    start, middle = n_steps // 10, n_steps // 2
    trace = torch.stack(taken)[:, 0].tolist()
    few = max(n_steps // 20, 1)
    final = sum(trace[-few:]) / few
    # Before, more latents are active, which fits better: only losses at m can be compared.
    at_m = sum(trace[middle : middle + few]) / few
    return {
        "n_steps": n_steps,
        "batch": shape.batch,
        "tokens_a_second": (n_steps - start) * shape.batch / (end - marks[start]),
        "tokens_a_second_at_m": (n_steps - middle) * shape.batch / (end - marks[middle]),
        "loss_as_m_is_reached": at_m,
        "final_loss": final,
        "data_mean_square": float(batches.square().mean()),
        "fell": final < at_m,
        "diverged": bool(trainer.diverged.any()),
        "peak_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        "trace": trace,
    }


_PARTS: Mapping[str, Callable[[torch.device, Kernels, bool, Write], str]] = {
    "tests": _tests,
    "speed": _speed,
    "training": _training,
}
