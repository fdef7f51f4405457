"""Stand-ins for packages that a GPU check imports by name alone, where they are not installed.

The check's own path computes with torch and Triton. Beside it, modules are imported that take
scikit-learn's base classes, scipy's functions or jaxtyping's shapes: their names are enough.
"""

import sys
from collections.abc import MutableSequence, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Of the base dependencies; numba, pandas and matplotlib are not imported on that path.
NAMES = ("jaxtyping", "safetensors", "scipy", "sklearn", "threadpoolctl")
# What is called all the same: nothing is a sparse matrix where there are none.
_ANSWERS = {"issparse": lambda value: False}


class _OfClass(type):
    def __getitem__(cls, item: object) -> type:
        """Return the annotation that says nothing, in place of one with a shape."""
        return object

    def __call__(cls, *args: object, **kwargs: object) -> object:
        raise ModuleNotFoundError(
            f"{cls.__module__}.{cls.__name__} was called: expected {cls.__module__} installed",
            name=cls.__module__.partition(".")[0],
        )


class _Module(ModuleType):
    # Python looks here for the submodules, which the finder below makes.
    __path__: MutableSequence[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _ANSWERS:
            return _ANSWERS[name]
        found = _OfClass(name, (), {"__module__": self.__name__})
        setattr(self, name, found)
        return found


class _Finder(MetaPathFinder, Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._names:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def is_missing(name: str) -> bool:
    """Say whether a package is not installed, stood in for or not."""
    spec = find_spec(name)
    return spec is None or isinstance(spec.loader, _Finder)


def stand_in() -> tuple[str, ...]:
    """Let the packages of `NAMES` that are missing be imported; return which those are.

    What is called of them raises ModuleNotFoundError, but for questions that have an answer.
    """
    absent = tuple(name for name in NAMES if is_missing(name))
    if absent and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # First: a folder that happens to have the name would be taken for the package.
        sys.meta_path.insert(0, _Finder(absent))
    return absent
