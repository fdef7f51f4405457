"""A progress bar on standard error whose clock goes on between two steps."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
