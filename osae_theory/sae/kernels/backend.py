"""Which backend computes: compiled by numba or Triton where that works, else torch or numpy."""

import os
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import torch

from osae_theory.errors import InputError, check_choice, described
from osae_theory.portable import compiles

BACKENDS = ("auto", "numba", "triton", "torch", "plain")
# "portable" computes the same bits on every machine, "fast" as the machine's libraries do.
ARITHMETICS = ("portable", "fast")
_DTYPES = (torch.float32, torch.float64)
_TRITON_DTYPES = (torch.bfloat16, *_DTYPES)


def use_compiled(backend: str, *tensors: torch.Tensor) -> bool:
    """Say whether numba's compiled kernels are to work on these tensors.

    Parameters
    ----------
    backend : {"auto", "numba", "triton", "torch", "plain"}
        "auto" takes numba for float32 and float64 tensors on a CPU, where it compiles, and
        Triton as `use_triton` says; "plain" is numpy with numba's bits, slow.

    Raises
    ------
    InputError
        If the backend is unknown, or the one asked for cannot take these tensors or does not
        compile.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "triton":
        use_triton(backend, *tensors)
    if backend in ("triton", "torch", "plain"):
        return False
    suitable = True
    for tensor in tensors:
        suitable = suitable and tensor.is_cpu and tensor.dtype in _DTYPES
    if backend == "auto":
        return suitable and _compiles()
    if not suitable:
        raise InputError("backend = 'numba': expected float32 or float64 tensors on the CPU")
    if not _compiles():
        raise InputError("backend = 'numba': numba cannot compile on this machine")
    return True


def use_triton(backend: str, *tensors: torch.Tensor) -> bool:
    """Say whether the Triton kernels are to work on these tensors; what they lack torch does.

    Parameters
    ----------
    backend : {"auto", "numba", "triton", "torch", "plain"}
        "auto" takes Triton for bfloat16, float32 and float64 tensors on CUDA, where it can be
        imported and compiles; "triton" takes it on a CPU too, in Triton's interpreter.

    Raises
    ------
    InputError
        If the backend is unknown, or "triton" is not installed, cannot take these tensors, or
        does not compile.
    """
    check_choice("backend", backend, BACKENDS)
    if backend not in ("auto", "triton"):
        return False
    devices = {tensor.device for tensor in tensors}
    suitable = len(devices) == 1 and all(tensor.dtype in _TRITON_DTYPES for tensor in tensors)
    on_gpu = all(device.type == "cuda" for device in devices)
    if backend == "auto":
        return suitable and on_gpu and _has_triton() and _triton_compiles(*devices)
    if not _has_triton():
        raise InputError("backend = 'triton': triton is not installed")
    if not suitable:
        raise InputError(
            "backend = 'triton': expected bfloat16, float32 or float64 tensors on one device"
        )
    if not on_gpu and not (devices == {torch.device("cpu")} and _interprets()):
        raise InputError(
            f"backend = 'triton' on device {min(map(str, devices))}: expected a GPU, or"
            " TRITON_INTERPRET=1 in the environment of a CPU"
        )
    if not _triton_compiles(*devices):
        raise InputError("backend = 'triton': triton cannot compile on this machine")
    return True


def torch_in_place(device: torch.device) -> str | None:
    """Return a sentence on why torch computes there in place of Triton; None if Triton does."""
    try:
        use_triton("triton", torch.empty(0, device=device))
    except InputError as error:
        return f"{error}; torch computes in its place"
    return None


def compiled_by(backend: str, *tensors: torch.Tensor) -> str | None:
    """Return whose kernels work on these tensors, "numba" or "triton"; None without any.

    Parameters and errors as in `use_compiled`.
    """
    if use_compiled(backend, *tensors):
        return "numba"
    return "triton" if use_triton(backend, *tensors) else None


def tensor_kernels(backend: str, *tensors: torch.Tensor) -> ModuleType:
    """Return the module whose kernels work on these tensors where no numpy array will do.

    Parameters and errors as in `use_compiled`.
    """
    if use_triton(backend, *tensors):
        return import_module("osae_theory.sae.kernels.triton_kernels")
    from osae_theory.sae.kernels import reference

    return reference


def kernel_module(backend: str, *tensors: torch.Tensor) -> ModuleType | None:
    """Return the module whose kernels work on numpy arrays, or None where none does.

    Parameters and errors as in `use_compiled`.
    """
    if use_compiled(backend, *tensors):
        from osae_theory.sae.kernels import compiled

        return compiled
    if backend == "plain":
        from osae_theory.sae.kernels import plain

        return plain
    return None


def backend_for(arithmetic: str, backend: str, dtype: torch.dtype, device: torch.device) -> str:
    """Return the backend that gives an arithmetic its bits on this machine.

    Parameters
    ----------
    arithmetic : {"portable", "fast"}
        Portable arithmetic is computed by numba or, to the same bits and some hundred times
        more slowly, by numpy.
    backend : {"auto", "numba", "triton", "torch", "plain"}
        What was asked for.
    dtype, device
        Of the training.

    Raises
    ------
    InputError
        If portable arithmetic cannot be had in this dtype, on this device or by this backend;
        or if fast arithmetic is asked of "triton" where it cannot be had.
    """
    check_choice("arithmetic", arithmetic, ARITHMETICS)
    check_choice("backend", backend, BACKENDS)
    if arithmetic == "fast":
        if backend == "triton":
            use_triton(backend, torch.empty(0, dtype=dtype, device=device))
        return backend
    if device.type != "cpu":
        raise InputError(
            f"arithmetic = 'portable' on device {device}: its bits are sums in a stated order, and"
            " only the kernels of a CPU keep it: expected 'fast' there"
        )
    if dtype not in _DTYPES:
        raise InputError(f"arithmetic = 'portable' in {dtype}: expected float32 or float64")
    if backend in ("triton", "torch"):
        raise InputError(
            f"arithmetic = 'portable' with backend = '{backend}': expected arithmetic = 'fast'"
        )
    if backend == "auto":
        return "numba" if _compiles() else "plain"
    return backend


def backend_on(device: str, arithmetic: str = "portable") -> str:
    """Return what trains on a torch device by default: "numba", "triton", "plain" or "torch"."""
    found = compiled_by("auto", torch.empty(0, device=device))
    if found is not None:
        return found
    portable = arithmetic == "portable" and torch.device(device).type == "cpu"
    return "plain" if portable else "torch"


@cache
def _compiles() -> bool:
    """Compile and run the smallest kernel; warn once, and say no, where that fails."""
    try:
        from numba.core import config

        from osae_theory.sae.kernels import compiled

        if getattr(config, "DISABLE_JIT", 0):
            # Their vector code has no form that Python could run.
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        if not compiles():
            raise RuntimeError("matrix products do not compile")
        gradient = np.ones(2, np.float32)
        compiled.bias_gradient(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32), gradient)
        return gradient.tolist() == [1, 0]
    except Exception as error:  # numba and LLVM fail in many ways, all with the same remedy
        warnings.warn(
            f"numba does not compile here ({type(error).__name__}: {error}); training goes on"
            " without: to the same bits in portable arithmetic, some hundred times more slowly",
            RuntimeWarning,
            stacklevel=3,
        )
        return False


@cache
def _has_triton() -> bool:
    try:
        import_module("triton")
    except ImportError:
        return False
    return True


def _interprets() -> bool:
    # Triton reads it once, when a kernel is defined.
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _triton_compiles(device: torch.device) -> bool:
    """Compile and run the smallest problem; warn once, and say no, where that fails."""
    try:
        kernels = import_module("osae_theory.sae.kernels.triton_kernels")
        one = torch.ones(1, 1, 1, device=device)
        latent = torch.zeros(1, 1, 1, dtype=torch.int32, device=device)
        loss, slope, into_atom = one[0, 0].double(), one.clone(), one.clone()
        kernels.prefix_gradients(
            2 * one, latent, one, one, one[0] / 2, loss, slope, into_atom, None
        )
        return [float(t) for t in (loss, slope, into_atom)] == [2.5, -1, -1]
    except Exception as error:  # Triton, its C compiler and drivers fail in many ways
        warnings.warn(
            f"triton does not compile here ({described(error)}); torch computes in its place",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
