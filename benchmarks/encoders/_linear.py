"""What the encoders with thresholds and gates share: rows in chunks, the m largest codes kept."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from osae_theory.sae.selection import select_top_m

_CHUNK = 16_384


@torch.no_grad()
def largest_codes(
    rows: Float[np.ndarray, "n d"],
    codes_of: Callable[[Float[Tensor, "part d"]], Float[Tensor, "part K"]],
    m: int,
) -> Float[np.ndarray, "n K"]:
    """Return the m largest of the codes of each row, chunk by chunk."""
    chunks = torch.from_numpy(rows).split(_CHUNK)
    return torch.cat([select_top_m(codes_of(part), m) for part in chunks]).numpy()
