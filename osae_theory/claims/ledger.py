"""The ledger: every claim, and what its check found when it was last run, here and now."""

import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from osae_theory.claims.base import Claim, Finding, exact_text

DEFAULT_EXAMPLES = 2000
_WIDTH = 92


@dataclass(frozen=True)
class Entry:
    """A claim with what its check found.

    Attributes
    ----------
    claim : Claim
        The claim.
    finding : Finding
        What the check found.
    seconds : float
        How long it took.
    """

    claim: Claim
    finding: Finding
    seconds: float


def examine(claim: Claim, n_examples: int = DEFAULT_EXAMPLES) -> Entry:
    """Run a claim's check and time it, with one thread: its matrices are small."""
    started = time.perf_counter()
    with threadpool_limits(1):
        finding = claim.check(n_examples)
    return Entry(claim, finding, time.perf_counter() - started)


def table(entries: Iterable[Entry]) -> str:
    """Return the ledger as text: a line a claim."""
    headings = ("claim", "title", "source", "verdict", "evidence", "Coq", "examples", "error", "s")
    lines = [
        (
            entry.claim.id,
            entry.claim.title,
            entry.claim.source,
            entry.claim.verdict,
            entry.claim.evidence,
            _coq(entry.claim),
            entry.finding.n_examples,
            "exact" if entry.finding.error == 0 else f"{entry.finding.error:.0e}",
            f"{entry.seconds:.1f}",
            "confirmed" if entry.finding.confirmed else "NOT CONFIRMED",
        )
        for entry in entries
    ]
    return tabulate(lines, headers=(*headings, ""), tablefmt="simple", disable_numparse=True)


def story(entry: Entry) -> str:
    """Return all there is to say of one claim, in paragraphs of 92 characters a line."""
    claim, finding = entry.claim, entry.finding
    verdict = f"{claim.verdict} ({claim.evidence})"
    if not finding.confirmed:
        verdict += "; the check did NOT confirm it"
    paragraphs = [
        f"{claim.id}: {claim.title}",
        f"Source: {claim.source}",
        f"Statement: {claim.statement}",
        *[f"Assumption: {assumption.text}" for assumption in claim.assumptions],
        f"Verdict: {verdict}",
        *claim.story.splitlines(),
        *[
            f"Machine-checked: {formal.says} (Coq, theorem {formal.theorem} in"
            f" formal/{formal.file})"
            for formal in claim.machine_checked
        ],
        *[f"Reference: {reference}" for reference in claim.references],
    ]
    text = "\n\n".join(textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs)
    numbers = "\n".join(f"  {name} = {value}" for name, value in finding.certificate.items())
    return (
        f"{text}\n\nCertificate:\n{numbers}\n\nIts error: {_error_text(finding)}; examples:"
        f" {finding.n_examples}; seconds: {entry.seconds:.1f}"
    )


def document(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the ledger as plain values for JSON; exact fractions as text, such as "2/5"."""
    return [
        {
            "id": entry.claim.id,
            "title": entry.claim.title,
            "source": entry.claim.source,
            "statement": entry.claim.statement,
            "assumptions": [assumption.text for assumption in entry.claim.assumptions],
            "verdict": entry.claim.verdict,
            "evidence": entry.claim.evidence,
            "machine_checked": [asdict(formal) for formal in entry.claim.machine_checked],
            "confirmed": entry.finding.confirmed,
            "certificate": {
                name: _plain(value) for name, value in entry.finding.certificate.items()
            },
            "error": float(entry.finding.error),
            "examples": entry.finding.n_examples,
            "seconds": entry.seconds,
        }
        for entry in entries
    ]


def _plain(value: Any) -> int | float | str | None:
    plain = exact_text(value.item() if isinstance(value, np.generic) else value)
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


def _error_text(finding: Finding) -> str:
    return "none, it is exact" if finding.error == 0 else f"{finding.error:.1e}"


def _coq(claim: Claim) -> str:
    if not claim.machine_checked:
        return ""
    return "checked" if claim.machine_checked_whole else "in part"
