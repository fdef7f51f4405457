"""Reading checkpoint files without trusting them: no code runs, every tensor is checked."""

import json
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError, check_choice
from realdata.checkpoints.form import SparseAutoencoder

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What a damaged file can raise in json, safetensors, numpy, zipfile, zlib and torch, beside
# their own errors. InputError is a ValueError: what raises it stands outside these blocks.
_DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
_LONGEST_REASON = 120


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies on this machine.

    Parameters
    ----------
    folder : Path
        The folder that holds its files.
    files : frozenset of str
        Names of the files to look at: all of the folder's, or, where the user named one
        file, that file and the configurations (.json) beside it.
    location : str
        What the user wrote, for messages.
    revision : str, optional
        The hub revision that was asked for.
    """

    folder: Path
    files: frozenset[str]
    location: str
    revision: str | None = None

    def find(self, pattern: str) -> Path:
        """Return the one file that matches `pattern`.

        Raises
        ------
        InputError
            If several files match, or none.
        """
        found = sorted(name for name in self.files if fnmatch(name, pattern))
        if len(found) != 1:
            raise InputError(f"{self.folder} has {len(found)} files named {pattern}: expected one")
        return self.folder / found[0]


@dataclass(frozen=True)
class Format:
    """One library's way to store a sparse autoencoder.

    Parameters
    ----------
    name : str
        The library's name, the key in the registry.
    weights : str
        Name of the file with the tensors, as a glob pattern.
    config : str, optional
        Name of the configuration beside it.
    read : callable
        Takes a `Source`, returns the autoencoder in the internal form, or raises
        InputError in one sentence.
    extras : tuple of str
        Names of files that are read where they exist.
    """

    name: str
    weights: str
    config: str | None
    read: Callable[[Source], SparseAutoencoder]
    extras: tuple[str, ...] = ()

    @property
    def needs(self) -> str:
        """Its files, for messages."""
        return self.weights if self.config is None else f"{self.weights} with {self.config}"

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of all files it may read."""
        return (self.weights, *([self.config] if self.config else []), *self.extras)

    def recognises(self, files: Collection[str]) -> bool:
        """Say whether a folder with these file names holds a checkpoint of this format."""
        has_weights = any(fnmatch(name, self.weights) for name in files)
        return has_weights and (self.config is None or self.config in files)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except _DAMAGE as error:
        raise _unreadable(path, "a JSON object", error) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises
    ------
    InputError
        If the file cannot be read, is truncated or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, *_DAMAGE) as error:
        raise _unreadable(path, "a safetensors file", error) from error


def read_npz(path: Path) -> dict[str, Tensor]:
    """Return the arrays of an npz file as tensors; objects in it are refused, not unpickled.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything but numeric arrays.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise TypeError("a single array")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
        return {name: torch.from_numpy(_native(array)) for name, array in arrays.items()}
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise _unreadable(path, "an npz file of numeric arrays", error) from error


def read_torch(path: Path) -> Any:
    """Return what a torch file holds: tensors and plain containers; nothing else is loaded.

    Raises
    ------
    InputError
        If the file cannot be read, or holds Python objects, whose loading would run code.
    """
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            # On the pickle protocol and the like: advice to who wrote the file.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"a Python object ({named[1]})" if named else "Python objects, or is damaged"
        raise InputError(
            f"{path} holds {what}: expected a file of tensors alone, since loading objects would "
            "run code"
        ) from error
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise _unreadable(path, "a torch file of tensors", error) from error


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
        if value.dtype not in _FLOATS or value.layout != torch.strided or value.is_meta:
            raise InputError(
                f"{name} in {self.path} is {value.layout} {value.dtype} on {value.device}: "
                "expected floating-point numbers, stored in full"
            )
        try:
            taken = value.detach().to(self.dtype).contiguous()
        except (RuntimeError, MemoryError) as error:
            # An expanded tensor can be larger than its file by any factor.
            raise _unreadable(self.path, "a tensor that fits into memory", error) from error
        if not bool(torch.isfinite(taken).all()):
            raise InputError(f"{name} in {self.path} holds NaN or Inf: expected finite numbers")
        return taken

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
            raise InputError(f"{name} = {value} in {self.path}: expected at most {maximum}")
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

    def expect(self, name: str, value: int) -> None:
        """Raise InputError unless a whole number is there and equals that of the tensors."""
        stated = self.whole(name, 0)
        if stated != value:
            raise InputError(
                f"{name} = {stated} in {self.path}: expected {value}, the width of its tensors"
            )


def _check_sums(path: Path) -> None:
    """Raise BadZipFile if a part of an archive does not have its checksum; torch never looks."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"bad checksum of {damaged}")


def _native(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _unreadable(path: Path, expected: str, error: Exception) -> InputError:
    said = "".join(c if c.isprintable() else " " for c in str(error))
    reason = " ".join(said.split())[:_LONGEST_REASON] or type(error).__name__
    return InputError(f"{path} cannot be read ({reason}): expected {expected}")
