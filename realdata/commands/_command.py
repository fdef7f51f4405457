"""What a command of `python -m realdata` is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command: one file of this room.

    Attributes
    ----------
    name : str
        On the command line.
    text : str
        What it is for, without a capital or a full stop.
    add : callable
        Adds its options to a parser.
    do : callable
        Does it, given the options and the whole command line as text.
    resumes : bool
        Whether the same command goes on with what it had finished when it was stopped.
    """

    name: str
    text: str
    add: Callable[[argparse.ArgumentParser], None]
    do: Callable[[argparse.Namespace, str], None]
    resumes: bool = False
