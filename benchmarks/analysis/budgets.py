"""Where methods were run with several budgets: what they reach in equal time, at equal error.

In each draw a method has a path, a point a budget: its seconds, its error and its other
measurements. It is read where it meets a target, and nowhere beyond its ends.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from benchmarks import catalogue
from benchmarks.analysis.names import Cell, Variant, in_order
from benchmarks.analysis.study import Setting, Study, Table
from benchmarks.spec import Budget
from osae_theory.errors import InputError
from osae_theory.metrics.intervals import Bounds, Estimate, estimate

PLAIN = "topk"
TIME, ERROR, AMOUNT = "seconds", "mse", "amount"
# What is read off a path besides; the first three are read on a scale of logarithms.
MEASURED = ("stab_truth", "ord_truth", "ord_by_energy")
QUANTITIES = (AMOUNT, TIME, ERROR, *MEASURED)
_LOGARITHMIC = (AMOUNT, TIME, ERROR)

Held = Literal["seconds", "mse"]
# What the target is in each draw: what the plain SAE has at one budget, or the largest of what all
# methods have at their largest.
Rule = Literal["plain", "largest"]


@dataclass(frozen=True, eq=False)
class Reached:
    """What one method reaches at a target.

    Attributes
    ----------
    variant : Variant
        The method with its settings.
    unit : str
        That of its budgets.
    budgets : sequence of int
        Their amounts, rising.
    estimates : mapping of str to Estimate
        By `QUANTITIES`, over the draws in which the target is within its range.
    draws, within : int
        Draws in which it has a path, and those of them in which the target is within its range.
    low, high : float or None
        The least and the greatest that it has, over all draws, of what is held equal; None
        without a path.
    """

    variant: Variant
    unit: str
    budgets: Sequence[int]
    estimates: Mapping[str, Estimate]
    draws: int
    within: int
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Equal:
    """What the methods of one cell reach at one target.

    Attributes
    ----------
    cell : Cell
        The problem.
    arithmetic : str
        "portable" or "fast".
    held : {"seconds", "mse"}
        What is held equal.
    rule : {"plain", "largest"}
        How the target of a draw is found.
    budget : Budget or None
        The plain SAE's, where the target is what it has.
    targets : mapping of int to float
        By problem seed.
    rows : sequence of Reached
        One a method, in the order of tables; oracles are left out.
    processors : sequence of str
        What trained: seconds are theirs.
    """

    cell: Cell
    arithmetic: str
    held: Held
    rule: Rule
    budget: Budget | None
    targets: Mapping[int, float]
    rows: Sequence[Reached]
    processors: Sequence[str]


@dataclass(frozen=True, eq=False)
class _Paths:
    """A method's paths: by problem seed, by `QUANTITIES`, a value a budget."""

    variant: Variant
    budgets: Sequence[Budget]
    by_draw: Mapping[int, Mapping[str, Float[np.ndarray, " budgets"]]]


def at_equal(found: Study) -> list[Equal]:
    """Return what methods reach at equal time and at equal error, where they had several budgets.

    The target of equal time is, in each draw, what the plain SAE takes there at its standard
    budget, or at its largest if it was not run with that one. The target of equal error is, in
    each draw, the plain SAE's error there, or the largest of all methods' errors at their
    largest budgets: that which more methods meet, in more draws.

    Parameters
    ----------
    found : Study
        All runs.

    Returns
    -------
    list of Equal
        By cell and arithmetic, in the order of tables: at equal time, then at equal error. The
        first is not there without the plain SAE, the second without errors.
    """
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in found.tables:
        if table.budget is not None:
            groups.setdefault((table.cell.label, table.arithmetic), []).append(table)
    seconds = _seconds(found.runs)
    return [one for tables in groups.values() for one in _of_cell(found, tables, seconds)]


