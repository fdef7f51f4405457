"""What the names in a store stand for, also where the catalogue does not know them any more."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from benchmarks import catalogue
from benchmarks.contracts import Metric, Params, Shape
from benchmarks.parameters import label, selector, written
from benchmarks.spec import Budget, RunSpec
from benchmarks.tuning_cells import TUNED_AT
from osae_theory.errors import InputError, check_choice

# After all metrics that are known.
_LAST = 1_000_000


@dataclass(frozen=True, eq=False)
class Cell:
    """A problem without its draw: what one table is about.

    Attributes
    ----------
    label : str
        Family and parameters, as on the command line and in a store.
    family : str
        The family's name.
    params : mapping of str to value
        All its parameters; where the family is not known, those of the label.
    title : str
        For readers, such as "d = 80, K = 100, m = 5, N = 100000, alpha = 1.2".
    shape : Shape or None
        Its sizes; None where the family is not known.
    slug : str
        A name for files.
    family_title : str
        The family's title; its name where it is not known.
    """

    label: str
    family: str
    params: Params
    title: str
    shape: Shape | None
    slug: str
    family_title: str

    @property
    def known(self) -> bool:
        """Whether the catalogue has its family."""
        return self.shape is not None


def cell_of(text: str) -> Cell:
    """Return the cell of the run that a canonical text stands for.

    Raises
    ------
    InputError
        If the text is not that of a run.
    """
    case = RunSpec.read(text).setting.case
    try:
        check_choice("problem family", case.family, catalogue.families())
        params = catalogue.case_params(case)
        title, shape = catalogue.case_title(case), catalogue.shape_of(case)
        slug, family = catalogue.slug(case), catalogue.families()[case.family].title
    except InputError:
        params, title, shape = MappingProxyType(dict(case.params)), case.cell, None
        slug = "_".join([case.family, *(f"{n}{written(v)}" for n, v in case.params)])
        family = case.family
    return Cell(case.cell, case.family, params, title, shape, file_name(slug), family)


def file_name(text: str) -> str:
    """Return a text as a name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("._")[:120] or "cell"


@dataclass(frozen=True, eq=False)
class Variant:
    """A method with its settings, as a store names it.

    Attributes
    ----------
    label : str
        The selector that stands in the store, such as "osae[lr=0.01]".
    method : str
        The method's name.
    title : str
        Its name in tables and figures; the label where the method is not known.
    values : mapping of str to value
        All its parameters; where the method is not known, those of the label.
    oracle : bool
        Whether it sees the truth: a ceiling, not a competitor.
    known : bool
        Whether the catalogue has it.
    tuned_at : str
        The tuning cell whose chosen values it has; where it has none, the first.
    """

    label: str
    method: str
    title: str
    values: Mapping[str, object]
    oracle: bool
    known: bool
    tuned_at: str = TUNED_AT


@cache
def variant_named(name: str) -> Variant:
    """Return what a label in a store stands for."""
    try:
        found = catalogue.variant(name)
    except InputError:
        method, settings = _parts(name)
        return Variant(name, method, name, MappingProxyType(settings), False, False)
    oracle = found.method.sees == "truth"
    title, at = found.title, found.tuned_at
    return Variant(name, found.method.name, title, found.values, oracle, True, at)


def _parts(name: str) -> tuple[str, dict[str, str]]:
    try:
        return selector(name)
    except InputError:
        return name, {}


def metric_named(name: str, of_pairs: bool = False) -> Metric:
    """Return a metric; where it is not known, one of that name with no better end."""
    found = catalogue.metrics().get(name)
    if found is not None:
        return found
    if of_pairs:
        return Metric(name, name, name, _LAST, of_pair=_not_computed_pair, better=0)
    return Metric(name, name, name, _LAST, of_run=_not_computed, better=0)


def is_known(metric: Metric) -> bool:
    """Return whether the catalogue has a metric."""
    return metric.name in catalogue.metrics()


def _not_computed(scored: object) -> float:
    raise InputError("this metric is not known: expected its stored values only")


def _not_computed_pair(D: object, E: object) -> float:
    raise InputError("this metric is not known: expected its stored values only")


def in_order(variants: Iterable[Variant]) -> list[Variant]:
    """Return variants as tables have them: in the order of the presets, then by name."""
    places = _preset_places()
    return sorted(
        variants,
        key=lambda one: (not one.known, places.get(one.method, len(places)), one.method, one.label),
    )


@cache
def _preset_places() -> Mapping[str, int]:
    methods = [
        selector(text)[0] for preset in catalogue.presets().values() for text in preset.methods
    ]
    return {method: place for place, method in enumerate(dict.fromkeys(methods))}


def budget_text(budget: Budget) -> str:
    """Return a budget for readers; empty where a method has none."""
    if budget.unit == "none":
        return ""
    samples = f" of {budget.batch_size} samples" if budget.unit == "steps" else ""
    return f"{budget.amount} {budget.unit}{samples}"


def unknown_note(
    cells: Iterable[Cell], variants: Iterable[Variant], metrics: Iterable[Metric]
) -> str:
    """Return one sentence about all that the catalogue does not know; empty if it knows all."""
    names = [
        *dict.fromkeys(f"problem family {cell.family}" for cell in cells if not cell.known),
        *(f"method {label(one.label, ())}" for one in variants if not one.known),
        *(f"measurement {one.name}" for one in metrics if not is_known(one)),
    ]
    if not names:
        return ""
    return f"Not known to this version, and called by the names in the store: {', '.join(names)}."
