"""Documents that come with Python: its topic help, source files and docstrings."""

import ast
import importlib.util
import inspect
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from osae_theory.errors import InputError, check_choice
from realdata.text.sources import Document

STDLIB = "stdlib"
# Absent from some distributions of Python, or tables of data: `encodings` alone would be a
# quarter of all tokens.
_LEFT_OUT = frozenset(
    (
        "antigravity",
        "encodings",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "test",
        "this",
        "tkinter",
        "turtledemo",
    )
)
_TEST_FOLDERS = frozenset(("test", "tests", "idle_test", "__pycache__"))


@dataclass(frozen=True)
class TopicHelp:
    """Python's own topic help: what `help("with")` prints, one document a topic."""

    def documents(self) -> Iterator[Document]:
        """Yield the topics by name."""
        from pydoc_data.topics import topics

        for name in sorted(topics):
            yield Document(f"help:{name}", topics[name].strip())


@dataclass(frozen=True)
class SourceFiles:
    """The source files of the standard library or of an installed package, one document each.

    Attributes
    ----------
    package : str
        A top-level package, or "stdlib". Tests are left out; nothing is imported.
    """

    package: str

    def documents(self) -> Iterator[Document]:
        """Yield the files by path."""
        for name, text in _python_files(self.package):
            yield Document(f"source:{name}", text)


@dataclass(frozen=True)
class Docstrings:
    """The docstrings of a package's source files, one document a file, in their order there.

    Attributes
    ----------
    package : str
        As in `SourceFiles`.
    """

    package: str

    def documents(self) -> Iterator[Document]:
        """Yield the files that have docstrings, by path."""
        for name, text in _python_files(self.package):
            prose = "\n\n".join(_docstrings(text))
            if prose:
                yield Document(f"docstrings:{name}", prose)


def _python_files(package: str) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of a package's source files by path; those without text are left out."""
    for root, path in _python_paths(package):
        try:
            # As Python itself decodes it: by its coding line.
            with tokenize.open(path) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError):
            continue
        if text.strip():
            yield path.relative_to(root).as_posix(), text


def _python_paths(package: str) -> list[tuple[Path, Path]]:
    """Return (root, path) of each source file, by its path below the root."""
    if package == STDLIB:
        root = Path(sysconfig.get_path("stdlib"))
        # By name, not by what is in the folder, which depends on the machine.
        names = sorted(sys.stdlib_module_names - _LEFT_OUT)
        tops = [path for name in names for path in (root / f"{name}.py", root / name)]
    else:
        check_choice("package", package, [package] if package.isidentifier() else ["a module name"])
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise InputError(f"package {package!r} is not installed, or has no Python source")
        origin = Path(spec.origin)
        tops = list(map(Path, spec.submodule_search_locations or [])) or [origin]
        root = tops[0].parent
    files = chain.from_iterable([top] if top.is_file() else top.rglob("*.py") for top in tops)
    return sorted(
        (root, path) for path in files if _TEST_FOLDERS.isdisjoint(path.relative_to(root).parts)
    )


def _docstrings(text: str) -> list[str]:
    """Return the docstrings of a module, its classes and its functions, in their order there."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    found = (ast.get_docstring(node, clean=False) for node in nodes)
    return [text for text in (inspect.cleandoc(each).strip() for each in found if each) if text]