def position(path: Float[np.ndarray, " points"], target: float) -> tuple[int, float] | None:
    """Return where a path first meets a target: a point's place, and the share of the way on.

    Parameters
    ----------
    path : array of shape (points,)
        Numbers above 0, in the path's own order.
    target : float
        What to meet, above 0.

    Returns
    -------
    (int, float) or None
        On a scale of logarithms the target is `path[i] + share (path[i + 1] - path[i])`, share
        in [0, 1); at a point, also at one that stands alone, it is 0. None where the target is
        outside the path's range.
    """
    for i, value in enumerate(path.tolist()):
        if value == target:
            return i, 0.0
        onward = path.tolist()[i + 1] if i + 1 < len(path) else value
        if min(value, onward) < target < max(value, onward):
            return i, math.log(target / value) / math.log(onward / value)
    return None


def read(
    path: Mapping[str, Float[np.ndarray, " points"]], held: Held, target: float
) -> dict[str, float] | None:
    """Return all that a path has where it first meets a target, linearly between its points.

    Parameters
    ----------
    path : mapping of str to array
        By `QUANTITIES`, a value a point, by rising budgets. Points at which what is held equal
        is not a number above 0 are left out.
    held : {"seconds", "mse"}
        What is to equal the target.
    target : float
        Above 0.

    Returns
    -------
    mapping of str to float, or None
        Seconds, errors and budgets lie linearly on a scale of logarithms, all others on their
        own. None where the target is outside the path's range.
    """
    kept = _defined(path[held])
    place = position(path[held][kept], target)
    if place is None:
        return None
    first, share = place
    return {
        name: _between(values[kept][first : first + 2], share, name in _LOGARITHMIC)
        for name, values in path.items()
    }


def _between(ends: Float[np.ndarray, " ends"], share: float, logarithmic: bool) -> float:
    if share == 0:  # at a point; the next may be undefined
        return float(ends[0])
    if logarithmic:
        return float(ends[0] ** (1 - share) * ends[1] ** share)
    return float((1 - share) * ends[0] + share * ends[1])


def _defined(values: Float[np.ndarray, " points"]) -> np.ndarray:
    return np.isfinite(values) & (values > 0)


def _seconds(runs: pd.DataFrame) -> pd.Series:
    done = runs[runs["status"].eq("done")]
    return done.groupby(["setting", "problem_seed"])["seconds"].mean()


def _of_cell(found: Study, tables: Sequence[Table], seconds: pd.Series) -> Iterator[Equal]:
    settings = {one.code: one for table in tables for one in table.settings}
    competing = [one for one in settings.values() if not one.variant.oracle]
    paths = _paths(found, competing, seconds)
    places = found.runs.index[found.runs["setting"].isin([one.code for one in competing])]
    processors = sorted(found.origins.loc[places, "processor"].dropna().astype(str).unique())
    plain = _plain(paths)
    budget = None if plain is None else _reference(plain)
    at_budget = [] if plain is None or budget is None else [(plain, plain.budgets.index(budget))]
    at_largest = [(one, -1) for one in paths]

    def equal(held: Held, rule: Rule) -> Equal:
        targets = _targets(at_budget if rule == "plain" else at_largest, held)
        return Equal(
            cell=tables[0].cell,
            arithmetic=tables[0].arithmetic,
            held=held,
            rule=rule,
            budget=budget if rule == "plain" else None,
            targets=targets,
            rows=[_reached(found, one, held, targets) for one in paths],
            processors=processors,
        )

    at_time = equal(TIME, "plain")
    if at_time.targets:
        yield at_time
    # The plain SAE's error comes first: it does not depend on which methods there are.
    at_error = max((equal(ERROR, rule) for rule in ("plain", "largest")), key=_met)
    if at_error.targets:
        yield at_error


