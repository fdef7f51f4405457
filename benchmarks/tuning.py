"""The tuning protocol: which configurations a method is tried at, and which one is chosen.

Every method is tried at the same number of configurations, on the same tuning draws.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import catalogue
from benchmarks.contracts import Method
from benchmarks.parameters import Items, Value, bind, label
from benchmarks.spec import RunSpec, Setting, tuning_seed
from benchmarks.tuning_cells import TUNED_AT, TUNING_CELLS, TuningCell
from osae_theory.errors import InputError

N_DRAWS = 5
N_CONFIGURATIONS = 12
RATE = "lr"
ERROR, RECOVERY = "mse", "stab_truth"
# What is kept of every configuration.
METRICS = (ERROR, RECOVERY, "ord_truth", "ord_by_energy")
_FIRST_CELL = TUNING_CELLS[TUNED_AT]
_STEPS_AROUND = (-0.5, -0.25, 0.25, 0.5)
_FIRST = 8
_DIGITS = 3


def protocol(cell: TuningCell) -> str:
    """Return the protocol in words, which stand beside the values."""
    return (
        f"The protocol, the same for every method: on {N_DRAWS} tuning draws of {cell.words},"
        " whose seeds come from an axis of their own and are in no table, train one run a draw at"
        f" each of {N_CONFIGURATIONS} configurations with the benchmark's budget. First come eight"
        " learning rates, with the method's own parameters at the middle of their candidates."
        " Then, at the rate with the lowest mean held-out MSE, the four other candidates of its"
        " own parameter (the two others of each, where it has two); where it has none, four rates"
        " around that one. Chosen is the configuration with the lowest mean held-out MSE, for"
        " which the truth is not looked at. A configuration at which any run does not end well is"
        " out. If what is chosen is at the edge of the rates, or of a parameter's candidates where"
        " its range does not end there, there is no choice. The configuration with the highest"
        " mean Stab(D, D*) is kept beside it: it looks at the truth, and says how much the choice"
        " by error may have cost."
    )


@dataclass(frozen=True)
class Tried:
    """One configuration and what came of it.

    Attributes
    ----------
    values : tuple of (str, value)
        The tuned parameters.
    means, deviations : mapping of str to float
        Mean and standard deviation over the tuning draws of each of `METRICS`; the mean of the
        error is infinite where a run did not end well.
    """

    values: Items
    means: Mapping[str, float]
    deviations: Mapping[str, float]


def tunable() -> list[str]:
    """Return the names of the methods that the protocol tunes."""
    return [
        name for name, method in catalogue.methods().items() if method.tuned and not method.tuned_as
    ]


def check_candidates(method: Method, cell: TuningCell = _FIRST_CELL) -> None:
    """Raise InputError unless a method's candidates give as many configurations as all others'."""
    rates, own = _parted(method, cell)
    if len(rates) != _FIRST:
        raise InputError(f"{method.name}: {len(rates)} candidates of {RATE}: expected {_FIRST}")
    expected = {0: (), 1: (5,), 2: (3, 3)}.get(len(own))
    found = tuple(len(candidates) for candidates in own.values())
    if found != expected:
        raise InputError(
            f"{method.name}: its own parameters have {found} candidates: expected one parameter"
            " with 5, two with 3 each, or none"
        )


def first_configurations(method: Method, cell: TuningCell = _FIRST_CELL) -> list[Items]:
    """Return the eight learning rates, with the method's own parameters at their middle."""
    check_candidates(method, cell)
    rates, own = _parted(method, cell)
    middle = {name: _middle(candidates) for name, candidates in own.items()}
    return [_items(method, middle | {RATE: rate}) for rate in rates]


def second_configurations(
    method: Method, best: Items, cell: TuningCell = _FIRST_CELL
) -> list[Items]:
    """Return the four configurations around the best of the first ones."""
    rates, own = _parted(method, cell)
    at = dict(best)
    if own:
        return [
            _items(method, at | {name: value})
            for name, candidates in own.items()
            for value in candidates
            if value != _middle(candidates)
        ]
    ratio = (_number(rates[-1]) / _number(rates[0])) ** (1 / (_FIRST - 1))
    return [_items(method, {RATE: _rounded(float(at[RATE]) * ratio**s)}) for s in _STEPS_AROUND]


