"""A cell's table as narrow as the terminal: the numbers, the best of each line, and what to read.

The files have everything; this is what stands on the screen when a job ends.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.methods import METHODS
from benchmarks.rounding import interval_text
from benchmarks.summary import MEASUREMENTS, Measurement, Summary
from benchmarks.tables import mark, published_figures, scope_text
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
    notes = textwrap.fill(_notes(summary), max(width, 20), break_on_hyphens=False)
    return "\n\n".join([*tables, notes])


def _columns(summary: Summary) -> tuple[list[str], list[_Column]]:
    labels = [""]
    methods: list[list[str]] = [[f"{row.runs} runs "] for row in summary.rows]
    for measurement in MEASUREMENTS:
        exponent = _exponent(summary, measurement)
        scale = 10.0**-exponent
        unit = f", 1e{exponent}" if exponent else ""
        labels.append(measurement.short + unit)
        for entries, row in zip(methods, summary.rows, strict=True):
            found = row.estimates[measurement.key]
            text = _short(interval_text(found.mean, found.ci95, scale))
            entries.append(text + (mark(summary, measurement.key, row.method).strip() or " "))
        published = published_figures(summary, measurement.key)
        if published:
            labels.append("- the paper's")
            for entries, pair in zip(methods, published, strict=True):
                entries.append("" if pair is None else _short(f"{scale * pair[0]:.2g} "))
    if any(row.diverged for row in summary.rows):
        labels.append("diverged")
        for entries, row in zip(methods, summary.rows, strict=True):
            entries.append(f"{row.diverged} ")
    titles = [METHODS[row.method].title for row in summary.rows]
    return labels, [_Column(*named) for named in zip(titles, methods, strict=True)]


def _exponent(summary: Summary, measurement: Measurement) -> int:
    """Return a power of ten, a multiple of -3, that brings small values to readable size."""
    means = [row.estimates[measurement.key].mean for row in summary.rows]
    largest = max((abs(mean) for mean in means if mean is not None), default=0.0)
    if measurement.better >= 0 or largest < 1e-12 or largest >= 0.01:
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
    found = {key: _short(interval_text(top.mean, None)) for key, top in summary.ceilings.items()}
    parts = [f"{m.short} {found[m.key]}" for m in MEASUREMENTS if m.key in found]
    ceiling = f" By the truth itself: {', '.join(parts)}." if parts else ""
    return (
        f"{summary.cell}; {scope_text(summary)}. {meaning} By chance: Stab"
        f" {_short(f'{summary.chance.mean:.3f}')}, Ord 0.{ceiling}"
    )
