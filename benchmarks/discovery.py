"""What the folders of families, methods, metrics and presets hold: one file an item, or a family.

A module declares constants; nothing registers itself, and a name given twice is an error that
names both files. Folders of the same names in the folder that the environment variable
OSAE_BENCHMARKS names are searched too: so a study has items of its own without changing this
package, in worker processes as well.
"""

import importlib
import os
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

from osae_theory.errors import InputError, JobError, described

EXTRA = "OSAE_BENCHMARKS"


@runtime_checkable
class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


N = TypeVar("N")


@cache
def modules(package: str) -> tuple[ModuleType, ...]:
    """Return the modules of a folder of items, by name; those that begin with _ are not items.

    Raises
    ------
    InputError
        If a module cannot be imported, or OSAE_BENCHMARKS names no folder.
    """
    home = importlib.import_module(package)
    for extra in _extra_folders(package.rpartition(".")[2]):
        if extra not in home.__path__:
            home.__path__.append(extra)
    where: dict[str, str] = {}
    for folder in home.__path__:
        for found in pkgutil.iter_modules([folder]):
            if found.name in where:
                raise InputError(
                    f"two files are called {found.name}.py: in {where[found.name]} and in {folder};"
                    " expected one, since the second could not be imported"
                )
            where[found.name] = folder
    return tuple(_imported(f"{package}.{name}") for name in sorted(where) if name[0] != "_")


def collected(package: str, constant: str, kind: type[N]) -> Mapping[str, N]:
    """Return what the modules of a folder declare under a constant's name, by the items' names.

    Parameters
    ----------
    package : str
        The folder, such as "benchmarks.methods".
    constant : str
        Such as "METHOD"; with an S at its end it is a sequence of items.
    kind : type
        What the items are.

    Raises
    ------
    InputError
        If two items have one name, or a module declares nothing or something else.
    """
    found: dict[str, N] = {}
    where: dict[str, str] = {}
    for module in modules(package):
        declared: Iterable[Any] = _declared(module, constant, kind)
        for item in declared:
            file = str(module.__file__)
            if item.name in found:
                raise InputError(
                    f"two {package.rpartition('.')[2]} are called {item.name!r}: in"
                    f" {where[item.name]} and in {file}"
                )
            found[item.name], where[item.name] = item, file
    return MappingProxyType(found)


def module_of(folder: str, item: Named) -> str:
    """Return the name of the module of a folder of `benchmarks` that declares an item."""
    for module in modules(f"benchmarks.{folder}"):
        for value in vars(module).values():
            several = isinstance(value, (tuple, list)) and any(one is item for one in value)
            if value is item or several:
                return module.__name__
    raise InputError(f"no module of {folder} declares {item.name!r}")


def _declared(module: ModuleType, constant: str, kind: type[N]) -> Iterable[N]:
    single: Any = getattr(module, constant, None)
    several: Any = getattr(module, f"{constant}S", ())
    items = [*([] if single is None else [single]), *several]
    if not items or not all(isinstance(item, kind) for item in items):
        raise InputError(
            f"{module.__file__} declares no {constant}: expected {constant} = {kind.__name__}(...),"
            f" or several in {constant}S"
        )
    return items


def _extra_folders(name: str) -> list[str]:
    given = os.environ.get(EXTRA)
    if not given:
        return []
    if not Path(given).is_dir():
        raise InputError(f"{EXTRA}={given!r}: expected a folder")
    folder = Path(given).resolve() / name
    return [str(folder)] if folder.is_dir() else []


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (InputError, JobError):
        raise
    except Exception as error:
        raise InputError(
            f"{name.replace('.', '/')}.py cannot be imported ({described(error)})"
        ) from error
