"""Tables as GitHub Markdown."""

import pandas as pd


def markdown(table: pd.DataFrame, text: str, source: str, index: bool = True) -> str:
    """Return a table, its caption and what it was made by as GitHub Markdown."""
    body = markdown_table(table, index) if len(table) else ""
    return "\n\n".join(part for part in (body, text, source) if part) + "\n"


def markdown_table(table: pd.DataFrame, index: bool = True) -> str:
    """Return a table of text as GitHub Markdown."""
    safe = table.map(_escaped).rename(columns=_escaped, index=_escaped if index else None)
    return safe.to_markdown(disable_numparse=True, index=index)


def _escaped(text: object) -> str:
    # A bar would begin another cell.
    return str(text).replace("|", "\\|")
