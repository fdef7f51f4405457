"""Top-m SAE: the plain loss L_K, every weight 1. The paper's "vanilla" baseline.

The variant puts latents in order of their energy every 50 steps: to the plain loss it is the
same SAE, so that its order as trained is what ordering costs nothing to have.
"""

from benchmarks.methods._sae import full, resorted, sae_method

METHODS = (
    sae_method("topk", "top-m SAE", full),
    sae_method("topk-resorted", "top-m SAE (re-sorted)", full, resorted, tuned_as="topk"),
)
