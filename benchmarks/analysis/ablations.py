"""One change at a time: each variant of a base against that base, over problem draws."""

from benchmarks import catalogue
from benchmarks.analysis.comparisons import Comparison, compare_pairs
from benchmarks.analysis.summary import Row, Summary


def variants_of_bases(summary: Summary) -> list[tuple[Row, Row]]:
    """Return each row that is another one with one thing changed, with that other one.

    A method says whose variant it is by `tuned_as`. The two rows have the same values of all
    parameters that both declare, and the same budget: else more than one thing differs.

    Parameters
    ----------
    summary : Summary
        The table.

    Returns
    -------
    list of (Row, Row)
        The variant and its base, by base and then in the order of the table.
    """
    methods = catalogue.methods()
    return [
        (row, base)
        for base in summary.rows
        for row in summary.rows
        if row.variant.known
        and methods[row.variant.method].tuned_as == base.variant.method
        and _same_elsewhere(row, base)
    ]


def ablations(summary: Summary) -> list[Comparison]:
    """Return every variant minus its base in the measurements that are compared.

    The p-values are corrected by Holm's method for all variants of the table, of whichever
    base, in one measurement.

    Parameters
    ----------
    summary : Summary
        The table; only a detailed one has bootstrap intervals.
    """
    pairs = [(row.label, base.label) for row, base in variants_of_bases(summary)]
    if not pairs:
        return []
    return [
        one
        for metric in summary.questions
        for one in compare_pairs(
            metric.name,
            {label: list(own) for label, own in summary.values[metric.name].items()},
            pairs,
            metric.margin,
            summary.detailed,
        )
    ]


def _same_elsewhere(row: Row, base: Row) -> bool:
    own, other = row.variant.values, base.variant.values
    return row.budget == base.budget and all(own[n] == other[n] for n in own.keys() & other.keys())
