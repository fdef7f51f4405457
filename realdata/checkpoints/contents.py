"""What files of checkpoints hold: tensors and configurations, taken out by name and checked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import torch
from torch import Tensor

from osae_theory.errors import InputError, check_choice, shown
from realdata.checkpoints.files import unreadable

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class Tensors:
    """The tensors of one file, taken out by name and shape.

    Parameters
    ----------
    values : mapping of str to tensor
    path : Path
        Where they come from, for messages.
    dtype : torch.dtype
        What they are given as: float32 or float64.
    """

    values: Mapping[str, Any]
    path: Path
    dtype: torch.dtype = torch.float32

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def shape(self, name: str) -> tuple[int, int]:
        """Return the shape of a matrix, both sides at least 1.

        Raises
        ------
        InputError
            If it is missing, is no matrix or is empty.
        """
        shape = tuple(self._value(name).shape)
        if len(shape) != 2 or 0 in shape:
            raise InputError(
                f"{name} in {self.path} has shape {shape}: expected a matrix that is not empty"
            )
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor in row-major order, as `dtype`.

        Raises
        ------
        InputError
            If it is missing, has another shape, is not of floating-point numbers, or holds
            NaN or Inf (also where it overflows `dtype`).
        """
        value = self._value(name)
        if tuple(value.shape) != shape:
            raise InputError(
                f"{name} in {self.path} has shape {tuple(value.shape)}: expected {shape}"
            )
        if value.dtype not in _FLOATS:
            raise InputError(
                f"{name} in {self.path} is {value.dtype}: expected floating-point numbers"
            )
        try:
            taken = value.detach().to(self.dtype).resolve_neg().contiguous()
        except (RuntimeError, MemoryError) as error:
            raise unreadable(self.path, "a tensor that fits into memory", error) from error
        if not bool(torch.isfinite(taken).all()):
            raise InputError(f"{name} in {self.path} holds NaN or Inf: expected finite numbers")
        if taken.ndim == 2 and _has_vanished(value, taken):
            raise InputError(
                f"{name} in {self.path} holds numbers so small that they are 0 in {taken.dtype}: "
                "expected numbers that fit"
            )
        return taken

    def whole_numbers(self, name: str) -> list[int]:
        """Return the entries of a tensor of whole numbers, whatever its type.

        Raises
        ------
        InputError
            If it is missing, or holds anything else.
        """
        value = self._value(name)
        readable = value.ndim <= 1 and value.dtype != torch.bool and not value.is_complex()
        numbers = value.reshape(-1).tolist() if readable else []
        if not numbers or any(number != number // 1 for number in numbers):
            raise InputError(
                f"{name} in {self.path} is {brief(numbers) if numbers else value.dtype}: expected "
                "whole numbers"
            )
        return [int(number) for number in numbers]

    def check_no_others(self, known: Collection[str]) -> None:
        """Raise InputError if there is a tensor whose name is not in `known`."""
        others = sorted(str(name) for name in self.values if name not in known)
        if others:
            raise InputError(
                f"{self.path} holds a tensor {others[0]!r}: expected only {', '.join(known)}"
            )

    def _value(self, name: str) -> Tensor:
        value = self.values.get(name)
        if not isinstance(value, Tensor):
            raise InputError(f"{self.path} has no tensor {name!r}: expected one")
        if not _is_stored_in_full(value):
            raise InputError(
                f"{name} in {self.path} is a {_kind(value)} tensor of {value.dtype}: expected "
                "numbers stored in full"
            )
        return value


@dataclass(frozen=True, eq=False)
class Config:
    """The configuration beside the tensors, its fields taken out by name and kind.

    Parameters
    ----------
    values : mapping
    path : Path
        Where they come from, for messages.
    """

    values: Mapping[str, Any]
    path: Path

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> Any:
        """Return a field as it stands, None where it is absent."""
        return self.values.get(name)

    def flag(self, name: str, default: bool) -> bool:
        """Return a true-or-false field.

        Raises
        ------
        InputError
            If it is anything else.
        """
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise InputError(f"{name} = {brief(value)} in {self.path}: expected true or false")
        return value

    def whole(self, name: str, minimum: int = 1, maximum: int | None = None) -> int:
        """Return a whole number.

        Raises
        ------
        InputError
            If it is missing, no whole number, below `minimum` or above `maximum`.
        """
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise InputError(
                f"{name} = {brief(value)} in {self.path}: expected a whole number of at least "
                f"{minimum}"
            )
        if maximum is not None and value > maximum:
            raise InputError(f"{name} = {brief(value)} in {self.path}: expected at most {maximum}")
        return value

    def choice(self, name: str, known: Collection[str], default: str | None = None) -> str:
        """Return a field that is one of `known`; null counts as absent.

        Raises
        ------
        InputError
            If it is missing without a default, or is none of them.
        """
        value = self.values.get(name)
        value = default if value is None else value
        if not isinstance(value, str):
            raise InputError(
                f"{name} = {brief(value)} in {self.path}: expected one of {', '.join(known)}"
            )
        check_choice(f"{name} in {self.path}", value, known)
        return value

    def plain(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields of `names` that are texts, numbers or flags, renamed by it.

        Parameters
        ----------
        names : mapping of str to str
            From what a field is called in the result to what it is called here.
        """
        found = {ours: self.values.get(theirs) for ours, theirs in names.items()}
        return {
            ours: value for ours, value in found.items() if isinstance(value, str | int | float)
        }

    def agree(self, **widths: int) -> None:
        """Raise InputError if a width is stated and is not that of the tensors."""
        for name, value in widths.items():
            if name in self:
                self.expect(name, value)

    def expect(self, name: str, value: int) -> None:
        """Raise InputError unless a whole number is there and equals that of the tensors."""
        stated = self.whole(name, 0)
        if stated != value:
            raise InputError(
                f"{name} = {brief(stated)} in {self.path}: expected {value}, the width of its "
                "tensors"
            )


def positive(name: str, value: object, dtype: torch.dtype) -> float:
    """Return a factor of activations, once it and its reciprocal are known to fit `dtype`.

    Raises
    ------
    InputError
        If it is no number, not above 0, or too small or too large.
    """
    limits = torch.finfo(dtype)
    smallest, largest = max(limits.tiny, 1 / limits.max), 1 / limits.tiny
    if isinstance(value, (int, float)) and value is not True and smallest <= value <= largest:
        return float(value)
    raise InputError(
        f"{name} = {shown(value)}: expected a finite number above 0 that fits "
        f"{str(dtype).removeprefix('torch.')}, as its reciprocal does"
    )


def _kind(value: Tensor) -> str:
    """Say how a tensor is stored, in a word."""
    kinds = {"nested": value.is_nested, "meta": value.is_meta, "quantised": value.is_quantized}
    named = [kind for kind, holds in kinds.items() if holds]
    if named or value.layout != torch.strided:
        return named[0] if named else str(value.layout).removeprefix("torch.")
    return "expanded"


def _is_stored_in_full(value: Tensor) -> bool:
    """Say whether each entry has a place of its own: an expanded tensor can be of any size."""
    if value.layout != torch.strided or value.is_nested or value.is_meta or value.is_quantized:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _has_vanished(value: Tensor, taken: Tensor) -> bool:
    """Say whether a row or column is 0 only since it was rounded to another type."""
    if value.dtype == taken.dtype:
        return False
    return any(
        bool(((value != 0).any(dim=side) & ~(taken != 0).any(dim=side)).any()) for side in (0, 1)
    )
