"""Where a checkpoint lies: a local folder or file, or a repository on the Hugging Face hub."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from importlib import import_module
from itertools import islice
from pathlib import Path

from osae_theory.errors import InputError
from realdata.checkpoints.format import Format, Source

_HUB_ID = re.compile(r"(?P<owner>\w[\w.-]*)/(?P<name>\w[\w.-]*)(?:/(?P<inside>[^\\]+?))?/?")

_LONGEST_SHOWN = 200
# Where some libraries keep a run's weights.
_INNER = "checkpoints"
_FILES = (".json", ".npy", ".npz", ".pt", ".safetensors")
# Of the checkpoints below a folder, and of the folders to look into for them.
_MOST_NAMED = 5
_MOST_VISITED = 10_000


def locate(location: str, revision: str | None, patterns: Iterable[str]) -> Source:
    """Return where a checkpoint's files are, fetched from the hub where it is not local.

    Parameters
    ----------
    location : str
        A local folder or file, or a hub id "owner/name" with an optional "/subfolder" or
        "/file" inside the repository. What exists locally is never looked for on the hub.
    revision : str, optional
        Branch, tag or commit on the hub.
    patterns : iterable of str
        Names of the files to fetch from the hub, as glob patterns.

    Raises
    ------
    InputError
        If nothing is there, it cannot be read, or a revision is asked of a local path; on
        the hub, if it is unknown or gated, if there is no network, or if huggingface_hub is
        not installed.
    """
    if not location:
        raise InputError("the checkpoint's location is empty: expected a local path or a hub id")
    try:
        path = Path(location).expanduser()
    except RuntimeError:
        raise InputError(
            f"{_shortened(location)} names no user of this machine: expected a checkpoint's folder "
            "or file"
        ) from None
    try:
        if path.exists():
            if revision is not None:
                raise InputError(
                    f"revision {revision!r}: expected none, since {location} is a local path"
                )
            return _source(path, location, None)
        return _source(_download(location, revision, tuple(patterns)), location, revision)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{_shortened(location)} cannot be read ({reason}): expected a checkpoint's folder or "
            "file"
        ) from error


def recognise(source: Source, formats: Iterable[Format]) -> Format:
    """Return the one format whose files are at `source`.

    Raises
    ------
    InputError
        If there is none, or more than one. Of a folder that holds none itself the sentence
        names up to five of those below it, else the configuration that weights in it lack.
    """
    known = tuple(formats)
    found = _at_home(source.files, known)
    if not found and source.named is not None and not _is_claimed(source.named, known):
        by_name = (format_ for format_ in known if format_.by_name)
        found = [format_ for format_ in by_name if format_.recognises((source.named,))]
    if not found:
        below = list(islice(_below(source, known), _MOST_NAMED + 1))
        if below:
            names = ", ".join(below[:_MOST_NAMED]) + (", ..." if below[_MOST_NAMED:] else "")
            raise InputError(
                f"{source.location} holds no checkpoint itself: expected one of those below it: "
                f"{names}"
            )
        lacking = _lacking(source.files, known)
        if lacking:
            raise InputError(f"{source.location} has {lacking} beside it: expected both")
        needs = ", ".join(f"{format_.needs} ({format_.name})" for format_ in known)
        raise InputError(f"{source.location} holds no known checkpoint: expected {needs}")
    if len(found) > 1:
        names = " and ".join(format_.name for format_ in found)
        raise InputError(
            f"{source.location} holds checkpoints of {names}: expected one, name its file"
        )
    return found[0]


def _at_home(files: Iterable[str], known: Iterable[Format]) -> list[Format]:
    """Return the formats whose files, of names of their own, are among those of a folder."""
    names = frozenset(files)
    return [format_ for format_ in known if not format_.by_name and format_.recognises(names)]


def _lacking(files: Iterable[str], known: Iterable[Format]) -> str:
    """Say which weights are there without the configuration that they need, if any are."""
    names = frozenset(files)
    for weights in sorted(names):
        without = [
            f"{format_.config} ({format_.name})"
            for format_ in known
            if format_.config is not None
            and not format_.recognises(names)
            and replace(format_, config=None).recognises((weights,))
        ]
        if without:
            return f"{weights} without {' or '.join(without)}"
    return ""


def _is_claimed(name: str, known: Iterable[Format]) -> bool:
    """Say whether a file has the name of a format's weights: it then lacks its configuration."""
    return any(fnmatch(name, format_.weights) for format_ in known if not format_.by_name)


