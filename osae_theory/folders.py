"""Folders of files written whole or not at all."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from osae_theory.errors import InputError
from osae_theory.files import (
    check_writable,
    nearest_folder,
    refused_by_system,
    scratch_folder,
)


def write_folder(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Make a folder whose files are all there, or leave things as they were.

    An older folder with files of the same names and no others is replaced; where `folder` is a
    link, what it points to.

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
    folder = Path(os.path.realpath(folder))
    if folder.exists():
        others = sorted({entry.name for entry in folder.iterdir()} - set(files))
        if others:
            raise InputError(
                f"{folder} holds {others[0]}: expected a new folder, or only {', '.join(files)}"
            )
    with refused_by_system(folder):
        _write(folder, files)


def _write(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    with scratch_folder(nearest_folder(folder.parent)) as scratch:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        for name, write in files.items():
            write(new / name)
            # safetensors makes private files; checkpoints are for whom the folder is for.
            (new / name).chmod(new.stat().st_mode & 0o666)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.replace(old)
        try:
            new.replace(folder)
        except OSError:
            if old.exists():
                old.replace(folder)
            raise
