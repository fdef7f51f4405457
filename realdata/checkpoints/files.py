"""Reading files of checkpoints without trusting them: no code runs, sizes are judged first."""

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
from pathlib import Path
from reprlib import repr as brief
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osae_theory.errors import InputError
from osae_theory.files import check_file
from realdata.checkpoints.format import INDEX

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
_NPY = np.lib.format.MAGIC_PREFIX
# Of the header of one array in an npz file, in bytes.
_LONGEST_HEADER = 2**16
_HEADERS = MappingProxyType(
    {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
)
# What torch.compile and data parallelism put before the names of a module's tensors.
_WRAPPERS = ("_orig_mod.", "module.")


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
        raise unreadable(path, "a JSON object", error) from error
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
        raise unreadable(path, "a safetensors file", error) from error


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
        with path.open("rb") as file:
            if file.read(len(_NPY)) != _NPY:
                raise ValueError("it does not begin as one")
        # Mapped, since a header can state more than the file holds.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(_native(np.array(mapped)))
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise unreadable(path, expected, error) from error


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
        raise unreadable(path, expected, error) from error
    if check is not None:
        check(shapes)
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = [name for name in archive.files if names is None or name in names]
            arrays = {name: archive[name] for name in wanted}
        return {name: torch.from_numpy(_native(array)) for name, array in arrays.items()}
    except (zipfile.BadZipFile, zlib.error, *_DAMAGE) as error:
        raise unreadable(path, expected, error) from error


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
        raise unreadable(path, "a torch file of tensors", error) from error


def unwrapped(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return tensors by the names they have in their module, where all carry a wrapper's prefix."""
    for prefix in _WRAPPERS:
        if values and all(isinstance(name, str) and name.startswith(prefix) for name in values):
            return unwrapped({name.removeprefix(prefix): value for name, value in values.items()})
    return dict(values)


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


def _native(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def unreadable(path: Path, expected: str, error: Exception) -> InputError:
    """Return the error of a file that another library could not read, its reason in one line."""
    said = "".join(c if c.isprintable() else " " for c in str(error))
    reason = " ".join(said.split())[:_LONGEST_REASON] or type(error).__name__
    return InputError(f"{path} cannot be read ({reason}): expected {expected}")
