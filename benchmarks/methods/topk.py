"""Top-m SAE: the plain loss L_K, every weight 1. The paper's "vanilla" baseline."""

from benchmarks.methods._sae import sae_method
from osae_theory.prefixes import PrefixLaw

METHOD = sae_method("topk", "top-m SAE", lambda K, params: PrefixLaw.full(K))