def _below(source: Source, known: Sequence[Format]) -> Iterator[str]:
    """Yield the folders below one that hold a checkpoint, by their paths from there, in order."""
    if source.named is not None:
        return
    for folder, inner, _ in islice(os.walk(source.folder), _MOST_VISITED):
        inner.sort()
        path = Path(folder)
        names: frozenset[str] = frozenset()
        # What cannot be looked into is no checkpoint to offer.
        with suppress(OSError):
            names = _names(path)
        if path != source.folder and _at_home(names, known):
            yield path.relative_to(source.folder).as_posix()


def _names(folder: Path) -> frozenset[str]:
    """Return the names of a folder's files, and those in its folder of checkpoints after that."""
    inner = folder / _INNER
    names = {entry.name for entry in folder.iterdir() if entry.is_file()}
    if inner.is_dir():
        names |= {f"{_INNER}/{entry.name}" for entry in inner.iterdir() if entry.is_file()}
    return frozenset(names)


def _source(path: Path, location: str, revision: str | None) -> Source:
    if path.is_dir():
        return Source(path.resolve(), _names(path), location, revision)
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise InputError(f"{location} {what}: expected a checkpoint's folder or file")
    beside = {entry.name for entry in path.parent.glob("*.json") if entry.is_file()}
    # Not resolved: in the hub's cache a file is a link to a name without meaning.
    files = frozenset({path.name, *beside})
    return Source(path.parent.resolve(), files, location, revision, path.name)


def _download(location: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Fetch the files of one folder of a repository; return where they are now."""
    named = _HUB_ID.fullmatch(location)
    inside = (named and named["inside"]) or ""
    said = _shortened(location)
    if named is None or ".." in location.split("/"):
        raise InputError(f"{said} does not exist: expected a checkpoint's folder or file")
    try:
        hub = import_module("huggingface_hub")
        errors = import_module("huggingface_hub.errors")
    except ImportError as error:
        raise InputError(
            f"{said} does not exist here: expected a local path, or huggingface_hub "
            "installed to look for it on the hub"
        ) from error
    repository = f"{named['owner']}/{named['name']}"
    prefix = f"{inside}/" if inside else ""
    wanted = [prefix + pattern for pattern in patterns]
    if Path(inside).suffix in _FILES:
        # A file is named: its configuration lies beside it.
        wanted += [inside, (Path(inside).parent / "*.json").as_posix()]
    try:
        root = hub.snapshot_download(repository, revision=revision, allow_patterns=wanted)
    except errors.GatedRepoError as error:
        raise InputError(
            f"{repository} is gated on the hub: expected its licence accepted there and a login "
            "(hf auth login)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"revision {revision!r} of {repository} is not on the hub: expected a "
            "branch, tag or commit of it"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise InputError(
            f"{said} exists neither here nor on the hub: expected a local path or a hub id"
        ) from error
    except Exception as error:
        # The client lets errors of its HTTP library through, and which that is has changed.
        raise InputError(
            f"{said} does not exist here, and the hub cannot be reached: expected a local "
            "path, or a network"
        ) from error
    return Path(root) / inside


def _shortened(location: str) -> str:
    """Return a location for a message: what is typed by mistake can be of any length."""
    return location if len(location) <= _LONGEST_SHOWN else f"{location[:_LONGEST_SHOWN]}..."
