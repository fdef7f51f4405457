"""What `realdata compare` says of some SAEs, for programs and for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from realdata.comparison.compare import Comparison
from realdata.comparison.dictionaries import Dictionary
from realdata.comparison.matches import sentences
from realdata.comparison.text import MISSING, document, markdown


@dataclass(frozen=True, eq=False)
class Findings:
    """All that one command found.

    Attributes
    ----------
    dictionaries : sequence of Dictionary
        What was compared.
    comparison : Comparison
        By decoder cosines.
    by_activations : Comparison or None
        By correlations of latents, where activations were given.
    matches : DataFrame or None
        Of every pair, where asked for; see `realdata.comparison.matches.matches`.
    """

    dictionaries: Sequence[Dictionary]
    comparison: Comparison
    by_activations: Comparison | None = None
    matches: pd.DataFrame | None = None


def json_text(found: Findings) -> str:
    """Return one JSON object, with a newline at its end."""
    whole: dict[str, Any] = {
        "dictionaries": [one.description() for one in found.dictionaries],
        "order": found.comparison.order,
        **document(found.comparison),
    }
    if found.by_activations is not None:
        whole["activations"] = document(found.by_activations)
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def text(found: Findings) -> str:
    """Return what people read, in Markdown: what was compared, the tables, the matches."""
    described = pd.DataFrame([one.description() for one in found.dictionaries])
    known = described.drop(columns=[name for name in described if str(name).endswith("_hash")])
    known = known.astype(object).where(known.notna(), "")
    parts = [known.to_markdown(index=False, disable_numparse=True), markdown(found.comparison)]
    if len(found.dictionaries) > 2:
        parts.append(pair_matrix(found.comparison))
    if found.by_activations is not None:
        parts.append(markdown(found.by_activations))
    if found.matches is not None:
        parts.append("\n".join(f"- {line}" for line in sentences(found.matches)))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def pair_matrix(comparison: Comparison) -> str:
    """Return Stab and Ord of each pair over the longest prefix, as a Markdown table of names."""
    prefix = comparison.prefixes[-1]
    table = pd.DataFrame("", index=[*comparison.names], columns=[*comparison.names])
    for pair in comparison.pairs:
        if pair.score.prefix == prefix:
            table.loc[pair.a, pair.b] = f"{pair.score.stab:.3f}"
            ord_ = pair.score.ord
            table.loc[pair.b, pair.a] = MISSING if ord_ is None else f"{ord_:.3f}"
    caption = f"Each pair over the first {prefix} atoms: Stab above the diagonal, Ord below it."
    return f"{table.to_markdown(disable_numparse=True)}\n\n{caption}\n"
