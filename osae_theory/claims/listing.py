"""The ledger as it is worked out: a line a claim, in groups of one verdict, as wide as asked."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from osae_theory.claims.base import Claim
from osae_theory.claims.ledger import Entry

VERDICTS = ("fails", "holds with added assumptions", "holds", "conjecture")
_LEAST_TITLE = 20
# From here on a line says which claims Coq has checked.
_MIDDLE = 70
# From here on a line has room for the kind of evidence too.
_WIDE = 100


def by_verdict(claims: Iterable[Claim]) -> list[Claim]:
    """Return claims grouped by verdict, those that fail first; within a group as given."""
    return sorted(claims, key=lambda claim: VERDICTS.index(claim.verdict))


def heading(verdict: str, claims: Sequence[Claim]) -> str:
    """Return the line above a group: its verdict, and how many claims have it."""
    count = sum(claim.verdict == verdict for claim in claims)
    return f"{verdict.upper()} ({count})"


def line(entry: Entry, width: int) -> str:
    """Return what a check found in a line of at most `width` characters, the title wrapped."""
    claim, finding = entry.claim, entry.finding
    found = "confirmed" if finding.confirmed else "NOT CONFIRMED"
    error = "exact" if finding.error == 0 else f"{finding.error:.0e}"
    start = f"  {claim.id:<5} {found:<13}  "
    end = f"  {error:>6} {entry.seconds:>6.1f} s"
    if width >= _MIDDLE:
        end = f"  {'Coq' if claim.machine_checked else '':<3}{end}"
    if width >= _WIDE:
        end = f"  {claim.evidence:<17}{end}"
    room = max(width - len(start) - len(end), _LEAST_TITLE)
    first, *rest = textwrap.wrap(claim.title, room)
    lines = [f"{start}{first:<{room}}{end}", *[" " * len(start) + more for more in rest]]
    return "\n".join(lines)


def closing(entries: Sequence[Entry]) -> str:
    """Return the line below the ledger: how many claims have which verdict, and are confirmed."""
    counts = Counter(entry.claim.verdict for entry in entries)
    confirmed = sum(entry.finding.confirmed for entry in entries)
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    checked = sum(bool(entry.claim.machine_checked) for entry in entries)
    return (
        f"{len(entries)} claims: {', '.join(parts)}; {confirmed} verdicts confirmed."
        f" {checked} are machine-checked in Coq, in whole or in part (`make formal`)."
        " `--id NAME` tells one claim's whole story."
    )
