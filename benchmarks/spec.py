"""What is run, as frozen values with one canonical text: the same text is the same run.

Device, versions, host, commit and the code's state are no part of it: they are a run's provenance.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from benchmarks.parameters import Items, Value, label
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.sae import RunSeeds
from osae_theory.sae.kernels import ARITHMETICS
from osae_theory.seeds import Axis, derived_seed

SCHEMA = 1
UNITS = ("steps", "iterations", "none")
_ID_LENGTH = 32


@dataclass(frozen=True)
class Case:
    """One draw of one problem.

    Attributes
    ----------
    family : str
        Name of the problem family.
    params : tuple of (str, value)
        Its parameters in canonical form; see `benchmarks.parameters.Bound.identity`.
    problem_seed : int
        Which draw.
    """

    family: str
    params: Items
    problem_seed: int

    @property
    def cell(self) -> str:
        """The problem without its draw: what one table is about."""
        return label(self.family, self.params)


@dataclass(frozen=True)
class Budget:
    """How much work a method may do.

    Attributes
    ----------
    unit : str
        "steps" of an optimiser, "iterations" over all data, or "none": the method knows when
        it is done.
    amount : int
        How many, at least 1; 0 where the unit is "none".
    batch_size : int
        Samples a step, at least 1; 0 unless the unit is "steps".
    """

    unit: str = "steps"
    amount: int = 1960
    batch_size: int = 1024

    def __post_init__(self) -> None:
        check_choice("budget unit", self.unit, UNITS)
        check_integer(self.unit, self.amount, 0 if self.unit == "none" else 1)
        check_integer("batch size", self.batch_size, 1 if self.unit == "steps" else 0)


@dataclass(frozen=True)
class Setting:
    """Everything that the runs of one task share.

    Attributes
    ----------
    case : Case
        The problem.
    method : str
        Name of the method.
    params : tuple of (str, value)
        Its parameters in canonical form.
    budget : Budget
        Its budget.
    arithmetic : str
        "portable" or "fast".
    """

    case: Case
    method: str
    params: Items
    budget: Budget
    arithmetic: str = "portable"

    def __post_init__(self) -> None:
        check_choice("arithmetic", self.arithmetic, ARITHMETICS)

    @property
    def variant(self) -> str:
        """The method with its settings, as on the command line."""
        return label(self.method, self.params)


@dataclass(frozen=True)
class RunSpec:
    """One run: a setting, and the seeds of start, data order and prefixes."""

    setting: Setting
    seeds: RunSeeds

    @cached_property
    def text(self) -> str:
        """The run's canonical text: JSON with sorted names, no spaces, no defaults."""
        setting, budget = self.setting, self.setting.budget
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "family": setting.case.family,
            "problem": dict(setting.case.params),
            "problem_seed": setting.case.problem_seed,
            "method": setting.method,
            "seeds": [self.seeds.initialisation, self.seeds.data_order, self.seeds.prefixes],
        }
        optional: dict[str, tuple[Any, Any]] = {
            "params": (dict(setting.params), {}),
            "unit": (budget.unit, "steps"),
            "amount": (budget.amount, 0),
            "batch_size": (budget.batch_size, 0),
            "arithmetic": (setting.arithmetic, "portable"),
        }
        content |= {name: value for name, (value, least) in optional.items() if value != least}
        return canonical_text(content)

    @cached_property
    def id(self) -> str:
        """The run's name in a store: a hash of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:_ID_LENGTH]

    @classmethod
    def read(cls, text: str) -> "RunSpec":
        """Return the run that a canonical text stands for.

        Raises
        ------
        InputError
            If it is not the canonical text of a run, or of another schema.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            schema = content["schema"]
            if schema == SCHEMA:
                spec = cls._of(content)
                if spec.text == text:
                    return spec
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"a run's text cannot be read ({error}): {text[:80]!r}") from error
        if schema != SCHEMA:
            raise InputError(f"a run of schema {schema!r}: expected schema {SCHEMA}")
        raise InputError(f"a run's text is not in canonical form: {text[:80]!r}")

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> "RunSpec":
        case = Case(content["family"], _items(content["problem"]), content["problem_seed"])
        budget = Budget(
            content.get("unit", "steps"), content.get("amount", 0), content.get("batch_size", 0)
        )
        setting = Setting(
            case,
            content["method"],
            _items(content.get("params", {})),
            budget,
            content.get("arithmetic", "portable"),
        )
        return cls(setting, RunSeeds(*content["seeds"]))


def canonical_text(content: Any) -> str:
    """Return JSON with sorted names and no spaces; NaN and infinities are refused."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _items(values: Mapping[str, Value]) -> Items:
    return tuple(sorted(values.items()))


def draw_seed(base: int, draw: int) -> int:
    """Return the problem seed of draw number `draw` of a table with seed `base`.

    Tuning draws have an axis of their own, so no table reports a problem that a parameter was
    chosen on.
    """
    return derived_seed(base, Axis.PROBLEM_DRAW, draw)


def tuning_seed(draw: int) -> int:
    """Return the problem seed of a tuning draw; see `draw_seed`."""
    return derived_seed(0, Axis.TUNING, draw)


@lru_cache(2**16)  # all methods and cells of a study have the same
def run_seeds(base: int, index: int) -> RunSeeds:
    """Return the seeds of the run number `index` on the problem draw with seed `base`.

    Every method's run `index` gets the same ones: same start, same data order. They do not
    depend on how many draws or runs there are, so more of either only adds runs.
    """
    axes = (Axis.INITIALISATION, Axis.DATA_ORDER, Axis.PREFIXES)
    return RunSeeds(*(derived_seed(base, axis, index) for axis in axes))