def _paths(found: Study, settings: Sequence[Setting], seconds: pd.Series) -> list[_Paths]:
    """Return each method's paths: over its budgets of one unit and batch size, the most."""
    by_label: dict[str, dict[tuple[str, int], list[Setting]]] = {}
    for one in settings:
        kinds = by_label.setdefault(one.variant.label, {})
        kinds.setdefault((one.budget.unit, one.budget.batch_size), []).append(one)
    paths = []
    for kinds in by_label.values():
        own = sorted(max(kinds.values(), key=len), key=lambda one: one.budget.amount)
        by_draw = _by_draw(found, own, seconds)
        paths.append(_Paths(own[0].variant, [one.budget for one in own], by_draw))
    found_of = {one.variant.label: one for one in paths}
    return [found_of[one.label] for one in in_order(one.variant for one in paths)]


def _by_draw(
    found: Study, settings: Sequence[Setting], seconds: pd.Series
) -> dict[int, dict[str, Float[np.ndarray, " budgets"]]]:
    names = [ERROR, *MEASURED]
    frames = []
    for place, one in enumerate(settings):
        try:
            frame = found.draws[names].xs(one.code, level="setting")
        except KeyError:  # no run is done
            continue
        amount = float(one.budget.amount)
        own = seconds.xs(one.code, level="setting").reindex(frame.index)
        frames.append(frame.assign(**{AMOUNT: amount, TIME: own, "place": place}))
    if not frames:
        return {}
    whole = pd.concat(frames).set_index("place", append=True)
    return {
        int(seed): {  # pyright: ignore[reportArgumentType]
            name: part.droplevel(0)[name].reindex(range(len(settings))).to_numpy(dtype=float)
            for name in QUANTITIES
        }
        for seed, part in whole.groupby(level=0)
    }


def _plain(paths: Sequence[_Paths]) -> _Paths | None:
    """Return the plain SAE's paths: at its tuned values, if there are several of it."""
    own = [one for one in paths if one.variant.method == PLAIN]
    if not own:
        return None
    try:
        tuned = catalogue.variant(PLAIN).values
    except InputError:
        tuned = {}
    return next((one for one in own if dict(one.variant.values) == dict(tuned)), own[0])


def _reference(plain: _Paths) -> Budget:
    standard = catalogue.methods()[PLAIN].budget
    return standard if standard in plain.budgets else plain.budgets[-1]


def _targets(places: Sequence[tuple[_Paths, int]], held: Held) -> dict[int, float]:
    """Return for each draw the largest that some paths have at a place of each."""
    found: dict[int, float] = {}
    for paths, place in places:
        for seed, path in paths.by_draw.items():
            value = float(path[held][place])
            if np.isfinite(value) and value > 0:
                found[seed] = max(value, found.get(seed, 0.0))
    return found


def _reached(found: Study, paths: _Paths, held: Held, targets: Mapping[int, float]) -> Reached:
    common = [seed for seed in paths.by_draw if seed in targets]
    values = [read(paths.by_draw[seed], held, targets[seed]) for seed in common]
    kept = [own for own in values if own is not None]
    bounds = {metric.name: metric.bounds for metric in found.metrics}
    every = [own[held][_defined(own[held])] for own in paths.by_draw.values()]
    ends = np.concatenate(every) if every else np.empty(0)
    return Reached(
        variant=paths.variant,
        unit=paths.budgets[0].unit,
        budgets=[one.amount for one in paths.budgets],
        estimates={
            name: estimate([own[name] for own in kept], bounds=_bounds(bounds, name))
            for name in QUANTITIES
        },
        draws=len(common),
        within=len(kept),
        low=float(ends.min()) if ends.size else None,
        high=float(ends.max()) if ends.size else None,
    )


def _bounds(bounds: Mapping[str, Bounds], name: str) -> Bounds:
    return bounds.get(name, (0.0, np.inf))


def _met(one: Equal) -> tuple[int, int]:
    """Return how many methods meet a target, and in how many draws altogether."""
    return sum(row.within > 0 for row in one.rows), sum(row.within for row in one.rows)
