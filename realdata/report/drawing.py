"""The figures of an experiment, drawn from what its results folder stores; nothing is measured.

`write_figures` draws them when an experiment ends, `redraw` at any later time, from the same
values: a change in how a figure looks needs no run.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from osae_theory.errors import InputError
from osae_theory.metrics.intervals import Estimate
from realdata.consistency.collection import PAIR_KINDS, CurvePoint
from realdata.report.figures.initialisation import against_initialisation
from realdata.report.figures.over_prefixes import orderedness_over_prefixes, stability_over_prefixes
from realdata.report.figures.over_training import over_training
from realdata.report.figures.pareto import pareto
from realdata.report.figures.sorted_orders import sorted_orders
from realdata.report.figures.style import save
from realdata.report.tables import as_trained, short_prefix

RESULT, CURVES = "result.json", "curves.csv"
# Which points of CURVES are what, by their column "of".
DECODER, ACTIVATIONS = "decoder", "activations"
OVER_TRAINING, AGAINST_INITIALISATION = "decoder, over training", "decoder, against initialisation"
POINTS = (DECODER, ACTIVATIONS, OVER_TRAINING, AGAINST_INITIALISATION)
# Under which names an earlier result may have left figures.
_OURS = ("ord_*.png", "stab_*.png", "over_training_*.png", "initialisation.png", "pareto_*.png")


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the figures show.

    Attributes
    ----------
    model : str
        The model, and what must be known of it.
    K, m : int
        Latents, and how many of them are active.
    prefixes : tuple of int
        In ascending order; the last is K.
    chance : mapping of int to float
        Stab by chance, by prefix.
    points : mapping of str to list of CurvePoint
        By the names in POINTS.
    fits : pandas.DataFrame
        One row a run, of every m: dataset, method, l0, fvu, pca_fvu.
    traded : tuple of str
        Corpora with runs of several m.
    """

    model: str
    K: int
    m: int
    prefixes: tuple[int, ...]
    chance: Mapping[int, float]
    points: Mapping[str, list[CurvePoint]]
    fits: pd.DataFrame
    traded: tuple[str, ...]

    @property
    def about(self) -> str:
        """What stands above the titles."""
        return f"{self.model}, K = {self.K}, m = {self.m}"


def drawn(document: Mapping[str, Any], curves: pd.DataFrame) -> Drawn:
    """Return what the figures show, from the contents of RESULT and CURVES."""
    origin = document["provenance"]
    preset = origin["preset"]
    fits = pd.DataFrame([*document["runs"], *document["other_m"]])
    return Drawn(
        model=f"{origin['model']['name']} ({document['note']})",
        K=preset["K"],
        m=preset["m"],
        prefixes=tuple(document["prefixes"]),
        chance={int(prefix): level["stab"] for prefix, level in document["chance"].items()},
        points={name: curve_points(curves[curves["of"] == name]) for name in POINTS},
        fits=fits[~fits["diverged"].astype(bool)],
        traded=tuple(dict.fromkeys(run["dataset"] for run in document["other_m"])),
    )


def curve_points(frame: pd.DataFrame) -> list[CurvePoint]:
    """Return the points that `realdata.consistency.collection.point_frame` made rows of."""
    names = [name.removesuffix("_mean") for name in frame.columns if name.endswith("_mean")]
    return [
        CurvePoint(
            method=row["method"],
            order=row["order"],
            kind=row["kind"],
            tokens=None if pd.isna(row["tokens"]) else int(row["tokens"]),
            prefix=int(row["prefix"]),
            pairs=int(row["pairs"]),
            seeds=int(row["seeds"]),
            # A score that points of this kind do not have is an empty cell, its count too.
            estimates={
                name: row_estimate(row, name) for name in names if not pd.isna(row[f"{name}_n"])
            },
        )
        for row in frame.to_dict("records")
    ]


def row_estimate(row: Mapping[Any, Any], name: str) -> Estimate:
    """Return one estimate of a row; a column that an earlier version did not write is None."""
    names = ("low", "high", *(field.name for field in fields(Estimate) if field.name != "ci95"))
    found = {key: _plain(row.get(f"{name}_{key}"), key) for key in names}
    low, high = found.pop("low"), found.pop("high")
    return Estimate(**found, ci95=None if low is None else (low, high))


