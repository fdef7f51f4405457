"""The door of public functions: what users have at hand becomes what the annotations say.

`@at_the_door` reads a function's own annotations. An argument annotated as an array goes
through `osae_theory.arrays`, one annotated as a law of the prefix length through
`osae_theory.prefixes.as_law` or `as_schedule`; axes that arguments share by name must agree.
Behind the door, code trusts its types.
"""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, wraps
from types import UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin

from jaxtyping import AbstractArray, jaxtyped
from torch import Tensor

from osae_theory.arrays import ArrayLike, Kind, array, tensor
from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw, as_law, as_schedule

__all__ = ["ArrayLike", "array", "as_law", "as_schedule", "at_the_door", "tensor"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def at_the_door(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function take arrays and laws in any form, and refuse what it cannot use.

    Arguments annotated with a jaxtyping shape on numpy arrays or tensors, or with `PrefixLaw`,
    each also with `| None`, are read; others pass as they are. numpy arrays must be finite.
    Floating-point tensors take the precision of the first one given; what is no tensor yet goes
    where the first tensor is.

    The function then raises InputError, before anything else of its own, if such an argument
    cannot be read, or if two of them disagree on an axis or a device.
    """
    signature = inspect.signature(function)
    doors = {
        name: door
        for name, parameter in signature.parameters.items()
        if (door := _door(parameter.annotation)) is not None
    }

    # jaxtyping reads every way to write axes; names alone, as most are, go ten times as fast.
    plain = all(door.names is not None for door in doors.values() if isinstance(door, _ArrayDoor))

    @wraps(function)
    def behind_the_door(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        bound = signature.bind(*args, **kwargs)
        values = bound.arguments
        visitors = [
            name
            for name, door in doors.items()
            if name in values and not (door.optional and values[name] is None)
        ]
        hosts = [value for name in visitors if isinstance(value := values[name], Tensor)]
        for name in visitors:
            values[name] = doors[name].read(name, values[name], hosts)
        arrays = [
            (name, values[name], door)
            for name in visitors
            if isinstance(door := doors[name], _ArrayDoor)
        ]
        lengths: dict[str, int] = {}
        # Inside, `isinstance` holds the axes of one argument against those of the others.
        with nullcontext() if plain else jaxtyped("context"):
            for place, (_, found, door) in enumerate(arrays):
                if not (door.fits(found, lengths) if plain else isinstance(found, door.shaped)):
                    raise InputError(_misfit(arrays[: place + 1]))
        return function(*bound.args, **bound.kwargs)

    return behind_the_door


@dataclass(frozen=True)
class _ArrayDoor:
    shaped: type[AbstractArray]
    kind: Kind
    optional: bool

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The names of the axes; None where they are more than names."""
        names = tuple(self.shaped.dim_str.split())
        return names if all(name.isidentifier() and name != "_" for name in names) else None

    @property
    def axes(self) -> str:
        names = self.shaped.dim_str.replace("#", "").split()
        listed = ", ".join("..." if name.startswith("*") else name for name in names)
        return f"({listed},)" if len(names) == 1 else f"({listed})"

    def read(self, name: str, value: ArrayLike, hosts: list[Tensor]) -> Any:
        if self.shaped.array_type is Tensor:
            return _beside(name, tensor(name, value, kind=self.kind), value, hosts)
        return array(name, value, kind=self.kind)

    def fits(self, found: Any, lengths: dict[str, int]) -> bool:
        """Say whether an array has its axes; `lengths` gets those not met before."""
        names = self.names or ()
        return len(found.shape) == len(names) and all(
            lengths.setdefault(name, length) == length
            for name, length in zip(names, found.shape, strict=True)
        )


@dataclass(frozen=True)
class _LawDoor:
    optional: bool

    def read(self, name: str, value: object, hosts: list[Tensor]) -> PrefixLaw:
        return as_law(name, value)


def _door(annotation: Any) -> _ArrayDoor | _LawDoor | None:
    """Return how to read an argument; None for one that is none of the door's business."""
    optional = False
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        if len(kinds) != 1:
            return None
        annotation, optional = kinds[0], True
    if annotation is PrefixLaw:
        return _LawDoor(optional)
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return _ArrayDoor(annotation, _kind(annotation), optional)
    return None


def _kind(shaped: type[AbstractArray]) -> Kind:
    dtypes = shaped.dtypes
    if not isinstance(dtypes, tuple):  # of any kind: numbers, and Fractions where they are exact
        return "exact"
    if "bool" in dtypes:
        return "truth"
    if "float64" not in dtypes:
        return "whole"
    return "real" if "int64" in dtypes else "float"


def _misfit(arrays: list[tuple[str, Any, _ArrayDoor]]) -> str:
    """Say that the last of the arrays has another shape than those before it leave to it."""
    *before, (name, found, door) = arrays
    others = [f"{n} of shape {tuple(f.shape)}, which is {d.axes}" for n, f, d in before]
    beside = f" beside {' and '.join(others)}" if others else ""
    return f"{name} of shape {tuple(found.shape)}: expected {door.axes}{beside}"


def _beside(name: str, found: Tensor, value: object, hosts: list[Tensor]) -> Tensor:
    """Return a tensor on the device and in the precision of those it is used with."""
    if hosts and not isinstance(value, Tensor):
        found = found.to(hosts[0].device)
    if hosts and found.device != hosts[0].device:
        raise InputError(
            f"{name} is on the device {str(found.device)!r}: expected {str(hosts[0].device)!r}, "
            "where the first tensor is"
        )
    leading = next((host for host in hosts if host.is_floating_point()), None)
    return found.to(leading.dtype) if leading is not None and found.is_floating_point() else found
