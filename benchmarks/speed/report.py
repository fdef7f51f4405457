"""Tables and the figure of a speed study. Drawn from its document; nothing here measures."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

_LIBRARIES = {
    "saelens": "SAELens",
    "dictionary_learning": "dictionary_learning",
    "sparsify": "sparsify",
    "overcomplete": "overcomplete",
}
_STEPS = {
    "topk": "top-m",
    "batchtopk": "batch top-m",
    "ordered": "ours in their training loop",
    "matryoshka 5": "Matryoshka, 5 prefixes",
    "matryoshka 10": "Matryoshka, 10 prefixes",
    "matryoshka 50": "Matryoshka, 50 prefixes",
}
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "0.55"


def loss_table(documents: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return loss and gradients of every way, over the plain dense loss: a column a shape."""
    columns = {}
    for document in documents:
        columns[_title(document)] = {
            name: _text(ratio) for name, ratio in document["losses"].items()
        }
    # A loop over all prefixes has another name at each K.
    table = pd.DataFrame(columns).fillna("–")
    table.index.name = ""
    return table


def peer_table(document: Mapping[str, Any]) -> pd.DataFrame:
    """Return the peers' whole steps over our exact one: as shipped / matched."""
    ratios = document["peers"]["ratios"]
    everything = f"matryoshka {document['shape']['K']}"
    kinds = _STEPS | {everything: f"Matryoshka, all {document['shape']['K']:,} prefixes"}
    rows: dict[str, dict[str, str]] = {}
    for kind, title in kinds.items():
        for library, name in _LIBRARIES.items():
            cells = [_cell(ratios, f"{library} {kind} {how}") for how in ("as shipped", "matched")]
            shown = " / ".join(cell for cell in cells if cell)
            if shown:
                rows.setdefault(title, {})[name] = shown
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=list(_LIBRARIES.values()))
    table.index.name = ""
    return table.fillna("–")


def _cell(ratios: Mapping[str, Any], name: str) -> str:
    for found, ratio in ratios.items():
        if found == name or found.startswith(f"{name} batch"):
            return f"{ratio['median']:.1f}"
    return ""


def markdown(documents: Sequence[Mapping[str, Any]], command: str) -> str:
    """Return the whole report as Markdown."""
    parts = [
        "Loss and gradients without optimiser, over a plain dense top-m SAE by automatic"
        " differentiation (1 = that). Medians of paired ratios, quartiles in brackets.",
        loss_table(documents).to_markdown(),
    ]
    for document in documents:
        ratios = document["ratios"]
        named = "; ".join(f"{name} {value:.3f}" for name, value in ratios.items())
        parts.append(f"{_title(document)}: {named}.")
        if document["peers"]:
            parts += [
                f"Whole training steps at {_title(document)}, the library's over our exact one:"
                " as shipped / with features matched.",
                peer_table(document).to_markdown(),
            ]
    peak = documents[0]["memory"]
    if peak:
        parts.append(
            f"Peak memory at K = {peak['shape']['K']:,}, exact over plain:"
            f" {peak['exact_over_plain']:.3f}."
        )
    parts.append(f"Made by `{command}`.")
    return "\n\n".join(parts) + "\n"


