"""Tables as GitHub Markdown."""

import pandas as pd


def markdown(table: pd.DataFrame, text: str, source: str, index: bool = True) -> str:
    """Return a table, its caption and what it was made by as GitHub Markdown."""
    safe = table.map(_escaped).rename(columns=_escaped, index=_escaped if index else None)
    body = safe.to_markdown(disable_numparse=True, index=index) if len(safe) else ""
    return f"{body}\n\n{text}\n\n{source}\n"


def _escaped(text: object) -> str:
    # A bar would begin another cell.
    return str(text).replace("|", "\\|")
