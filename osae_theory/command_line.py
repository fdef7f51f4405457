"""What every command line of the project shares: one-line errors, exit codes, option types.

A job writes its files before it prints: a reader that has gone away, a full or closed standard
output, or one that lacks a letter, costs nothing but what could not be read.
"""

import argparse
import ast
import codecs
import math
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from osae_theory import __version__
from osae_theory.errors import LARGEST_INTEGER, InputError, JobError, in_one_line, shown
from osae_theory.starting import missing, open_descriptors

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
# As a shell has it of a program that dies of a broken pipe.
EXIT_NO_READER = 141
_LONGEST_MESSAGE = 600
_SPELLED = "osae-spelled"
_SPELLINGS = {
    "±": "+-",
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "‖": "||",
    "α": "alpha",
    "ε": "epsilon",
    "η": "eta",
    "λ": "lambda",
    "μ": "mu",
    "σ": "sigma",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on standard error.

    Attributes
    ----------
    resumes : bool
        Whether the command keeps what it has finished when it is stopped.
    """

    def __init__(self, module: str, description: str, resumes: bool = False) -> None:
        script = os.path.basename(sys.argv[0] if sys.argv else "")
        program = script if script.startswith("osae-") else f"python -m {module}"
        super().__init__(prog=program, description=description, allow_abbrev=False)
        self.resumes = resumes
        self.register("type", int, whole_number)
        self.add_argument("--version", action="version", version=__version__)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.fail(EXIT_BAD_INPUT, message)

    def fail(self, code: int, message: str) -> NoReturn:
        """Exit with a code and one line, shortened in its middle if it is long."""
        line = " ".join(message.split())
        if len(line) > _LONGEST_MESSAGE:
            half = _LONGEST_MESSAGE // 2
            line = f"{line[:half]} ... {line[-half:]}"
        self.exit(code, f"{self.prog}: error: {line}\n")


def run(
    parser: Parser | Callable[[], Parser],
    job: Callable[[argparse.Namespace], None],
    arguments: list[str],
) -> int:
    """Parse and do a job; return its exit code. What users cause is one line, no traceback.

    A parser that looks at what a user has is given as the function that makes it.
    """
    if not isinstance(parser, Parser):
        try:
            parser = parser()
        except InputError as error:
            Parser("benchmarks", "").error(str(error))
    closed = _make_streams_usable()
    with _one_line_warnings(parser.prog):
        try:
            try:
                job(parser.parse_args(arguments))
            finally:
                sys.stdout.flush()
        except InputError as error:
            parser.error(str(error))
        except MemoryError as error:
            parser.error(f"not enough memory: {error}" if str(error) else "not enough memory")
        except JobError as error:
            parser.fail(EXIT_FAILED, str(error))
        except ModuleNotFoundError as error:
            parser.fail(EXIT_FAILED, missing(error))
        except BrokenPipeError:
            _drop_output()
            return EXIT_NO_READER
        except OSError as error:
            _fail_by_system(parser, error)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            parser.error(f"not enough memory: {in_one_line(error)}")
        except KeyboardInterrupt:
            how = ": the same command goes on with the runs it has finished"
            print(f"{parser.prog}: interrupted{how * parser.resumes}", file=sys.stderr)
            return EXIT_INTERRUPTED
        if closed:
            parser.fail(EXIT_FAILED, "standard output is closed: nothing could be printed")
    return 0


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Say whether torch, if it is imported, ran out of a device's memory or the machine's."""
    if "torch" not in sys.modules:
        return False
    from osae_theory.devices import is_out_of_memory

    return is_out_of_memory(error)


def _fail_by_system(parser: Parser, error: OSError) -> None:
    """Say what the system refused; raise an error that is none of the system's."""
    if _output_fails():
        _drop_output()
        reason = f"standard output cannot be written ({error.strerror or error})"
        parser.fail(EXIT_FAILED, reason)
    if error.errno is None:
        raise error
    place = f"{shown(error.filename)}: " if error.filename is not None else ""
    how = "; the same command goes on with the runs it has finished" * parser.resumes
    parser.fail(EXIT_FAILED, f"{place}{error.strerror or error}{how}")


def _output_fails() -> bool:
    """Say whether standard output still holds what it could not write."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _drop_output() -> None:
    """Let what is left to print go nowhere, also at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_streams_usable() -> bool:
    """Make standard output and error streams that take any text; say whether output is closed."""
    open_descriptors()
    closed = sys.stdout is None
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error(_SPELLED, _spelled)
    for stream in (sys.stdout, sys.stderr):
        # What somebody chose, such as PYTHONIOENCODING=ascii:replace, stays.
        if getattr(stream, "errors", None) in ("strict", "surrogateescape", "backslashreplace"):
            with suppress(AttributeError):
                stream.reconfigure(errors=_SPELLED)  # pyright: ignore[reportAttributeAccessIssue]
    return closed


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Spell in ASCII what an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_spelling, lacking)), error.end


def _spelling(letter: str) -> str:
    if letter in _SPELLINGS:
        return _SPELLINGS[letter]
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or letter.encode("ascii", "backslashreplace").decode()


@contextmanager
def _one_line_warnings(program: str) -> Iterator[None]:
    """Print the warnings that are meant for users without the place in the source."""
    before = warnings.formatwarning

    def form(message: Warning | str, category: type[Warning], *place: object) -> str:
        if issubclass(category, RuntimeWarning):
            return f"{program}: warning: {message}\n"
        return before(message, category, *place)  # pyright: ignore[reportArgumentType]

    warnings.formatwarning = form  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        warnings.formatwarning = before


def whole_number(text: str) -> int:
    """Return a whole number as a command line takes it; every option of type int is one."""
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise ValueError
    if len(text) > 100 or abs(int(text)) > LARGEST_INTEGER:
        raise argparse.ArgumentTypeError(
            f"invalid value: {shown(text)}: expected a whole number of at most {LARGEST_INTEGER}"
        )
    return int(text)


def number(text: str) -> float:
    """Return a finite number; argparse names the option and the value otherwise."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"invalid value: {shown(text)}: expected a finite number")
    return value


def commands_in(folder: Path) -> dict[str, str]:
    """Return the commands in a package's folder, each with what it is for.

    A command is a module that begins with "`python -m NAME`: what it is for."
    """
    found = {}
    for file in sorted(folder.rglob("*.py")):
        text = ast.get_docstring(ast.parse(file.read_bytes())) or ""
        first = " ".join(text.split("\n\n")[0].split())
        if named := re.match(r"`(python -m [^`]+)`: (.+)", first):
            found[named[1]] = named[2]
    return found


def listing(commands: dict[str, str]) -> str:
    """Return commands and what they are for, a line each."""
    width = max(map(len, commands))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in commands.items())
