"""What becomes of a run: its status, its measurements, its arrays, and where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from benchmarks.spec import RunSpec
from osae_theory.provenance import Provenance

Status = Literal["done", "diverged", "timeout", "error"]
# From the one that says most to the one that says least; the first two are never run again.
STATUSES: tuple[Status, ...] = ("done", "diverged", "timeout", "error")
FINISHED: tuple[Status, ...] = ("done", "diverged")
# All that enter no figure.
NOT_DONE: tuple[Status, ...] = STATUSES[1:]
# Which vectors are kept of every run that is done.
VECTORS = ("permutation", "similarities", "energy_order", "frequency_order")


def _nothing() -> "MappingProxyType[str, np.ndarray]":
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Outcome:
    """One run that was tried.

    Attributes
    ----------
    spec : RunSpec
        What was run.
    status : str
        "done"; "diverged": a loss that is not finite; "timeout"; "error": the method raised, or
        gave what no dictionary is.
    reason : str
        Why it is not done; empty if it is.
    values : mapping of str to float or None
        Its measurements by the metrics' names; None where one is not defined.
    unmeasured : mapping of str to str
        Why metrics that raised have no value, by their names: the run itself is none the worse.
    vectors : mapping of str to array
        One entry a latent: see `VECTORS`.
    arrays : mapping of str to array
        The dictionary (d, K) and what its encoder consists of.
    encoder : str
        The encoder's kind; empty where there is none.
    dictionary_sha256 : str
        Names the dictionary's bits (`osae_theory.provenance.dictionary_sha256`); empty if none.
    seconds : float
        Wall time of the fit divided by the number of runs fitted together.
    provenance : Provenance or None
        The commit, the machine, the versions.
    code : str
        Hash of the code that decides the run's numbers (`benchmarks.code_state`).
    """

    spec: RunSpec
    status: Status
    reason: str = ""
    values: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    unmeasured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    vectors: Mapping[str, np.ndarray] = field(default_factory=_nothing)
    arrays: Mapping[str, np.ndarray] = field(default_factory=_nothing)
    encoder: str = ""
    dictionary_sha256: str = ""
    seconds: float = float("nan")
    provenance: Provenance | None = None
    code: str = ""


@dataclass(frozen=True)
class Measurement:
    """One value of one run, or of a pair of runs.

    Attributes
    ----------
    run : str
        The run's id.
    other : str
        The other run's id, the greater of the two; empty where it is of one run.
    metric : str
        The metric's name.
    value : float or None
        None where it is not defined.
    """

    run: str
    other: str
    metric: str
    value: float | None


@dataclass(frozen=True, eq=False)
class Results:
    """What a task gives: runs that were tried, and measurements of runs that were there before."""

    outcomes: Sequence[Outcome] = ()
    measurements: Sequence[Measurement] = ()
