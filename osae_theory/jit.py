"""How a kernel is compiled: by numba, once a machine, kept on disk with a checksum.

A file of the cache that a full disk or a power cut has damaged is not loaded: the kernel is
compiled anew, and the same holds where the cache cannot be written.
"""

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile


class _DamagedError(Exception):
    """A file of the cache does not hold what was written."""


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call: without Python's lock, with IEEE arithmetic.

    Where numba is told not to compile (NUMBA_DISABLE_JIT), it is the function as it is.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    if compiled is function:
        return function
    try:
        # What `cache=True` does, with files that carry a checksum.
        compiled._cache = _CheckedCache(function)
    except (RuntimeError, OSError) as error:
        _warn_unwritable(error)
    return compiled


class _CheckedCache(FunctionCache):
    """numba's cache of one function; what cannot be loaded is not there."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # pickle and LLVM fail in many ways, with the same remedy
            _warn_damaged(self._cache_path, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_unwritable(error)


class _CheckedFile(IndexDataCacheFile):
    """numba's index and data files of one function, each with a sha256 in front."""

    def __init__(self, cache_path: str, filename_base: str, source_stamp: Any) -> None:
        super().__init__(cache_path, f"{filename_base}.checked", source_stamp)

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, overloads = pickle.loads(_read(self._index_path))
        except FileNotFoundError:
            return {}
        except _DamagedError as error:
            _warn_damaged(self._cache_path, error)
            return {}
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, (numba.__version__, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_read(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _write(self, path: str, content: Any) -> None:
        text = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(_digest(path, text) + text)


def _read(path: str) -> bytes:
    """Return what was written into a file of the cache; raise _DamagedError if it is no more."""
    data = Path(path).read_bytes()
    size = hashlib.sha256().digest_size
    if data[:size] != _digest(path, data[size:]):
        raise _DamagedError(os.path.basename(path))
    return data[size:]


def _digest(path: str, content: bytes) -> bytes:
    return hashlib.sha256(os.path.basename(path).encode() + content).digest()


# Python shows a warning of the same words once: a line for all kernels, not one for each.
def _warn_damaged(folder: str, error: Exception) -> None:
    warnings.warn(
        f"numba's cache in {folder} is damaged ({type(error).__name__}); the kernels concerned"
        " are compiled anew",
        RuntimeWarning,
        stacklevel=2,
    )


def _warn_unwritable(error: Exception) -> None:
    reason = error.strerror if isinstance(error, OSError) else "no folder for it can be written to"
    warnings.warn(
        f"numba's cache cannot be written ({reason}): the kernels are compiled anew in every"
        " process; NUMBA_CACHE_DIR may name a folder for it",
        RuntimeWarning,
        stacklevel=2,
    )
