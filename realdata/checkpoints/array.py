"""A dictionary alone, as one matrix in a file: .npy, or .safetensors with a single tensor.

Rows are atoms, (K, d), also where there are more columns than rows: nothing in the file says
more, so the shape that was read is told. There is no encoder.
"""

from types import MappingProxyType
from typing import NoReturn

import torch
from torch import Tensor

from osae_theory.errors import InputError
from realdata.checkpoints.contents import Tensors
from realdata.checkpoints.files import read_npy, read_safetensors
from realdata.checkpoints.form import StoredDictionary
from realdata.checkpoints.format import INDEX, Format, Source


def read_npy_dictionary(source: Source) -> StoredDictionary:
    """Return the atoms in a .npy file.

    Raises
    ------
    InputError
        If the file cannot be read, or its array is no matrix of finite floating-point numbers.
    """
    path = source.folder / str(source.named)
    return _dictionary("the array", read_npy(path), source, NPY.name)


def read_safetensors_dictionary(source: Source) -> StoredDictionary:
    """Return the atoms in a .safetensors file with a single tensor, whatever its name.

    Raises
    ------
    InputError
        If the file cannot be read, holds more than one tensor, or its tensor is no matrix of
        finite floating-point numbers.
    """
    path = source.folder / str(source.named).removesuffix(INDEX)
    tensors = read_safetensors(path)
    if len(tensors) != 1:
        raise InputError(
            f"{path} holds {len(tensors)} tensors, and no known configuration is beside it: "
            "expected a single matrix, its rows the atoms"
        )
    [(name, tensor)] = tensors.items()
    return _dictionary(name, tensor, source, SAFETENSORS.name)


def _dictionary(name: str, values: Tensor, source: Source, kind: str) -> StoredDictionary:
    wide = values.dtype == torch.float64
    path = source.folder / str(source.named)
    tensors = Tensors({name: values}, path, torch.float64 if wide else torch.float32)
    K, d = tensors.shape(name)
    return StoredDictionary(
        architecture="dictionary",
        decoder_rows=tensors.take(name, (K, d)),
        metadata=MappingProxyType({"format": kind, "read": f"{K} rows as atoms of length {d}"}),
    )


def _refuse(found: StoredDictionary, source: Source) -> NoReturn:
    raise InputError(
        f"{source.location} is a dictionary alone ({found.metadata['read']}): expected a "
        "checkpoint with an encoder"
    )


NPY = Format(
    "npy",
    "*.npy",
    None,
    lambda source: _refuse(read_npy_dictionary(source), source),
    read_npy_dictionary,
    by_name=True,
)
SAFETENSORS = Format(
    "safetensors",
    "*.safetensors",
    None,
    lambda source: _refuse(read_safetensors_dictionary(source), source),
    read_safetensors_dictionary,
    by_name=True,
)
