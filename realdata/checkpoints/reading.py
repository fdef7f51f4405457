"""Reading checkpoint files without trusting them: no code runs, every tensor is checked."""

import io
import json
import math
import os
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
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError, check_choice, shown
from osae_theory.files import check_file
from realdata.checkpoints.form import SparseAutoencoder, StoredDictionary

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
# Of a configuration, in bytes: those of the field are a thousandth of it.
_LONGEST_TEXT = 2**24
# Of the header of one array in an npz file, in bytes.
_LONGEST_HEADER = 2**16
_HEADERS = MappingProxyType(
    {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
)
# The index of a safetensors file in shards has its name and this.
INDEX = ".index.json"
# What torch.compile and data parallelism put before the names of a module's tensors.
_WRAPPERS = ("_orig_mod.", "module.")


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
    named : str, optional
        The name of the one file that the user named.
    """

    folder: Path
    files: frozenset[str]
    location: str
    revision: str | None = None
    named: str | None = None

    def find(self, pattern: str) -> Path:
        """Return the one file that matches `pattern`, or would if it did not lie in shards.

        Raises
        ------
        InputError
            If several files match, or none.
        """
        found = sorted(name for name in self.files if fnmatch(name, pattern))
        if not found and pattern.endswith(".safetensors"):
            indices = (name for name in self.files if fnmatch(name, pattern + INDEX))
            found = sorted(name.removesuffix(INDEX) for name in indices)
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
    dictionary : callable
        Takes a `Source`, returns its decoder alone, and looks at nothing that only latents
        need; or raises InputError in one sentence.
    extras : tuple of str
        Names of files that are read where they exist.
    by_name : bool
        Such files have any name: one is only looked at where the user named it.
    """

    name: str
    weights: str
    config: str | None
    read: Callable[[Source], SparseAutoencoder]
    dictionary: Callable[[Source], StoredDictionary]
    extras: tuple[str, ...] = ()
    by_name: bool = False

    @property
    def needs(self) -> str:
        """Its files, for messages."""
        if self.by_name:
            return f"{self.weights} by its name"
        return self.weights if self.config is None else f"{self.weights} with {self.config}"

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of all files it may read in a folder."""
        if self.by_name:
            return ()
        shards: tuple[str, ...] = ()
        if self.weights.endswith(".safetensors"):
            stem = self.weights.removesuffix(".safetensors")
            shards = (self.weights + INDEX, f"{stem}-*-of-*.safetensors")
        return (self.weights, *shards, *([self.config] if self.config else []), *self.extras)

    def recognises(self, files: Collection[str]) -> bool:
        """Say whether a folder with these file names holds a checkpoint of this format."""
        patterns = [self.weights]
        if self.weights.endswith(".safetensors"):
            patterns.append(self.weights + INDEX)
        has_weights = any(fnmatch(name, pattern) for name in files for pattern in patterns)
        return has_weights and (self.config is None or self.config in files)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises
    ------
    InputError
        If the file cannot be read, is larger than a configuration can be, is not a JSON object,
        or holds a whole number beyond the range of float64.
    """
    check_file(path, "a JSON object")
    try:
        if path.stat().st_size > _LONGEST_TEXT:
            raise ValueError(f"it has more than {_LONGEST_TEXT} bytes")
        content = json.loads(path.read_text(encoding="utf-8"), parse_int=_whole_number)
    except _DAMAGE as error:
        raise _unreadable(path, "a JSON object", error) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, by the names that they have in their module.

    Where there is no such file, but an index of its shards, they are read, as the Hugging Face
    hub's libraries write them: `weight_map` says of each tensor in which file beside it it lies.

    Raises
    ------
    InputError
        If the file cannot be read, is truncated or is no safetensors file; or if the index and
        the shards do not say the same.
    """
    index = path.with_name(path.name + INDEX)
    if os.path.lexists(index) and not os.path.lexists(path):
        return unwrapped(_read_shards(index))
    return unwrapped(_read_safetensors(path))


def _read_shards(index: Path) -> dict[str, Tensor]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InputError(f"weight_map = {brief(places)} in {index}: expected tensors' files")
    tensors: dict[str, Tensor] = {}
    for name in dict.fromkeys(map(str, places.values())):
        # Only files beside the index: it comes from outside.
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise InputError(f"{brief(name)} in {index}: expected a .safetensors file beside it")
        shard = _read_safetensors(index.with_name(name))
        stated = {tensor for tensor, place in places.items() if place == name}
        if shard.keys() != stated:
            raise InputError(
                f"{index.with_name(name)} holds {brief(sorted(shard))}: expected "
                f"{brief(sorted(stated))}, as in {index.name}"
            )
        tensors |= shard
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_file(path, "a safetensors file")
    try:
        return load_file(path)
    except (SafetensorError, *_DAMAGE) as error:
        raise _unreadable(path, "a safetensors file", error) from error


def read_npy(path: Path) -> Tensor:
    """Return the array of a .npy file as a tensor; objects in it are refused, not unpickled.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything but one numeric array of the size it states.
    """
    expected = "a .npy array of numbers"
    check_file(path, expected)
    try:
        # Mapped, since a header can state more than the file holds.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray):
            raise ValueError("it is an archive")
        return torch.from_numpy(_native(np.array(mapped)))
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise _unreadable(path, expected, error) from error


def read_npz(
    path: Path,
    check: Callable[[dict[str, tuple[int, ...]]], None] | None = None,
    names: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Return the arrays of an npz file as tensors; objects in it are refused, not unpickled.

    Parameters
    ----------
    path : Path
    check : callable, optional
        Takes the shapes by name, and raises InputError unless they are those expected. It is
        asked before an array is unpacked, which can be a thousand times as large as the file.
    names : collection of str, optional
        The arrays to unpack; all by default.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything but numeric arrays of the sizes stated.
    """
    expected = "an npz file of numeric arrays"
    check_file(path, expected)
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = _npz_shapes(archive)
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise _unreadable(path, expected, error) from error
    if check is not None:
        check(shapes)
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = [name for name in archive.files if names is None or name in names]
            arrays = {name: archive[name] for name in wanted}
        return {name: torch.from_numpy(_native(array)) for name, array in arrays.items()}
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise _unreadable(path, expected, error) from error


def read_torch(path: Path) -> Any:
    """Return what a torch file holds: tensors and plain containers; nothing else is loaded.

    Raises
    ------
    InputError
        If the file cannot be read, holds records that are larger than itself, or holds Python
        objects, whose loading would run code.
    """
    check_file(path, "a torch file of tensors")
    try:
        _check_records(path)
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


def unwrapped(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return tensors by the names they have in their module, where all carry a wrapper's prefix."""
    for prefix in _WRAPPERS:
        if values and all(isinstance(name, str) and name.startswith(prefix) for name in values):
            return unwrapped({name.removeprefix(prefix): value for name, value in values.items()})
    return dict(values)


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
            raise _unreadable(self.path, "a tensor that fits into memory", error) from error
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


def _whole_number(digits: str) -> int:
    """Return the number that a JSON text spells, if it is in the range of float64."""
    number = int(digits)
    float(number)  # OverflowError beyond it
    return number


def _npz_shapes(archive: zipfile.ZipFile) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array, from headers alone; ValueError if they are not its size."""
    shapes: dict[str, tuple[int, ...]] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in shapes:
            raise ValueError(f"{name} is there twice")
        with archive.open(member) as file:
            start = io.BytesIO(file.read(_LONGEST_HEADER))
        version = np.lib.format.read_magic(start)
        if version not in _HEADERS:
            raise ValueError(f"{name} is of version {version}")
        shapes[name], _, dtype = _HEADERS[version](start)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects")
        if member.file_size != start.tell() + math.prod(shapes[name]) * dtype.itemsize:
            raise ValueError(f"{name} is not of the size that its header states")
    return shapes


def _check_records(path: Path) -> None:
    """Raise BadZipFile if the parts of an archive are not as torch writes them.

    It packs nothing, so they are not larger than the file; checksums it never looks at.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        stated = sum(record.file_size for record in archive.infolist())
        if stated > path.stat().st_size:
            raise zipfile.BadZipFile(f"{stated} bytes in its records, more than in the file")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"bad checksum of {damaged}")


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


def _native(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _unreadable(path: Path, expected: str, error: Exception) -> InputError:
    said = "".join(c if c.isprintable() else " " for c in str(error))
    reason = " ".join(said.split())[:_LONGEST_REASON] or type(error).__name__
    return InputError(f"{path} cannot be read ({reason}): expected {expected}")
