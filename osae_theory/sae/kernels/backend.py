"""Which backend computes: compiled by numba where that works, torch or numpy elsewhere."""

import warnings
from functools import cache
from types import ModuleType

import numpy as np
import torch

from osae_theory.errors import InputError, check_choice
from osae_theory.portable import compiles

BACKENDS = ("auto", "numba", "torch", "plain")
# "portable" computes the same bits on every machine, "fast" as the machine's libraries do.
ARITHMETICS = ("portable", "fast")
_DTYPES = (torch.float32, torch.float64)


def use_compiled(backend: str, *tensors: torch.Tensor) -> bool:
    """Say whether the compiled kernels are to work on these tensors.

    Parameters
    ----------
    backend : {"auto", "numba", "torch", "plain"}
        "auto" takes numba for float32 and float64 tensors on a CPU, where it compiles;
        "plain" is numpy with numba's bits, slow.

    Raises
    ------
    InputError
        If the backend is unknown, or "numba" cannot take these tensors or does not compile.
    """
    check_choice("backend", backend, BACKENDS)
    if backend in ("torch", "plain"):
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


def kernel_module(backend: str, *tensors: torch.Tensor) -> ModuleType | None:
    """Return the module whose kernels work on numpy arrays, or None where torch is to compute.

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
    backend : {"auto", "numba", "torch", "plain"}
        What was asked for.
    dtype, device
        Of the training.

    Raises
    ------
    InputError
        If portable arithmetic cannot be had in this dtype, on this device or by torch.
    """
    check_choice("arithmetic", arithmetic, ARITHMETICS)
    check_choice("backend", backend, BACKENDS)
    if arithmetic == "fast":
        return backend
    if device.type != "cpu":
        raise InputError(f"arithmetic = 'portable' on device {device}: expected 'fast' there")
    if dtype not in _DTYPES:
        raise InputError(f"arithmetic = 'portable' in {dtype}: expected float32 or float64")
    if backend == "torch":
        raise InputError(
            "arithmetic = 'portable' with backend = 'torch': expected arithmetic = 'fast'"
        )
    if backend == "auto":
        return "numba" if _compiles() else "plain"
    return backend


def backend_on(device: str, arithmetic: str = "portable") -> str:
    """Return what trains on a torch device by default: "numba", "plain" or "torch"."""
    if use_compiled("auto", torch.empty(0, device=device)):
        return "numba"
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
