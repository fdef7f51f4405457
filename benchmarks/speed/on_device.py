"""Loss and gradients timed on one device, a GPU as a rule: seconds, tokens a second, peak memory.

Contenders take turns on the same batches as in `benchmarks.speed.study`; the device is waited for
before and after each turn. A contender that is out of memory is noted, and the batch halved for
all. Has not been run on a GPU.
"""

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks.speed import losses, steps
from benchmarks.speed.shapes import Shape
from benchmarks.speed.timing import Plan, medians, named, relative_to, synchronise, timed
from osae_theory.devices import release
from osae_theory.errors import JobError, described
from osae_theory.objectives import nested_dropout_loss
from osae_theory.prefixes import PrefixLaw, equal_group_ends
from osae_theory.provenance import processor, triton_version
from osae_theory.sae import TopMSAE
from osae_theory.sae.gradients import sparse_pays
from osae_theory.sae.kernels import compiled_by
from osae_theory.sae.kernels.backend import torch_in_place

DEVICES = ("cpu", "cuda")
YARDSTICK = "plain dense"
# The ratios that have a name in the document: (numerator, denominator).
_NAMED = {
    "exact_over_plain_same_kernel": ("exact, kernel", "plain, kernel"),
    "five_prefixes_over_plain_same_kernel": ("5 prefixes, kernel", "plain, kernel"),
    "exact_over_plain_dense": ("exact, kernel", YARDSTICK),
    "exact_as_trained_over_plain_dense": ("exact, as trained", YARDSTICK),
    "exact_as_trained_over_kernel": ("exact, as trained", "exact, kernel"),
    "exact_residual_gram_over_plain_dense": ("exact, residual Gram", YARDSTICK),
    "encoder_product_over_plain_dense": ("encoder product alone", YARDSTICK),
}
_HALVINGS = 3
_PATIENCE = 20

Build = Callable[[Shape], losses.Way]


@dataclass(frozen=True)
class Kernels:
    """Whose kernels compute on a device.

    Attributes
    ----------
    backend : {"triton", "torch"}
        The backend.
    reason : str or None
        Why it is not Triton, in a sentence; None where it is.
    """

    backend: str
    reason: str | None


@dataclass(frozen=True, eq=False)
class _Tried:
    way: losses.Way
    peak_bytes: int | None


def kernels_on(device: torch.device) -> Kernels:
    """Return whose kernels compute on a device: Triton's where they can, else torch's."""
    reason = torch_in_place(device)
    return Kernels("triton" if reason is None else "torch", reason)


