"""Text corpora: documents, split by document into training and evaluation, packed into contexts.

A document's part depends on the seed and on its own text alone, so that no text is in both
parts and no other document changes it. A document's tokens are cut into contexts of one
length; no context holds two documents, and what is left at a document's end, shorter than a
context, is left out, so that there is no padding.
"""

import ast
import hashlib
import importlib.util
import inspect
import json
import sys
import sysconfig
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.seeds import Axis, generator
from realdata.models.libraries import library

TRAINING, EVALUATION = PARTS = ("training", "evaluation")

Tokenise = Callable[[Sequence[str]], list[list[int]]]

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
_TEXT_SUFFIXES = frozenset((".txt", ".md", ".rst"))
_DOCUMENTS_AT_ONCE = 64


@dataclass(frozen=True)
class Document:
    """One text and what it is called."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Return the sha256 of the text, in hexadecimal: what makes two documents one."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@runtime_checkable
class Source(Protocol):
    """Anything that gives documents, in an order of its own."""

    def documents(self) -> Iterator[Document]:
        """Yield the documents."""
        ...


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


@dataclass(frozen=True)
class TextFolder:
    """A folder of text: .txt, .md and .rst files whole, .jsonl files one document a line.

    Attributes
    ----------
    folder : Path
        Searched with its subfolders.
    field : str
        The key of a JSON line's text.
    """

    folder: Path
    field: str = "text"

    def documents(self) -> Iterator[Document]:
        """Yield the documents by path, and by line.

        Raises
        ------
        InputError
            If the folder is not there or has no such file, a file is not UTF-8, or a line is
            not a JSON object with the field.
        """
        if not self.folder.is_dir():
            raise InputError(f"corpus folder {str(self.folder)!r}: expected a folder that exists")
        paths = sorted(
            path
            for path in self.folder.rglob("*")
            if path.suffix in {*_TEXT_SUFFIXES, ".jsonl"} and path.is_file()
        )
        if not paths:
            raise InputError(
                f"corpus folder {str(self.folder)!r} has no .txt, .md, .rst or .jsonl file"
            )
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            try:
                if path.suffix == ".jsonl":
                    yield from self._lines(path, name)
                else:
                    yield Document(name, path.read_text(encoding="utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"{path} is not text in UTF-8") from error

    def _lines(self, path: Path, name: str) -> Iterator[Document]:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    text = json.loads(line)[self.field]
                except (ValueError, KeyError, TypeError):
                    text = None
                if not isinstance(text, str):
                    raise InputError(
                        f"{path}, line {number}: expected a JSON object with a text in "
                        f"{self.field!r}"
                    )
                yield Document(f"{name}:{number}", text)


@dataclass(frozen=True)
class HubDataset:
    """A data set on the Hugging Face hub, streamed; not run here.

    Attributes
    ----------
    repository, revision : str
        The hub id, and a branch, tag or commit.
    field : str
        The column with the text.
    urls : str, optional
        A file of the repository that lists the addresses of its JSON files, for a data set
        that the hub itself does not hold.
    """

    repository: str
    revision: str = "main"
    field: str = "text"
    urls: str | None = None

    def documents(self) -> Iterator[Document]:
        """Yield the rows of the training split in their order.

        Raises
        ------
        InputError
            If the library is not installed, or the hub does not answer or has no such data.
        """
        library("datasets", f"data set {self.repository}")
        errors = library("huggingface_hub.errors", f"data set {self.repository}")
        try:
            for number, row in enumerate(self._rows()):
                yield Document(f"{self.repository}:{number}", row[self.field])
        except errors.GatedRepoError as error:
            raise InputError(
                f"data set {self.repository} is gated: accept its terms on the hub and log in "
                "with `hf auth login`"
            ) from error
        except KeyError as error:
            raise InputError(
                f"data set {self.repository} has no column {self.field!r} of text"
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"data set {self.repository}, revision {self.revision}, cannot be read: {reason}"
            ) from error

    def _rows(self) -> Iterable[Mapping[str, Any]]:
        what = f"data set {self.repository}"
        if self.urls is None:
            return library("datasets", what).load_dataset(
                self.repository, split="train", revision=self.revision, streaming=True
            )
        listed = library("huggingface_hub", what).hf_hub_download(
            self.repository, self.urls, revision=self.revision, repo_type="dataset"
        )
        return json_rows(Path(listed).read_text().split())


def json_rows(files: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of JSON-lines files, each streamed by itself: their columns may differ."""
    load = library("datasets", "a data set").load_dataset
    for file in files:
        yield from load("json", data_files=file, split="train", streaming=True)


