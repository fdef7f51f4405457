"""The door for arrays: what users have at hand becomes a numpy array or a tensor, or is refused.

Taken are numpy arrays, lists of numbers, pandas DataFrames and Series, torch tensors, and
whatever else numpy reads as numbers. Refused, in one sentence, is what would be misread or
would lose something without a word: text, Python objects, ragged lists, masked entries,
imaginary parts, sparse matrices, and for numpy what lies on another device.
"""

from numbers import Rational
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from osae_theory.errors import InputError, check_finite, shown

# What a door takes: it says itself what it cannot use, and functions say the shape in words.
ArrayLike: TypeAlias = Any
Kind = Literal["float", "real", "exact", "whole", "truth"]

_NUMBERS = "biufc"
_EXPECTED = {
    "float": "numbers",
    "real": "numbers",
    "exact": "numbers",
    "whole": "whole numbers",
    "truth": "truth values",
}
_FLOATS = (np.float16, np.float32, np.float64)


def array(
    name: str,
    value: ArrayLike,
    *,
    kind: Kind = "float",
    ndim: int | None = None,
    finite: bool = True,
) -> np.ndarray:
    """Return what a user gave as a numpy array in the machine's byte order.

    Parameters
    ----------
    name : str
        What messages call the value.
    value
        Array, list, DataFrame, Series or CPU tensor; tensors are detached.
    kind : {"float", "real", "exact", "whole", "truth"}
        "float" gives floating-point numbers, of the precision given up to float64 and
        float64 for whole numbers; "real" leaves whole numbers as they are, and "exact" whole
        numbers and Fractions; "whole" takes whole numbers only, "truth" truth values only.
    ndim : int, optional
        The number of axes; any by default.
    finite : bool
        Whether NaN and Inf are refused.

    Returns
    -------
    array
        The value itself where nothing is to be done; a copy elsewhere.

    Raises
    ------
    InputError
        If the value is not made of numbers of that kind, has masked entries, imaginary
        parts or another number of axes, is sparse, or is not in the CPU's memory.
    """
    found = _plain(name, value)
    if kind == "exact" and found.dtype.kind == "O" and found.ndim and _is_rational(found):
        return found
    if found.dtype.kind not in _NUMBERS:
        raise InputError(f"{name} {_content(found, value)}: expected {_EXPECTED[kind]}")
    if found.dtype.kind == "c":
        found = _real_part(name, found)
    if ndim is not None and found.ndim != ndim:
        raise InputError(f"{name} of shape {found.shape}: expected {ndim} axes, not {found.ndim}")
    found = found.astype(_dtype(name, found, kind), copy=False)
    if finite and found.dtype.kind == "f":
        check_finite(name, found)
    return found


def tensor(name: str, value: ArrayLike, *, kind: Kind = "float") -> Tensor:
    """Return what a user gave as a dense tensor; a tensor keeps its device and its gradient.

    Parameters and errors as in `array`; entries that are not finite pass, as they do through
    every other differentiable function.
    """
    if not isinstance(value, Tensor):
        found = array(name, value, kind=kind, finite=False)
        # A tensor may not share memory that is read-only.
        return torch.from_numpy(np.require(found, requirements=["C", "W"]))
    _check_dense(name, value)
    if value.is_meta:
        raise InputError(f"{name} is a meta tensor: expected one that holds numbers")
    if value.is_complex():
        raise InputError(f"{name} of dtype {value.dtype}: expected real numbers")
    if kind == "float" and not value.is_floating_point():
        return value.to(torch.float64)
    if (kind == "whole" and (value.is_floating_point() or value.dtype == torch.bool)) or (
        kind == "truth" and value.dtype != torch.bool
    ):
        raise InputError(f"{name} of dtype {value.dtype}: expected {_EXPECTED[kind]}")
    return value


def _is_rational(found: np.ndarray) -> bool:
    return all(isinstance(entry, Rational) for entry in found.flat)


def _plain(name: str, value: Any) -> np.ndarray:
    """Return the value as an array of whatever it holds."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, Tensor):
        return _from_tensor(name, value)
    if scipy.sparse.issparse(value):
        raise InputError(f"{name} is sparse: expected a dense array, as {name}.toarray() is")
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ma.MaskedArray) for v in value):
        value = np.ma.array(value)
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(value))
        if masked:
            raise InputError(f"{name} has {masked} masked entries: expected none")
        return np.asarray(value.data)
    try:
        found = np.asarray(value)
        return _from_table(found, value) if found.dtype.kind == "O" else found
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"{name} = {shown(value)}: expected an array of numbers, rows of one length"
        ) from error


def _from_table(found: np.ndarray, value: Any) -> np.ndarray:
    """Return pandas' nullable numbers as numbers, NaN where one is missing."""
    import pandas as pd

    if not isinstance(value, (pd.DataFrame, pd.Series)):
        return found
    columns = value.dtypes if isinstance(value, pd.DataFrame) else [value.dtype]
    if not all(pd.api.types.is_numeric_dtype(dtype) for dtype in columns):
        return found
    return value.to_numpy(np.float64, na_value=np.nan)


def _from_tensor(name: str, value: Tensor) -> np.ndarray:
    _check_dense(name, value)
    if value.device.type != "cpu":
        raise InputError(
            f"{name} is on the device {str(value.device)!r}: expected data in the CPU's memory, "
            f"as {name}.cpu() is"
        )
    # numpy has neither bfloat16 nor the 8-bit formats.
    own = value.dtype in (torch.float16, torch.float32, torch.float64)
    return (value.float() if value.is_floating_point() and not own else value).numpy(force=True)


def _check_dense(name: str, value: Tensor) -> None:
    if value.layout != torch.strided:
        raise InputError(f"{name} is sparse: expected a dense tensor, as {name}.to_dense() is")
    if value.is_quantized:
        raise InputError(f"{name} is quantised: expected numbers, as {name}.dequantize() is")


def _content(found: np.ndarray, value: Any) -> str:
    """Say what an array that holds no numbers holds."""
    if found.ndim == 0:
        return f"= {shown(value)}"
    if found.dtype.kind == "O" and found.size:
        return f"holds Python objects, such as {shown(found.flat[0])}"
    if found.dtype.kind in "US" and found.size:
        return f"holds text, such as {shown(str(found.flat[0]))}"
    return f"holds entries of dtype {found.dtype}"


def _real_part(name: str, found: np.ndarray) -> np.ndarray:
    if np.imag(found).any():
        raise InputError(f"{name} holds numbers with an imaginary part: expected real numbers")
    return np.real(found)


def _dtype(name: str, found: np.ndarray, kind: Kind) -> np.dtype:
    native = found.dtype.newbyteorder("=")
    fits = {"whole": "iu", "truth": "b"}.get(kind, _NUMBERS)
    if native.kind not in fits and found.size:
        raise InputError(f"{name} of dtype {found.dtype}: expected {_EXPECTED[kind]}")
    if kind == "truth":
        return np.dtype(np.bool_)
    if kind == "whole":
        return native if native.kind == "i" else np.dtype(np.int64)
    if native.kind == "f":
        return native if native in _FLOATS else np.dtype(np.float64)
    return native if kind in ("real", "exact") and native.kind in "iu" else np.dtype(np.float64)
