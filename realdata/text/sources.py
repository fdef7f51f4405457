"""Documents, and where they come from: a folder of text, or a data set on the hub."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from osae_theory.errors import InputError
from realdata.models.libraries import library

_TEXT_SUFFIXES = frozenset((".txt", ".md", ".rst"))


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