@dataclass(frozen=True)
class Corpus:
    """A named set of sources.

    Attributes
    ----------
    name : str
        Its name in the registry, or as the user gave it.
    sources : tuple of Source
        In order; a text that a source before has given is dropped.
    endless : bool
        Too large to be read whole: reading stops when there are enough tokens.
    """

    name: str
    sources: tuple[Source, ...]
    endless: bool = False


_CORPORA = (
    Corpus("python-docs", (TopicHelp(), Docstrings(STDLIB))),
    Corpus("python-source", (SourceFiles(STDLIB),)),
    Corpus(
        "pile-uncopyrighted",
        (HubDataset("monology/pile-uncopyrighted"),),
        endless=True,
    ),
    # The hub's repository holds only lists of addresses and a loading script that the library
    # no longer runs; the sample has 10 billion tokens.
    Corpus(
        "dolma",
        (HubDataset("allenai/dolma", urls="urls/v1_6-sample.txt"),),
        endless=True,
    ),
)

CORPORA: Mapping[str, Corpus] = MappingProxyType({corpus.name: corpus for corpus in _CORPORA})

_KINDS: Mapping[str, Callable[[str], Source]] = MappingProxyType(
    {
        "docstrings": Docstrings,
        "source": SourceFiles,
        "folder": lambda text: TextFolder(Path(text)),
    }
)


def find_corpus(name: str) -> Corpus:
    """Return the corpus that a name means.

    Parameters
    ----------
    name : str
        One of `CORPORA`, or "docstrings:PACKAGE", "source:PACKAGE" or "folder:PATH".

    Raises
    ------
    InputError
        If the name is none of these.
    """
    kind, colon, rest = name.partition(":")
    if colon and rest:
        check_choice("kind of corpus", kind, _KINDS)
        return Corpus(name, (_KINDS[kind](rest),))
    check_choice("corpus", name, [*CORPORA, *(f"{kind}:..." for kind in _KINDS)])
    return CORPORA[name]


