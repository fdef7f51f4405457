"""Documents of Debian packages, in plain text: prose and manuals that install with apt-get."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from osae_theory.errors import InputError
from realdata.text.sources import Document

ROOT = Path("/")
# Where dpkg lists the files of each package: other packages have files in the same folders.
_LISTS = "var/lib/dpkg/info"


@dataclass(frozen=True)
class DebianPackage:
    """The documents of one Debian package, each file one document.

    Attributes
    ----------
    package : str
        Its name, as apt-get takes it.
    pattern : str
        Which of its files, as fnmatch takes it; ".gz" ones are unpacked, links are left out.
    form : str
        "text" for files that are read as they are, such as Markdown and reStructuredText, "pod"
        for Perl's, "roff" for manual pages; a name in FORMS.
    root : Path
        Where packages are installed.
    """

    package: str
    pattern: str
    form: str = "text"
    root: Path = ROOT

    def documents(self) -> Iterator[Document]:
        """Yield the files by path; those without text are left out.

        Raises
        ------
        InputError
            If the package is not installed, or one of its files cannot be read.
        """
        listed = self.root / _LISTS / f"{self.package}.list"
        if not listed.is_file():
            raise InputError(
                f"Debian package {self.package} is not installed: expected apt-get install"
                f" {self.package}"
            )
        names = (name.lstrip("/") for name in listed.read_text(encoding="utf-8").splitlines())
        found = [name for name in sorted(names) if fnmatchcase(name, self.pattern)]
        paths = {name: self.root / name for name in found}
        paths = {name: p for name, p in paths.items() if p.is_file() and not p.is_symlink()}
        if not paths:
            raise InputError(
                f"Debian package {self.package} is installed without {self.pattern}: expected its"
                " documents, which dpkg leaves out where it is told to exclude them"
            )
        for name, path in paths.items():
            text = FORMS[self.form](_read(path)).strip()
            if text:
                yield Document(f"{self.package}:{name}", text)


def _read(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # Perl's documents and older manual pages.
        return raw.decode("latin-1")


_INDEX_ENTRY = re.compile(r"X<[^<>]*>")
_POD_CODE = re.compile(r"[A-Z](?:<<+ (.*?) >>+|<([^<>]*)>)", re.DOTALL)
_POD_ESCAPES = MappingProxyType({"lt": "<", "gt": ">", "verbar": "|", "sol": "/"})
_POD_ESCAPE = re.compile(r"E<([a-z]+)>")


def plain_pod(text: str) -> str:
    """Return a Perl document without its commands and formatting codes."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("=head", "=item")):
            lines.append(line.partition(" ")[2])
        elif not re.match(r"=[a-z]", line):
            lines.append(line)
    plain = _INDEX_ENTRY.sub("", "\n".join(lines))
    # Escapes are set aside, so that the brackets that they stand for are not taken for a code's.
    plain = _POD_ESCAPE.sub(lambda found: f"\0{found[1]}\0", plain)
    # Codes stand inside each other, the innermost is opened first.
    while (opened := _POD_CODE.sub(lambda found: found[1] or found[2] or "", plain)) != plain:
        plain = opened
    plain = re.sub("\0([a-z]+)\0", lambda found: _POD_ESCAPES.get(found[1], ""), plain)
    return _few_blank_lines(plain)


# Requests whose arguments are text; the fonts alternate between the arguments of the second kind.
_TEXT_REQUESTS = frozenset(("B", "I", "SM", "SH", "SS", "IP", "SB"))
_JOINED_REQUESTS = frozenset(("BI", "BR", "IB", "IR", "RB", "RI"))
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_ROFF_ESCAPES: Mapping[str, str] = MappingProxyType(
    {
        "\\-": "-",
        "\\e": "\\",
        "\\&": "",
        "\\/": "",
        "\\,": "",
        "\\|": "",
        "\\^": "",
        "\\:": "",
        "\\%": "",
        "\\c": "",
        "\\ ": " ",
        "\\~": " ",
        "\\0": " ",
        "\\(aq": "'",
        "\\(dq": '"',
        "\\(ti": "~",
        "\\(ha": "^",
        "\\(bu": "*",
        "\\(em": "--",
        "\\(en": "-",
        "\\(co": "(c)",
        "\\(mu": "x",
        "\\(rs": "\\",
        "\\(ga": "`",
    }
)
_ROFF_FONT = re.compile(r"\\(?:f(?:\[[^]]*\]|\(..|.)|s[-+]?\d+|\*\(..)")
_ROFF_ESCAPE = re.compile(r"\\(?:\(..|\[[^]]*\]|.)")


def plain_roff(text: str) -> str:
    """Return a manual page without its requests and escapes; tables and drawings are dropped."""
    lines: list[str] = []
    until: str | None = None
    for line in text.splitlines():
        if until is not None:
            until = None if line.startswith(until) else until
            continue
        request = re.match(r"[.']\s*([A-Za-z]+)\s*(.*)", line)
        if request is None:
            if not line.startswith((".", "'")):
                lines.append(_unescaped(line))
            continue
        name, rest = request.groups()
        until = {"TS": ".TE", "EQ": ".EN", "ig": "..", "de": ".."}.get(name)
        if name in ("PP", "P", "LP"):
            lines.append("")
        elif name in _TEXT_REQUESTS or name in _JOINED_REQUESTS:
            joint = "" if name in _JOINED_REQUESTS else " "
            before = [""] if name in ("SH", "SS") else []
            given = [quoted or bare for quoted, bare in _ARGUMENT.findall(rest)]
            # The second argument of IP is a width.
            lines += [*before, _unescaped(joint.join(given[:1] if name == "IP" else given))]
    return _few_blank_lines("\n".join(lines))


def _unescaped(line: str) -> str:
    line = re.sub(r'\\".*', "", line)
    line = _ROFF_FONT.sub("", line)
    # \[xx] is another way to write \(xx.
    line = re.sub(r"\\\[(..)\]", r"\\(\1", line)
    return _ROFF_ESCAPE.sub(lambda found: _ROFF_ESCAPES.get(found[0], ""), line)


def _few_blank_lines(text: str) -> str:
    return re.sub(r"\n\s*\n(\s*\n)+", "\n\n", text)


FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"text": str, "pod": plain_pod, "roff": plain_roff}
)
