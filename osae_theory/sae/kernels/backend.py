"""Which backend computes: compiled by numba where that works, torch elsewhere."""

import warnings
from functools import cache

import numpy as np
import torch

from osae_theory.errors import InputError, check_choice

BACKENDS = ("auto", "numba", "torch")
_DTYPES = (torch.float32, torch.float64)


def use_compiled(backend: str, *tensors: torch.Tensor) -> bool:
    """Say whether the compiled kernels are to work on these tensors.

    Parameters
    ----------
    backend : {"auto", "numba", "torch"}
        "auto" takes numba for float32 and float64 tensors on a CPU, where it compiles.

    Raises
    ------
    InputError
        If the backend is unknown, or "numba" cannot take these tensors or does not compile.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "torch":
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


def backend_on(device: str) -> str:
    """Return what trains on a torch device by default: "numba" or "torch"."""
    return "numba" if use_compiled("auto", torch.empty(0, device=device)) else "torch"


@cache
def _compiles() -> bool:
    """Compile and run the smallest kernel; warn once, and say no, where that fails."""
    try:
        from numba.core import config

        from osae_theory.sae.kernels import compiled

        if getattr(config, "DISABLE_JIT", 0):
            # Their vector code has no form that Python could run.
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        gradient = np.ones(2, np.float32)
        compiled.bias_gradient(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32), gradient)
        return gradient.tolist() == [1, 0]
    except Exception as error:  # numba and LLVM fail in many ways, all with the same remedy
        warnings.warn(
            f"numba does not compile here ({type(error).__name__}: {error}); training goes on"
            " with torch, more slowly, and not with the same bits",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