def runs_at(
    method: Method,
    configuration: Items,
    n_steps: int | None,
    cell: TuningCell = _FIRST_CELL,
) -> list[RunSpec]:
    """Return the runs of the protocol at one configuration: one a tuning draw of a cell."""
    amounts = {} if n_steps is None else {"steps": n_steps}
    budget = catalogue.budget_of(method, amounts, None)
    identity = bind(method.name, method.parameters, configuration).identity
    found = []
    for draw in range(N_DRAWS):
        case = catalogue.case_of("toy", cell.params, tuning_seed(draw))
        found += catalogue.run_specs(Setting(case, method.name, identity, budget), 1)
    return found


def tried(
    configuration: Items, runs: Sequence[RunSpec], measured: Mapping[tuple[str, str], float]
) -> Tried:
    """Return what came of a configuration.

    Parameters
    ----------
    configuration : items
        The tuned parameters.
    runs : sequence of RunSpec
        Its runs.
    measured : mapping of (str, str) to float
        By a run's id and a metric's name; a run that did not end well is not in it.
    """
    means: dict[str, float] = {}
    deviations: dict[str, float] = {}
    for metric in METRICS:
        # An error that is not defined is no small one.
        absent = math.inf if metric == ERROR else math.nan
        values = np.array([measured.get((run.id, metric), absent) for run in runs])
        means[metric] = float(values.mean())
        finite = np.isfinite(values).all() and len(values) > 1
        deviations[metric] = float(values.std(ddof=1)) if finite else math.nan
    return Tried(configuration, means, deviations)


def best_by_error(name: str, found: Sequence[Tried]) -> Items:
    """Return the configuration with the lowest mean held-out error.

    Raises
    ------
    InputError
        If there is no configuration at which every run is done.
    """
    best = min(found, key=lambda one: one.means[ERROR])
    if not math.isfinite(best.means[ERROR]):
        raise InputError(f"method {name!r}: expected a configuration at which every run is done")
    return best.values


def best_by_recovery(found: Sequence[Tried]) -> Items:
    """Return the configuration with the highest mean Stab(D, D*) among those that ended well."""
    sound = [one for one in found if math.isfinite(one.means[ERROR])]
    return max(sound, key=lambda one: one.means[RECOVERY]).values


def edge(method: Method, chosen: Items, cell: TuningCell = _FIRST_CELL) -> str:
    """Return which chosen value is at the edge of its candidates, as a selector; or nothing.

    The end of a parameter's range, such as a strength of 0, is no edge.
    """
    for parameter in method.parameters:
        if parameter.tuned:
            value = dict(chosen)[parameter.name]
            candidates = cell.candidates_of(method.name, parameter)
            least, most = _number(candidates[0]), _number(candidates[-1])
            low = -math.inf if least == parameter.at_least else least
            high = math.inf if most == parameter.at_most else most
            if not low < _number(value) < high:
                return label(method.name, ((parameter.name, value),))
    return ""


def _parted(
    method: Method, cell: TuningCell
) -> tuple[tuple[Value, ...], dict[str, tuple[Value, ...]]]:
    """Return the candidates of the learning rate, and those of the other tuned parameters."""
    own = {p.name: cell.candidates_of(method.name, p) for p in method.parameters if p.tuned}
    if RATE not in own:
        raise InputError(f"{method.name}: expected a tuned learning rate, {RATE}")
    return own.pop(RATE), own


def _middle(candidates: Sequence[Value]) -> Value:
    return candidates[len(candidates) // 2]


def _items(method: Method, values: Mapping[str, Value]) -> Items:
    """Return the values in the order in which the method declares them."""
    return tuple((p.name, values[p.name]) for p in method.parameters if p.tuned)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _number(value: Value) -> float:
    if isinstance(value, str):
        raise InputError(f"a tuned value {value!r}: expected a number")
    return float(value)
