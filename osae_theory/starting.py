"""What is arranged before a command imports its libraries: no traceback for what users cause."""

import os
import sys
from types import TracebackType

# Of the console scripts, as in pyproject.toml.
_SCRIPTS = "osae-"


def begin_command(package: str) -> None:
    """Guard the imports of a command, if this process is one of `package`'s commands.

    Called by each package as it is first imported: after it, libraries take seconds, in which
    somebody may press Ctrl-C, or one may be missing. A program that only imports the package
    is left as it is.
    """
    if _command_of(package):
        open_descriptors()
        sys.excepthook = _say


def open_descriptors() -> None:
    """Open the null device where a standard stream is closed: no file must get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _command_of(package: str) -> bool:
    if os.path.basename(sys.argv[0] if sys.argv else "").startswith(_SCRIPTS):
        return True
    if sys.argv[:1] != ["-m"]:  # it is that while Python looks for the module to run
        return False
    named = (argument.removeprefix("-m") for argument in sys.orig_argv[1:])
    return any(module.split(".")[0] == package for module in named)


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        _print("interrupted")
    elif isinstance(error, ModuleNotFoundError):
        _print(f"error: {missing(error)}")
    else:
        sys.__excepthook__(kind, error, trace)


def missing(error: ModuleNotFoundError) -> str:
    """Say in a sentence what to do about a module that is not found."""
    package, _, rest = (error.name or "").partition(".")
    found = sys.modules.get(package)
    if rest and found is not None:
        place = next(iter(getattr(found, "__path__", [])), "elsewhere")
        return (
            f"{error.name!r} is not in {place!r}: if that folder is not this project's, it hides"
            " the installed package of the same name: run the command from another folder"
        )
    return (
        f"{error.name!r} is not installed for {sys.executable}: use .venv/bin/python, which"
        " `make toy` and `make setup` make, or for language models .venv-realdata/bin/python, by"
        " `make setup-realdata`"
    )


def _print(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr)
