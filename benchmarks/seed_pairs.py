"""`python -m benchmarks.seed_pairs DIR`: two seeds of each method side by side, a figure a cell.

Command line, and the reading of the runs that it shows. Nothing is trained: the store must have
kept the arrays of these runs, as one does that `benchmarks.toy` has trained into.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from benchmarks import catalogue
from benchmarks.analysis.names import Cell, Variant, cell_of, in_order, variant_named
from benchmarks.contracts import Fitted, Scored
from benchmarks.files import save_figure
from benchmarks.kept import fitted_from
from benchmarks.parameters import selector
from benchmarks.report.figures import seed_pair
from benchmarks.report.figures.seed_pair import SeedPair
from benchmarks.spec import RunSpec
from benchmarks.store import Store
from osae_theory.command_line import Parser, run
from osae_theory.errors import InputError, check_choice, check_integer
from osae_theory.files import check_writable
from osae_theory.metrics import activation_correlations, cosines, match

MODULE = "benchmarks.seed_pairs"
_SHOWN = ("topk", "msae-fixed", "msae-random", "osae")
_MOST_SAMPLES = 1000
# What each order of the latents is called, and how a run is put into it.
ORDERS: Mapping[str, tuple[str, Callable[[Scored], Int[np.ndarray, " width"]]]] = {
    "trained": ("as trained", lambda scored: np.arange(scored.fitted.dictionary.shape[1])),
    "energy": ("sorted by energy", lambda scored: scored.by_energy),
    "frequency": ("sorted by frequency", lambda scored: scored.by_frequency),
}


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(
        MODULE,
        "Draw, for each cell of a store, two seeds of each method on one problem draw: the codes of"
        " both, and the correlations and cosines of their latents.",
    )
    p.add_argument("store", type=Path, metavar="DIR", help="folder of a store that has its arrays")
    p.add_argument(
        "--methods",
        default=",".join(_SHOWN),
        help="comma-separated, in any of their settings (default: the paper's four)",
    )
    p.add_argument(
        "--order",
        default="trained,energy",
        help=f"orders of the latents, comma-separated, of {', '.join(ORDERS)}; a method stands in"
        " the figure once for each (default: trained,energy)",
    )
    p.add_argument(
        "--samples",
        type=int,
        default=50,
        help="held-out samples whose codes are shown (default: 50)",
    )
    p.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for the figures (default: DIR/seed_pairs)",
    )
    return p


def do(options: argparse.Namespace) -> None:
    """Draw the figures and say where they are."""
    check_integer("--samples", options.samples, 1, _MOST_SAMPLES)
    methods = [selector(name)[0] for name in options.methods.split(",")]
    for name in methods:
        check_choice("method", name, catalogue.methods())
    orders = options.order.split(",")
    for name in orders:
        check_choice("order", name, ORDERS)
    out = options.store / "seed_pairs" if options.out is None else options.out
    store = Store.at(options.store)
    cells = pairs_by_cell(store, methods)
    check_writable(out)
    for cell, found in cells.items():
        first = next(iter(found.values()))[0].setting.case
        # All runs of a figure are of one draw.
        spec = catalogue.problem_spec(first)
        problem = spec.draw()
        heldout = spec.draw("heldout", catalogue.families()[first.family].n_heldout)
        shown = []
        for variant, pair in found.items():
            scored = [
                Scored(_fitted(store, run), problem, heldout, run.seeds.initialisation)
                for run in pair
            ]
            shown += [compared(variant, scored, order, options.samples) for order in orders]
        title = f"{cell.title}\ntwo seeds on problem draw {first.problem_seed}"
        file = out / f"{cell.slug}.png"
        save_figure(seed_pair.draw(shown, title), file)
        print(f"{len(found)} methods of {cell.label}: {file}")


def pairs_by_cell(
    store: Store, methods: Sequence[str]
) -> Mapping[Cell, Mapping[Variant, tuple[RunSpec, RunSpec]]]:
    """Return for each cell and method two runs on one draw whose arrays the store has.

    The draw is the one on which the most of these methods have two such runs, and of these that
    with the smallest seed; the runs are those of the smallest initialisation seeds.

    Parameters
    ----------
    store : Store
        Where they are.
    methods : sequence of str
        Names of methods.

    Raises
    ------
    InputError
        If there are none.
    """
    runs = store.frames(vectors=False).runs
    texts = runs.loc[runs["status"].eq("done"), "text"].astype(str)
    by_draw: dict[str, dict[int, dict[str, list[RunSpec]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for text in texts:
        spec = RunSpec.read(text)
        setting = spec.setting
        if setting.method in methods and store.has_arrays(spec.id):
            key = spec.setting.variant
            by_draw[setting.case.cell][setting.case.problem_seed][key].append(spec)
    found = {}
    for draws in by_draw.values():
        paired = {
            seed: {name: pair for name, runs in variants.items() if (pair := _two(runs))}
            for seed, variants in sorted(draws.items())
        }
        best = max(paired.values(), key=len)
        if best:
            order = in_order(variant_named(name) for name in best)
            cell = cell_of(next(iter(best.values()))[0].text)
            found[cell] = {one: best[one.label] for one in order}
    if not found:
        raise InputError(
            f"{str(store.folder)!r} has no two runs of {', '.join(methods)} on one draw with their"
            " arrays, which exported stores are without: expected a store that benchmarks.toy"
            " trained"
        )
    return found


def _two(runs: Sequence[RunSpec]) -> tuple[RunSpec, RunSpec] | None:
    """Return the two runs of one setting with the smallest seeds."""
    by_setting = defaultdict(list)
    for one in sorted(runs, key=lambda spec: spec.seeds.initialisation):
        by_setting[one.setting].append(one)
    pairs = [own for own in by_setting.values() if len(own) > 1]
    return (pairs[0][0], pairs[0][1]) if pairs else None


def _fitted(store: Store, run: RunSpec) -> Fitted:
    kept = store.arrays(run.id)
    if kept is None:
        raise InputError(f"the arrays of run {run.id} are damaged: expected those it was kept with")
    return fitted_from(*kept)


def compared(variant: Variant, scored: Sequence[Scored], order: str, n_samples: int) -> SeedPair:
    """Return what two runs of one method show, their latents put into an order.

    Parameters
    ----------
    variant : Variant
        The method.
    scored : pair of Scored
        The two runs.
    order : str
        One of `ORDERS`.
    n_samples : int
        Held-out samples whose codes are shown.
    """
    name, rule = ORDERS[order]
    places = [rule(one)[: one.fitted.dictionary.shape[1]] for one in scored]
    D, E = (one.fitted.dictionary[:, p] for one, p in zip(scored, places, strict=True))
    Z, W = (one.codes[p] for one, p in zip(scored, places, strict=True))
    live = [~one.latents.dead[p] for one, p in zip(scored, places, strict=True)]
    correlations = activation_correlations(Z, W)
    correlations[np.ix_(Z.std(axis=1) == 0, np.arange(W.shape[0]))] = np.nan
    correlations[:, W.std(axis=1) == 0] = np.nan
    return SeedPair(
        f"{variant.title},\n{name}",
        (Z[:, :n_samples], W[:, :n_samples]),
        correlations,
        cosines(D, E),
        match(D, E, live=(live[0], live[1])),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run(parser(), do, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
