"""Torch devices: checked at the door, and what to do where their memory does not suffice."""

import gc

import torch

from osae_theory.errors import InputError, described

_FULL = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")


def check_device(name: str) -> torch.device:
    """Return the torch device called `name`, after allocating on it once.

    Raises
    ------
    InputError
        If torch does not know the name, or the device is not there: for a GPU the message says
        whether torch is built without CUDA, or what it found instead of a GPU that it can use.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown: expected cpu, cuda, mps, ...") from None
    lacking = f"device {name!r} is not available on this machine"
    built = torch.version.cuda
    if device.type == "cuda" and built is None:
        raise InputError(
            f"{lacking} (torch {torch.__version__} is built without CUDA): expected cpu, or a torch"
            " that is built with it"
        )
    try:
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # what a device that this torch names but lacks raises differs
        if device.type == "cuda":
            raise InputError(
                f"{lacking} (torch {torch.__version__} for CUDA {built} says {described(error)}):"
                " expected cpu, or a GPU with a driver that is new enough"
            ) from None
        raise InputError(f"{lacking}: expected cpu or one that is") from None
    return device


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an exception means that memory did not suffice, a device's or the machine's."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # Allocators of a CPU's memory, of libraries and of a context have no type of their own.
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _FULL)


def release(device: torch.device) -> None:
    """Give back the memory of tensors that nobody refers to any more.

    Outside the `except` that caught the exception: it holds the frames with their tensors.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
