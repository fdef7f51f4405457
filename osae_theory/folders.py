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
    def fill(new: Path) -> None:
        for name, write in files.items():
            write(new / name)
            # safetensors makes private files; checkpoints are for whom the folder is for.
            (new / name).chmod(new.stat().st_mode & 0o666)

    replace_folder(folder, fill)


def replace_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Have a new folder filled and put in its place in one step, whatever stands there now.

    Parameters
    ----------
    folder : Path
        Where to; its parents are made. Where it is a link, what it points to is replaced.
    fill : callable
        Is given the new folder, which is empty.
    """
    target = Path(os.path.realpath(folder))
    with scratch_folder(nearest_folder(target.parent)) as scratch:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        fill(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.replace(old)
        try:
            new.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise
