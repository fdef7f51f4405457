"""Folders of files written whole or not at all."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from osae_theory.errors import InputError
from osae_theory.files import check_writable


def write_folder(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Make a folder whose files are all there, or leave things as they were.

    An older folder with files of the same names and no others is replaced.

    Parameters
    ----------
    folder : Path
        Where to; its parents are made.
    files : mapping of str to callable
        For each file name, what writes it, given a path.

    Raises
    ------
    InputError
        If `folder` is a file, holds anything else, or cannot be written to.
    """
    check_writable(folder)
    if folder.exists():
        others = sorted({entry.name for entry in folder.iterdir()} - set(files))
        if others:
            raise InputError(
                f"{folder} holds {others[0]}: expected a new folder, or only {', '.join(files)}"
            )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write(folder, files)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}): expected room and permission"
        ) from error


def _write(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    folder = folder.absolute()
    new = folder.with_name(f".{folder.name}.{uuid4().hex}")
    old = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        new.mkdir()
        for name, write in files.items():
            write(new / name)
            # safetensors makes private files; checkpoints are for whom the folder is for.
            (new / name).chmod(new.stat().st_mode & 0o666)
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
