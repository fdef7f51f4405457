"""Tables of a summary: as text for readers, as plain values for JSON and CSV."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.analysis.comparisons import Comparison
from benchmarks.analysis.names import Cell, budget_text
from benchmarks.analysis.ranks import Ranking
from benchmarks.analysis.summary import PUBLISHED_DRAWS, Row, Summary
from benchmarks.contracts import Metric
from benchmarks.outcome import NOT_DONE
from benchmarks.report.paper import is_papers_cell, published
from benchmarks.report.rounding import (
    MISSING,
    decimals,
    interval_text,
    p_value_text,
    written,
)
from osae_theory.metrics.intervals import FEWEST_UNITS, Estimate

# A spread that is but rounding.
_NOTHING = 1e-9
# A share of the greatest value: below it a method has no runs that could be called bad.
_FAR = 0.5
_FAILURES = {"diverged": "diverged", "timeout": "were stopped by the clock", "error": "failed"}


# As plain values.


def document(summary: Summary) -> dict[str, Any]:
    """Return everything that a table says as plain values, for JSON; what is undefined is None."""
    ceilings: dict[str, Any] = {}
    for top in summary.oracles:
        for key, found in top.estimates.items():
            ceilings.setdefault(top.label, {}).update(_json_estimate(key, found))
    return {
        "cell": {
            "family": summary.cell.family,
            "label": summary.cell.label,
            "problem": dict(summary.cell.params),
        },
        "arithmetic": summary.table.arithmetic,
        "draws": summary.draws,
        "seeds": summary.seeds,
        "rows": [json_row(summary, row) for row in summary.rows],
        "comparisons": [json_comparison(summary, one) for one in answered(summary)],
        "chance": dict(summary.chance),
        "ceiling": ceilings,
        "notes": list(notes(summary)),
    }


def json_row(summary: Summary, row: Row) -> dict[str, Any]:
    """Return a method's row as plain values."""
    fields: dict[str, Any] = {
        "method": row.variant.method,
        "variant": row.label,
        "title": row.title,
        "unit": row.budget.unit,
        "amount": row.budget.amount,
        "batch_size": row.budget.batch_size,
        "draws": row.draws,
        "runs": row.runs,
        "done": row.done,
        **{status: row.statuses.get(status, 0) for status in NOT_DONE},
    }
    for metric in summary.metrics:
        key = metric.name
        fields |= _json_estimate(key, row.estimates[key])
        if key in row.over_runs:
            found = row.over_runs[key]
            fields |= {f"{key}_median_of_runs": found.median, f"{key}_low_runs": found.n_low}
        if key in summary.chance:
            fields[f"{key}_chance"] = summary.chance[key]
    return fields | {"seconds": row.seconds}


