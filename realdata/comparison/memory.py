"""How much memory is free, for what would otherwise fail only after the work."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes that a process can have now; None where the system does not say.

    Linux says it of the machine, and of the group of processes where that has a limit, as in a
    container.
    """
    known = [value for value in (_of_machine(), _of_group()) if value is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        [free] = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(free) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _of_group() -> int | None:
    try:
        most, used = (int(_said(name)) for name in ("max", "current"))
        counts = dict(line.split() for line in _said("stat").splitlines())
        # Pages of files that were read are in use until somebody needs the room.
        return max(most - used + int(counts.get("inactive_file", 0)), 0)
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None


def _said(name: str) -> str:
    return (_GROUP / f"memory.{name}").read_text(encoding="ascii")
