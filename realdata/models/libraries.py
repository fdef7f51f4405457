"""Libraries that the base environment does not have, asked for by name."""

import importlib.util
from typing import Any

from osae_theory.errors import InputError

SETUP = "make setup-realdata"


def library(module: str, what: str, target: str = SETUP) -> Any:
    """Return a module of a library that the base environment does not have.

    Raises
    ------
    InputError
        If it is not installed; the message says what needs it, and how to install it.
    """
    need(module.partition(".")[0], what, target)
    return importlib.import_module(module)


def need(module: str, what: str, target: str) -> None:
    """Raise InputError unless a top-level module is installed; see `library`."""
    if importlib.util.find_spec(module) is None:
        raise InputError(f"{what} needs the module {module}, which is not installed: {target}")