def device_table(documents: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return every contender on a device: its ratio, tokens a second, its own peak memory."""
    columns: dict[str, dict[str, str]] = {}
    for document in documents:
        s = document["shape"]
        title = f"{s['name']} (d {s['d']:,}, K {s['K']:,}, m {s['m']}, batch {s['batch']:,})"
        gone = {one["contender"]: "out of memory" for one in document["out_of_memory"]}
        gone |= dict.fromkeys(document["failed"], "failed") | document["left_out"]
        columns[title] = gone | {
            name: _device_cell(document, name, rate)
            for name, rate in document["tokens_a_second"].items()
        }
    table = pd.DataFrame(columns).fillna("–")
    table.index.name = ""
    return table


def _device_cell(document: Mapping[str, Any], name: str, rate: float) -> str:
    ratio, peak = document["losses"].get(name), document["peak_bytes"][name]
    parts = [] if ratio is None else [_text(ratio)]
    parts.append(f"{rate / 1e6:,.3g} M/s")
    return "; ".join(parts if peak is None else [*parts, f"{peak / 2**20:,.0f} MiB"])


def device_markdown(
    documents: Sequence[Mapping[str, Any]], device: Mapping[str, Any], command: str
) -> str:
    """Return the report of a device as Markdown."""
    driver = f", driver {device['driver']}" if device["driver"] else ""
    parts = [
        "Loss and gradients without optimiser: over a plain dense top-m SAE by automatic"
        " differentiation (medians of paired ratios, quartiles in brackets); millions of tokens a"
        " second; peak memory above what was there before.",
        f"On {device['name']}{driver}, with torch {device['torch']} and triton"
        f" {device['triton']}; kernels by {documents[0]['kernel']}.",
        device_table(documents).to_markdown(),
    ]
    for document in documents:
        name, s = document["shape"]["name"], document["shape"]
        named = "; ".join(f"{key} {value:.3f}" for key, value in document["ratios"].items())
        parts.append(f"{name}: {named}. As trained: {document['as_trained']}.")
        if document["out_of_memory"]:
            met = "; ".join(
                f"{one['contender']} at batch {one['batch']:,}" for one in document["out_of_memory"]
            )
            batch = f"all were timed at batch {s['batch']:,}, of {document['asked_batch']:,} asked"
            parts.append(f"{name}: out of memory: {met}; {batch}.")
        parts += [f"{name}: {who} failed: {why}." for who, why in document["failed"].items()]
    parts.append(f"Made by `{command}`.")
    return "\n\n".join(parts) + "\n"


def figure(document: Mapping[str, Any]) -> Figure:
    """Draw what each way costs, how the cost grows with the number of prefixes, and the peers'."""
    rows: list[Any] = [["losses", "growth"]]
    if document["peers"]:
        rows.append(["peers", "peers"])
    # No wider than a page shows it, or its labels cannot be read there.
    drawn = Figure(figsize=(9.6, 4.6 * len(rows)), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplot_mosaic(rows)
    drawn.suptitle(_title(document))
    _dots(
        axes["losses"], document["losses"], "loss and gradients,\nrelative to the plain dense loss"
    )
    _growth(axes["growth"], document)
    if document["peers"]:
        ratios = {
            _readable(name): ratio
            for name, ratio in document["peers"]["ratios"].items()
            if name.endswith("as shipped") or name in ("ours plain", "ours uniform")
        }
        _dots(axes["peers"], ratios, "whole training step as shipped, relative to our exact one")
    drawn.supxlabel("points: medians over rounds; bars: quartiles", fontsize=9)
    return drawn


def _readable(name: str) -> str:
    for library, title in _LIBRARIES.items():
        if name.startswith(library):
            rest = name.removeprefix(library).removesuffix("as shipped").strip()
            every = rest.replace("matryoshka ", "Matryoshka, ") + " prefixes"
            return f"{title}, {_STEPS.get(rest, every)}"
    return name.replace("ours uniform", "ours, exact").replace("ours plain", "ours, plain")


def _dots(axis: Axes, ratios: Mapping[str, Mapping[str, float]], label: str) -> None:
    ordered = sorted(ratios.items(), key=lambda item: -item[1]["median"])
    for place, (name, ratio) in enumerate(ordered):
        colour = _ORANGE if "fused" in name or name.startswith("ours") else _BLUE
        # Ours and theirs differ in shape too, not in colour alone.
        marker = "o" if colour == _ORANGE else "s"
        axis.plot([ratio["low"], ratio["high"]], [place, place], color=colour, linewidth=2)
        axis.plot(ratio["median"], place, marker, color=colour)
    axis.axvline(1, color=_GREY, linewidth=1, zorder=0)
    axis.set_xscale("log")
    _plain_numbers(axis.xaxis)
    axis.set_yticks(range(len(ordered)), [name for name, _ in ordered], fontsize=9)
    axis.set_xlabel(label)
    axis.grid(axis="x", color="0.92", zorder=0)


def _growth(axis: Axes, document: Mapping[str, Any]) -> None:
    base = document["losses"]["plain, fused"]["median"]
    numbers = [int(n) for n in document["over_prefixes"]]
    costs = [base * ratio["median"] for ratio in document["over_prefixes"].values()]
    axis.plot(numbers, costs, "o-", color=_ORANGE, label="fused kernel")
    loops = {
        int(name.split()[2]): ratio["median"]
        for name, ratio in document["losses"].items()
        if name.startswith("loop over")
    }
    axis.plot(list(loops), list(loops.values()), "s--", color=_BLUE, label="loop over prefixes")
    axis.set_xscale("log")
    axis.set_yscale("log")
    _plain_numbers(axis.xaxis, (1.0,))
    _plain_numbers(axis.yaxis)
    axis.set_xlabel("number of prefixes in the loss")
    axis.set_ylabel("loss and gradients,\nrelative to the plain dense loss")
    axis.grid(color="0.92", zorder=0)
    # Above the panel: inside, a curve may run through it.
    axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)


def _plain_numbers(axis: Axis, steps: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """Label a logarithmic axis at these multiples of each power of ten."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _title(document: Mapping[str, Any]) -> str:
    s = document["shape"]
    n = document["threads"]
    threads = "1 thread" if n == 1 else f"{n} threads"
    return f"{s['name']} (d {s['d']}, K {s['K']:,}, m {s['m']}, batch {s['batch']:,}; {threads})"


def _text(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})"