def json_comparison(summary: Summary, one: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values."""
    found = one.difference
    methods = {row.label: row.variant.method for row in summary.rows}
    return {
        "measurement": one.metric,
        "method": methods[one.variant],
        "minus": methods[one.other],
        "variant": one.variant,
        "minus_variant": one.other,
        "draws": found.n,
        "difference_mean": found.mean,
        "difference_std": found.std,
        "difference_ci95": _list(found.ci95),
        "difference_bootstrap95": _list(found.bootstrap95),
        "p": found.p_different,
        "p_holm": one.p_different,
        "margin": one.margin,
        "p_level": found.p_level,
        "p_level_holm": one.p_level,
        "word": one.word,
    }


def table_fields(summary: Summary) -> dict[str, Any]:
    """Return what tells a table from others, by columns: problem, arithmetic."""
    return {**cell_fields(summary.cell), "arithmetic": summary.table.arithmetic}


def cell_fields(cell: Cell) -> dict[str, Any]:
    """Return a cell's family and its parameters, each in a column "problem.NAME"."""
    params = {f"problem.{name}": value for name, value in cell.params.items()}
    return {"family": cell.family, **params}


def flat_frame(fields: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a mapping, the table's fields first and intervals in two columns, for CSV."""
    return pd.DataFrame([{**fields, **flat(row)} for row in rows])


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with each interval in two fields, _low and _high."""
    fields: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("95"):
            low, high = value if value is not None else (None, None)
            fields |= {f"{key}_low": low, f"{key}_high": high}
        else:
            fields[key] = value
    return fields


def answered(summary: Summary) -> list[Comparison]:
    """Return the comparisons that a table answers: all pairs, in its questions."""
    return [one for metric in summary.questions for one in summary.comparisons.get(metric.name, ())]


# As text for readers.


def reading_table(summary: Summary) -> pd.DataFrame:
    """Return the table for readers: measurements down, methods across, all as text.

    An entry is "mean (std) ± half of the 95% interval", with a * at the best and at those not
    told apart from it; the last columns are what chance and what oracles score. Measurements that
    nobody has a value of are left out. On the paper's cell, the paper's figures stand under ours.
    """
    limits = [""] * (1 + len(summary.oracles))
    lines: list[tuple[str, list[str]]] = [
        ("runs", [*(runs_text(row) for row in summary.rows), *limits])
    ]
    if not common_budget(summary):
        budgets = [budget_text(row.budget) or MISSING for row in summary.rows]
        lines.append(("budget", [*budgets, *limits]))
    for metric in summary.shown:
        key = metric.name
        entries = [
            estimate_text(row.estimates[key]) + mark(summary, key, row.label)
            for row in summary.rows
        ]
        tops = [_ceiling_text(top.estimates[key]) for top in summary.oracles]
        lines.append((metric.title, [*entries, chance_text(summary, key), *tops]))
        if has_bad_runs(summary, metric):
            title = f"{metric.title}, median run (runs below 0.9 of it)"
            medians = [_median_text(row.over_runs[key]) for row in summary.rows]
            lines.append((title, [*medians, *limits]))
        found = published_figures(summary, key)
        if found:
            texts = [_published_text(pair) for pair in found]
            lines.append((f"{metric.title}, the paper's", [*texts, *limits]))
    seconds = [MISSING if r.seconds is None else f"{r.seconds:.3g}" for r in summary.rows]
    lines.append(("seconds a run", [*seconds, *limits]))
    titles = [row.title for row in summary.rows]
    return pd.DataFrame(
        [entries for _, entries in lines],
        columns=pd.Index([*titles, "chance", *ceiling_titles(summary)]),
        index=pd.Index([title for title, _ in lines], name=""),
    )


def ceiling_titles(summary: Summary) -> list[str]:
    """Return the headings of the oracles' columns."""
    if len(summary.oracles) == 1:
        return ["ceiling"]
    return [f"ceiling: {top.title}" for top in summary.oracles]


def published_figures(summary: Summary, key: str) -> list[tuple[float, float] | None]:
    """Return the paper's (mean, standard deviation) a row; empty where it has none."""
    found = [published(summary.cell, row.variant.method, key) for row in summary.rows]
    return found if any(found) else []


def has_bad_runs(summary: Summary, metric: Metric) -> bool:
    """Return whether some method has runs so far below its median that its mean misleads."""
    high = metric.bounds[1]
    return metric.better > 0 and any(
        found.n_low and found.median is not None and found.median > _FAR * high
        for row in summary.rows
        if (found := row.over_runs.get(metric.name)) is not None and metric.of_value is None
    )


def mark(summary: Summary, key: str, label: str) -> str:
    """Return " *" for the best method in a measurement and those not told apart from it."""
    return " *" if label in summary.leaders.get(key, ()) else ""


def chance_text(summary: Summary, key: str) -> str:
    """Return the chance level of a measurement; an empty text where it has none."""
    level = summary.chance.get(key)
    if level is None:
        return ""
    return "0" if level == 0 else f"{level:.3f}"


def caption(summary: Summary, deviations: bool = True) -> str:
    """Return the sentences that a reader needs to read a table, with standard deviations or not."""
    spread = " (standard deviation)" if deviations else ""
    few = summary.draws < FEWEST_UNITS
    sentences = [
        f"{summary.cell.title}; {scope_text(summary)}. {how_text(summary)}",
        f"Mean{spread} over draws"
        + ("" if few else " ± half of the 95% confidence interval")
        + "; a draw's value is the mean of its runs' values, and Stab(D, D') that of its pairs"
        " of runs.",
        _comparison_sentence(summary),
        "Stab and Ord match signed cosines; an atom is recovered when its absolute cosine is"
        " >= 0.9. Ord is over latents that are ever active; the share left out stands beside it.",
    ]
    if summary.chance:
        sentences.append("Chance: Stab of random dictionaries, Ord of random permutations.")
    if summary.oracles:
        sentences.append("Ceiling: what a method that is given the truth scores.")
    if is_papers_cell(summary.cell):
        sentences.append(f"The paper's figures: mean{spread} of 10 seeds.")
    return " ".join([*sentences, *notes(summary)])


def notes(summary: Summary) -> Iterator[str]:
    """Yield what a reader must know of this table's runs, a sentence each."""
    failures = [
        f"{n} {'runs' if n > 1 else 'run'} of {row.title} {_FAILURES[status]}"
        for row in summary.rows
        for status, n in row.statuses.items()
        if status in NOT_DONE
    ]
    if failures:
        yield f"In no figure: {', '.join(failures)}."
    numbers = {row.draws for row in summary.rows}
    if len(numbers) > 1 or max(numbers) < summary.draws:
        common = [one.difference.n for one in answered(summary)]
        text = _from_to(min(common), max(common)) if common else "0"
        yield (
            f"Methods have different draws, {_from_to(min(numbers), max(numbers))} of"
            f" {summary.draws}: a comparison is over those that both have, here {text}."
        )
    yield from summary.mixtures


def scope_text(summary: Summary) -> str:
    """Return how many draws and seeds there are, and whether that is but a quick look."""
    draws = sorted({row.draws for row in summary.rows})
    seeds = sorted({n for row in summary.rows for n in (row.fewest_seeds, row.most_seeds)})
    text = (
        f"{_from_to(draws[0], draws[-1])} problem draw{'s' * (draws[-1] != 1)} x"
        f" {_from_to(seeds[0], seeds[-1])} seed{'s' * (seeds[-1] != 1)} a method"
    )
    if draws[-1] < PUBLISHED_DRAWS:
        text += f" (a quick look: published tables have {PUBLISHED_DRAWS} draws x 2 seeds)"
    return text


def common_budget(summary: Summary) -> str:
    """Return the budget that all methods have; empty where they differ, or have none."""
    texts = {budget_text(row.budget) for row in summary.rows}
    return texts.pop() if len(texts) == 1 else ""


def how_text(summary: Summary) -> str:
    """Return the budget and the arithmetic, as a sentence."""
    budget = common_budget(summary) or "Each method with its own budget"
    return f"{budget}; {summary.table.arithmetic} arithmetic."


def runs_text(row: Row) -> str:
    """Return how many runs there are, and how many of them did not end well."""
    failed = [f"{row.statuses[s]} {s}" for s in NOT_DONE if s in row.statuses]
    return f"{row.runs}, of which {', '.join(failed)}" if failed else f"{row.runs}"


def _comparison_sentence(summary: Summary) -> str:
    if summary.draws < FEWEST_UNITS:
        return f"No interval and no comparison: both take {FEWEST_UNITS} draws or more."
    if len(summary.rows) < 2:
        return "No comparison: there is one method."
    return (
        "An asterisk: the best method, and those not told apart from it (t-test of the"
        " differences within draws, Holm's correction for all pairs of methods, 5%)."
    )


def comparison_table(summary: Summary) -> pd.DataFrame:
    """Return all pairs of methods in the measurements that are compared, as text for readers."""
    titles = {row.label: row.title for row in summary.rows}
    metrics = {metric.name: metric.title for metric in summary.metrics}
    columns = ["measurement", "method", "minus", "difference", "bootstrap 95%", "p (Holm)"]
    columns += ["p level (Holm)", "in a word", "draws"]
    lines = [
        (
            metrics[one.metric],
            titles[one.variant],
            titles[one.other],
            interval_text(one.difference.mean, one.difference.ci95),
            range_text(one.difference.bootstrap95),
            p_value_text(one.p_different),
            p_value_text(one.p_level),
            one.word,
            f"{one.difference.n}",
        )
        for one in answered(summary)
    ]
    return pd.DataFrame(lines, columns=pd.Index(columns))


def comparison_caption(summary: Summary) -> str:
    """Return the sentences that a reader needs to read the table of comparisons."""
    margins = sorted({m.margin for m in summary.questions if m.margin is not None})
    width = " or ".join(f"{margin:g}" for margin in margins) or "the margin"
    return (
        f"{summary.cell.title}; {scope_text(summary)}. Mean difference over draws ± half of its"
        " 95% confidence interval (Student's, of the differences within draws). p: that there is"
        f" no difference; p level: that it is {width} or more (two one-sided tests; fixed"
        " beforehand for Stab and Ord, none for errors). Both are corrected by Holm's method for"
        " all pairs of methods in one measurement. The word: higher or lower at 5%; else level,"
        f" where the difference is inside ±{width} at 5%; else not told apart. The bootstrap"
        f" (percentile) is a cross-check, from {PUBLISHED_DRAWS} draws on."
    )


def rank_table(rankings: Sequence[Ranking]) -> pd.DataFrame:
    """Return mean ranks: methods down, measurements across, all as text for readers.

    Empty where there is no rank at all.
    """
    if not any(ranking.ranks for ranking in rankings):
        return pd.DataFrame()
    variants = {one.label: one for ranking in rankings for one in ranking.variants}
    lines = {
        variants[label].title: [_rank_text(ranking, label) for ranking in rankings]
        for label in variants
    }
    columns = pd.Index([ranking.metric.title for ranking in rankings])
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("")


def rank_caption(rankings: Sequence[Ranking]) -> str:
    """Return the sentences that a reader needs to read the table of ranks."""
    counts = sorted({ranking.cells for ranking in rankings})
    if not any(ranking.ranks for ranking in rankings):
        reasons = dict.fromkeys(ranking.reason for ranking in rankings)
        return f"No ranks over cells of one kind: {'; '.join(reasons)}."
    sentences = [
        f"Mean rank over {_from_to(counts[0], counts[-1])} cells, 1 the best, ± half of the 95%"
        " confidence interval (Student's, with cells as units), and in how many cells the method"
        " has the best mean. Cells of one grid are not drawn at random: the interval is about"
        " cells like these."
    ]
    for ranking in rankings:
        if ranking.reason:
            sentences.append(f"{ranking.metric.title}: {ranking.reason}.")
        if ranking.left_out:
            names = ", ".join(one.title for one in ranking.left_out)
            sentences.append(f"{ranking.metric.title} lacks {names}: not in all of these cells.")
    return " ".join(dict.fromkeys(sentences))


def estimate_text(found: Estimate) -> str:
    """Return "mean (std) ± half of the interval", as far as they are defined."""
    if found.mean is None:
        return MISSING
    half = None if found.ci95 is None else (found.ci95[1] - found.ci95[0]) / 2
    places = decimals(found.mean, half)
    text = written(found.mean, places)
    if found.std is not None:
        text += f" ({written(found.std, places)})"
    if half is not None:
        text += f" ± {written(half, places)}"
    return text


def range_text(pair: tuple[float, float] | None) -> str:
    """Return an interval as "low to high"."""
    if pair is None:
        return MISSING
    places = decimals(pair[0], (pair[1] - pair[0]) / 2)
    return f"{written(pair[0], places)} to {written(pair[1], places)}"


def _ceiling_text(found: Estimate) -> str:
    return interval_text(found.mean, found.ci95 if found.std and found.std > _NOTHING else None)


def _rank_text(ranking: Ranking, label: str) -> str:
    found = ranking.ranks.get(label)
    if found is None:
        return MISSING
    return f"{interval_text(found.mean, found.ci95)} (best in {ranking.first[label]})"


def _from_to(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def _published_text(pair: tuple[float, float] | None) -> str:
    return MISSING if pair is None else f"{pair[0]:#.3g} ({pair[1]:#.3g})"


def _median_text(found: Estimate) -> str:
    if found.median is None:
        return MISSING
    return f"{found.median:.3f} ({found.n_low or 0} of {found.n})"


def _json_estimate(key: str, found: Estimate) -> dict[str, Any]:
    return {
        f"{key}_mean": found.mean,
        f"{key}_std": found.std,
        f"{key}_ci95": _list(found.ci95),
        f"{key}_n": found.n,
    }


def _list(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else list(pair)
