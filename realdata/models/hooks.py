"""Hook points of the residual stream, by TransformerLens's names.

Layer L means hidden_states[L], the residual stream after L blocks, so that its hook point is
`blocks.{L-1}.hook_resid_post`.
"""

import re

from osae_theory.errors import InputError, check_integer


def hook_of_layer(layer: int) -> str:
    """Return the hook point of hidden_states[layer], for a layer of at least 1."""
    check_integer("layer", layer, 1)
    return f"blocks.{layer - 1}.hook_resid_post"


def block_of_hook(hook: str, n_layers: int) -> int:
    """Return the number of the block that a hook point of the residual stream is in.

    Raises
    ------
    InputError
        If the hook point is not one that has the residual stream's width, or its block is not
        one of `n_layers`.
    """
    found = re.fullmatch(
        r"blocks\.(\d+)\.hook_(?:resid_pre|resid_mid|resid_post|attn_out|mlp_out)", hook
    )
    if found is None:
        raise InputError(
            f"hook point {hook!r}: expected blocks.N.hook_resid_post, or resid_pre, resid_mid, "
            "attn_out or mlp_out"
        )
    block = int(found[1])
    if block >= n_layers:
        raise InputError(
            f"hook point {hook!r}: expected a block from 0 to {n_layers - 1}, "
            f"that is a layer from 1 to {n_layers}"
        )
    return block
