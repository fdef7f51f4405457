"""What `realdata compare` says of some SAEs, for programs and for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from realdata.comparison.compare import Comparison
from realdata.comparison.dictionaries import Dictionary
from realdata.comparison.matches import THRESHOLD, sentences
from realdata.comparison.substitution import Substitution
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
    substitutions : sequence of Substitution or None
        Of every pair both ways, where activations were given.
    """

    dictionaries: Sequence[Dictionary]
    comparison: Comparison
    by_activations: Comparison | None = None
    matches: pd.DataFrame | None = None
    substitutions: Sequence[Substitution] | None = None


def json_text(found: Findings) -> str:
    """Return one JSON object, with a newline at its end."""
    whole: dict[str, Any] = {
        "dictionaries": [one.description() for one in found.dictionaries],
        "order": found.comparison.order,
        **document(found.comparison),
    }
    if found.by_activations is not None:
        whole["activations"] = document(found.by_activations)
    if found.substitutions is not None:
        whole["substitutions"] = [asdict(one) for one in found.substitutions]
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def text(found: Findings) -> str:
    """Return what people read, in Markdown: what was compared, the tables, the matches."""
    # As objects: else whole numbers become fractions where a checkpoint says none.
    described = pd.DataFrame([one.description() for one in found.dictionaries], dtype=object)
    known = described.drop(columns=[name for name in described if str(name).endswith("_hash")])
    known = known.where(known.notna(), "")
    parts = [known.to_markdown(index=False, disable_numparse=True), markdown(found.comparison)]
    if len(found.dictionaries) > 2:
        parts.append(pair_matrix(found.comparison))
    if found.by_activations is not None:
        parts.append(markdown(found.by_activations))
    if found.substitutions:
        parts.append(substitution_table(found.substitutions))
    if found.matches is not None:
        parts.append("\n".join(f"- {line}" for line in sentences(found.matches)))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def substitution_table(found: Sequence[Substitution]) -> str:
    """Return the FVU of each SAE with another's directions, as a Markdown table and a caption."""
    rows = [
        {
            "SAE": one.sae,
            "directions of": one.directions_of,
            "FVU": f"{one.fvu:.4f}",
            "shared pairs": f"{one.shared} of {one.matched}",
            "FVU, shared": f"{one.fvu_shared:.4f}",
            "at random": f"{one.fvu_shared_random:.4f}",
            "FVU, all pairs": f"{one.fvu_all:.4f}",
            "all at random": f"{one.fvu_all_random:.4f}",
        }
        for one in found
    ]
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    caption = (
        "FVU on the activations, in their own coordinates, of each SAE as it is and with decoder"
        " rows turned into the directions of another's, its encoder, latents and norms kept: of"
        f" the pairs with a cosine of at least {THRESHOLD:g}, and of all pairs; at random, the"
        " same rows turned into drawn rows of the other SAE."
    )
    return f"{table}\n\n{caption}\n"


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
