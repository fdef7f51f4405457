"""Everything the benchmark has, by name, and the way from names and settings to runs."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.contracts import EncoderKind, Family, Method, Metric, Params, Preset, Shape
from benchmarks.discovery import EXTRA, collected
from benchmarks.parameters import Items, Value, bind, selector, selectors, written
from benchmarks.spec import Budget, Case, RunSpec, Setting, run_seeds
from benchmarks.tuning_cells import TUNED_AT, TUNING_CELLS
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.problems import ProblemSpec

_BYTES_PER_ENTRY = 8
# By which of the two choices of the tuning protocol: the honest one first.
TUNED_BY = ("error", "recovery")


@cache
def families() -> Mapping[str, Family]:
    """Return the problem families by name."""
    return collected("benchmarks.families", "FAMILY", Family)


@cache
def methods() -> Mapping[str, Method]:
    """Return the methods by name."""
    found = collected("benchmarks.methods", "METHOD", Method)
    for method in found.values():
        if method.tuned_as:
            check_choice(f"method {method.name}: tuned_as", method.tuned_as, found)
    return found


@cache
def metrics() -> Mapping[str, Metric]:
    """Return the metrics by name, in the order in which they stand in tables."""
    found = collected("benchmarks.metrics", "METRIC", Metric)
    placed = sorted(found.values(), key=lambda metric: (metric.place, metric.name))
    for metric in placed:
        if metric.of_value is not None:
            check_choice(f"metric {metric.name}: source", metric.of_value[0], found)
    return MappingProxyType({metric.name: metric for metric in placed})


@cache
def encoders() -> Mapping[str, EncoderKind]:
    """Return the kinds of encoders by name."""
    return collected("benchmarks.encoders", "ENCODER", EncoderKind)


@cache
def presets() -> Mapping[str, Preset]:
    """Return the presets by name."""
    return collected("benchmarks.presets", "PRESET", Preset)


def case_of(family: str, given: Mapping[str, object] | Items, problem_seed: int) -> Case:
    """Return a draw of a problem whose parameters are checked.

    Raises
    ------
    InputError
        If the family or a parameter is unknown, or values are out of range or do not go together.
    """
    check_choice("problem family", family, families())
    found = families()[family]
    bound = bind(family, found.parameters, given)
    found.spec(bound.values, problem_seed)
    if found.learned is not None:
        K, m = found.learned(bound.values)
        check_integer("learned K", K, 1)
        check_integer("learned m", m, 1)
        if m > K:
            raise InputError(f"learned m = {m}: expected at most the learned K = {K}")
    return Case(family, bound.identity, problem_seed)


def case_params(case: Case) -> Params:
    """Return all parameters of a case's problem."""
    return bind(case.family, families()[case.family].parameters, case.params).values


def problem_spec(case: Case) -> ProblemSpec:
    """Return what draws a case's arrays."""
    return families()[case.family].spec(case_params(case), case.problem_seed)


def shape_of(case: Case) -> Shape:
    """Return the sizes of a case's problem."""
    spec = problem_spec(case)
    K, m = learned(case)
    return Shape(spec.d, K, m, spec.n_samples, spec.K)


def learned(case: Case) -> tuple[int, int]:
    """Return how many atoms a method is to learn, and how many a sample may use."""
    family = families()[case.family]
    if family.learned is not None:
        return family.learned(case_params(case))
    spec = problem_spec(case)
    return spec.K, spec.m


def case_title(case: Case) -> str:
    """Return the title of a case's problem, the draw left out."""
    return families()[case.family].title_of(case_params(case))


@dataclass(frozen=True)
class Variant:
    """A method with its settings: a row of a table.

    Attributes
    ----------
    method : Method
        The method.
    values : mapping of str to value
        All its parameters.
    identity : tuple of (str, value)
        Those that stand in the identity of its runs.
    """

    method: Method
    values: Params
    identity: Items

    @property
    def tuned_at(self) -> str:
        """The first of the tuning cells whose chosen values it has; if none, the first of all."""
        for at in TUNING_CELLS:
            tuned = tuned_values(self.method.name, at=at)
            if tuned and all(self.values.get(name) == value for name, value in tuned.items()):
                return at
        return TUNED_AT

    @property
    def title(self) -> str:
        """Its name in tables and figures."""
        at = self.tuned_at
        return self.method.title_with(
            self.values,
            tuned_values(self.method.name, at=at),
            () if at == TUNED_AT else (f"tuned at {at}",),
        )


def variant(
    text: str,
    given: Mapping[str, object] | None = None,
    tuned_by: str = TUNED_BY[0],
    tuned_at: str = TUNED_AT,
) -> Variant:
    """Return the method that a selector names, with its settings.

    Parameters
    ----------
    text : str
        Such as "osae-zipf[alpha=1]".
    given : mapping of str to value, optional
        Settings for whichever method declares them; those of the selector go before.
    tuned_by : {"error", "recovery"}
        Where nothing is said, whether a tuned parameter has the value chosen by held-out error or
        the one with the best recovery of the truth, which a user cannot know.
    tuned_at : str
        On the draws of which of the tuning cells it was chosen.

    Raises
    ------
    InputError
        If the selector cannot be read, the method or a setting is unknown, or a value is
        missing or out of range.
    """
    name, settings = selector(text)
    check_choice("method", name, methods())
    method = methods()[name]
    declared = [parameter.name for parameter in method.parameters]
    common = {key: value for key, value in (given or {}).items() if key in declared}
    tuned = tuned_values(name, tuned_by, tuned_at)
    tuned_as = (method.tuned_as or name) + ("" if tuned_at == TUNED_AT else f" --at {tuned_at}")
    bound = bind(name, method.parameters, {**common, **settings}, tuned, tuned_as)
    return Variant(method, bound.values, bound.identity)