def _plain(value: Any, key: str) -> Any:
    if pd.isna(value):
        return None
    return int(value) if key in ("n", "n_low") else value


def redraw(folder: Path) -> list[Path]:
    """Draw the figures of a results folder again, from its RESULT and CURVES; return their paths.

    Raises InputError if the folder is not one of results.
    """
    with stored(folder) as (document, curves):
        found = drawn(document, curves)
    return write_figures(folder, found)


@contextmanager
def stored(folder: Path) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Give the contents of RESULT and CURVES of a results folder to what reads values of them.

    Raises InputError if they, or what is read of them inside, are not those of a result.
    """
    try:
        document = dict(json.loads((folder / RESULT).read_text(encoding="utf-8")))
        yield document, pd.read_csv(folder / CURVES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{str(folder)!r} cannot be drawn ({type(error).__name__}): expected a folder with the"
            f" {RESULT} and {CURVES} of `python -m realdata run`, and its other tables"
        ) from error


def write_figures(folder: Path, found: Drawn) -> list[Path]:
    """Write every figure, each whole or not at all, and return their paths.

    What an earlier result left in the folder under such names goes: its figures would stand
    beside tables that they do not show.
    """
    paths = []
    for name, figure in _figures(found):
        save(figure, folder / name)
        paths.append(folder / name)
    for path in {old for pattern in _OURS for old in folder.glob(pattern)} - set(paths):
        path.unlink()
    return paths


def _figures(found: Drawn) -> Iterator[tuple[str, Figure]]:
    """Return each figure under its name, drawn when it is asked for."""
    trained = as_trained(found.points[DECODER])
    kinds = {point.kind for point in trained}
    for kind in (kind for kind in PAIR_KINDS if kind in kinds):
        slug = kind.replace(" ", "_").replace("-", "_")
        yield (
            f"ord_{slug}.png",
            orderedness_over_prefixes(trained, kind, about=found.about),
        )
        yield (
            f"stab_{slug}.png",
            stability_over_prefixes(trained, found.chance, kind, about=found.about),
        )
    if "cross-seed" in kinds:
        yield from _of_seeds(found)
    drift = found.points[AGAINST_INITIALISATION]
    yield "initialisation.png", against_initialisation(drift, about=found.about)
    for dataset in found.traded:
        name = "".join(c if c.isalnum() else "_" for c in dataset)
        yield f"pareto_{name}.png", _pareto(found, dataset)


def _of_seeds(found: Drawn) -> Iterator[tuple[str, Figure]]:
    about, every = found.about, found.points[DECODER]
    yield "ord_sorted.png", sorted_orders(every, "ord", about=about)
    yield "stab_sorted.png", sorted_orders(every, "stab", found.chance, about=about)
    streams = as_trained(found.points[ACTIVATIONS])
    for name, draw in (
        ("ord", orderedness_over_prefixes),
        ("stab", stability_over_prefixes),
    ):
        yield f"{name}_activations.png", draw(streams, of_activations=True, about=about)
    for prefix in dict.fromkeys((short_prefix(found.prefixes), found.prefixes[-1])):
        yield (
            f"over_training_first_{prefix}.png",
            over_training(found.points[OVER_TRAINING], prefix, found.chance[prefix], about=about),
        )


def _pareto(found: Drawn, dataset: str) -> Figure:
    own = found.fits[found.fits["dataset"] == dataset]
    quality = {
        str(method): (runs["l0"].to_numpy(dtype=float), runs["fvu"].to_numpy(dtype=float))
        for method, runs in own.groupby("method", sort=False)
    }
    # A run's PCA has as many components as the run has active latents, rounded up.
    floor = own.dropna(subset=["pca_fvu"]).assign(components=lambda runs: np.ceil(runs["l0"]))
    floor = floor.groupby("components")["pca_fvu"].first()
    return pareto(
        quality,
        (floor.index.to_numpy(dtype=float), floor.to_numpy(dtype=float)),
        about=f"{found.model}, K = {found.K}, on {dataset}",
    )
