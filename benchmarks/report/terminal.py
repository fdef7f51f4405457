"""A table as narrow as the terminal: the numbers, the best of each line, and what to read.

The files have everything; this is what stands on the screen when a job ends.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.analysis.summary import Summary
from benchmarks.contracts import Metric
from benchmarks.outcome import NOT_DONE
from benchmarks.report.rounding import interval_text
from benchmarks.report.tables import (
    chance_text,
    how_text,
    mark,
    notes,
    published_figures,
    scope_text,
)
from osae_theory.metrics.intervals import FEWEST_UNITS

_GAP = "  "


@dataclass(frozen=True)
class _Column:
    title: str
    entries: Sequence[str]

    @property
    def width(self) -> int:
        longest_word = max(len(word) for word in self.title.split())
        return max(longest_word, *(len(entry) for entry in self.entries))

    def heading(self) -> list[str]:
        return textwrap.wrap(self.title, self.width)


def terminal_table(summary: Summary, width: int) -> str:
    """Return the table and its notes, no line longer than `width` where that can be.

    Methods that do not fit beside each other follow in a table below. An entry is "mean ± half
    of the 95% interval", with as many decimals as the interval bears.
    """
    labels, columns = _columns(summary)
    tables = ["\n".join(_lines(labels, block)) for block in _blocks(labels, columns, max(width, 1))]
    text = textwrap.fill(_notes(summary), max(width, 20), break_on_hyphens=False)
    return "\n\n".join([*tables, text])


def _columns(summary: Summary) -> tuple[list[str], list[_Column]]:
    labels = [""]
    methods: list[list[str]] = [[f"{row.runs} runs "] for row in summary.rows]
    for metric in summary.shown:
        exponent = _exponent(summary, metric)
        scale = 10.0**-exponent
        unit = f", 1e{exponent}" if exponent else ""
        labels.append(metric.short + unit)
        for entries, row in zip(methods, summary.rows, strict=True):
            found = row.estimates[metric.name]
            text = _short(interval_text(found.mean, found.ci95, scale))
            entries.append(text + (mark(summary, metric.name, row.label).strip() or " "))
        published = published_figures(summary, metric.name)
        if published:
            labels.append("- the paper's")
            for entries, pair in zip(methods, published, strict=True):
                entries.append("" if pair is None else _short(f"{scale * pair[0]:.2g} "))
    for status in NOT_DONE:
        if any(row.statuses.get(status) for row in summary.rows):
            labels.append(status)
            for entries, row in zip(methods, summary.rows, strict=True):
                entries.append(f"{row.statuses.get(status, 0)} ")
    titles = [row.title for row in summary.rows]
    return labels, [_Column(*named) for named in zip(titles, methods, strict=True)]


def _exponent(summary: Summary, metric: Metric) -> int:
    """Return a power of ten, a multiple of -3, that brings small errors to readable size."""
    means = [row.estimates[metric.name].mean for row in summary.rows]
    largest = max((abs(mean) for mean in means if mean is not None), default=0.0)
    if metric.better >= 0 or largest < 1e-12 or largest >= 0.01:
        return 0
    return 3 * round(math.log10(largest) / 3)


def _short(text: str) -> str:
    """Return numbers without the zero before their point, and without spaces round the ±."""
    tight = text.replace(" ± ", "±")
    for sign in ("-", "±"):
        tight = tight.replace(f"{sign}0.", f"{sign}.")
    return tight.removeprefix("0") if tight.startswith("0.") else tight


def _blocks(
    labels: Sequence[str], columns: Sequence[_Column], width: int
) -> Iterator[list[_Column]]:
    first = max(len(label) for label in labels)
    block: list[_Column] = []
    used = first
    for column in columns:
        needed = len(_GAP) + column.width
        if block and used + needed > width:
            yield block
            block, used = [], first
        block.append(column)
        used += needed
    yield block


def _lines(labels: Sequence[str], columns: Sequence[_Column]) -> Iterator[str]:
    first = max(len(label) for label in labels)
    headings = [column.heading() for column in columns]
    height = max(len(heading) for heading in headings)
    padded = [[""] * (height - len(heading)) + heading for heading in headings]
    for line in range(height):
        yield _line("", first, [heading[line] for heading in padded], columns)
    for i, label in enumerate(labels):
        yield _line(label, first, [column.entries[i] for column in columns], columns)


def _line(label: str, first: int, entries: Sequence[str], columns: Sequence[_Column]) -> str:
    cells = [entry.rjust(column.width) for entry, column in zip(entries, columns, strict=True)]
    return _GAP.join([label.ljust(first), *cells]).rstrip()


def _notes(summary: Summary) -> str:
    if summary.draws < FEWEST_UNITS:
        meaning = f"No intervals and no comparisons: both take {FEWEST_UNITS} draws or more."
    else:
        meaning = (
            "Mean ± half of the 95% interval over draws. * the best, and what is not told apart"
            " from it."
        )
    parts = [
        f"{summary.cell.title}; {scope_text(summary)}. {how_text(summary)}",
        meaning,
        *_limits(summary),
        *notes(summary),
    ]
    return " ".join(parts)


def _limits(summary: Summary) -> Iterator[str]:
    compared = {m.name: m.short for m in summary.metrics if m.question or m.of_pair is not None}
    chance = {
        short: _short(chance_text(summary, name))
        for name, short in compared.items()
        if name in summary.chance
    }
    if chance:
        yield f"By chance: {_listed(chance)}."
    for top in summary.oracles:
        found = {
            short: _short(interval_text(top.estimates[name].mean, None))
            for name, short in compared.items()
            if top.estimates[name].mean is not None
        }
        yield f"By {top.title}: {_listed(found)}."


def _listed(values: Mapping[str, str]) -> str:
    """Return names with their values, those of one value together."""
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return "; ".join(f"{', '.join(own)} {value}" for value, own in names.items())
