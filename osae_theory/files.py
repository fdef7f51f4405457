"""Files written whole or not at all; files and folders that are checked before the work."""

import errno
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from osae_theory.errors import InputError

_SCRATCH = ".osae-unfinished-"
_LOCK = ".lock"
# What ends a process and can be seen by it; Windows has no hang-up.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_LONGEST_NAME = 80
_LONGEST_REASON = 120
_POINTER = b"version https://git-lfs.github.com/spec/"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file near `path`, then put it in its place in one step.

    Folders that are missing are made in that step. Where `path` is a link, what it points to is
    replaced and the link stays.
    """
    target = Path(os.path.realpath(path))
    with scratch_folder(nearest_folder(target.parent)) as scratch:
        new = scratch / path.name
        write(new)
        # Some writers make private files; results are for everyone.
        new.chmod(0o666 & ~_umask())
        target.parent.mkdir(parents=True, exist_ok=True)
        new.replace(target)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder in `parent` for what is not whole yet; at the end it is removed.

    It is removed also when the process is told to terminate. What a killed process has left is
    removed by the next that makes one in the same place: a live process holds a lock in its own,
    which the system takes from a dead one, on whatever machine.
    """
    _remove_leftovers(parent)
    scratch, lock = _locked_scratch(parent)
    try:
        with _removed_by_signals(scratch):
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


def check_writable(folder: Path, option: str = "--out", files: Collection[str] = ()) -> None:
    """Raise InputError unless `folder` is, or can become, a folder that can be written to.

    Parameters
    ----------
    folder : Path
    option : str
        What names it on the command line, for the message.
    files : collection of str
        Names of files that are to be written there: none may be a folder's.
    """
    with refused_by_system(folder, option):
        existing = nearest_folder(folder)
        for name in folder.absolute().relative_to(existing).parts:
            # A name can be too long though nothing on the way to it exists.
            with suppress(FileNotFoundError):
                os.lstat(existing / name)
        # Permissions promise what /proc and a read-only disk do not keep.
        Path(tempfile.mkdtemp(dir=existing, prefix=_SCRATCH)).rmdir()
        for name in files:
            if (folder / name).is_dir():
                raise OSError(errno.EISDIR, f"{name} in it is a folder")


@contextmanager
def refused_by_system(folder: Path, option: str = "--out") -> Iterator[None]:
    """Say in one InputError what the system has against writing to `folder`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{option} {_brief(str(folder))} cannot be written to ({reason}): expected a folder, "
            "or a new one, with room and permission"
        ) from error


def check_file(path: Path, expected: str) -> None:
    """Raise InputError unless a path is that of a regular file whose content is there.

    Nothing else is opened: a pipe would be waited for, and a device has no end.

    Parameters
    ----------
    path : Path
    expected : str
        What it is to be, for the message.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is no regular file")
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = " ".join(said.split())[:_LONGEST_REASON]
        raise InputError(f"{path} cannot be read ({reason}): expected {expected}") from error
    if start == _POINTER:
        raise InputError(
            f"{path} is a Git-LFS pointer, the file itself was never downloaded: expected "
            f"{expected} (git lfs pull, or hf download)"
        )


def nearest_folder(folder: Path) -> Path:
    """Return `folder`, or the nearest above it that exists.

    Raises
    ------
    OSError
        If that is a file or a link that leads nowhere, or if the name cannot be a folder's.
    """
    existing = folder.absolute()
    while not _exists(existing):
        if existing.is_symlink():
            raise OSError(errno.ENOENT, f"{existing} is a link that leads nowhere")
        existing = existing.parent
    if not existing.is_dir():
        raise OSError(errno.ENOTDIR, f"{existing} is a file")
    return existing


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError as error:  # NUL, or letters that file names do not have here
        raise OSError(errno.EINVAL, "its name cannot be a folder's") from error
    return True


def _locked_scratch(parent: Path) -> tuple[Path, FileLock]:
    while True:
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=_SCRATCH))
        lock = FileLock(scratch / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):
            continue  # taken for a leftover before it was locked
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return scratch, lock


def _remove_leftovers(parent: Path) -> None:
    for leftover in parent.glob(f"{_SCRATCH}*"):
        # Somebody else's, on a disk without locks, or gone by now: not ours to remove.
        with (
            suppress(OSError, Timeout, NotImplementedError),
            FileLock(leftover / _LOCK, timeout=0),
        ):
            shutil.rmtree(leftover)


@dataclass(frozen=True)
class _Removal:
    """A signal handler that removes a folder and then lets the signal do what it did before."""

    folder: Path
    before: "signal.Handlers | _Removal"

    def __call__(self, number: int, frame: FrameType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(number, self.before)
        signal.raise_signal(number)


@contextmanager
def _removed_by_signals(folder: Path) -> Iterator[None]:
    """Have the folder removed by signals that would end the process without a word."""
    replaced: dict[int, signal.Handlers | _Removal] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            before = signal.getsignal(number)
            if before is signal.SIG_DFL or isinstance(before, _Removal):
                replaced[number] = before
                signal.signal(number, _Removal(folder, before))
    try:
        yield
    finally:
        for number, before in replaced.items():
            signal.signal(number, before)


def _brief(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}...")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
