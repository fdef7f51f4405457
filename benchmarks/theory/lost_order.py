"""Figure of E: which pairs of latents cost trained SAEs their Ord, by C's identity."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.analysis.names import in_order, variant_named
from benchmarks.store import Frames, Store
from osae_theory.errors import InputError, check_real
from osae_theory.metrics.expected_order import (
    orderedness_with_misplaced,
    orderedness_with_shuffled,
)
from osae_theory.metrics.intervals import estimate

_ORDERS = ("energy", "frequency")
_KINDS = {
    "both recovered": ("#006BA4", ""),
    "one recovered": ("#FFBC79", "///"),
    "none recovered": ("#595959", "..."),
}


@dataclass(frozen=True)
class Settings:
    """What is read.

    Attributes
    ----------
    store : str
        Folder of a store of runs on the toy, such as results/study.
    cell : str
        Which of its problems, as the store names it.
    methods : tuple of str
        Which of its methods, at whatever settings.
    threshold : float
        An atom is recovered when its latent's absolute cosine with it is at least this.
    """

    store: str = "results/study"
    cell: str = "toy[K=100,N=100000,d=80,m=5]"
    methods: tuple[str, ...] = (
        "topk",
        "topk-resampled",
        "msae-fixed",
        "msae-random",
        "osae",
        "osae-annealed",
        "osae-exact",
        "truth",
    )
    threshold: float = 0.9

    def __post_init__(self) -> None:
        check_real("threshold", self.threshold, at_least=0.0, at_most=1.0)


def split_by_pairs(
    ranks: Int[np.ndarray, " n"], recovered: Bool[np.ndarray, " n"]
) -> dict[str, float]:
    """Return 1 - Ord as the sum of what pairs cost, by how many of the two are recovered.

    Parameters
    ----------
    ranks : (n,) int
        The rank of each latent's true atom, latents in the order learned.
    recovered : (n,) bool
        Which latents' atoms are recovered.

    Returns
    -------
    dict of str to float
        "both recovered", "one recovered", "none recovered".

    Notes
    -----
    claim C (docs/theory.md): a pair that is inverted costs 12 / (n (n^2 - 1)) times the distance
    of its true ranks.
    """
    n = len(ranks)
    i, j = np.triu_indices(n, 1)
    cost = 12 / (n * (n**2 - 1)) * np.maximum(ranks[i] - ranks[j], 0)
    many = recovered[i].astype(int) + recovered[j]
    return {kind: float(cost[many == 2 - k].sum()) for k, kind in enumerate(_KINDS)}


def measure(settings: Settings) -> pd.DataFrame:
    """Return one row a method and kind of sorting: means over draws, 95% intervals by draw.

    A draw's value is the mean of its runs'. "anywhere" is what the atoms not recovered would cost
    if their latents stood anywhere, "among themselves" if those only traded places (claim E);
    only live latents count.
    """
    folder = Path(settings.store)
    if not folder.is_dir():
        raise InputError(f"store {settings.store!r} is no folder: expected a store of runs")
    runs = pd.DataFrame(_runs(Store.at(folder).frames(), settings))
    if runs.empty:
        raise InputError(
            f"store {settings.store!r} holds no finished run of {settings.cell!r} by any of"
            f" {', '.join(settings.methods)}: expected some"
        )
    rows = []
    variants = in_order(variant_named(label) for label in runs["variant"].unique())
    for one, by in product(variants, _ORDERS):
        own = runs[(runs["variant"] == one.label) & (runs["by"] == by)]
        row = {"method": one.title, "by": by, "runs": len(own), "draws": own["draw"].nunique()}
        by_draw = own.drop(columns=["variant", "by"]).groupby("draw").mean()
        for column in by_draw:
            found = estimate(by_draw[column].tolist())
            low, high = found.ci95 or (np.nan, np.nan)
            row |= {column: found.mean, f"{column}, low": low, f"{column}, high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw 1 - Ord in parts, a bar a method, one panel a kind of sorting."""
    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(_ORDERS), sharex=True, sharey=True)
    methods = list(dict.fromkeys(frame["method"]))
    for axis, by in zip(axes, _ORDERS, strict=True):
        own = frame[frame["by"] == by].set_index("method").loc[methods]
        place, left = np.arange(len(methods)), np.zeros(len(methods))
        for kind, (colour, hatch) in _KINDS.items():
            axis.barh(
                place,
                own[kind],
                left=left,
                height=0.62,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.4,
                label=kind,
            )
            left += own[kind].to_numpy()
        total = own["1 - Ord"].to_numpy()
        reach = [total - own["1 - Ord, low"], own["1 - Ord, high"] - total]
        axis.errorbar(total, place, xerr=reach, color="black", linestyle="none", capsize=3)
        some = own["not recovered"].to_numpy() > 0
        axis.scatter(
            own["among themselves"][some],
            place[some],
            marker="D",
            s=34,
            facecolor="white",
            edgecolor="#C85200",
            linewidth=1.4,
            zorder=3,
            label="cost of the lost trading places",
        )
        axis.set_yticks(place, methods)
        axis.set(title=f"sorted by {by}", xlabel="1 - Ord")
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    # The bars come last by default.
    handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    axes[0].legend(handles, labels, title="inverted pairs of atoms", fontsize=8, loc="upper right")
    figure.supxlabel(
        "bars: means over problem draws; black: 95% interval of 1 - Ord by draw", fontsize=9
    )
    axes[0].set_xlim(0, 1.32 * float(frame["1 - Ord, high"].max()))
    return figure


def _runs(frames: Frames, settings: Settings) -> Iterator[dict[str, object]]:
    """Yield a row a finished run and kind of sorting."""
    wanted = frames.runs[
        (frames.runs["cell"] == settings.cell)
        & frames.runs["method"].isin(settings.methods)
        & (frames.runs["status"] == "done")
    ]
    frames = frames.only(wanted["run"].astype(str).tolist())
    named = {
        (str(row.run), str(row.name)): np.asarray(row.values_)
        for row in frames.vectors.rename(columns={"values": "values_"}).itertuples(index=False)
    }
    dead = frames.measurements.query("metric == 'dead_share'").set_index("run")["value"]
    for run in frames.runs.itertuples():
        one = str(run.run)
        permutation = named[one, "permutation"].astype(np.int64)
        recovered = np.abs(named[one, "similarities"]) >= settings.threshold
        K = len(permutation)
        n_live = K - round(float(dead[one]) * K)
        for by in _ORDERS:
            # Dead latents stand last, and Ord leaves them out.
            order = named[one, f"{by}_order"].astype(np.int64)[:n_live]
            ranks = np.argsort(np.argsort(permutation[order]))
            kept = recovered[order]
            parts = split_by_pairs(ranks, kept)
            true = kept[np.argsort(ranks)]
            lost, among = sum(parts.values()), 1 - orderedness_with_shuffled(~true)
            yield {
                "variant": str(run.variant),
                "by": by,
                "draw": run.problem_seed,
                "live": n_live,
                "not recovered": int((~kept).sum()),
                "1 - Ord": lost,
                **parts,
                "anywhere": 1 - orderedness_with_misplaced(true),
                "among themselves": among,
                "1 - Ord less among themselves": lost - among,
            }