def described_device(device: torch.device) -> dict[str, Any]:
    """Return the device's name and memory, its driver, and the versions that compute on it."""
    found: dict[str, Any] = {
        "kind": device.type,
        "name": processor(),
        "memory_bytes": None,
        "capability": None,
        "driver": None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton_version(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _driver(),
        }
    return found


def measure(plan: Plan, device: torch.device, kernels: Kernels) -> dict[str, Any]:
    """Time all contenders at one shape; return the shape's document.

    Returns
    -------
    dict
        "shape", with the batch that was timed, and "asked_batch"; "seconds" and
        "tokens_a_second", by medians; "peak_bytes", each contender's own above what was
        allocated before it was built, None on a CPU; "losses", ratios to the plain dense loss;
        "ratios" and "spread" of the pairs that have a name; "out_of_memory", a list of
        contenders and batches; "failed" and "left_out", each contender's reason.

    Raises
    ------
    JobError
        If no contender can be timed.
    """
    try:
        model = losses.initialised(plan.shape, device=device)
        shape, tried, out_of_memory, failed = _fitting(model, plan.shape, device, kernels)
        if not tried:
            reasons = next(iter(failed.values()), "out of memory")
            raise JobError(f"{plan.name} at batch {shape.batch}: no contender runs ({reasons})")
        ways = {name: one.way for name, one in tried.items()}
        seconds = timed(ways, replace(plan, shape=shape), device)
    except torch.cuda.OutOfMemoryError as error:
        raise JobError(
            f"{plan.name}: the GPU is out of memory beside the contenders ({described(error)})"
        ) from None
    spread = named(seconds, _NAMED)
    relative = relative_to(seconds, YARDSTICK) if YARDSTICK in seconds else {}
    taken = medians(seconds)
    return {
        "shape": {"name": plan.name, **asdict(shape)},
        "asked_batch": plan.shape.batch,
        "rounds": plan.rounds,
        "steps": plan.steps,
        "kernel": kernels.backend,
        "as_trained": _as_trained(shape, device),
        "ratios": {name: ratio.median for name, ratio in spread.items()},
        "spread": {name: asdict(ratio) for name, ratio in spread.items()},
        "losses": {name: asdict(ratio) for name, ratio in relative.items()},
        "seconds": taken,
        "tokens_a_second": {name: shape.batch / median for name, median in taken.items()},
        "peak_bytes": {name: one.peak_bytes for name, one in tried.items()},
        "out_of_memory": out_of_memory,
        "failed": failed,
        "left_out": _left_out(shape),
    }


def contenders(
    model: TopMSAE, shape: Shape, device: torch.device, kernels: Kernels
) -> dict[str, Build]:
    """Return what builds each contender for a shape, whatever its batch."""
    laws = {
        "exact": PrefixLaw.uniform(shape.K),
        "plain": PrefixLaw.full(shape.K),
        "5 prefixes": PrefixLaw.groups(shape.K, equal_group_ends(shape.K, 5)),
    }

    def by_kernels(law: PrefixLaw) -> Build:
        return lambda shape: losses.by_kernels(model, shape, law, kernels.backend)

    found: dict[str, Build] = {
        YARDSTICK: lambda shape: losses.by_autograd(model, shape, losses.plain_loss),
        **{f"{name}, kernel": by_kernels(law) for name, law in laws.items()},
        "exact, as trained": lambda shape: losses.fused(model, shape, laws["exact"]),
        "encoder product alone": lambda shape: losses.encoder_product(shape, model),
    }
    if not _left_out(shape):
        gram = losses.with_law(nested_dropout_loss, laws["exact"], device)
        found["exact, residual Gram"] = lambda shape: losses.by_autograd(model, shape, gram)
    return found


def _left_out(shape: Shape) -> dict[str, str]:
    if shape.K**2 <= losses.MOST_PAIRS:
        return {}
    return {"exact, residual Gram": f"not tried: arrays of {shape.K:,} x {shape.K:,}"}


def _as_trained(shape: Shape, device: torch.device) -> str:
    """Say which way a training takes at this shape: the walk, or products of whole matrices."""
    compiler = compiled_by("auto", torch.empty(0, device=device))
    walks = compiler is not None and sparse_pays(
        shape.batch, shape.m, shape.d, shape.K, compiler, torch.float32
    )
    return f"walk, by {compiler}" if walks else "products"


def _fitting(
    model: TopMSAE, shape: Shape, device: torch.device, kernels: Kernels
) -> tuple[Shape, dict[str, _Tried], list[dict[str, Any]], dict[str, str]]:
    """Try every contender; where one is out of memory, halve the batch and try all again."""
    out_of_memory: list[dict[str, Any]] = []
    tried: dict[str, _Tried] = {}
    failed: dict[str, str] = {}
    for left in range(_HALVINGS, -1, -1):
        fits, failed = True, {}
        batch = steps.random_batch(shape, shape.batch, 0).to(device)
        for name, build in contenders(model, shape, device, kernels).items():
            try:
                tried[name] = _try(build, shape, batch, device)
            except torch.cuda.OutOfMemoryError:
                fits = False
                out_of_memory.append({"contender": name, "batch": shape.batch})
            except Exception as error:  # one contender's failure is not to cost the others
                failed[name] = described(error)
            # Only here is the exception gone, which holds the frames with their tensors.
            release(device)
        if fits or not left or shape.batch == 1:
            break
        tried.clear()
        release(device)
        shape = replace(shape, batch=shape.batch // 2)
    return shape, tried, out_of_memory, failed


def _try(build: Build, shape: Shape, batch: torch.Tensor, device: torch.device) -> _Tried:
    """Build one contender and do two steps, of which the second shows its peak memory."""
    on_gpu = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    way = build(shape)
    way(batch)
    synchronise(device)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    way(batch)
    synchronise(device)
    return _Tried(way, torch.cuda.max_memory_allocated(device) - before if on_gpu else None)


def _driver() -> str | None:
    """Return the NVIDIA driver's version as its own tool gives it; None where that is missing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.split()), None)
