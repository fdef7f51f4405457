"""Which code decides a run's numbers: a hash of the project's files that its task really imports.

It follows imports from the module that trains and measures, and from the method's and the
family's own: so a change of a caption, or another method, is no change of the code of a run.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = ("osae_theory", "benchmarks")
_LIBRARIES = ("numba", "numpy", "scipy", "torch")
_LENGTH = 16


def code_state(*modules: str) -> str:
    """Return a hash of these modules, of what they import from the project, and of the libraries.

    Read from the files as they are now, and not as they were imported.
    """
    digest = hashlib.sha256()
    for name, file in sorted(_closure(modules).items()):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library} {_version(library)}\n".encode())
    return digest.hexdigest()[:_LENGTH]


def _closure(modules: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in _PROJECT:
            continue
        file = _file(name)
        if file is None:  # a name that a module holds, not a module
            continue
        found[name] = file
        waiting.append(name.rpartition(".")[0])
        waiting += _imports(file.read_bytes())
    return found


@cache
def _file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


@cache
def _imports(source: bytes) -> tuple[str, ...]:
    return tuple(_imported_names(ast.walk(ast.parse(source))))


def _imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # What is imported from a package may be a module of it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
