"""Parameters that a problem family or a method declares: names, ranges, defaults, and their values.

A value has one canonical form: 1 and 1.0 are one number, and what stands at the default that its
parameter had when it was introduced is left out of a run's identity, so that a parameter added
later renames no run that was there before.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from osae_theory.errors import InputError, check_choice, check_integer, check_real, shown

Value = int | float | str
Items = tuple[tuple[str, Value], ...]
_NAME = "[A-Za-z][A-Za-z0-9_-]*"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a problem family or a method.

    Attributes
    ----------
    name : str
        As on the command line: letters, digits and underscores.
    kind : str
        "integer", "real" or "choice".
    help : str
        What it is, its unit and its range, in a few words.
    default : int, float, str or None
        What it is where nobody says; None if it must be said.
    introduced : int, float, str or None
        The default that it was introduced with, where that has been changed since: it is this
        one that identities leave out. None if `default` has never been changed.
    candidates : tuple of values
        What the tuning protocol chooses from. With candidates its value comes from the method's
        file of tuned values where nobody says, it has no default, and it always stands in the
        identity.
    at_least, above, at_most, below : float
        The range of a number.
    choices : tuple of str
        The values of a choice.
    """

    name: str
    kind: Literal["integer", "real", "choice"]
    help: str
    default: Value | None = None
    introduced: Value | None = None
    candidates: tuple[Value, ...] = ()
    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise InputError(f"parameter {shown(self.name)}: expected a name of letters and digits")
        if self.tuned and self.default is not None:
            raise InputError(f"parameter {self.name}: expected no default, for it is tuned")

    def read(self, owner: str, value: object) -> Value:
        """Return the canonical form of a value, also of one that is given as text.

        Raises
        ------
        InputError
            If it is not of the parameter's kind, or out of its range; the message names `owner`.
        """
        name = f"{owner}: {self.name}"
        if self.kind == "choice":
            check_choice(name, value, self.choices)
            return str(value)
        number = _number(value) if isinstance(value, str) else value
        if self.kind == "integer":
            if isinstance(number, float) and number.is_integer():
                number = int(number)
            least = int(self.at_least) if math.isfinite(self.at_least) else -(2**63)
            most = int(self.at_most) if math.isfinite(self.at_most) else 2**63 - 1
            check_integer(name, value if number is None else number, least, most)
        else:
            check_real(
                name,
                value if number is None else number,
                above=self.above,
                at_least=self.at_least,
                at_most=self.at_most,
                below=self.below,
            )
        return canonical(number)  # pyright: ignore[reportArgumentType]

    @property
    def tuned(self) -> bool:
        """Whether the tuning protocol chooses its value."""
        return bool(self.candidates)

    @property
    def left_out(self) -> Value | None:
        """The value that identities leave out, in its canonical form; None if there is none."""
        value = self.default if self.introduced is None else self.introduced
        return value if value is None else canonical(value)


def canonical(value: Value) -> Value:
    """Return the one form of a value: numbers that are equal become the same number."""
    if isinstance(value, str):
        return value
    number = float(value)
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return int(value) if isinstance(value, int) else number


@dataclass(frozen=True)
class Bound:
    """Values for all of an owner's parameters, and the part of them that is an identity.

    Attributes
    ----------
    values : mapping of str to value
        For every parameter that is declared.
    identity : tuple of (str, value)
        Sorted by name, without what stands at the default it was introduced with.
    """

    values: Mapping[str, Value] = field(hash=False)
    identity: Items


def bind(
    owner: str,
    parameters: Sequence[Parameter],
    given: Mapping[str, object] | Items,
    tuned: Mapping[str, Value] | None = None,
    tuned_as: str = "",
) -> Bound:
    """Return the values of an owner's parameters: what is given, else tuned, else the default.

    Parameters
    ----------
    owner : str
        The name of the family or method, for messages.
    parameters : sequence of Parameter
        What it declares.
    given : mapping of str to value, or items
        What somebody says; text is read.
    tuned : mapping of str to value, optional
        What the tuning protocol chose.
    tuned_as : str
        What the protocol is to be run for where it has not been, as options; the owner by default.

    Raises
    ------
    InputError
        If a name is not declared, a value cannot be read, or one is missing.
    """
    said = dict(given)
    names = [parameter.name for parameter in parameters]
    for name in said:
        if not names:
            raise InputError(f"{owner} has no parameters: expected no {shown(name)}")
        check_choice(f"{owner}: parameter", name, names)
    values: dict[str, Value] = {}
    for parameter in parameters:
        value = said.get(parameter.name, parameter.default)
        if value is None and parameter.tuned:
            value = (tuned or {}).get(parameter.name)
            if value is None:
                raise InputError(
                    f"{owner} has no tuned {parameter.name}: expected {owner}[{parameter.name}=...]"
                    f", or a run of 'python -m benchmarks.tune --methods {tuned_as or owner}' first"
                )
        if value is None:
            raise InputError(f"{owner}: {parameter.name} is missing: expected {parameter.help}")
        values[parameter.name] = parameter.read(owner, value)
    kept = {p.name: values[p.name] for p in parameters if values[p.name] != p.left_out}
    return Bound(values, tuple(sorted(kept.items())))


def selector(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the settings of a selector such as "osae[law=zipf,alpha=1.2]".

    Raises
    ------
    InputError
        If it has not that form, or sets a parameter twice.
    """
    found = re.fullmatch(rf"\s*({_NAME})\s*(?:\[(.*)\])?\s*", text, re.DOTALL)
    if not found:
        raise InputError(f"{shown(text)}: expected a name, or a name with settings: name[a=1,b=x]")
    settings: dict[str, str] = {}
    for part in filter(None, (found[2] or "").split(",")):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value):
            raise InputError(f"{shown(text)}: expected settings as name=value, not {shown(part)}")
        if name in settings:
            raise InputError(f"{shown(text)}: expected each setting once, {name} is there twice")
        settings[name] = value
    return found[1], settings


def selectors(text: str) -> list[str]:
    """Return the selectors of a list with commas, those inside brackets left alone."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text)]


def label(name: str, items: Iterable[tuple[str, Value]]) -> str:
    """Return the selector that stands for a name and settings, such as "osae[law=zipf]"."""
    text = ",".join(f"{key}={written(value)}" for key, value in items)
    return f"{name}[{text}]" if text else name


def written(value: Value) -> str:
    """Return a value as text that reads back as the same value."""
    return value if isinstance(value, str) else repr(canonical(value))


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