def variants(
    text: str,
    given: Mapping[str, object] | None = None,
    tuned_by: str = TUNED_BY[0],
    tuned_at: str = TUNED_AT,
) -> list[Variant]:
    """Return the methods of a comma-separated list of selectors, none twice.

    Raises
    ------
    InputError
        As `variant`, if one is there twice, or if no method declares a setting of `given`.
    """
    found = [variant(one, given, tuned_by, tuned_at) for one in selectors(text)]
    names = [(one.method.name, one.identity) for one in found]
    if len(set(names)) < len(names):
        raise InputError(f"methods {text!r}: expected each method once")
    for key in given or {}:
        if not any(key == p.name for one in found for p in one.method.parameters):
            raise InputError(f"{key} is a parameter of none of the methods {text!r}")
    return found


def variant_of(setting: Setting) -> Variant:
    """Return the method of a setting, with all its values."""
    method = methods()[setting.method]
    bound = bind(setting.method, method.parameters, setting.params, tuned_values(setting.method))
    return Variant(method, bound.values, bound.identity)


def budget_of(method: Method, amounts: Mapping[str, int], batch_size: int | None) -> Budget:
    """Return a method's budget, with what is asked for in its own unit.

    Parameters
    ----------
    method : Method
        The method.
    amounts : mapping of str to int
        By unit.
    batch_size : int, optional
        For methods that take steps.
    """
    budget = method.budget
    if budget.unit in amounts:
        budget = replace(budget, amount=amounts[budget.unit])
    if budget.unit == "steps" and batch_size is not None:
        budget = replace(budget, batch_size=batch_size)
    return budget


def run_specs(setting: Setting, n_seeds: int) -> list[RunSpec]:
    """Return the runs of a setting; one where its method is deterministic."""
    check_integer("seeds", n_seeds, 1)
    n = 1 if methods()[setting.method].deterministic else n_seeds
    return [RunSpec(setting, run_seeds(setting.case.problem_seed, index)) for index in range(n)]


def skip_reason(setting: Setting) -> str | None:
    """Return why a setting's method cannot be run on its problem, or None."""
    found = variant_of(setting)
    return found.method.skip(found.values, shape_of(setting.case))


def tuned_file(method: str, at: str = TUNED_AT) -> Path:
    """Return where a method's tuned values stand: beside the package's, or in OSAE_BENCHMARKS.

    Parameters
    ----------
    method : str
        The method's name.
    at : str
        One of the tuning cells; those of all but the first stand in a folder of its name.
    """
    found = methods().get(method)
    if found is not None and found.tuned_as:
        method = found.tuned_as
    place = Path("tuned", *([] if at == TUNED_AT else [at]), f"{method}.json")
    own = Path(str(resources.files("benchmarks"))) / place
    extra = os.environ.get(EXTRA)
    if extra and not own.is_file():
        return Path(extra) / place
    return own


def tuned_values(
    method: str, tuned_by: str = TUNED_BY[0], at: str = TUNED_AT
) -> Mapping[str, Value]:
    """Return what the tuning protocol chose for a method; empty where it has not been tuned.

    Raises
    ------
    InputError
        If `tuned_by` is none of `TUNED_BY`, `at` none of the tuning cells, or the method's file
        cannot be read.
    """
    check_choice("tuned by", tuned_by, TUNED_BY)
    check_choice("tuned at", at, TUNING_CELLS)
    return _tuned(tuned_file(method, at), "chosen" if tuned_by == TUNED_BY[0] else "by_recovery")


@cache
def _tuned(file: Path, name: str = "chosen") -> Mapping[str, Value]:
    if not file.is_file():
        return MappingProxyType({})
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return MappingProxyType(dict(content[name]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: expected tuned values") from error


def slug(case: Case) -> str:
    """Return a name for files of a case's problem, the draw left out."""
    parts = [f"{name}{written(value)}" for name, value in case_params(case).items()]
    own = [] if case.family == "toy" else [case.family]
    return "_".join([*own, *parts])


def check_memory(case: Case) -> None:
    """Raise InputError if a case's data alone do not fit into this machine's memory."""
    shape = shape_of(case)
    K = max(shape.K, shape.K_true)
    samples = shape.N + families()[case.family].n_heldout + K
    needed = _BYTES_PER_ENTRY * (K + shape.d) * samples
    if needed > _physical_memory():
        raise InputError(
            f"problem ({case_title(case)}) needs {needed / 2**30:,.0f} GiB for its data alone:"
            f" expected at most this machine's {_physical_memory() / 2**30:,.0f} GiB"
        )


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system: do not judge
        return 2**63
