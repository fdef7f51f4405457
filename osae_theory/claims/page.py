"""The ledger as a page of documentation: every claim with its statement, proof and numbers."""

from collections.abc import Sequence
from fractions import Fraction

from tabulate import tabulate

from osae_theory.claims.base import Claim, Formal, Number
from osae_theory.claims.ledger import Entry

_GROUPS = {
    "I": "Identities of the loss",
    "P": "What the paper claims, as printed",
    "T": "What holds",
    "N": "What stands in the way for m >= 2",
    "A": "What the paper wanted, by another loss",
    "U": "Uniqueness, on which the rest leans",
    "B": "Beyond",
    "CEF": "What sorting can reach",
    "D": "Noise, at the right rate",
}


def page(entries: Sequence[Entry]) -> str:
    """Return the page's generated part, as Markdown.

    Only what is the same on every machine: statements, proofs, verdicts, exact numbers.
    """
    parts = [_overview(entries)]
    for letters, heading in _GROUPS.items():
        members = [entry for entry in entries if entry.claim.id[0] in letters]
        if members:
            parts += [f"## {heading}", *[_section(entry) for entry in members]]
    return "\n\n".join(parts) + "\n"


def _overview(entries: Sequence[Entry]) -> str:
    lines = [
        (
            f"[{entry.claim.id}](#{entry.claim.id.lower()})",
            entry.claim.title,
            _escaped(entry.claim.source),
            entry.claim.verdict,
            entry.claim.evidence + _by_coq(entry.claim),
        )
        for entry in entries
    ]
    headings = ("claim", "title", "source", "verdict", "evidence")
    return tabulate(lines, headers=headings, tablefmt="github", disable_numparse=True)


def _section(entry: Entry) -> str:
    claim = entry.claim
    module = claim.check.__module__
    file = module.rpartition(".")[2]
    parts = [
        f'<a id="{claim.id.lower()}"></a>\n\n### {claim.id}: {claim.title}',
        f"*{_escaped(claim.source)}.* {_escaped(claim.statement)}",
    ]
    if claim.assumptions:
        parts.append("\n".join(f"- Assumed: {_escaped(a.text)}" for a in claim.assumptions))
    parts.append(f"**Verdict: {claim.verdict}** ({claim.evidence}).")
    parts += [_escaped(paragraph) for paragraph in claim.story.splitlines() if paragraph]
    exact = {k: v for k, v in entry.finding.certificate.items() if _is_exact(v)}
    if exact:
        lines = [(_escaped(name), str(value)) for name, value in exact.items()]
        headings = ("certificate, exact", "value")
        parts.append(tabulate(lines, headers=headings, tablefmt="github", disable_numparse=True))
    if claim.machine_checked:
        parts.append(
            "Machine-checked in Coq: " + "; ".join(map(_theorem, claim.machine_checked)) + "."
        )
    if claim.references:
        parts.append("References: " + "; ".join(_escaped(r) for r in claim.references) + ".")
    parts.append(
        f"[check](../osae_theory/claims/{file}.py), [test](../tests/claims/test_{file}.py);"
        f" `python -m osae_theory claims --id {claim.id}`"
    )
    return "\n\n".join(parts)


def _theorem(formal: Formal) -> str:
    return f"{_escaped(formal.says)} ([{_escaped(formal.theorem)}](../formal/{formal.file}))"


def _is_exact(value: Number) -> bool:
    # Whole numbers may count random examples, which another numpy may draw differently.
    return isinstance(value, Fraction)


def _escaped(text: str) -> str:
    """Return text in which Markdown takes nothing for markup."""
    for character in "\\*_|<>":
        text = text.replace(character, f"\\{character}")
    return text


def _by_coq(claim: Claim) -> str:
    if not claim.machine_checked:
        return ""
    return ", Coq" if claim.machine_checked_whole else ", Coq in part"
