"""The page of two given checkpoints: their latents side by side on a text."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from osae_theory.metrics import chance_stability
from realdata.checkpoints.form import SparseAutoencoder
from realdata.latents.on_text import LatentsOnText
from realdata.models.sources import MODELS
from realdata.report.page import PageHeader, PageSettings, Side, render

# From here on a draw of unrelated dictionaries takes seconds to match.
_MOST_ATOMS_OF_CHANCE = 2048
_CHANCE_DRAWS = 4


def checkpoint_page(
    found: LatentsOnText,
    autoencoders: Mapping[str, SparseAutoencoder],
    settings: PageSettings | None = None,
) -> str:
    """Return the page of two SAEs whose latents on a text are known.

    Parameters
    ----------
    found : LatentsOnText
        Of both, in their order.
    autoencoders : mapping of str to SparseAutoencoder
        The two, by label.
    settings : PageSettings, optional
        How many latents and snippets.

    Raises
    ------
    InputError
        As `realdata.report.page.render`.
    """
    left, right = (
        Side(label, _contributions(own), latents)
        for (label, own), latents in zip(autoencoders.items(), found.latents, strict=True)
    )
    K, d = left.decoder.shape
    known = K == len(right.decoder) and K <= _MOST_ATOMS_OF_CHANCE
    chance = chance_stability(d, K, n_draws=_CHANCE_DRAWS).mean if known else None
    header = PageHeader(
        model=found.model,
        hook_point=found.hook,
        method=" and ".join(dict.fromkeys(own.architecture for own in autoencoders.values())),
        corpus=found.corpus,
        corpus_hash=found.corpus_hash,
        dequantised=found.model in MODELS and "dequantised" in MODELS[found.model].note,
        chance=chance,
    )
    return render(left, right, found.text, found.decode_token, header, settings)


def elsewhere(own: SparseAutoencoder, model: str, hook: str) -> str | None:
    """Return what a checkpoint says of its model and hook point where that is not this one.

    A model is told by the last part of its name, in whatever case: "google/gemma-2-2b" is
    "gemma-2-2b".
    """
    said = own.metadata.get("model"), own.metadata.get("hook")
    named, point = (one if isinstance(one, str) else None for one in said)
    other_model = named is not None and _bare(named) != _bare(model)
    if not other_model and point in (None, hook):
        return None
    return f"{named or 'its model'} at {point or 'its hook point'}"


def _bare(model: str) -> str:
    return model.rstrip("/").rsplit("/", 1)[-1].casefold()


def _contributions(own: SparseAutoencoder) -> Float[np.ndarray, "K d"]:
    """Return what one unit of each latent adds to a reconstruction, so that energies are its."""
    rows = own.decoder.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    lengths = np.sqrt(own.unit_energies)
    return rows * np.divide(lengths, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]
