"""Progress bars on standard error whose clock goes on between two steps."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tqdm import tqdm

_EVERY_SECONDS = 1.0


@contextmanager
def progress(
    total: int, description: str, unit: str = "run", leave: bool = True
) -> Iterator["tqdm[Any]"]:
    """Show a bar inside a `with` block; on a terminal its clock ticks, whatever is under way."""
    bar = tqdm(total=total, desc=description, unit=unit, file=sys.stderr, leave=leave)
    done = threading.Event()

    def tick() -> None:
        while not done.wait(_EVERY_SECONDS):
            bar.refresh()

    ticking = threading.Thread(target=tick, daemon=True)
    if sys.stderr.isatty():
        ticking.start()
    try:
        with bar:
            yield bar
    finally:
        done.set()
        if ticking.ident is not None:
            ticking.join()


@dataclass(frozen=True)
class Step:
    """How far some work is.

    Attributes
    ----------
    what : str
        Its name; another name is other work.
    done, total : int
        In units of its own; none is done at first, all at the end unless less was enough.
    stage : str
        What is being done now, where that has a name.
    """

    what: str
    done: int
    total: int
    stage: str = ""


class Bars:
    """One bar at a time inside a `with` block, of the work last told of; in the end there is none.

    It stands until other work is told of: what is all done may be put together yet.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._what, self._stage = "", ""
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        if self._bar is None or step.what != self._what:
            self._close()
            self._what, self._stage = step.what, ""
            self._bar = self._open.enter_context(
                progress(step.total, step.what, unit="", leave=False)
            )
        if step.stage != self._stage:
            self._stage = step.stage
            self._bar.set_postfix_str(step.stage)
        self._bar.update(step.done - self._bar.n)

    def _close(self) -> None:
        self._open.close()
        self._bar = None
