"""Torch devices, checked at the door."""

import torch

from osae_theory.errors import InputError


def check_device(name: str) -> torch.device:
    """Return the torch device called `name`, after allocating on it once.

    Raises
    ------
    InputError
        If torch does not know the name, or the device is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown: expected cpu, cuda, mps, ...") from None
    try:
        torch.zeros(1, device=device).cpu()
    except Exception:
        # What a device that this torch names but lacks raises depends on the device.
        raise InputError(
            f"device {name!r} is not available on this machine: expected cpu or one that is"
        ) from None
    return device