@dataclass(frozen=True)
class PackingSettings:
    """How a corpus becomes contexts.

    Attributes
    ----------
    context : int
        Tokens of a context, with the beginning-of-sequence token that opens it.
    seed : int
        Decides the split and the order of the contexts.
    evaluation_share : float
        Probability of a document to be in the evaluation part, in (0, 1).
    training_tokens, evaluation_tokens : int or None
        Positions to keep, counted without the first of each context and rounded up to whole
        contexts; None takes all there are.
    """

    context: int = 128
    seed: int = 0
    evaluation_share: float = 0.2
    training_tokens: int | None = None
    evaluation_tokens: int | None = None

    def __post_init__(self) -> None:
        check_integer("context", self.context, 2)
        check_integer("seed", self.seed, 0)
        check_real("evaluation_share", self.evaluation_share, above=0, below=1)
        for name in ("training_tokens", "evaluation_tokens"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)

    def wanted(self, part: str) -> int | None:
        """Return how many contexts a part is to have; None is all."""
        tokens = self.training_tokens if part == TRAINING else self.evaluation_tokens
        return None if tokens is None else -(-tokens // (self.context - 1))


@dataclass(frozen=True, eq=False)
class PackedText:
    """One part of a corpus as contexts, in a seeded order.

    Attributes
    ----------
    corpus, part : str
        Where it is from: the corpus and "training" or "evaluation".
    contexts : (n, t) int32
        Token ids.
    document : (n,) int32
        The document of each context, as an index of `names`.
    start : (n,) int32
        Where in its document, in tokens, each context's text begins.
    names : tuple of str
        The part's documents.
    opened : bool
        Position 0 of each context is a beginning-of-sequence token.
    text_hash : str
        A sha256 of the texts of the part's documents, whatever their order.
    n_tokens, n_left_out, n_duplicates : int
        Tokens of the documents that were read; those in no context, at the documents' ends or
        beyond what was wanted; and documents dropped because their text was there before.
    """

    corpus: str
    part: str
    contexts: Int32[np.ndarray, "n t"]
    document: Int32[np.ndarray, " n"]
    start: Int32[np.ndarray, " n"]
    names: tuple[str, ...]
    opened: bool
    text_hash: str
    n_tokens: int
    n_left_out: int
    n_duplicates: int

    @property
    def n_positions(self) -> int:
        """Return the number of positions, without the first of each context."""
        return self.contexts.shape[0] * (self.contexts.shape[1] - 1)

    @property
    def token_hash(self) -> str:
        """Return a sha256 of the contexts: of text, tokeniser, split and order together."""
        contexts = np.ascontiguousarray(self.contexts, dtype="<i4")
        digest = hashlib.sha256(repr(contexts.shape).encode())
        digest.update(contexts.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Both parts of a corpus; no text is in both."""

    training: PackedText
    evaluation: PackedText


def part_of(digest: str, seed: int, evaluation_share: float) -> str:
    """Return the part of a document, by a hash of the seed and of its text's hash."""
    drawn = hashlib.sha256(f"split:{seed}:{digest}".encode()).digest()
    return EVALUATION if int.from_bytes(drawn[:8]) < evaluation_share * 2**64 else TRAINING


def pack(
    corpus: Corpus,
    tokenise: Tokenise,
    bos: int | None,
    settings: PackingSettings | None = None,
) -> TextSplit:
    """Split a corpus by document and pack both parts into contexts.

    Parameters
    ----------
    corpus : Corpus
        What to read.
    tokenise : callable
        Gives the token ids of each of several texts, without special tokens.
    bos : int or None
        The token that opens each context, counted in its length; None for none.
    settings : PackingSettings, optional
        Length, split, order and how much.

    Returns
    -------
    TextSplit
        The contexts of a part are in a random order of the seed's, over all documents that
        were read, before those beyond what is wanted are cut off.

    Raises
    ------
    InputError
        If a source cannot be read, or a part has no context, or fewer than wanted.
    """
    settings = settings or PackingSettings()
    parts = {part: _Part(settings, bos) for part in PARTS}
    seen: set[str] = set()
    documents = chain.from_iterable(source.documents() for source in corpus.sources)
    while chunk := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        for document, ids in zip(
            chunk, tokenise([document.text for document in chunk]), strict=True
        ):
            digest = document.digest
            part = parts[part_of(digest, settings.seed, settings.evaluation_share)]
            if digest in seen:
                part.n_duplicates += 1
                continue
            seen.add(digest)
            part.add(document.name, digest, ids)
        if corpus.endless and all(parts[part].has(settings.wanted(part)) for part in PARTS):
            break
    return TextSplit(*(_packed(corpus.name, part, parts[part], settings) for part in PARTS))


class _Part:
    """A part of a corpus while it is read."""

    def __init__(self, settings: PackingSettings, bos: int | None) -> None:
        self.opening = [] if bos is None else [bos]
        self.length = settings.context - len(self.opening)
        self.contexts: list[np.ndarray] = []
        self.document: list[int] = []
        self.start: list[int] = []
        self.names: list[str] = []
        self.digests: list[str] = []
        self.n_tokens = self.n_duplicates = 0

    def add(self, name: str, digest: str, ids: list[int]) -> None:
        """Cut a document's tokens into whole contexts."""
        for start in range(0, len(ids) - self.length + 1, self.length):
            piece = [*self.opening, *ids[start : start + self.length]]
            self.contexts.append(np.asarray(piece, dtype=np.int32))
            self.document.append(len(self.names))
            self.start.append(start)
        self.names.append(name)
        self.digests.append(digest)
        self.n_tokens += len(ids)

    def has(self, wanted: int | None) -> bool:
        """Return whether there are as many contexts as wanted; never when that is all."""
        return wanted is not None and len(self.contexts) >= wanted


def _packed(corpus: str, part: str, read: _Part, settings: PackingSettings) -> PackedText:
    wanted = settings.wanted(part)
    found = len(read.contexts)
    if found < (wanted or 1):
        raise InputError(
            f"corpus {corpus!r} has {found} contexts of {settings.context} tokens in its "
            f"{part} part: expected at least {wanted or 1}"
        )
    order = generator(settings.seed, Axis.DATA_ORDER, PARTS.index(part)).permutation(found)[:wanted]
    return PackedText(
        corpus=corpus,
        part=part,
        contexts=np.stack([read.contexts[i] for i in order]),
        document=np.asarray(read.document, dtype=np.int32)[order],
        start=np.asarray(read.start, dtype=np.int32)[order],
        names=tuple(read.names),
        opened=bool(read.opening),
        text_hash=hashlib.sha256("".join(sorted(read.digests)).encode()).hexdigest(),
        n_tokens=read.n_tokens,
        n_left_out=read.n_tokens - order.size * read.length,
        n_duplicates=read.n_duplicates,
    )


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
