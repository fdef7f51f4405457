"""From what a task gives to the rows of a part."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.outcome import Measurement, Outcome, Results
from benchmarks.spec import RunSpec
from benchmarks.store.parts import Tables
from benchmarks.store.schema import MEASUREMENTS, PROVENANCE, RUNS, TABLES, VECTORS
from osae_theory.errors import InputError
from osae_theory.provenance import Provenance

_ORIGIN = tuple(field.name for field in fields(Provenance))
Generation = Callable[[str], int]


def tables_of(results: Results, generation: Generation) -> Tables:
    """Return the tables of a part with a task's results.

    Parameters
    ----------
    results : Results
        Each run at most once.
    generation : callable
        Gives the generation of a run by its id.

    Raises
    ------
    InputError
        If a run is there twice, or the ids of a pair are not in ascending order.
    """
    outcomes = results.outcomes
    if len({outcome.spec.id for outcome in outcomes}) < len(outcomes):
        raise InputError("results hold a run twice: expected each run once")
    rows = {
        RUNS: map(_run, outcomes),
        MEASUREMENTS: _measurements(results, generation),
        PROVENANCE: map(_provenance, outcomes),
        VECTORS: (row for outcome in outcomes for row in _vectors(outcome)),
    }
    return {
        name: pa.Table.from_pylist(
            [{"generation": generation(str(row["run"])), **row} for row in of], TABLES[name]
        )
        for name, of in rows.items()
    }


def columns_of(spec: RunSpec) -> dict[str, Any]:
    """Return the columns of `runs` that follow from what was run."""
    setting, seeds = spec.setting, spec.seeds
    return {
        "run": spec.id,
        "text": spec.text,
        "family": setting.case.family,
        "cell": setting.case.cell,
        "problem_seed": setting.case.problem_seed,
        "method": setting.method,
        "variant": setting.variant,
        "unit": setting.budget.unit,
        "amount": setting.budget.amount,
        "batch_size": setting.budget.batch_size,
        "arithmetic": setting.arithmetic,
        "initialisation_seed": seeds.initialisation,
        "data_order_seed": seeds.data_order,
        "prefix_seed": seeds.prefixes,
    }


def _run(outcome: Outcome) -> dict[str, Any]:
    return {
        **columns_of(outcome.spec),
        "status": outcome.status,
        "reason": outcome.reason,
        "encoder": outcome.encoder,
        "dictionary_sha256": outcome.dictionary_sha256,
    }


def _measurements(results: Results, generation: Generation) -> Iterator[dict[str, Any]]:
    for outcome in results.outcomes:
        for metric, value in outcome.values.items():
            yield _measurement(Measurement(outcome.spec.id, "", metric, value), generation)
    for measurement in results.measurements:
        yield _measurement(measurement, generation)


def _measurement(one: Measurement, generation: Generation) -> dict[str, Any]:
    if one.other and one.other <= one.run:
        raise InputError(
            f"{one.metric} of the runs {one.run} and {one.other}: expected their ids in ascending"
            " order"
        )
    return {
        "run": one.run,
        "other": one.other,
        "metric": one.metric,
        "value": one.value if one.value is not None and math.isfinite(one.value) else None,
        "generation": generation(one.run) + (generation(one.other) if one.other else 0),
    }


def _provenance(outcome: Outcome) -> Mapping[str, Any]:
    origin = outcome.provenance
    return {
        "run": outcome.spec.id,
        "seconds": outcome.seconds if math.isfinite(outcome.seconds) else None,
        "code": outcome.code,
        **{name: None if origin is None else getattr(origin, name) for name in _ORIGIN},
    }


def _vectors(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for name, values in outcome.vectors.items():
        yield {
            "run": outcome.spec.id,
            "name": name,
            "values": np.asarray(values, dtype=np.float64),
        }
